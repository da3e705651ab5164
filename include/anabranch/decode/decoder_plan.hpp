// DecoderPlan: the result of `Decoder::plan`: a pass to run, and how each of its outputs is to be sampled.
#pragma once

#include <cstdint>
#include <span>

#include <anabranch/decode/sampler.hpp>
#include <anabranch/plan/step_plan.hpp>
#include <anabranch/pool/indexed_vector.hpp>

namespace anabranch {

/// The pages of a request at a shortage.
struct RequestPages {
  RequestId request = kNoRequest;
  std::int32_t n_needed = 0;  ///< free pages that its next pass takes, were it the only one
  std::int32_t n_used = 0;    ///< hold its tokens or are kept free for it: its end returns them, but for shared ones
};

/// The part of a request in a pass.
struct RequestShare {
  RequestId request = kNoRequest;
  std::int32_t n_rows = kUnlimited;  ///< at most, >= 1
};

/// The needs of a request in the coming passes, to get one token for each of its branches.
struct RequestDemand {
  std::int32_t n_rows = 0;      ///< left to be computed, drafts aside
  std::int32_t n_branches = 0;  ///< sample in these passes, the trunk counts; branches that are queued do not
  std::int32_t n_drafts = 0;    ///< further rows that it may make use of, at most
  std::int32_t n_keys = 0;      ///< tokens that the trunk sees
  bool is_filling = false;  ///< the rows are known, its prompt or what was preempted: many, and in parts as one likes
  bool waits_for_prefix = false;  ///< another request computes what its prompt begins with: it has no rows until then
  bool is_in_cache = false;       ///< it has a sequence in the cache
};

/// False: there is no pass to run. Then `shortage` has the pages that are short; none: nothing is left to do.
class [[nodiscard]] DecoderPlan {
 public:
  /// Shows what output `output` of the decoder's plan has seen.
  using ShowSeen = void (*)(void* decoder, std::size_t output);
  DecoderPlan(const StepPlan& plan, std::span<const OutputSettings> settings, void* decoder, ShowSeen show_seen)
      : plan_(&plan), settings_(settings), decoder_(decoder), show_seen_(show_seen) {}
  DecoderPlan(Shortage shortage, std::span<const RequestPages> pages) : shortage_(shortage), pages_(pages) {}
  explicit operator bool() const noexcept { return plan_ != nullptr; }
  /// Throws wrong_state when there is none.
  const StepPlan& operator*() const {
    if (plan_ == nullptr) impl::fail_without_plan(shortage_);
    return *plan_;
  }
  const StepPlan* operator->() const { return &**this; }
  Shortage shortage() const noexcept { return shortage_; }
  /// At a shortage what each running request needs and uses, the oldest first; borrowed until the next plan.
  std::span<const RequestPages> pages() const noexcept { return pages_; }
  /// How each of the pass's outputs is to be sampled, [n_outputs] in their order; for hosts that sample themselves.
  /// Borrowed until commit or abort. O(outputs), and O(tokens seen) for each output whose request penalises or forbids
  /// tokens that were seen. REQUIRES: the decoder is there.
  std::span<const OutputSettings> output_settings() const {
    for (std::size_t i = 0; i < settings_.size(); ++i) show_seen_(decoder_, i);
    return settings_;
  }
  /// The settings of output i alone. REQUIRES: 0 <= i < n_outputs.
  const OutputSettings& output_settings(std::int32_t i) const {
    show_seen_(decoder_, impl::offset_of(i));
    return settings_.begin()[i];
  }

 private:
  const StepPlan* plan_ = nullptr;
  std::span<const OutputSettings> settings_;
  void* decoder_ = nullptr;
  ShowSeen show_seen_ = nullptr;
  Shortage shortage_;
  std::span<const RequestPages> pages_;
};

}  // namespace anabranch
