// PrefixUse: what a request has to do with the decoder's prefix cache.
#pragma once

#include <cstdint>

#include <anabranch/cache/prefix_source.hpp>
#include <anabranch/types.hpp>

namespace anabranch::impl {

struct PrefixUse {
  enum class Phase : std::uint8_t {
    none,       ///< it has no prefix cache, does not want one, or is done with it
    waiting,    ///< not looked up yet, or another request computes what it needs: no rows
    announced,  ///< computes its prompt, or goes on from a hit
    shared,     ///< its prompt is computed, and others can begin with it
  };
  Phase phase = Phase::none;
  std::uint64_t version = 0;          ///< of the cache, when it was looked up in vain
  PrefixIndex pin;                    ///< of the hit
  SequenceId sequence = kNoSequence;  ///< of the hit, until the trunk has been forked off it
  RunningPrefixIndex running;         ///< of the announcement
};

}  // namespace anabranch::impl
