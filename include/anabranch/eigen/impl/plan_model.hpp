// PlanModel's functions.
#pragma once

#include <anabranch/eigen/plan_model.hpp>

namespace anabranch::eigen {

inline void PlanModel::check_rows(const StepPlan& plan) const {
  for (std::size_t r = 0; r < plan.tokens.size(); ++r) {
    impl::check_token(plan.tokens[r], r, weights_.shape);
    impl::check_position(plan.positions[r], r, weights_.shape);
    if (plan.slots[r] < 0 || plan.slots[r] >= plan.n_slots)
      fail(Status::bad_argument, "slot ", plan.slots[r], " of row ", r, " is outside the ", plan.n_slots, " slots");
  }
  for (const Output& output : plan.outputs)
    if (output.row < 0 || output.row >= plan.n_rows())
      fail(Status::bad_argument, "output names row ", output.row, " of ", plan.n_rows());
}

inline void PlanModel::check_visible(const StepPlan& plan, std::size_t row, const Slots& visible) const {
  Slots sorted = visible;
  std::sort(sorted.begin(), sorted.end());
  const auto refuse = [row](Slot slot, const char* why) {
    fail(Status::bad_argument, "slot ", slot, " ", why, " row ", row);
  };
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    const Slot slot = sorted[i];
    if (i > 0 && sorted[i - 1] == slot) refuse(slot, "is visible twice to");
    const bool written_now = std::find(plan.slots.begin(), plan.slots.end(), slot) != plan.slots.end();
    if (slot < 0 || slot >= plan.n_slots) refuse(slot, "is outside the pool but visible to");
    if (!written_now && content(slot).token == kNone) refuse(slot, "was never written but is visible to");
  }
  if (!std::binary_search(sorted.begin(), sorted.end(), plan.slots[row]))
    refuse(plan.slots[row], "is hidden from its own");
}

/// The slots that each row sees, in history order.
inline std::vector<PlanModel::Slots> PlanModel::visible_slots(const StepPlan& plan) const {
  std::vector<Slots> visible(plan.tokens.size());
  for (const VisibilityGroup& group : plan.groups) {
    Slots keys;
    for_each_run(group, plan.views, [&](Slot first, std::int32_t count) {
      for (std::int32_t i = 0; i < count; ++i) keys.push_back(first + i);
    });
    if (static_cast<std::int32_t>(keys.size()) != group.n_keys)
      fail(Status::bad_argument, "a group lists ", keys.size(), " keys and says ", group.n_keys);
    for (RowIndex r = group.row_begin; r < group.row_end; ++r) {
      const std::int32_t hidden = group.visibility == Visibility::causal ? group.row_end - 1 - r : 0;
      Slots& row = visible.begin()[r];
      row.insert(row.end(), keys.begin(), keys.end() - hidden);
    }
  }
  for (std::size_t r = 0; r < visible.size(); ++r) check_visible(plan, r, visible[r]);
  return visible;
}

inline void PlanModel::write_content(const StepPlan& plan) {
  content_.grow(plan.n_slots, {});
  layers_kv_.resize(weights_.layers.size());
  for (LayerKv& kv : layers_kv_) {
    kv.keys.grow(plan.n_slots, {});
    kv.values.grow(plan.n_slots, {});
  }
  for (std::size_t r = 0; r < plan.tokens.size(); ++r) content_[plan.slots[r]] = {plan.tokens[r], plan.positions[r]};
}

inline void PlanModel::run_layer(std::vector<Vector>& hidden, std::size_t layer, const StepPlan& plan,
                                 const std::vector<Slots>& visible) {
  const LayerWeights& w = weights_.layers[layer];
  const std::int32_t window = impl::window_of(weights_.shape, layer);
  LayerKv& kv = layers_kv_[layer];
  std::vector<Vector> queries;
  for (std::size_t r = 0; r < hidden.size(); ++r) {
    impl::Projection p =
        impl::project(hidden[r], w, weights_.shape, impl::turn_of(weights_.shape, layer, plan.positions[r]));
    const Slot slot = plan.slots[r];
    kv.keys[slot] = std::move(p.key);
    kv.values[slot] = std::move(p.value);
    queries.push_back(std::move(p.query));
  }
  for (std::size_t r = 0; r < hidden.size(); ++r) {
    Slots slots = visible[r];
    std::erase_if(slots,
                  [&](Slot slot) { return !impl::in_window(plan.positions[r], content(slot).position, window); });
    const Vector attended = impl::attend(
        queries[r], static_cast<::Eigen::Index>(slots.size()), weights_.shape,
        [&](::Eigen::Index j) -> const Vector& { return kv.keys[slots.begin()[j]]; },
        [&](::Eigen::Index j) -> const Vector& { return kv.values[slots.begin()[j]]; });
    impl::finish_layer(hidden[r], attended, w, weights_.shape);
  }
}

inline LogitsView PlanModel::operator()(const StepPlan& plan) {
  check_rows(plan);
  const std::vector<Slots> visible = visible_slots(plan);
  write_content(plan);
  std::vector<Vector> hidden;
  for (const TokenId token : plan.tokens) hidden.push_back(impl::embedding(token, weights_));
  for (std::size_t l = 0; l < weights_.layers.size(); ++l) run_layer(hidden, l, plan, visible);
  logits_.clear();
  for (const Output& output : plan.outputs) {
    const Vector row = impl::logits(hidden.begin()[output.row], weights_);
    for (::Eigen::Index i = 0; i < row.size(); ++i) logits_.push_back(static_cast<float>(row[i]));
  }
  ++n_passes_;
  n_rows_ += plan.n_rows();
  return {logits_.data(), static_cast<std::int32_t>(plan.outputs.size()), weights_.shape.vocabulary};
}

}  // namespace anabranch::eigen
