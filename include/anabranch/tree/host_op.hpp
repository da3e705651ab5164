// Host operations: a step as seen by a host that keeps a K/V cache of its own, such as llama.cpp.
//
// The host has one store of cells for every sequence (llama.cpp: one seq_id). These operations keep it in step.
#pragma once

#include <cstdint>

#include <anabranch/types.hpp>

namespace anabranch {

/// One operation on the host's cache. Those before the pass only add; those after the commit only remove.
struct HostOp {
  enum class Kind : std::int32_t {
    share,    ///< `sequence` also sees the cells of `source` at positions [begin, end): a fork, a join
    restart,  ///< `sequence` goes on in a fresh store that shares its old cells at positions [begin, end): a rewind, or
              ///< the first use of a sequence after rows of it were rejected
    become,   ///< `sequence` takes over the cells of `source` (an adopt); its own are removed after the commit
    remove,   ///< the cells of `sequence`, or those that it left by restart or become, are no longer needed
  };
  Kind kind = Kind::share;
  SequenceId sequence;
  SequenceId source = kNoSequence;
  Position begin = 0;
  Position end = 0;
};

}  // namespace anabranch
