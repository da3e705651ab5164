// What a step means to a host that keeps a cache of its own, one per ordinal.
#pragma once

#include <cstdint>

#include <anabranch/types.hpp>

namespace anabranch {

/// One operation on a host cache. Those before the pass only add; those after the commit remove.
struct HostOp {
  enum class Kind : std::int32_t {
    share,    ///< `sequence` also sees what `source` holds at positions [begin, end): a fork, a join
    restart,  ///< `sequence` goes on in a fresh ordinal with what its old one holds at positions [begin, end): a
              ///< rewind, or the first use of a sequence whose last rows were left out by the commit before
    become,   ///< `sequence` takes over the ordinal of `source` (an adopt); its own is gone after the commit
    remove,   ///< the ordinal of `sequence`, or the one that it left by restart or become, is gone
  };
  Kind kind = Kind::share;
  SequenceId sequence;
  SequenceId source = kNoSequence;
  Position begin = 0;
  Position end = 0;
};

}  // namespace anabranch
