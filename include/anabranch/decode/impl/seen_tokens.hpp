// SeenTokens: the answer's tokens that a branch sees, in one array, cheap to copy for a transaction.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>

#include <anabranch/types.hpp>

namespace anabranch::impl {

/// Copies share one array; each sees as many of its first tokens as it had when it was copied, and appending to one
/// adds tokens behind those. REQUIRES: of the copies that share an array only one is ever appended to, unless the one
/// that was appended to is dropped. So it is with a request's copy in a transaction: either the copy or the original is
/// dropped. Branches that live side by side take `apart`.
class SeenTokens {
 public:
  std::size_t size() const noexcept { return size_; }
  TokenId back() const noexcept { return all().back(); }
  std::span<const TokenId> all() const noexcept { return {tokens_.get(), size_}; }
  /// Those from the n-th on.
  std::span<const TokenId> from(std::size_t n) const noexcept { return all().subspan(n); }

  void push_back(TokenId token) { append({&token, 1}); }
  /// REQUIRES: not tokens of its own.
  void append(std::span<const TokenId> tokens) {
    if (tokens.size() > capacity_ - size_) move_to(std::max(size_ + tokens.size(), 2 * capacity_));
    std::copy(tokens.begin(), tokens.end(), tokens_.get() + size_);
    size_ += tokens.size();
  }
  /// Keeps the first n. What follows must not overwrite what a copy sees.
  void shorten(std::size_t n) {
    size_ = n;
    if (tokens_.use_count() > 1) move_to(capacity_);
  }
  /// The same tokens in an array of its own.
  SeenTokens apart() const {
    SeenTokens result;
    result.append(all());
    return result;
  }

 private:
  void move_to(std::size_t capacity) {
    std::shared_ptr<TokenId[]> tokens(new TokenId[capacity]);
    std::copy_n(tokens_.get(), size_, tokens.get());
    tokens_ = std::move(tokens);
    capacity_ = capacity;
  }

  std::shared_ptr<TokenId[]> tokens_;  // [capacity_]; others may see the first of them
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace anabranch::impl
