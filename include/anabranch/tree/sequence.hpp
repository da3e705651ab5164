// Everything that the cache knows of one sequence, the trunk or a branch.
#pragma once

#include <cstdint>
#include <memory_resource>

#include <anabranch/pool/index.hpp>
#include <anabranch/tree/positions.hpp>
#include <anabranch/tree/segment.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

/// The part of a sequence that a step may change and an abort must bring back.
template <PositionPolicy Policy>
struct SequenceState {
  bool alive = false;
  bool has_rejected = false;  ///< rows at its end were rejected: a host's cache may still hold them
  SequenceIndex parent;
  SequenceIndex first_child;  ///< open children, in the order of their forks
  SequenceIndex last_child;
  SequenceIndex next_sibling;
  SequenceIndex previous_sibling;
  NodeIndex head;                      ///< newest view of its history
  SegmentIndex open;                   ///< the segment that it writes, if any; comes after `head`
  Position next = 0;                   ///< position of its next token
  Position start = 0;                  ///< position of its first own token
  NodeIndex fork_node;                 ///< its parent's head at the fork
  std::int32_t fork_tokens = 0;        ///< its parent's tokens at the fork
  Position limit = kUnlimited;         ///< first position that it refuses
  std::int32_t hold = 0;               ///< free slots that it must own after each plan
  std::uint64_t reserved_ordinal = 0;  ///< its order among its siblings, until its first segment takes it over
  Policy policy{};                     ///< how its parent goes on when it is joined
};

/// The entry of a sequence in the open step's log; see tree/undo_log.hpp.
using SavedIndex = Index<struct SavedSequence>;

/// A cell of the table of sequences, in use or free.
template <PositionPolicy Policy>
struct SequenceRecord {
  explicit SequenceRecord(std::pmr::memory_resource*) {}
  SequenceState<Policy> state;
  std::uint32_t generation = 0;
  SavedIndex saved;
  SequenceIndex tail_recipient;  ///< once it is gone: who gets the tails of its pages
  bool handed_on = false;        ///< once it is gone: its tokens went to that sequence, too
};

}  // namespace anabranch
