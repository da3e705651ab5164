// Decodes a golden case on the real cache and planner and notes what the plans say.
//
// There are many orders in which a decoder may append the same branched text; positions and visibility must not depend
// on them. Each drive is one such order. A token's id is its flat index, so that a plan's rows name themselves.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <anabranch/cache/options.hpp>
#include <anabranch/types.hpp>

#include "golden_cases.hpp"

namespace anabranch::test {

/// One order of appending, forking and joining.
struct GoldenDrive {
  enum class Branches {
    lockstep,     ///< every open branch takes one token per pass; finished ones wait for the join
    ragged,       ///< every open branch takes 0 to 3 tokens per pass; each is joined as soon as it has ended
    one_by_one,   ///< a branch is decoded whole, in one pass, before the next one starts
    all_at_once,  ///< all branches whole in one pass
  };
  enum class Transitions {
    fused,     ///< forks and joins share the pass of the tokens around them
    separate,  ///< every fork and join is a step of its own, without rows
  };
  enum class JoinOrder { given, reversed };
  const char* name;
  Branches branches = Branches::lockstep;
  Transitions transitions = Transitions::fused;
  JoinOrder join_order = JoinOrder::given;
  std::int32_t serial_chunk = 0;  ///< most serial tokens per pass; 0: all
  std::int32_t page_size = 16;
  ShareTail share_tail = ShareTail::spare;
};

inline constexpr GoldenDrive kGoldenDrives[] = {
    {.name = "lockstep, transitions inside the passes"},
    {.name = "branches one by one, steps without rows",
     .branches = GoldenDrive::Branches::one_by_one,
     .transitions = GoldenDrive::Transitions::separate,
     .page_size = 3,
     .share_tail = ShareTail::never},
    {.name = "everything in one pass", .branches = GoldenDrive::Branches::all_at_once, .page_size = 1},
    {.name = "ragged, joined as they end",
     .branches = GoldenDrive::Branches::ragged,
     .serial_chunk = 5,
     .page_size = 4},
    {.name = "lockstep, serial tokens in pieces, joined in reverse",
     .transitions = GoldenDrive::Transitions::separate,
     .join_order = GoldenDrive::JoinOrder::reversed,
     .serial_chunk = 4,
     .share_tail = ShareTail::never},
    {.name = "serial tokens one by one, branches at once",
     .branches = GoldenDrive::Branches::all_at_once,
     .serial_chunk = 1,
     .page_size = 5},
};

/// What the plans said, by flat index.
struct GoldenObservation {
  std::vector<Position> positions;
  std::vector<std::vector<FlatInterval>> visible;
  std::vector<std::string> problems;  ///< a token planned twice or never, a key seen twice, ...
};

/// Decodes `golden` in the order `drive`.
GoldenObservation observe(const GoldenCase& golden, const GoldenDrive& drive);

/// Every difference between a case and what one drive of it showed; empty: they agree.
std::vector<std::string> disagreements(const GoldenCase& golden, const GoldenDrive& drive);

}  // namespace anabranch::test
