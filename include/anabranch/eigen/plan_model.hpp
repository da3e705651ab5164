// The tiny exact transformer as a host of step plans: it satisfies the decoder's Model concept.
//
// It keeps K and V by slot in double precision and follows groups, runs and slots literally. It refuses a plan that
// shows a row a slot that was never written, or the same slot twice, or that hides a row from itself. Windows go by the
// positions that the rows were written at, not by those that views say.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <anabranch/decode/model.hpp>
#include <anabranch/eigen/impl/blocks.hpp>
#include <anabranch/eigen/weights.hpp>
#include <anabranch/plan/step_plan.hpp>
#include <anabranch/pool/indexed_vector.hpp>

namespace anabranch::eigen {

/// The token in a slot that was written.
struct SlotContent {
  TokenId token = kNone;
  Position position = kNone;
};

class PlanModel {
 public:
  explicit PlanModel(Weights weights) : weights_(std::move(weights)) { check_shape(weights_.shape); }

  /// Runs one forward pass. The logits stay valid until the next call. Throws bad_argument or out_of_range, and then
  /// has written nothing.
  LogitsView operator()(const StepPlan& plan);

  const Weights& weights() const noexcept { return weights_; }
  std::int64_t n_passes() const noexcept { return n_passes_; }
  std::int64_t n_rows() const noexcept { return n_rows_; }  ///< of all passes
  /// Token kNone where nothing was written yet. REQUIRES: 0 <= slot.
  SlotContent content(Slot slot) const { return slot < content_.size() ? content_[slot] : SlotContent{}; }

 private:
  using Slots = std::vector<Slot>;

  void check_rows(const StepPlan& plan) const;
  void check_visible(const StepPlan& plan, std::size_t row, const Slots& visible) const;
  std::vector<Slots> visible_slots(const StepPlan& plan) const;
  void write_content(const StepPlan& plan);
  void run_layer(std::vector<Vector>& hidden, std::size_t layer, const StepPlan& plan,
                 const std::vector<Slots>& visible);

  struct LayerKv {
    IndexedVector<Vector, Slot> keys, values;  ///< empty where nothing was written
  };

  Weights weights_;
  std::vector<LayerKv> layers_kv_;  ///< one per layer
  IndexedVector<SlotContent, Slot> content_;
  std::vector<float> logits_;
  std::int64_t n_passes_ = 0;
  std::int64_t n_rows_ = 0;
};

}  // namespace anabranch::eigen

#include <anabranch/eigen/impl/plan_model.hpp>
