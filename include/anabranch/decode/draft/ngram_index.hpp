// NgramIndex: where n tokens in a row came last, in a text that grows.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <anabranch/types.hpp>

namespace anabranch {

/// A hash table of places in the text; the tokens themselves stay the caller's. Amortised O(1) per token.
class NgramIndex {
 public:
  static constexpr std::size_t kNowhere = 0;
  /// REQUIRES: n > 0.
  explicit NgramIndex(std::size_t n) noexcept : n_(n) {}

  /// Takes in what was added to the text, up to the last token: of all that is indexed the next token is known. Where
  /// the text has become shorter it begins anew; where tokens were replaced, their old groups are not found any more.
  void update(std::span<const TokenId> text) {
    if (n_known_ >= text.size()) clear();
    for (std::size_t end = std::max(n_known_ + 1, n_); end < text.size(); ++end) add(text, end);
    n_known_ = text.empty() ? 0 : text.size() - 1;
  }

  /// Where the last occurrence of `key` ends, which is followed by text[end]; kNowhere. REQUIRES: update(text), n
  /// tokens in `key`.
  std::size_t find(std::span<const TokenId> text, std::span<const TokenId> key) const noexcept {
    return ends_.empty() ? kNowhere : ends_[place_of(text, key)];
  }

 private:
  void clear() noexcept {
    std::fill(ends_.begin(), ends_.end(), 0u);
    n_used_ = n_known_ = 0;
  }
  std::span<const TokenId> group(std::span<const TokenId> text, std::size_t end) const noexcept {
    return text.subspan(end - n_, n_);
  }
  /// The place of the key's entry, or the free one where it belongs. REQUIRES: some are free.
  std::size_t place_of(std::span<const TokenId> text, std::span<const TokenId> key) const noexcept {
    std::uint64_t hash = 0;
    for (const TokenId token : key) hash = (hash ^ static_cast<std::uint32_t>(token)) * 0x9e3779b97f4a7c15u;
    std::size_t place = static_cast<std::size_t>(hash >> 32) & (ends_.size() - 1);
    while (ends_[place] != kNowhere && !std::equal(key.begin(), key.end(), group(text, ends_[place]).begin()))
      place = (place + 1) & (ends_.size() - 1);
    return place;
  }
  void add(std::span<const TokenId> text, std::size_t end) {
    if (2 * (n_used_ + 1) > ends_.size()) grow(text);
    std::uint32_t& entry = ends_[place_of(text, group(text, end))];
    if (entry == kNowhere) ++n_used_;
    entry = static_cast<std::uint32_t>(end);
  }
  void grow(std::span<const TokenId> text) {
    constexpr std::size_t kFirst = 32;
    std::vector<std::uint32_t> old(std::max(2 * ends_.size(), kFirst));
    old.swap(ends_);
    n_used_ = 0;
    std::sort(old.begin(), old.end());  // of two that are the same by now the last one counts
    for (const std::uint32_t end : old) {
      if (end == kNowhere) continue;
      std::uint32_t& entry = ends_[place_of(text, group(text, end))];
      if (entry == kNowhere) ++n_used_;
      entry = end;
    }
  }

  std::size_t n_;
  std::size_t n_known_ = 0;          // groups that end here or before are in the table
  std::size_t n_used_ = 0;           // of ends_
  std::vector<std::uint32_t> ends_;  // [a power of two, or none]
};

}  // namespace anabranch
