#include "utf8.hpp"

#include <algorithm>
#include <cstdint>

namespace anabranch::hf::impl {
namespace {

std::uint8_t byte_at(std::string_view text, std::size_t offset) noexcept {
  return offset < text.size() ? static_cast<std::uint8_t>(text[offset]) : std::uint8_t{0};
}

bool in(std::uint8_t byte, int low, int high) noexcept { return byte >= low && byte <= high; }

// Length of the well-formed character at `i`, or 0.
std::size_t char_length(std::string_view text, std::size_t i) noexcept {
  const std::uint8_t a = byte_at(text, i), b = byte_at(text, i + 1);
  if (a < 0x80) return 1;
  if (in(a, 0xc2, 0xdf)) return in(b, 0x80, 0xbf) ? 2 : 0;
  const bool third = in(byte_at(text, i + 2), 0x80, 0xbf);
  if (in(a, 0xe0, 0xef)) return in(b, a == 0xe0 ? 0xa0 : 0x80, a == 0xed ? 0x9f : 0xbf) && third ? 3 : 0;
  const bool fourth = third && in(byte_at(text, i + 3), 0x80, 0xbf);
  if (in(a, 0xf0, 0xf4)) return in(b, a == 0xf0 ? 0x90 : 0x80, a == 0xf4 ? 0x8f : 0xbf) && fourth ? 4 : 0;
  return 0;
}

// How many bytes at `i`, where no character is, could begin one.
std::size_t unfinished_length(std::string_view text, std::size_t i) noexcept {
  const std::uint8_t a = byte_at(text, i), b = byte_at(text, i + 1);
  const bool three = in(a, 0xe0, 0xef), four = in(a, 0xf0, 0xf4);
  if (!three && !four) return in(a, 0xc2, 0xdf) ? 1 : 0;
  const int low = a == 0xe0 ? 0xa0 : a == 0xf0 ? 0x90 : 0x80, high = a == 0xed ? 0x9f : a == 0xf4 ? 0x8f : 0xbf;
  if (i + 1 >= text.size() || !in(b, low, high)) return 1;
  return four && i + 2 < text.size() && in(byte_at(text, i + 2), 0x80, 0xbf) ? 3 : 2;
}

}  // namespace

std::size_t first_bad_utf8(std::string_view text) noexcept {
  std::size_t i = 0;
  while (i < text.size()) {
    const std::size_t length = char_length(text, i);
    if (length == 0) return i;
    i += length;
  }
  return i;
}

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
  for (std::size_t i = 0; i < bytes.size();) {
    const std::size_t good = first_bad_utf8(bytes.substr(i));
    out += bytes.substr(i, good);
    i += good;
    if (i == bytes.size()) return;
    out += "\xEF\xBF\xBD";
    i += std::max<std::size_t>(1, unfinished_length(bytes, i));
  }
}

}  // namespace anabranch::hf::impl
