// Decodes a golden case on the real cache and planner and notes what the plans say.
//
// There are many orders in which a decoder may append the same branched text; positions and visibility must not depend
// on them. Each drive is one such order. A token's id is its flat index, so that a plan's rows name themselves.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <anabranch/anabranch.hpp>

#include "golden_cases.hpp"
#include "plan_reading.hpp"

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

namespace golden_impl {

/// Sorted, merged intervals of a set of indices; a repeated index is reported through `repeated`.
inline std::vector<FlatInterval> to_intervals(std::vector<std::int32_t> indices, bool& repeated) {
  std::sort(indices.begin(), indices.end());
  std::vector<FlatInterval> intervals;
  for (const std::int32_t index : indices) {
    if (!intervals.empty() && index < intervals.back().end)
      repeated = true;
    else if (!intervals.empty() && index == intervals.back().end)
      ++intervals.back().end;
    else
      intervals.push_back({index, index + 1});
  }
  return intervals;
}

/// Drives one case in one order.
class GoldenDriver {
 public:
  GoldenDriver(const GoldenCase& golden, const GoldenDrive& drive)
      : golden_(golden),
        drive_(drive),
        cache_(options_for(golden, drive)),
        flat_of_slot_(static_cast<std::size_t>(cache_.n_slots()), kNone) {
    observed_.positions.assign(static_cast<std::size_t>(golden.n_tokens()), kNone);
    observed_.visible.resize(static_cast<std::size_t>(golden.n_tokens()));
  }

  GoldenObservation run() {
    trunk_ = cache_.create_sequence();
    for (const GoldenItem& item : golden_.items) item.is_block() ? decode_block(item) : decode_serial(item.serial);
    run_pass();
    if (cache_.next_position(trunk_) < 0 || cache_.n_tokens(trunk_) != golden_.n_tokens())
      problem("the joined sequence holds " + std::to_string(cache_.n_tokens(trunk_)) + " tokens");
    for (const std::string& violated : cache_.snapshot().check()) problem("check: " + violated);
    for (std::size_t i = 0; i < observed_.positions.size(); ++i)
      if (observed_.positions[i] == kNone) problem("token " + std::to_string(i) + " was in no plan");
    return std::move(observed_);
  }

 private:
  struct Branch {
    SequenceId sequence;
    std::int32_t next_flat = 0;
    std::int32_t left = 0;
  };

  static CacheOptions options_for(const GoldenCase& golden, const GoldenDrive& drive) {
    std::int32_t n_pages = golden.n_tokens() / drive.page_size + 16;
    for (const GoldenItem& item : golden.items) n_pages += 2 + 2 * static_cast<std::int32_t>(item.branches.size());
    return {.n_pages = n_pages, .page_size = drive.page_size, .share_tail = drive.share_tail};
  }

  Step& step() {
    if (!step_) step_.emplace(cache_.begin_step());
    return *step_;
  }

  void append(SequenceId sequence, std::int32_t n) {
    std::vector<TokenId> tokens(static_cast<std::size_t>(n));
    std::iota(tokens.begin(), tokens.end(), next_flat_);
    next_flat_ += n;
    step().append(sequence, std::span<const TokenId>(tokens));
  }

  /// Ends the open step, if there is one: plans it, notes the plan, commits.
  void run_pass() {
    if (!step_) return;
    const PlanResult plan = step_->plan();
    if (plan)
      note(*plan);
    else
      problem("no room: " + std::to_string(plan.shortage().n_pages) + " pages short");
    if (plan)
      step_->commit();
    else
      step_->abort();
    step_.reset();
  }

  void end_transition() {
    if (drive_.transitions == GoldenDrive::Transitions::separate) run_pass();
  }

  void decode_serial(std::int32_t n) {
    while (n > 0) {
      const std::int32_t chunk = drive_.serial_chunk > 0 ? std::min(n, drive_.serial_chunk) : n;
      append(trunk_, chunk);
      n -= chunk;
      if (n > 0) run_pass();
    }
    end_transition();
  }

  ForkOptions fork_options(const GoldenItem& item) const {
    switch (golden_.mode) {
      case GoldenMode::normal: return {.positions = Positions::sequential};
      case GoldenMode::max_para: return {.positions = Positions::longest};
      case GoldenMode::fixrange: break;
    }
    return {.positions = Positions::reserved(*std::max_element(item.branches.begin(), item.branches.end()))};
  }

  void decode_block(const GoldenItem& item) {
    const std::vector<SequenceId> sequences =
        step().fork(trunk_, static_cast<std::int32_t>(item.branches.size()), fork_options(item));
    end_transition();
    std::vector<Branch> branches;
    for (std::size_t k = 0; k < sequences.size(); ++k) {
      branches.push_back({sequences[k], next_flat_, item.branches[k]});
      next_flat_ += item.branches[k];
    }
    const std::int32_t after = next_flat_;
    for (bool first = true; take_tokens(branches, first); first = false)
      if (!all_ended(branches)) run_pass();
    next_flat_ = after;
    end_transition();
    join_rest(branches);
    end_transition();
  }

  static bool all_ended(const std::vector<Branch>& branches) {
    return std::all_of(branches.begin(), branches.end(), [](const Branch& b) { return b.left == 0; });
  }

