// Enumerators of list items: numbers in digits of the Latin, the full-width and the Chinese script, letters, and Roman
// numerals, with the delimiters that stand behind them.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include <anabranch/corpus/impl/marker_reader.hpp>

namespace anabranch::corpus::impl {

/// Value of a Roman numeral below 4,000 in lower case, 0 when it is none.
inline std::int32_t roman_value(std::string_view digits) noexcept {
  struct Part {
    std::string_view text;
    std::int32_t value;
  };
  static constexpr std::array<Part, 13> kParts = {{{"m", 1000},
                                                   {"cm", 900},
                                                   {"d", 500},
                                                   {"cd", 400},
                                                   {"c", 100},
                                                   {"xc", 90},
                                                   {"l", 50},
                                                   {"xl", 40},
                                                   {"x", 10},
                                                   {"ix", 9},
                                                   {"v", 5},
                                                   {"iv", 4},
                                                   {"i", 1}}};
  std::int32_t value = 0;
  std::string_view rest = digits;
  for (const Part& part : kParts)
    for (; rest.substr(0, part.text.size()) == part.text; rest.remove_prefix(part.text.size())) value += part.value;
  if (!rest.empty() || value >= 4000) return 0;
  std::int32_t left = value;  // the one way to write it: `iv`, not `iiii`
  for (const Part& part : kParts)
    for (; left >= part.value; left -= part.value, digits.remove_prefix(part.text.size()))
      if (digits.substr(0, part.text.size()) != part.text) return 0;
  return value;
}

/// Signs that enumerators are written with. A value is a part of the style, which delimiters add to.
enum class Script : std::int32_t {
  digits = 0,
  lower = 8,
  upper = 16,
  roman_upper = 24,  ///< the signs from U+2160 on
  roman_lower = 32,
  wide_digits = 40,  ///< those from U+FF10 on
  chinese = 48,
};

/// Digits of one script, the first of which is `zero`; none: 0 bytes. Numbers of the Latin script may have commas
/// between thousands.
inline std::size_t read_digits(MarkerReader& r, std::string_view zero, std::int32_t& number) noexcept {
  const std::size_t begin = r.at;
  const auto digit = [&](std::size_t at) -> std::int32_t {
    const std::string_view sign = r.text.substr(std::min(at, r.text.size()), zero.size());
    if (sign.size() != zero.size() || sign.substr(0, zero.size() - 1) != zero.substr(0, zero.size() - 1)) return -1;
    const int value = static_cast<unsigned char>(sign.back()) - static_cast<unsigned char>(zero.back());
    return value >= 0 && value <= 9 ? value : -1;
  };
  const auto three_follow = [&] {
    return digit(r.at + 1) >= 0 && digit(r.at + 2) >= 0 && digit(r.at + 3) >= 0 && digit(r.at + 4) < 0;
  };
  std::int32_t value = 0, n = 0;
  for (bool commas = false; n < 9;) {
    if (const std::int32_t next = digit(r.at); next >= 0) {
      value = 10 * value + next;
      r.at += zero.size();
      ++n;
    } else if (zero.size() == 1 && r.peek() == ',' && value > 0 && (commas || n <= 3) && three_follow()) {
      commas = true;
      ++r.at;
    } else {
      break;
    }
  }
  number = value;
  return r.at - begin;
}

/// A Chinese numeral below 1,000: 一, 十, 十二, 二十一, 一百零三.
inline bool read_chinese(MarkerReader& r, std::int32_t& number) noexcept {
  static constexpr std::array<std::string_view, 9> kOnes = {"一", "二", "三", "四", "五", "六", "七", "八", "九"};
  std::int32_t value = 0, ones = 0;
  const std::size_t begin = r.at;
  while (true) {
    const std::size_t before = r.at;
    if (ones == 0)
      for (std::size_t i = 0; i < kOnes.size() && ones == 0; ++i)
        if (r.take(kOnes[i])) ones = static_cast<std::int32_t>(i) + 1;
    if (r.at != before) continue;
    if (ones > 0 && value == 0 && r.take("百")) {
      value = 100 * ones;
      ones = 0;
    } else if (value % 100 == 0 && r.take("十")) {
      value += 10 * (ones > 0 ? ones : 1);
      ones = 0;
    } else if (!(ones == 0 && value >= 100 && value % 100 == 0 && r.take("零"))) {
      break;
    }
  }
  number = value + ones;
  return r.at > begin && number > 0;
}

/// One of the twelve signs from `first` on, which are one byte apart.
inline std::int32_t read_roman_sign(MarkerReader& r, std::string_view first) noexcept {
  const std::string_view sign = r.text.substr(r.at).substr(0, first.size());
  if (sign.size() != first.size() || sign.substr(0, first.size() - 1) != first.substr(0, first.size() - 1)) return 0;
  const int value = static_cast<unsigned char>(sign.back()) - static_cast<unsigned char>(first.back()) + 1;
  if (value < 1 || value > 12) return 0;
  r.at += first.size();
  return value;
}

/// The letters of an enumerator: one, or a Roman numeral.
inline bool read_letters(MarkerReader& r, Marker& marker) noexcept {
  const bool upper = is_upper(r.peek());
  std::array<char, 16> letters{};
  std::size_t n = 0;
  while (n < letters.size() && (upper ? is_upper(r.peek()) : is_lower(r.peek()))) {
    const char c = r.text[r.at++];
    letters[n++] = upper ? static_cast<char>(c - 'A' + 'a') : c;
  }
  marker.roman = roman_value({letters.data(), n});
  if (n == 1) marker.number = letters[0] - 'a' + 1;
  if (n != 1 && marker.roman == 0) return false;
  if (n != 1) marker.number = -1;  // goes on as a Roman numeral only
  marker.kind = BlockKind::lettered;
  marker.style = static_cast<std::int32_t>(upper ? Script::upper : Script::lower);
  return true;
}

/// The letters or digits of an enumerator, into `marker`.
inline bool read_enumerator(MarkerReader& r, Marker& marker) noexcept {
  const auto found = [&](BlockKind kind, Script script) {
    marker.kind = kind;
    marker.style = static_cast<std::int32_t>(script);
    return true;
  };
  if (read_digits(r, "0", marker.number) > 0) return found(BlockKind::numbered, Script::digits);
  if (read_digits(r, "０", marker.number) > 0) return found(BlockKind::numbered, Script::wide_digits);
  if (read_chinese(r, marker.number)) return found(BlockKind::numbered, Script::chinese);
  for (const auto& [first, script] :
       {std::pair{std::string_view("Ⅰ"), Script::roman_upper}, {std::string_view("ⅰ"), Script::roman_lower}})
    if ((marker.roman = read_roman_sign(r, first)) > 0) {
      marker.number = -1;
      return found(BlockKind::lettered, script);
    }
  return read_letters(r, marker);
}

/// A delimiter behind an enumerator.
struct Delimiter {
  std::int32_t style = 0;  ///< 0: none
  bool wide = false;       ///< needs no blank behind it
};

inline Delimiter read_delimiter(MarkerReader& r, bool bracket, bool wide_bracket) noexcept {
  if (wide_bracket) return r.take("）") ? Delimiter{7, true} : Delimiter{};
  if (bracket) return r.take(")") ? Delimiter{2, false} : Delimiter{};
  if (r.take(".")) return {1, false};
  if (r.take(")")) return {3, false};
  if (r.take("、")) return {4, true};
  if (r.take("．")) return {5, true};
  if (r.take("）")) return {6, true};
  return {};
}

inline Marker read_enumerated(MarkerReader r) noexcept {
  Marker marker;
  marker.in_bold = r.take("**");
  const bool bracket = r.take("("), wide_bracket = !bracket && r.take("（");
  marker.digits = r.at;
  if (!read_enumerator(r, marker)) return {};
  marker.digits_end = r.at;
  const Delimiter delimiter = read_delimiter(r, bracket, wide_bracket);
  if (delimiter.style == 0) return {};
  marker.style += delimiter.style;
  if (marker.in_bold && r.take("**")) marker.in_bold = false;
  if (!delimiter.wide && !is_space(r.peek())) return {};
  r.skip_blanks();
  marker.title = marker.content = r.at;
  return marker;
}

}  // namespace anabranch::corpus::impl
