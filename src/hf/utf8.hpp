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

/// The White_Space property, which is what `\s` means in the patterns of tokenizers.
bool is_white_space(char32_t character) noexcept;

/// The text composed canonically (NFC). Requires well-formed UTF-8.
std::string nfc(std::string_view text);

}  // namespace anabranch::hf::impl