  /// One round over the open branches; false when there was nothing left to do.
  bool take_tokens(std::vector<Branch>& branches, bool first) {
    bool any = false;
    for (Branch& branch : branches) {
      if (branch.left == 0) continue;
      any = true;
      take(branch, std::min(branch.left, tokens_now(branch, first)));
      if (branch.left == 0 && drive_.branches == GoldenDrive::Branches::ragged) ended_.push_back(branch.sequence);
      if (drive_.branches == GoldenDrive::Branches::one_by_one) break;
    }
    if (ended_.size() > 0 && ended_.size() < branches.size()) join_ended(branches);
    return any;
  }

  std::int32_t tokens_now(const Branch& branch, bool first) {
    switch (drive_.branches) {
      case GoldenDrive::Branches::lockstep: return first ? 1 + branch.left % 2 : 1;  // ragged prefixes
      case GoldenDrive::Branches::ragged: return static_cast<std::int32_t>(random_() % 4);
      case GoldenDrive::Branches::one_by_one:
      case GoldenDrive::Branches::all_at_once: break;
    }
    return branch.left;
  }

  void take(Branch& branch, std::int32_t n) {
    if (n == 0) return;
    next_flat_ = branch.next_flat;
    append(branch.sequence, n);
    branch.next_flat += n;
    branch.left -= n;
  }

  void join_ended(std::vector<Branch>& branches) {
    step().join(trunk_, ended_);
    for (Branch& branch : branches)
      if (std::find(ended_.begin(), ended_.end(), branch.sequence) != ended_.end()) branch.sequence = kNoSequence;
    ended_.clear();
  }

  void join_rest(const std::vector<Branch>& branches) {
    ended_.clear();
    std::vector<SequenceId> rest;
    for (const Branch& branch : branches)
      if (branch.sequence != kNoSequence) rest.push_back(branch.sequence);
    if (drive_.join_order == GoldenDrive::JoinOrder::reversed) std::reverse(rest.begin(), rest.end());
    if (!rest.empty()) step().join(trunk_, rest);
  }

  void note(const StepPlan& plan) {
    for (std::int32_t row = 0; row < plan.n_rows(); ++row) note_row(plan, static_cast<std::size_t>(row));
    for (std::int32_t row = 0; row < plan.n_rows(); ++row) note_visibility(plan, row);
  }

  void note_row(const StepPlan& plan, std::size_t row) {
    const auto flat = static_cast<std::size_t>(plan.tokens[row]);
    if (flat >= observed_.positions.size()) return problem("a row holds token " + std::to_string(plan.tokens[row]));
    if (observed_.positions[flat] != kNone) problem("token " + std::to_string(flat) + " was planned twice");
    observed_.positions[flat] = plan.positions[row];
    flat_of_slot_.at(static_cast<std::size_t>(plan.slots[row])) = plan.tokens[row];
  }

  void note_visibility(const StepPlan& plan, RowIndex row) {
    std::vector<std::int32_t> seen;
    for (const Slot slot : visible_slots(plan, row)) seen.push_back(flat_of_slot_.at(static_cast<std::size_t>(slot)));
    const auto flat = static_cast<std::size_t>(plan.tokens[static_cast<std::size_t>(row)]);
    if (flat >= observed_.visible.size()) return;
    bool repeated = false;
    observed_.visible[flat] = golden_impl::to_intervals(std::move(seen), repeated);
    if (repeated) problem("token " + std::to_string(flat) + " sees a key twice");
  }

  void problem(std::string text) { observed_.problems.push_back(std::move(text)); }

  const GoldenCase& golden_;
  const GoldenDrive& drive_;
  KvCache cache_;
  std::optional<Step> step_;
  SequenceId trunk_;
  std::int32_t next_flat_ = 0;
  std::vector<SequenceId> ended_;           ///< branches that ended in this round of `ragged`
  std::vector<std::int32_t> flat_of_slot_;  ///< [n_slots]
  std::minstd_rand random_{1};
  GoldenObservation observed_;
};

inline std::string to_text(const std::vector<FlatInterval>& intervals) {
  std::string text;
  for (const FlatInterval& i : intervals) {
    text += '[';
    text += std::to_string(i.begin) + "," + std::to_string(i.end) + ")";
  }
  return text.empty() ? "nothing" : text;
}

}  // namespace golden_impl

/// Decodes `golden` in the order `drive`.
inline GoldenObservation observe(const GoldenCase& golden, const GoldenDrive& drive) {
  return golden_impl::GoldenDriver(golden, drive).run();
}

/// Every difference between a case and what one drive of it showed; empty: they agree.
inline std::vector<std::string> disagreements(const GoldenCase& golden, const GoldenDrive& drive) {
  GoldenObservation observed;
  try {
    observed = observe(golden, drive);
  } catch (const Error& error) {
    return {std::string(status_name(error.status())) + ": " + error.what()};
  }
  std::vector<std::string> out = std::move(observed.problems);
  for (std::size_t i = 0; i < golden.positions.size(); ++i) {
    const std::string token = "token " + std::to_string(i);
    if (observed.positions[i] != golden.positions[i])
      out.push_back(token + " has position " + std::to_string(observed.positions[i]) + ", expected " +
                    std::to_string(golden.positions[i]));
    if (observed.visible[i] != golden.mask[i])
      out.push_back(token + " sees " + golden_impl::to_text(observed.visible[i]) + ", expected " +
                    golden_impl::to_text(golden.mask[i]));
  }
  return out;
}

}  // namespace anabranch::test
