// What one llama.cpp sequence holds, as far as the host has to know it: how many tokens at each position, and which.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <anabranch/types.hpp>

namespace anabranch::llama {

/// A set of slots: how many, and the sum of their marks, which two different sets share with probability 2^-64.
struct SlotSet {
  std::int64_t n = 0;
  std::uint64_t mark = 0;
  SlotSet& operator+=(const SlotSet& other) noexcept {
    n += other.n;
    mark += other.mark;
    return *this;
  }
  SlotSet& operator-=(const SlotSet& other) noexcept {
    n -= other.n;
    mark -= other.mark;
    return *this;
  }
  friend bool operator==(const SlotSet&, const SlotSet&) = default;
};

/// A slot's mark: the finaliser of MurmurHash3, a bijection that spreads every bit.
inline std::uint64_t mark_of(Slot slot) noexcept {
  auto x = static_cast<std::uint64_t>(slot) + 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 33)) * 0xff51afd7ed558ccdu;
  x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53u;
  return x ^ (x >> 33);
}

class Content {
 public:
  bool empty() const noexcept { return all_.n == 0; }
  /// One past the last position held; 0 when empty.
  Position next() const noexcept { return first_ + static_cast<Position>(at_.size()); }
  Position first() const noexcept { return first_; }
  const SlotSet& all() const noexcept { return all_; }

  void add(Position position, const SlotSet& tokens) {
    if (tokens.n == 0) return;
    if (at_.empty()) first_ = position;
    if (position < first_) {
      at_.insert(at_.begin(), static_cast<std::size_t>(first_ - position), SlotSet{});
      first_ = position;
    }
    const auto index = static_cast<std::size_t>(position - first_);
    if (index >= at_.size()) at_.resize(index + 1);
    at_[index] += tokens;
    all_ += tokens;
  }
  /// Adds what `other` holds at positions [begin, end). Returns how many tokens that were.
  std::int64_t add(const Content& other, Position begin, Position end) {
    const std::int64_t before = all_.n;
    for (Position p = std::max(begin, other.first_); p < std::min(end, other.next()); ++p)
      add(p, other.at_[static_cast<std::size_t>(p - other.first_)]);
    return all_.n - before;
  }
  /// Tokens at positions [begin, end).
  std::int64_t count(Position begin, Position end) const noexcept {
    std::int64_t n = 0;
    for (Position p = std::max(begin, first_); p < std::min(end, next()); ++p)
      n += at_[static_cast<std::size_t>(p - first_)].n;
    return n;
  }
  /// Forgets everything at positions >= end.
  void cut(Position end) noexcept {
    while (!at_.empty() && next() > end) {
      all_ -= at_.back();
      at_.pop_back();
    }
    if (at_.empty()) first_ = 0;
  }

 private:
  Position first_ = 0;
  std::vector<SlotSet> at_;  // [next() - first_]; the last holds a token, those before it may be empty
  SlotSet all_;
};

}  // namespace anabranch::llama
