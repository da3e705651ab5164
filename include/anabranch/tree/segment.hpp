// A segment: an append-only run of one sequence's tokens, and the slots where their K and V are.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory_resource>

#include <anabranch/pool/index.hpp>
#include <anabranch/pool/memory_vector.hpp>
#include <anabranch/tree/view.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

using SegmentIndex = Index<struct Segment>;
/// A view in some history; see tree/history.hpp.
using NodeIndex = Index<struct HistoryNode>;
/// A segment that grows in the open step; see tree/staged.hpp.
using StagedIndex = Index<struct StagedSegment>;

struct Segment {
  explicit Segment(std::pmr::memory_resource* memory) : runs(memory) {}
  impl::MemoryVector<SlotRun> runs;  ///< slots of the tokens that have some, in order
  std::uint64_t ordinal = 0;         ///< unique; orders rows, and is the View's segment number
  Position first = 0;                ///< position of token 0; token i has first + i
  std::int32_t length = 0;           ///< tokens, those of the open step included
  std::int32_t committed = 0;        ///< tokens before the open step; they have slots
  std::int32_t refs = 0;             ///< nodes, and sequence states that have it open
  SequenceIndex writer;              ///< who has it open now
  NodeIndex top_node;                ///< of the nodes that view it, the one that sees most
  StagedIndex staged;                ///< its entry among the open step's appends

  /// Tokens that have slots.
  std::int32_t n_slots() const noexcept { return runs.empty() ? 0 : runs.back().offset + runs.back().count; }

  /// The run that holds token `offset`. REQUIRES: the token has a slot. O(log runs).
  const SlotRun& run_of(std::int32_t offset) const noexcept {
    const auto after = std::upper_bound(runs.begin(), runs.end(), offset,
                                        [](std::int32_t value, const SlotRun& run) { return value < run.offset; });
    return *(after - 1);
  }
  /// REQUIRES: the token has a slot. O(log runs).
  Slot slot_of(std::int32_t offset) const noexcept {
    const SlotRun& run = run_of(offset);
    return run.first + (offset - run.offset);
  }
  /// Tokens [begin, end) with their slots. Valid until `runs` changes. REQUIRES: begin < end, and all have slots.
  View view(std::int32_t begin, std::int32_t end) const noexcept {
    const SlotRun* const from = &run_of(begin);
    const SlotRun* const last = &run_of(end - 1);
    return {from, static_cast<std::int32_t>(last - from) + 1, begin, end, first, ordinal};
  }

  /// Adds slots for the next tokens; adjacent ones become one run. REQUIRES: room in `runs`.
  void add_slots(Slot first_slot, std::int32_t count) {
    if (!runs.empty() && runs.back().first + runs.back().count == first_slot) {
      runs.back().count += count;
    } else {
      runs.push_back({first_slot, count, n_slots()});
    }
  }
  /// Drops the slots past the first `n` tokens without telling the pool.
  void forget_slots(std::int32_t n) noexcept {
    while (!runs.empty() && runs.back().offset >= n) runs.pop_back();
    if (n_slots() > n) runs.back().count = n - runs.back().offset;
  }
};

}  // namespace anabranch
