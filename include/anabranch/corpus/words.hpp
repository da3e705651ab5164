// Words and n-grams of a text: cheap measures of repetition and overlap.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

namespace anabranch::corpus {

/// A word's 64-bit FNV-1a hash: equal words have equal hashes, and others almost never.
using WordHash = std::uint64_t;

/// Is the byte part of a word? Letters, digits, and everything beyond ASCII.
constexpr bool is_word_byte(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         static_cast<unsigned char>(c) >= 0x80;
}

constexpr WordHash hash_step(WordHash hash, std::uint64_t value) noexcept { return (hash ^ value) * 0x100000001b3u; }

/// The words of a text, in order; ASCII capitals count as small letters, markup and punctuation as blanks.
inline std::vector<WordHash> words(std::string_view text) {
  constexpr WordHash kStart = 0xcbf29ce484222325u;
  std::vector<WordHash> out;
  WordHash hash = kStart;
  bool inside = false;
  for (const char c : text) {
    if (is_word_byte(c)) {
      const char low = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      hash = hash_step(hash, static_cast<unsigned char>(low));
      inside = true;
    } else if (inside) {
      out.push_back(hash);
      hash = kStart;
      inside = false;
    }
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

/// Share of the n-grams that occurred before: 1 - distinct / all; 0 for fewer than n values.
template <class T>
double repeated_ngrams(const std::vector<T>& values, std::size_t n) {
  std::vector<std::uint64_t> ngrams = sorted_ngrams(values, n);
  const auto all = static_cast<double>(ngrams.size());
  ngrams.erase(std::unique(ngrams.begin(), ngrams.end()), ngrams.end());
  return all > 0 ? 1.0 - static_cast<double>(ngrams.size()) / all : 0.0;
}

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

/// The text's words in small letters with one blank between: what two titles must share to be the same.
inline std::string word_key(std::string_view text) {
  std::string key;
  for (const char c : text) {
    if (!is_word_byte(c)) {
      if (!key.empty() && key.back() != ' ') key += ' ';
    } else {
      key += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
  }
  if (!key.empty() && key.back() == ' ') key.pop_back();
  return key;
}

}  // namespace anabranch::corpus
