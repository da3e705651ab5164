// The part of a step that a host with a cache of its own has to repeat there: llama.cpp, whose cache is addressed by
// sequence ids of its own (seq_id).
#pragma once

#include <cstdint>

#include <anabranch/types.hpp>

namespace anabranch {

/// One operation on the host's cache. Those before the pass only add; those after the commit remove. Positions are in
/// the half-open range [begin, end).
struct HostOp {
  enum class Kind : std::int32_t {
    share,    ///< `sequence` also sees the range of `source`: a fork, a join
    restart,  ///< `sequence` goes on under a fresh seq_id, with the range of its old one: a rewind, or the first use
              ///< of a sequence whose last rows were rejected by the commit before
    become,   ///< `sequence` takes over the seq_id of `source`, an adopt; its own is gone after the commit
    remove,   ///< the range is gone from the seq_id of `sequence`, or from the one that it left by restart or become
  };
  Kind kind = Kind::share;
  SequenceId sequence;
  SequenceId source = kNoSequence;
  Position begin = 0;
  Position end = 0;
};

}  // namespace anabranch
