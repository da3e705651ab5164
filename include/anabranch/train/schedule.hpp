// In which order samples are learned, and how fast.
//
// Everything is a function of the options, so that a run that goes on from a checkpoint needs no state but the number
// of steps done.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <anabranch/version.hpp>

namespace anabranch::train {

struct ScheduleOptions {
  std::int32_t epochs = 2;
  std::int32_t tokens_per_step = 4096;  ///< of one optimiser step, at most, unless one row alone is longer
  std::int32_t tokens_per_pass = 2048;  ///< of the rows that are packed together: bounds memory
  std::uint64_t seed = 0;
};

/// One optimiser step.
struct StepRows {
  std::int32_t epoch = 0;
  std::vector<std::vector<std::size_t>> passes;  ///< row numbers
};

/// Every epoch holds every row once, in an order of its own; steps do not cross epochs. `lengths`: tokens by row.
/// Throws bad_argument (options, no rows).
std::vector<StepRows> plan_steps(std::span<const std::int32_t> lengths, const ScheduleOptions& options);

/// Rows 0, 1, ... in order, packed into passes.
std::vector<std::vector<std::size_t>> plan_passes(std::span<const std::int32_t> lengths, std::int32_t tokens_per_pass);

struct RateOptions {
  double peak = 1e-3;
  double warmup = 0.05;  ///< share of the steps in which the rate rises linearly
  double floor = 0.0;    ///< share of the peak that the cosine ends at
};

/// Learning rate of a step in [0, n_steps): rises to the peak, then falls along half a cosine.
double learning_rate(std::int64_t step, std::int64_t n_steps, const RateOptions& options);

}  // namespace anabranch::train
