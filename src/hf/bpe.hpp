// Byte pair encoding: a word's bytes or characters become symbols, and the pair of neighbours with the best rank is
// merged until none is left that has one.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <anabranch/types.hpp>

namespace anabranch::hf::impl {

/// The token that a pair of neighbouring tokens becomes.
struct Merge {
  std::uint64_t pair = kEmpty;  ///< left << 32 | right
  std::int32_t rank = 0;        ///< smaller goes first
  TokenId merged = 0;
  static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};
};

/// Pair -> merge; open addressing, at most half full.
class MergeTable {
 public:
  void reserve(std::size_t n_merges);
  /// A pair that is there already takes the new rank and result.
  void insert(TokenId left, TokenId right, std::int32_t rank, TokenId merged);
  /// nullptr if the pair does not merge.
  const Merge* find(TokenId left, TokenId right) const noexcept;

 private:
  std::size_t place(std::uint64_t pair) const noexcept;
  std::vector<Merge> places_ = std::vector<Merge>(16);
  std::size_t n_ = 0;
};

/// The tokens of one byte when nothing is merged: usually one. None (`n` 0) means `unknown`, or nothing at all.
struct ByteSymbols {
  std::uint8_t n = 0;
  bool fallback = false;  ///< written as the bytes of its character in the byte alphabet, "<0xC4>" and so on
  std::array<TokenId, 2> tokens{};
};

/// The tokens of single characters.
class CharTokens {
 public:
  void insert(char32_t c, TokenId token) { (c < ascii_.size() ? ascii_[c] : others_[c]) = token; }
  /// kNone if the character has no token.
  TokenId find(char32_t c) const noexcept {
    if (c < ascii_.size()) return ascii_[c];
    const auto found = others_.find(c);
    return found == others_.end() ? kNone : found->second;
  }

 private:
  std::array<TokenId, 128> ascii_ = [] {
    std::array<TokenId, 128> none{};
    none.fill(kNone);
    return none;
  }();
  std::unordered_map<char32_t, TokenId> others_;
};

class Bpe {
 public:
  MergeTable merges;
  bool of_bytes = false;                           ///< symbols are bytes, else characters
  std::array<ByteSymbols, 256> bytes{};            ///< if of_bytes
  CharTokens characters;                           ///< if not
  std::array<TokenId, 256> fallback{};             ///< the same: "<0xC4>" and so on, kNone for bytes without one
  TokenId unknown = kNone;                         ///< for what has no token; kNone drops it
  bool fuse_unknown = false;                       ///< one `unknown` for consecutive ones
  bool whole_words = false;                        ///< a word that is in `words` is that token, whatever the merges say
  std::unordered_map<std::string, TokenId> words;  ///< by bytes; filled only if whole_words

  /// Reused between words, so that encoding does not allocate per word.
  struct Scratch {
    struct Symbol {
      TokenId token;
      std::int32_t previous, next;  ///< indices; kNone at the ends
      bool removed;
    };
    struct Candidate {
      std::int32_t rank, position;
      TokenId merged;
    };
    std::vector<Symbol> symbols;
    std::vector<Candidate> heap;  ///< best rank, then leftmost, on top
    std::string key;
  };

  /// Appends the word's tokens. Cost O(n log n) for n bytes. Requires word.size() < 2^31.
  void encode(std::string_view word, Scratch& scratch, std::vector<TokenId>& out) const;

 private:
  class Start;
  void start_bytes(std::string_view word, Start& start) const;
  void start_characters(std::string_view word, Start& start) const;
  void propose(Scratch& scratch, std::int32_t left, std::int32_t right) const;
  void merge_all(Scratch& scratch) const;
};

}  // namespace anabranch::hf::impl
