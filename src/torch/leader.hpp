// Rank 0's side of several ranks: it tells the others what its runners do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <utility>
#include <vector>

#include <anabranch/collective.hpp>
#include <anabranch/plan/step_plan.hpp>
#include <anabranch/torch/load_options.hpp>

#include "pass_message.hpp"

namespace anabranch::torch {

/// The others are told to stop when it goes: with the last runner over a model.
class Leader {
 public:
  /// `ranks` must outlive it.
  explicit Leader(Collective& ranks) noexcept : ranks_(ranks) {}
  Leader(const Leader&) = delete;
  Leader& operator=(const Leader&) = delete;
  ~Leader() { tell_quietly({PassOrder::stop, 0, {}, {}}); }

  /// A number for a new runner.
  std::uint32_t add_runner() noexcept { return n_runners_++; }
  void run(std::uint32_t runner, AttentionPath path, const StepPlan& plan) {
    tell({PassOrder::run, runner, path, arrays_of(plan)});
  }
  void forget(std::uint32_t runner) noexcept { tell_quietly({PassOrder::forget, runner, {}, {}}); }

 private:
  void tell(const PassMessage& message) {
    std::vector<std::byte> bytes = to_bytes(message);
    ranks_.broadcast(bytes);
  }
  /// Where ranks have lost each other nobody is left to be told; whoever asked for a pass has got the error.
  void tell_quietly(const PassMessage& message) noexcept {
    try {
      tell(message);
    } catch (const std::exception&) {
    }
  }

  Collective& ranks_;
  std::uint32_t n_runners_ = 0;
};

/// One of rank 0's runners.
class LedRunner {
 public:
  explicit LedRunner(std::shared_ptr<Leader> leader) : leader_(std::move(leader)), number_(leader_->add_runner()) {}
  LedRunner(const LedRunner&) = delete;
  LedRunner& operator=(const LedRunner&) = delete;
  ~LedRunner() { leader_->forget(number_); }

  const std::shared_ptr<Leader>& leader() const noexcept { return leader_; }
  void run(AttentionPath path, const StepPlan& plan) { leader_->run(number_, path, plan); }

 private:
  std::shared_ptr<Leader> leader_;
  std::uint32_t number_;
};

}  // namespace anabranch::torch
