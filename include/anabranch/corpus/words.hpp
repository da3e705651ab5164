// Words and n-grams of a text: cheap measures of repetition and overlap.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include <anabranch/version.hpp>

namespace anabranch::corpus {

/// A word's 64-bit FNV-1a hash: equal words have equal hashes, and others almost never.
using WordHash = std::uint64_t;

/// Is a character beyond ASCII part of a word? Everything is but punctuation, symbols and emoji, by their Unicode
/// blocks.
constexpr bool is_word_beyond_ascii(char32_t c) noexcept {
  constexpr char32_t kOthers[][2] = {
      {0x80, 0xa9},     {0xab, 0xb1},       {0xb4, 0xb4},      {0xb6, 0xb8},     {0xbb, 0xbb},     {0xbf, 0xbf},
      {0xd7, 0xd7},     {0xf7, 0xf7},       {0x964, 0x965},    {0x2000, 0x206f}, {0x20a0, 0x20ff}, {0x2190, 0x245f},
      {0x2500, 0x2bff}, {0x3000, 0x3004},   {0x3008, 0x3020},  {0xd800, 0xf8ff}, {0xfe00, 0xfe6f}, {0xff00, 0xff0f},
      {0xfff0, 0xffff}, {0x1f000, 0x1faff}, {0xe0000, 0xe0fff}};
  for (const auto& [first, last] : kOthers)
    if (c >= first && c <= last) return false;
  return true;
}

/// Length of the word character that a text begins with, in bytes; 0: it begins with none. Letters, digits and `_` are
/// word characters; a byte that is no UTF-8 is none.
constexpr std::size_t word_char_size(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(text[i])); };
  const char c = text.front();
  if (byte(0) < 0x80)
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ? 1 : 0;
  const std::size_t n = byte(0) < 0xc2 ? 0 : byte(0) < 0xe0 ? 2 : byte(0) < 0xf0 ? 3 : byte(0) < 0xf5 ? 4 : 0;
  if (n == 0 || n > text.size()) return 0;
  std::uint32_t character = byte(0) & (0xffu >> (n + 1));
  for (std::size_t i = 1; i < n; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    character = character << 6 | (byte(i) & 0x3f);
  }
  return is_word_beyond_ascii(character) ? n : 0;
}

constexpr WordHash hash_step(WordHash hash, std::uint64_t value) noexcept { return (hash ^ value) * 0x100000001b3u; }

/// The words of a text, in order; ASCII capitals count as small letters, markup and punctuation as blanks.
inline std::vector<WordHash> words(std::string_view text) {
  constexpr WordHash kStart = 0xcbf29ce484222325u;
  std::vector<WordHash> out;
  WordHash hash = kStart;
  bool inside = false;
  while (!text.empty()) {
    const std::size_t n = word_char_size(text);
    for (std::size_t i = 0; i < n; ++i) {
      const char c = text[i];
      hash = hash_step(hash, static_cast<unsigned char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c));
    }
    if (n == 0 && inside) {
      out.push_back(hash);
      hash = kStart;
    }
    inside = n > 0;
    text.remove_prefix(std::max<std::size_t>(n, 1));
  }
  if (inside) out.push_back(hash);
  return out;
}

/// Hashes of all runs of n values, sorted. T: words or tokens.
template <class T>
std::vector<std::uint64_t> sorted_ngrams(const std::vector<T>& values, std::size_t n) {
  std::vector<std::uint64_t> out;
  for (std::size_t i = 0; n > 0 && i + n <= values.size(); ++i) {
    std::uint64_t hash = 0xcbf29ce484222325u;
    for (std::size_t j = i; j < i + n; ++j) {
      hash = hash_step(hash, static_cast<std::uint64_t>(values[j]));
      hash ^= hash >> 29;
    }
    out.push_back(hash);
  }
  std::sort(out.begin(), out.end());
  return out;
}

struct NgramCount {
  std::int64_t n_all = 0;
  std::int64_t n_repeated = 0;  ///< those that occurred before: all less the distinct ones
};

template <class T>
NgramCount count_ngrams(const std::vector<T>& values, std::size_t n) {
  std::vector<std::uint64_t> ngrams = sorted_ngrams(values, n);
  const std::int64_t n_all = std::ssize(ngrams);
  ngrams.erase(std::unique(ngrams.begin(), ngrams.end()), ngrams.end());
  return {n_all, n_all - std::ssize(ngrams)};
}

/// Share of the n-grams that occurred before, 1 - distinct / all; 0 for fewer than n values.
template <class T>
double repeated_ngrams(const std::vector<T>& values, std::size_t n) {
  const NgramCount count = count_ngrams(values, n);
  const auto distinct = static_cast<double>(count.n_all - count.n_repeated);
  return count.n_all > 0 ? 1.0 - distinct / static_cast<double>(count.n_all) : 0.0;
}

/// Share of a text's word 4-grams that occurred before in it: how much it repeats itself.
inline double repetition(std::string_view text) { return repeated_ngrams(words(text), 4); }

/// Share of the smaller text's distinct word n-grams that the other has too; 0 when one has none.
inline double ngram_overlap(std::string_view a, std::string_view b, std::size_t n = 3) {
  const auto distinct = [n](std::string_view text) {
    std::vector<std::uint64_t> ngrams = sorted_ngrams(words(text), n);
    ngrams.erase(std::unique(ngrams.begin(), ngrams.end()), ngrams.end());
    return ngrams;
  };
  const std::vector<std::uint64_t> of_a = distinct(a), of_b = distinct(b);
  const std::size_t smaller = std::min(of_a.size(), of_b.size());
  std::vector<std::uint64_t> both;
  std::set_intersection(of_a.begin(), of_a.end(), of_b.begin(), of_b.end(), std::back_inserter(both));
  return smaller > 0 ? static_cast<double>(both.size()) / static_cast<double>(smaller) : 0.0;
}

/// The text's words in small letters with one blank between; `_` separates words here, as other markup does. Two titles
/// are the same when their keys are.
inline std::string word_key(std::string_view text) {
  std::string key;
  while (!text.empty()) {
    const std::size_t n = word_char_size(text);
    if (n == 0 || text.front() == '_') {
      if (!key.empty() && key.back() != ' ') key += ' ';
    } else
      for (const char c : text.substr(0, n)) key += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    text.remove_prefix(std::max<std::size_t>(n, 1));
  }
  if (!key.empty() && key.back() == ' ') key.pop_back();
  return key;
}

/// How many of the titles, given as their word_key, have the same words as an earlier one.
inline std::int64_t count_repeated(std::vector<std::string> keys) {
  std::sort(keys.begin(), keys.end());
  return keys.end() - std::unique(keys.begin(), keys.end());
}

}  // namespace anabranch::corpus
