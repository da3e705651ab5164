// UTF-8: walking it, writing it. Checking it: anabranch/utf8.hpp.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace anabranch::hf::impl {

/// The character at `offset`, which moves behind it. Requires well-formed UTF-8 and offset < text.size().
char32_t next_char(std::string_view text, std::size_t& offset) noexcept;

void append_utf8(char32_t character, std::string& out);

/// Appends bytes as characters: each longest part that begins a character and does not end it, and each other wrong
/// byte, becomes U+FFFD.
void append_as_text(std::string_view bytes, std::string& out);

}  // namespace anabranch::hf::impl
