// Short ways to write cache tests.
#pragma once

#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include <anabranch/anabranch.hpp>

#include "catch.hpp"

namespace anabranch::test {

/// n token ids, counting up from `first`.
inline std::vector<TokenId> tokens(std::int32_t n, TokenId first = 0) {
  std::vector<TokenId> out(static_cast<std::size_t>(n));
  std::iota(out.begin(), out.end(), first);
  return out;
}

/// Plans and commits; the plan must fit.
template <class Step>
void finish(Step& step) {
  REQUIRE(step.plan());
  step.commit();
}

/// One committed step that does what `calls(step)` does.
template <class Cache, class Calls>
void in_step(Cache& cache, Calls&& calls) {
  auto step = cache.begin_step();
  calls(step);
  finish(step);
}

/// One committed step that appends n tokens.
template <class Cache>
void append(Cache& cache, SequenceId sequence, std::int32_t n) {
  in_step(cache, [&](auto& step) { step.append_unknown(sequence, n); });
}

/// Every violated invariant, one a sequence; empty is good.
template <class Cache>
std::string violations(const Cache& cache) {
  std::string text;
  for (const std::string& violated : cache.snapshot().check()) text += violated + "\n";
  return text;
}

/// The status that `call` throws; ok when it does not.
template <class Call>
Status status_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.status();
  }
  return Status::ok;
}

/// Positions of the plan's rows that `sequence` appended, in order.
inline std::vector<Position> positions_of_rows(const StepPlan& plan, SequenceId sequence) {
  std::vector<Position> out;
  for (std::size_t r = 0; r < plan.positions.size(); ++r)
    if (plan.sequences[r] == sequence) out.push_back(plan.positions[r]);
  return out;
}

/// The first row that `sequence` appended, or kNone.
inline RowIndex first_row_of(const StepPlan& plan, SequenceId sequence) {
  for (std::size_t r = 0; r < plan.sequences.size(); ++r)
    if (plan.sequences[r] == sequence) return static_cast<RowIndex>(r);
  return kNone;
}

}  // namespace anabranch::test
