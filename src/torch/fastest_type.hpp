// Which type of weights is the fastest here, and whether the measurement can be trusted.
#pragma once

#include <filesystem>
#include <span>
#include <vector>

#include <anabranch/hf/config.hpp>
#include <anabranch/torch/load_options.hpp>

namespace anabranch::torch {

/// The times that the products of one type took, in seconds, one entry a round.
struct TypeTimes {
  Weights weights = Weights::int8;
  std::vector<double> wall;  ///< of the clock
  std::vector<double> cpu;   ///< of the calling thread, without the time in which others had its processor
};

struct FastestType {
  Weights weights = Weights::int8;
  bool clear = false;  ///< all figures agree; else another measurement may find another type
};

/// How much slower every other type must be, by every figure, for the result to be clear.
inline constexpr double kClearRatio = 1.15;

/// How much longer than its least CPU time a type's median round may take on a machine that is quiet enough.
inline constexpr double kQuietRatio = 1.25;

/// The type with the least wall time of all rounds if that is clear: minimum and median of the wall times and minimum
/// of the CPU times all name it, each by kClearRatio, and the rounds of every type took hardly longer than its products
/// keep a processor busy (kQuietRatio). Else `otherwise`. REQUIRES: `types` and their rounds are not empty.
FastestType fastest_of(std::span<const TypeTimes> types, Weights otherwise);

/// Measures the types that this CPU multiplies well on the first layer's products with four rows, weights out of cache,
/// in rounds in which the types take turns. Without a clear result: int8 where the CPU has instructions for it, else
/// what was the fastest in its best round.
FastestType fastest_weights(const std::filesystem::path& folder, const hf::ModelConfig& config);

}  // namespace anabranch::torch
