// Loops of one instruction each, in assembly: a compiler that spills registers would measure itself.
#pragma once

#include <cstdint>

#include "machine.hpp"

namespace anabranch::bench {

/// One turn is 12 of the instruction, each into a register of its own: more than latency times units. (vpmaddwd, whose
/// sum is an instruction of its own, has six sums.)
/// REQUIRES: supported(instruction).
void run_peak_loop(Instruction instruction, std::int64_t n_turns) noexcept;
/// Multiplications and additions of one turn.
double operations_per_turn(Instruction instruction) noexcept;

}  // namespace anabranch::bench
