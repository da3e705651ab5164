#include <anabranch/train/schedule.hpp>

#include <cmath>
#include <numbers>
#include <numeric>
#include <random>
#include <string>
#include <utility>

#include <anabranch/error.hpp>

namespace anabranch::train {
namespace {

/// The same order on every machine: standard shuffles are free to differ.
std::vector<std::size_t> shuffled(std::size_t n, std::uint64_t seed) {
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::mt19937_64 random(seed);
  for (std::size_t i = n; i > 1; --i) std::swap(order[i - 1], order[random() % i]);
  return order;
}

/// Consecutive entries whose lengths add up to at most `most`; a longer one stands alone.
template <class T, class Length>
std::vector<std::vector<T>> grouped(const std::vector<T>& entries, std::int64_t most, const Length& length) {
  std::vector<std::vector<T>> groups;
  std::int64_t sum = 0;
  for (const T& entry : entries) {
    if (groups.empty() || sum + length(entry) > most) {
      groups.emplace_back();
      sum = 0;
    }
    groups.back().push_back(entry);
    sum += length(entry);
  }
  return groups;
}

void check(bool holds, const char* what, std::int64_t value) {
  if (!holds) fail(Status::bad_argument, what, " is ", value, ", must be at least 1");
}

}  // namespace

std::vector<std::vector<std::size_t>> plan_passes(std::span<const std::int32_t> lengths, std::int32_t tokens_per_pass) {
  check(tokens_per_pass >= 1, "tokens_per_pass", tokens_per_pass);
  std::vector<std::size_t> order(lengths.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  return grouped(order, tokens_per_pass, [&](std::size_t row) { return std::int64_t{lengths[row]}; });
}

std::vector<StepRows> plan_steps(std::span<const std::int32_t> lengths, const ScheduleOptions& options) {
  check(!lengths.empty(), "the number of rows", static_cast<std::int64_t>(lengths.size()));
  check(options.epochs >= 1, "epochs", options.epochs);
  check(options.tokens_per_step >= 1, "tokens_per_step", options.tokens_per_step);
  check(options.tokens_per_pass >= 1, "tokens_per_pass", options.tokens_per_pass);
  const auto length = [&](std::size_t row) { return std::int64_t{lengths[row]}; };
  std::vector<StepRows> steps;
  for (std::int32_t epoch = 0; epoch < options.epochs; ++epoch) {
    const std::uint64_t seed = options.seed * 0x9E3779B97F4A7C15u + static_cast<std::uint64_t>(epoch);
    for (const auto& rows : grouped(shuffled(lengths.size(), seed), options.tokens_per_step, length))
      steps.push_back({epoch, grouped(rows, options.tokens_per_pass, length)});
  }
  return steps;
}

double learning_rate(std::int64_t step, std::int64_t n_steps, const RateOptions& options) {
  const double warm = std::ceil(options.warmup * static_cast<double>(n_steps));
  const auto done = static_cast<double>(step);
  if (done < warm) return options.peak * (done + 1) / warm;
  const double share = (done - warm) / std::max(1.0, static_cast<double>(n_steps) - warm);
  return options.peak * (options.floor + (1 - options.floor) * 0.5 * (1 + std::cos(std::numbers::pi * share)));
}

}  // namespace anabranch::train
