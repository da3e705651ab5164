// The parts of one loop after another, which threads claim until none is left.
//
// The leader publishes a loop and waits for parts done, never for threads: one that the system has put aside holds up
// nothing unless it holds a part. Everything about unclaimed parts is one atomic word, (turn, first, last). Nothing but
// this word decides a claim, and nothing else is read before it, so a thread that comes late by any number of loops
// either gets a part of the loop that runs now, or none.
//
// Order in memory. The leader writes what a loop is, then stores the word; a claim replaces the word, with acquire. All
// values of the word until the next loop belong to the release sequence of the leader's store, so whoever has claimed
// sees what the loop is. It stays that loop until the claimed parts are done: the next one is published only when
// `n_done` has them all, and each addition to n_done releases what the part has written, for the leader, and through
// its next store for everybody.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include <anabranch/version.hpp>

namespace anabranch {

/// Parts [begin, end) of a loop.
struct PartRange {
  std::int32_t begin = 0, end = 0;
  std::int32_t size() const noexcept { return end - begin; }
};

class LoopParts {
 public:
  static constexpr std::int32_t kMaxParts = 0xffff;

  /// For the leader: the next loop has n_parts parts, at most kMaxParts. Requires that all parts of the last one are
  /// done. Everything that the leader wrote before is seen by those who claim.
  void publish(std::int32_t n_parts) noexcept {
    n_done_.store(0, std::memory_order_relaxed);
    const auto turn = static_cast<std::uint32_t>(word_.load(std::memory_order_relaxed) >> 32) + 1;
    // In one order with the waiting threads' notes that they sleep: see ThreadTeam.
    word_.store(std::uint64_t{turn} << 32 | static_cast<std::uint32_t>(n_parts), std::memory_order_seq_cst);
  }

  /// The number of loops that were published, modulo 2^32.
  std::uint32_t turn() const noexcept {
    return static_cast<std::uint32_t>(word_.load(std::memory_order_seq_cst) >> 32);
  }

  /// Parts for the leader, from the front; of `n_threads` threads each takes a share of what is left, so that the last
  /// claims are single parts and all threads end together. Empty: none is left.
  PartRange claim_front(std::int32_t n_threads) noexcept { return claim<true>(n_threads); }
  /// The same for the others, from the back, so that each thread's parts lie side by side.
  PartRange claim_back(std::int32_t n_threads) noexcept { return claim<false>(n_threads); }

  /// A thread other than the leader has done so many parts, and must not touch what the loop is any more.
  void add_done(std::int32_t n_parts) noexcept { n_done_.fetch_add(n_parts, std::memory_order_seq_cst); }
  /// Parts that others have done.
  std::int32_t n_done() const noexcept { return n_done_.load(std::memory_order_seq_cst); }

 private:
  template <bool kFront>
  PartRange claim(std::int32_t n_threads) noexcept {
    std::uint64_t word = word_.load(std::memory_order_relaxed);
    for (;;) {
      // Bits 0 to 15: where the unclaimed parts end; 16 to 31: where they begin; above: the turn.
      const auto first = static_cast<std::int32_t>(word >> 16 & kMaxParts),
                 last = static_cast<std::int32_t>(word & kMaxParts);
      if (first >= last) return {};
      const std::int32_t n = std::max(1, (last - first) / (2 * n_threads));
      const std::uint64_t next =
          kFront ? word + (static_cast<std::uint64_t>(n) << 16) : word - static_cast<std::uint64_t>(n);
      if (!word_.compare_exchange_weak(word, next, std::memory_order_acq_rel, std::memory_order_relaxed)) continue;
      return kFront ? PartRange{first, first + n} : PartRange{last - n, last};
    }
  }

  // The two that different threads write stand in cache lines of their own.
  alignas(128) std::atomic<std::uint64_t> word_{0};
  alignas(128) std::atomic<std::int32_t> n_done_{0};
};

}  // namespace anabranch
