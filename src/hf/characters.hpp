// Kinds of characters, as the parts of tokenizer.json mean them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace anabranch::hf::impl {

/// The White_Space property.
bool is_white_space(char32_t character) noexcept;
/// A number of any kind: decimal digits, letters that are numbers, fractions.
bool is_numeric(char32_t character) noexcept;
/// Punctuation, and the signs of ASCII.
bool is_punctuation(char32_t character) noexcept;
/// A character that `\w` matches.
bool is_word(char32_t character) noexcept;
/// A character that the reference's normalisation does not know: see kNewer in unicode_tables.hpp.
bool is_newer(char32_t character) noexcept;
/// A character of the category that patterns mean, with as many bytes; the character itself but for few.
char32_t stand_in(char32_t character) noexcept;

/// Length of the white space that a text starts with; where the white space that ends it begins. Well-formed UTF-8.
std::size_t leading_space(std::string_view text) noexcept;
std::size_t trailing_space(std::string_view text) noexcept;
/// Is a character of a word the first of a text; the last?
bool starts_with_word(std::string_view text) noexcept;
bool ends_with_word(std::string_view text) noexcept;

void append_lower(char32_t character, std::string& out);

}  // namespace anabranch::hf::impl
