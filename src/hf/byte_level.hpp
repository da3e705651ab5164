// GPT-2's byte alphabet: every byte is written as one printable character, so that a vocabulary of byte strings can
// live in JSON. Printable Latin-1 bytes stand for themselves, the other 68 for U+0100, U+0101, ... in order.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "utf8.hpp"

namespace anabranch::hf::impl {

constexpr bool stands_for_itself(unsigned byte) noexcept {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

/// Character of each byte.
inline constexpr std::array<char32_t, 256> kByteChars = [] {
  std::array<char32_t, 256> chars{};
  char32_t next = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte) chars[byte] = stands_for_itself(byte) ? byte : next++;
  return chars;
}();

/// Byte of each character below U+0144; -1 for those that stand for none.
inline constexpr std::array<std::int16_t, 0x144> kCharBytes = [] {
  std::array<std::int16_t, 0x144> bytes{};
  for (auto& byte : bytes) byte = -1;
  for (unsigned byte = 0; byte < 256; ++byte) bytes[kByteChars[byte]] = static_cast<std::int16_t>(byte);
  return bytes;
}();

/// The bytes that a vocabulary entry stands for; nullopt if a character of it is not in the alphabet.
inline std::optional<std::string> alphabet_to_bytes(std::string_view entry) {
  std::string bytes;
  bytes.reserve(entry.size());
  for (std::size_t i = 0; i < entry.size();) {
    const char32_t c = next_char(entry, i);
    if (c >= kCharBytes.size() || kCharBytes[c] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(static_cast<unsigned char>(kCharBytes[c])));
  }
  return bytes;
}

/// Bytes written as characters of the alphabet.
inline std::string bytes_to_alphabet(std::string_view bytes) {
  std::string out;
  out.reserve(2 * bytes.size());
  for (const char byte : bytes) append_utf8(kByteChars[static_cast<unsigned char>(byte)], out);
  return out;
}

/// The vocabulary entry of one byte.
inline std::string byte_entry(std::uint8_t byte) {
  std::string entry;
  append_utf8(kByteChars[byte], entry);
  return entry;
}

}  // namespace anabranch::hf::impl
