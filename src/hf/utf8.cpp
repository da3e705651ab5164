#include "utf8.hpp"

#include <cstdint>

#include <anabranch/utf8.hpp>

namespace anabranch::hf::impl {
namespace {

std::uint8_t byte_at(std::string_view text, std::size_t offset) noexcept {
  return offset < text.size() ? static_cast<std::uint8_t>(text[offset]) : std::uint8_t{0};
}

}  // namespace

char32_t next_char(std::string_view text, std::size_t& offset) noexcept {
  const auto tail = [&](std::size_t i) { return static_cast<char32_t>(byte_at(text, offset + i) & 0x3f); };
  const char32_t a = byte_at(text, offset);
  char32_t result = a;
  std::size_t length = 1;
  if (a >= 0xf0) {
    result = (a & 0x07) << 18 | tail(1) << 12 | tail(2) << 6 | tail(3);
    length = 4;
  } else if (a >= 0xe0) {
    result = (a & 0x0f) << 12 | tail(1) << 6 | tail(2);
    length = 3;
  } else if (a >= 0x80) {
    result = (a & 0x1f) << 6 | tail(1);
    length = 2;
  }
  offset += length;
  return result;
}

void append_utf8(char32_t c, std::string& out) {
  const auto put = [&out](char32_t byte) { out.push_back(static_cast<char>(static_cast<unsigned char>(byte))); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xc0 | c >> 6);
    put(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    put(0xe0 | c >> 12);
    put(0x80 | (c >> 6 & 0x3f));
    put(0x80 | (c & 0x3f));
  } else {
    put(0xf0 | c >> 18);
    put(0x80 | (c >> 12 & 0x3f));
    put(0x80 | (c >> 6 & 0x3f));
    put(0x80 | (c & 0x3f));
  }
}

void append_as_text(std::string_view bytes, std::string& out) {
  while (!bytes.empty()) {
    const auto piece = anabranch::impl::first_utf8_piece(bytes);
    const bool whole = piece.kind == anabranch::impl::Utf8Piece::Kind::whole;
    out += whole ? bytes.substr(0, piece.n_bytes) : std::string_view("\xEF\xBF\xBD");
    bytes.remove_prefix(piece.n_bytes);
  }
}

}  // namespace anabranch::hf::impl
