// One sequence, the trunk or a branch, as the cache knows it.
#pragma once

#include <cstdint>
#include <memory_resource>

#include <anabranch/tree/positions.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

/// Everything of a sequence that a step may change and an abort must bring back.
template <PositionPolicy Policy>
struct SequenceState {
  bool alive = false;
  bool has_rejected = false;  ///< rows at its end were rejected: a host's cache may still hold them
  std::int32_t parent = kNone;
  std::int32_t first_child = kNone;  ///< open children, in the order of their forks
  std::int32_t last_child = kNone;
  std::int32_t next_sibling = kNone;
  std::int32_t previous_sibling = kNone;
  std::int32_t head = kNone;           ///< newest node of its history
  std::int32_t open = kNone;           ///< segment that it writes, if any; comes after `head`
  Position next = 0;                   ///< position of its next token
  Position start = 0;                  ///< position of its first own token
  std::int32_t fork_node = kNone;      ///< parent's head at the fork
  std::int32_t fork_tokens = 0;        ///< parent's tokens at the fork
  Position limit = kUnlimited;         ///< first position refused
  std::int32_t hold = 0;               ///< free slots it must own after each plan
  std::uint64_t reserved_ordinal = 0;  ///< place among its siblings, until its first segment takes it over
  Policy policy{};                     ///< how its parent goes on when it is joined
};

/// A sequence of the table, alive or free.
template <PositionPolicy Policy>
struct SequenceRecord {
  explicit SequenceRecord(std::pmr::memory_resource*) {}
  SequenceState<Policy> state;
  std::uint32_t generation = 0;
  std::int32_t saved = kNone;           ///< its entry in the open step's log
  std::int32_t tail_recipient = kNone;  ///< once it is gone: who gets the tails of its pages
};

}  // namespace anabranch
