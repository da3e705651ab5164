// UTF-8: checking it, walking it, writing it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace anabranch::hf::impl {

/// Offset of the first byte that is not well-formed UTF-8 (Unicode table 3-7: no overlong forms, no surrogates), or
/// text.size().
std::size_t first_bad_utf8(std::string_view text) noexcept;

/// The character at `offset`, which moves behind it. Requires well-formed UTF-8 and offset < text.size().
char32_t next_char(std::string_view text, std::size_t& offset) noexcept;

void append_utf8(char32_t character, std::string& out);

/// Appends bytes as characters: each longest part that begins a character and does not end it, and each other wrong
/// byte, becomes U+FFFD.
void append_as_text(std::string_view bytes, std::string& out);

}  // namespace anabranch::hf::impl
