// What a step means to a host that keeps a cache of its own, one sequence per line.
#pragma once

#include <cstdint>

#include <anabranch/types.hpp>

namespace anabranch {

/// One operation on the host's sequences. Those before the pass only add; those after the commit remove.
struct SequenceOp {
  enum class Kind : std::int32_t {
    share,    ///< `line` also sees what `source` holds at positions [begin, end): a fork, a join
    restart,  ///< `line` goes on in a fresh sequence with what its old one holds at positions [begin, end): a rewind,
              ///< or the first use of a line whose last rows were left out by the commit before
    become,   ///< `line` takes over the sequence of `source` (an adopt); its own is gone after the commit
    remove,   ///< the sequence of `line`, or the one that it left by restart or become, is gone
  };
  Kind kind = Kind::share;
  LineId line;
  LineId source = kNoLine;
  Position begin = 0;
  Position end = 0;
};

}  // namespace anabranch
