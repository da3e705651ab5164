// Measures the cost of the runner's passes, by rows and keys.
#include <algorithm>
#include <chrono>
#include <limits>
#include <string>
#include <vector>

#include <anabranch/cache/kv_cache.hpp>
#include <anabranch/error.hpp>
#include <anabranch/torch/causal_lm.hpp>

namespace anabranch::torch {
namespace {

void check(const RowCostOptions& options, const hf::ModelConfig& config) {
  if (options.repeats < 1) fail(Status::bad_argument, "repeats is ", options.repeats, ", must be 1 or more");
  if (options.rows.empty() || options.keys.empty()) fail(Status::bad_argument, "no rows, or no keys, to measure");
  for (const std::int32_t n : options.rows)
    if (n < 1) fail(Status::bad_argument, "a pass of ", n, " rows; at least 1 is needed");
  for (const std::int32_t n : options.keys)
    if (n < 1 || n >= config.max_positions)
      fail(Status::bad_argument, n, " keys; must be 1 to ", config.max_positions - 1);
}

/// Seconds of one pass of `n_rows` branches over a trunk of `n_keys`, best of `repeats`. The trunk's tokens are never
/// run, because the content of K and V does not matter.
double seconds_of_pass(CausalLm& model, std::int32_t n_rows, std::int32_t n_keys, std::int32_t repeats) {
  KvCache cache({.n_pages = n_keys / 16 + n_rows + 2, .page_size = 16});
  const SequenceId trunk = cache.create_sequence();
  Step read = cache.begin_step();
  read.append_unknown(trunk, n_keys);
  const std::vector<SequenceId> branches = read.fork(trunk, n_rows);
  if (!read.plan()) fail(Status::internal, "the pool for a measurement is too small");
  read.commit();
  double least = std::numeric_limits<double>::infinity();
  for (std::int32_t i = 0; i <= repeats; ++i) {  // one more, to warm up
    Step step = cache.begin_step();
    for (const SequenceId branch : branches) step.append(branch, {0}, Logits::last);
    const PlanResult plan = step.plan();
    const auto begin = std::chrono::steady_clock::now();
    model(*plan);
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
    if (i > 0) least = std::min(least, time.count());
  }
  return least;
}

}  // namespace

RowCosts CausalLm::measure_row_costs(const RowCostOptions& options) const {
  check(options, config());
  CausalLm own = with_own_slots();
  std::vector<RowCost> samples;
  for (const std::int32_t n_keys : options.keys)
    for (const std::int32_t n_rows : options.rows)
      samples.push_back({n_rows, n_keys, seconds_of_pass(own, n_rows, n_keys, options.repeats)});
  return RowCosts(samples);
}

}  // namespace anabranch::torch
