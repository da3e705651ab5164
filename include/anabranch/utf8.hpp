// UTF-8 by RFC 3629: whether a text is, and which bytes are a character.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <anabranch/version.hpp>

namespace anabranch {
namespace impl {

/// The bytes at the front of a text: a character, an unfinished one, or none.
struct Utf8Piece {
  enum class Kind : std::uint8_t { whole, unfinished, invalid };
  Kind kind = Kind::whole;
  std::size_t n_bytes = 0;
};

/// The first piece of `text` by RFC 3629. `unfinished` may become a character with more bytes; `invalid` bytes are
/// replaced together (the maximal subpart, as Unicode recommends). REQUIRES: text is not empty.
constexpr Utf8Piece first_utf8_piece(std::string_view text) noexcept {
  using Kind = Utf8Piece::Kind;
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {Kind::whole, 1};
  if (lead < 0xc2 || lead > 0xf4) return {Kind::invalid, 1};
  const std::size_t n = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  for (std::size_t i = 1; i < n; ++i) {
    if (i == text.size()) return {Kind::unfinished, i};
    unsigned char low = 0x80, high = 0xbf;
    if (i == 1 && lead == 0xe0) low = 0xa0;
    if (i == 1 && lead == 0xed) high = 0x9f;
    if (i == 1 && lead == 0xf0) low = 0x90;
    if (i == 1 && lead == 0xf4) high = 0x8f;
    if (byte(i) < low || byte(i) > high) return {Kind::invalid, i};
  }
  return {Kind::whole, n};
}

}  // namespace impl

/// Offset of the first byte that no character begins with or goes on with (no overlong forms, no surrogates), or
/// text.size(). O(that).
constexpr std::size_t first_bad_utf8(std::string_view text) noexcept {
  std::size_t at = 0;
  while (at < text.size()) {
    const impl::Utf8Piece piece = impl::first_utf8_piece(text.substr(at));
    if (piece.kind != impl::Utf8Piece::Kind::whole) break;
    at += piece.n_bytes;
  }
  return at;
}

}  // namespace anabranch
