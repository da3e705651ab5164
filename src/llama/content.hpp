// The tokens that one seq_id of llama.cpp holds, as far as the host has to know them: how many at each position, and
// which.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <anabranch/types.hpp>

#include "indices.hpp"

namespace anabranch::llama {

/// A set of tokens, as their number and the sum of their marks; two different sets have the same sum with probability
/// 2^-64.
struct TokenSet {
  std::int64_t n = 0;
  std::uint64_t mark = 0;
  TokenSet& operator+=(const TokenSet& other) noexcept {
    n += other.n;
    mark += other.mark;
    return *this;
  }
  TokenSet& operator-=(const TokenSet& other) noexcept {
    n -= other.n;
    mark -= other.mark;
    return *this;
  }
  friend TokenSet operator+(TokenSet a, const TokenSet& b) noexcept { return a += b; }
  friend bool operator==(const TokenSet&, const TokenSet&) = default;
};

/// The mark of the token that was the n-th to be written: the finaliser of MurmurHash3, which spreads every bit.
inline std::uint64_t mark_of(std::uint64_t n) noexcept {
  std::uint64_t x = n + 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 33)) * 0xff51afd7ed558ccdu;
  x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53u;
  return x ^ (x >> 33);
}

/// The mark of the token in each slot; a slot that is written again gets another.
class SlotMarks {
 public:
  TokenSet at(Slot slot) const noexcept {
    const MarkIndex i(slot);
    return {1, i < marks_.end_index() ? marks_[i] : 0};
  }
  void write(Slot slot) {
    const MarkIndex i(slot);
    if (i >= marks_.end_index()) marks_.grow(slot + 1, 0);
    before_.push_back({slot, marks_[i]});
    marks_[i] = mark_of(++n_written_);
  }
  /// Takes the writes of the open pass back.
  void undo() noexcept {
    for (std::size_t i = before_.size(); i-- > 0;) marks_[MarkIndex(before_[i].slot)] = before_[i].mark;
    before_.clear();
  }
  /// Makes them final.
  void settle() noexcept { before_.clear(); }

 private:
  struct Before {
    Slot slot;
    std::uint64_t mark;
  };
  Table<std::uint64_t, MarkIndex> marks_;
  std::vector<Before> before_;  // what the open pass has overwritten
  std::uint64_t n_written_ = 0;
};

/// Token sets by position.
class Content {
 public:
  bool empty() const noexcept { return all_.n == 0; }
  /// One past the last position held; 0 when empty.
  Position next() const noexcept { return first_ + static_cast<Position>(at_.size()); }
  Position first() const noexcept { return first_; }
  const TokenSet& all() const noexcept { return all_; }

  void add(Position position, const TokenSet& tokens) {
    if (tokens.n == 0) return;
    if (at_.empty()) first_ = position;
    if (position < first_) {
      at_.insert(at_.begin(), distance(position, first_), TokenSet{});
      first_ = position;
    }
    const std::size_t index = distance(first_, position);
    if (index >= at_.size()) at_.resize(index + 1);
    at_[index] += tokens;
    all_ += tokens;
  }
  /// Adds what `other` holds at positions [begin, end) and returns how many tokens those are.
  std::int64_t add(const Content& other, Position begin, Position end) {
    const std::int64_t before = all_.n;
    for (Position p = std::max(begin, other.first_); p < std::min(end, other.next()); ++p)
      add(p, other.at_[distance(other.first_, p)]);
    return all_.n - before;
  }
  /// Number of tokens at positions [begin, end).
  std::int64_t count(Position begin, Position end) const noexcept {
    std::int64_t n = 0;
    for (Position p = std::max(begin, first_); p < std::min(end, next()); ++p) n += at_[distance(first_, p)].n;
    return n;
  }
  /// Forgets the tokens at positions >= end.
  void cut(Position end) noexcept {
    while (!at_.empty() && next() > end) {
      all_ -= at_.back();
      at_.pop_back();
    }
    if (at_.empty()) first_ = 0;
  }

 private:
  /// REQUIRES: from <= to.
  static std::size_t distance(Position from, Position to) noexcept { return static_cast<std::size_t>(to - from); }

  Position first_ = 0;
  std::vector<TokenSet> at_;  // [next() - first_]; the last holds a token, those before it may be empty
  TokenSet all_;
};

}  // namespace anabranch::llama
