// MeasuredDrafts: a drafter's proposals, as many rows of them as are worth it: the tokens that they are expected to
// bring, by how often drafts were right, against what a wider pass takes, by what passes took.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include <anabranch/decode/draft/drafter.hpp>
#include <anabranch/decode/running_row_costs.hpp>

namespace anabranch {

/// One for each decoder: it keeps what passes take (Decoder::learn; RequestLoop and Scheduler do that).
template <Drafter D>
class MeasuredDrafts final : public DraftSource {
 public:
  /// Without `costs` what passes take is learned from those that are run; no drafts are fed before the first.
  explicit MeasuredDrafts(D drafter = {}, std::shared_ptr<const RowCosts> costs = {})
      : drafter_(std::move(drafter)), costs_(std::move(costs)) {}

  void propose(const DraftContext& context, DraftChain& chain) override { drafter_.propose(context, chain); }
  void choose(std::span<DraftOffer> offers, std::int32_t n_rows, std::int32_t n_keys) override {
    collect_layers(offers);
    const std::size_t n_taken = costs_.is_known() && n_rows > 0 ? n_worth_it(n_rows, n_keys) : 0;
    for (std::size_t k = 0; k < n_taken; ++k)
      for (std::size_t i = layers_[k].first; i < layers_[k].end; ++i) ++offers[i].n_rows;
  }
  void learn(const RowCost& pass) noexcept override { costs_.add(pass); }
  const RunningRowCosts& row_costs() const noexcept { return costs_; }

 private:
  /// One more draft for each sequence of a request.
  struct Layer {
    std::size_t first, end;  ///< offers
    double n_tokens;         ///< that it is expected to bring for each of its rows
  };

  /// The layers of all requests, the best ones first. A layer brings something only if all drafts above it are right,
  /// of all the request's sequences.
  void collect_layers(std::span<const DraftOffer> offers) {
    layers_.clear();
    for (std::size_t first = 0, end = 0; first < offers.size(); first = end) {
      std::int32_t n_layers = offers[first].n_tokens;
      double all_right = 1, of_all = 1;
      for (end = first; end < offers.size() && offers[end].request == offers[first].request; ++end) {
        n_layers = std::min(n_layers, offers[end].n_tokens);
        all_right *= offers[end].acceptance;
      }
      for (std::int32_t k = 0; k < n_layers; ++k) layers_.push_back({first, end, of_all *= all_right});
    }
    std::stable_sort(layers_.begin(), layers_.end(),
                     [](const Layer& a, const Layer& b) { return a.n_tokens > b.n_tokens; });
  }

  /// How many layers make the tokens come fastest.
  std::size_t n_worth_it(std::int32_t n_rows, std::int32_t n_keys) const {
    constexpr double kLeastGain = 1.02;  // measured costs are no better than that
    double n_tokens = n_rows, best = kLeastGain * n_tokens / costs_.seconds(n_rows, n_keys);
    std::size_t n_taken = 0;
    for (std::size_t k = 0; k < layers_.size(); ++k) {
      const auto n = static_cast<std::int32_t>(layers_[k].end - layers_[k].first);
      n_rows += n;
      n_tokens += n * layers_[k].n_tokens;
      const double rate = n_tokens / costs_.seconds(n_rows, n_keys);
      if (rate > best) best = rate, n_taken = k + 1;
    }
    return n_taken;
  }

  D drafter_;
  RunningRowCosts costs_;
  std::vector<Layer> layers_;  // of the pass that is planned
};

}  // namespace anabranch
