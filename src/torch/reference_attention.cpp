#include "reference_attention.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>
#include <utility>

#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>

#include "sizes.hpp"

namespace anabranch::torch {
namespace {

using attention::ScoreOptions;

constexpr float kHidden = -std::numeric_limits<float>::infinity();

at::Tensor index_tensor(const std::vector<std::int64_t>& values) { return at::tensor(values, at::kLong); }

/// Keys or values [n, kv_heads, head_dim] as [1, kv_heads, n, head_dim], without a copy.
at::Tensor by_head(const at::Tensor& keys) { return keys.transpose(0, 1).unsqueeze(0); }

/// Additive mask of a call, [n_rows * share, n_keys]: 0 where seen, -inf elsewhere. Undefined where all rows see all
/// keys.
at::Tensor mask_of(const AttentionCall& call, std::int32_t share) {
  if (call.limits.empty()) return {};
  at::Tensor mask = at::full({call.n_rows * share, call.n_keys}, static_cast<double>(kHidden), at::kFloat);
  float* row = mask.data_ptr<float>();
  for (std::size_t i = 0; i < call.limits.size(); ++i) {
    const std::int32_t start = call.starts.empty() ? 0 : call.starts[i];
    for (std::int32_t j = 0; j < share; ++j, row += call.n_keys) std::fill_n(row + start, call.limits[i] - start, 0.0f);
  }
  return mask;
}

/// The kernel's results: out [batch, kv_heads, queries, head_dim] and lse [batch, kv_heads, queries].
using OutAndLse = std::tuple<at::Tensor, at::Tensor>;

/// The scores, scaled and capped.
at::Tensor scores_of(const at::Tensor& queries, const at::Tensor& keys, const ScoreOptions& options) {
  const double scale =
      options.scale > 0 ? static_cast<double>(options.scale) : 1.0 / std::sqrt(static_cast<double>(queries.size(-1)));
  const double cap = static_cast<double>(options.softcap);
  const at::Tensor scores = at::matmul(queries, keys.transpose(-2, -1)).mul_(scale);
  return cap > 0 ? scores.div_(cap).tanh_().mul_(cap) : scores;
}

/// LibTorch's kernel knows no capped scores: those are computed step by step.
OutAndLse attend(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values, const at::Tensor& mask,
                 const ScoreOptions& options) {
  if (options.softcap > 0) {
    at::Tensor scores = scores_of(queries, keys, options);
    if (mask.defined()) scores.add_(mask);
    const at::Tensor lse = at::logsumexp(scores, {-1});
    return {at::matmul(scores.sub_(lse.unsqueeze(-1)).exp_(), values), lse};
  }
  std::optional<at::Tensor> given;
  if (mask.defined()) given = mask;
  std::optional<double> scale;
  if (options.scale > 0) scale = static_cast<double>(options.scale);
  return at::_scaled_dot_product_flash_attention_for_cpu(queries, keys, values, 0.0, false, given, scale);
}

/// One or two calls for every piece that rows see (short single rows together), merged by log-sum-exp.
class PieceAttention final : public ReferenceAttention {
 public:
  PieceAttention(const StepPlan& plan, const HeadShape& shape, const ScoreOptions& options)
      : layout_(make_layout(plan, options.window)), shape_(shape), options_(options), n_rows_(plan.n_rows()) {
    for (const AttentionCall& call : layout_.calls) {
      masks_.push_back(mask_of(call, shape.share()));
      gathers_.push_back(gather_of(call));
    }
    for (const CallBatch& batch : layout_.batches) batches_.push_back(prepare(batch));
  }

  at::Tensor run(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values) const override {
    std::vector<OutAndLse> results;  // keeps the memory of `parts` alive
    IndexedVector<AttentionPart, CallIndex> parts(std::pmr::new_delete_resource());
    parts.grow(layout_.calls.size(), {});
    for (CallIndex i(0); i < layout_.calls.end_index(); ++i) {
      if (layout_.calls[i].batch != kNoIndex) continue;
      results.push_back(run_call(i, queries, keys, values));
      parts[i] = part_of(results.back(), 0, layout_.calls[i]);
    }
    for (BatchIndex b(0); b < batches_.end_index(); ++b) {
      results.push_back(run_batch(batches_[b], queries, keys, values));
      std::int64_t entry = 0;
      for (const CallIndex i : layout_.batches[b].calls) parts[i] = part_of(results.back(), entry++, layout_.calls[i]);
    }
    at::Tensor context = at::empty({n_rows_, shape_.q_width()}, at::kFloat);
    merge_parts({parts.begin(), parts.end()}, shape_, n_rows_, context.data_ptr<float>());
    return context;
  }

 private:
  struct Batch {
    at::Tensor rows;   ///< [n] row of each call
    at::Tensor slots;  ///< [n * max_keys]; a short call is filled up with its first slot
    at::Tensor mask;   ///< [n, 1, 1, max_keys]: hides the filling
    std::int64_t n = 0, max_keys = 0;
  };

  /// The slots of a call's keys; undefined for a single run, which is read where it lies.
  static at::Tensor gather_of(const AttentionCall& call) {
    if (call.batch != kNoIndex || call.runs.size() == 1) return {};
    std::vector<std::int64_t> slots;
    append_slots(call, slots);
    return index_tensor(slots);
  }

  Batch prepare(const CallBatch& batch) const {
    const auto n = static_cast<std::int64_t>(batch.calls.size());
    std::vector<std::int64_t> rows, slots;
    at::Tensor mask = at::full({n, 1, 1, batch.max_keys}, 0.0, at::kFloat);
    float* hidden = mask.data_ptr<float>();
    for (const CallIndex i : batch.calls) {
      const AttentionCall& call = layout_.calls[i];
      rows.push_back(call.row_begin);
      append_slots(call, slots);
      slots.resize(n_elements(rows.size(), batch.max_keys), call.runs.front().first);
      hidden = std::fill_n(hidden + call.n_keys, batch.max_keys - call.n_keys, kHidden);
    }
    return {index_tensor(rows), index_tensor(slots), std::move(mask), n, batch.max_keys};
  }

  at::Tensor keys_of(CallIndex call, const at::Tensor& kv) const {
    const KeyRun& run = layout_.calls[call].runs.front();
    return gathers_[call].defined() ? kv.index_select(0, gathers_[call]) : kv.narrow(0, run.first, run.count);
  }

  OutAndLse run_call(CallIndex index, const at::Tensor& queries, const at::Tensor& keys,
                     const at::Tensor& values) const {
    const AttentionCall& call = layout_.calls[index];
    const std::int64_t share = shape_.share();
    const at::Tensor own = queries.narrow(1, call.row_begin * share, call.n_rows * share).unsqueeze(0);
    return attend(own, by_head(keys_of(index, keys)), by_head(keys_of(index, values)), masks_[index], options_);
  }

  OutAndLse run_batch(const Batch& batch, const at::Tensor& queries, const at::Tensor& keys,
                      const at::Tensor& values) const {
    const at::Tensor own = queries.view({shape_.kv_heads, n_rows_, shape_.share(), shape_.head_dim})
                               .index_select(1, batch.rows)
                               .transpose(0, 1);
    const auto gather = [&](const at::Tensor& kv) {
      return kv.index_select(0, batch.slots)
          .view({batch.n, batch.max_keys, shape_.kv_heads, shape_.head_dim})
          .transpose(1, 2);
    };
    return attend(own, gather(keys), gather(values), batch.mask, options_);
  }

  static AttentionPart part_of(const OutAndLse& result, std::int64_t batch_entry, const AttentionCall& call) {
    const auto& [out, lse] = result;
    return {call.row_begin, call.n_rows,   out.data_ptr<float>() + batch_entry * out.stride(0),
            out.stride(1),  out.stride(2), lse.data_ptr<float>() + batch_entry * lse.stride(0),
            lse.stride(1),  lse.stride(2)};
  }

  PassLayout layout_;
  HeadShape shape_;
  ScoreOptions options_;
  std::int32_t n_rows_;
  IndexedVector<at::Tensor, CallIndex> masks_{std::pmr::new_delete_resource()};
  IndexedVector<at::Tensor, CallIndex> gathers_{std::pmr::new_delete_resource()};
  IndexedVector<Batch, BatchIndex> batches_{std::pmr::new_delete_resource()};
};

/// One call over all visible slots, through one mask. It shares nothing with PieceAttention but the plan.
class DenseAttention final : public ReferenceAttention {
 public:
  DenseAttention(const StepPlan& plan, const HeadShape& shape, const ScoreOptions& options)
      : shape_(shape), options_(options), n_rows_(plan.n_rows()) {
    std::vector<std::int64_t> slots;
    for (const VisibilityGroup& group : plan.groups) append_group(plan, group, slots);
    std::sort(slots.begin(), slots.end());
    slots.erase(std::unique(slots.begin(), slots.end()), slots.end());
    const auto n_columns = static_cast<std::int64_t>(slots.size());
    mask_ = at::full({n_rows_ * shape.share(), n_columns}, static_cast<double>(kHidden), at::kFloat);
    for (const VisibilityGroup& group : plan.groups) show(plan, group, slots);
    slots_ = index_tensor(slots);
  }

  at::Tensor run(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values) const override {
    const at::Tensor k = keys.index_select(0, slots_).transpose(0, 1);
    const at::Tensor v = values.index_select(0, slots_).transpose(0, 1);
    const at::Tensor scores = scores_of(queries, k, options_).add_(mask_);
    const at::Tensor out = at::bmm(at::softmax(scores, -1), v);
    return out.view({shape_.kv_heads, n_rows_, shape_.share(), shape_.head_dim})
        .transpose(0, 1)
        .reshape({n_rows_, shape_.q_width()});
  }

 private:
  static void append_group(const StepPlan& plan, const VisibilityGroup& group, std::vector<std::int64_t>& slots) {
    for_each_run(group, plan.views, [&slots](Slot first, std::int32_t count) {
      for (std::int32_t i = 0; i < count; ++i) slots.push_back(first + i);
    });
  }

  void show(const StepPlan& plan, const VisibilityGroup& group, const std::vector<std::int64_t>& columns) {
    std::vector<std::int64_t> keys;
    append_group(plan, group, keys);
    std::vector<Position> positions;  // of the keys
    for (const View& view : plan.views_of(group))
      for (std::int32_t i = view.begin; i < view.end; ++i) positions.push_back(view.first_position + i);
    const auto n_columns = static_cast<std::int64_t>(columns.size());
    for (RowIndex row = group.row_begin; row < group.row_end; ++row) {
      const std::int32_t hidden = group.visibility == Visibility::causal ? group.row_end - 1 - row : 0;
      float* mask = mask_.data_ptr<float>() + row * shape_.share() * n_columns;
      const std::int64_t from = options_.window == 0 ? std::numeric_limits<std::int64_t>::min()
                                                     : std::int64_t{plan.positions.begin()[row]} - options_.window + 1;
      for (std::size_t key = 0; key < keys.size() - static_cast<std::size_t>(hidden); ++key) {
        if (positions[key] < from) continue;
        const auto column = std::lower_bound(columns.begin(), columns.end(), keys[key]) - columns.begin();
        for (std::int32_t j = 0; j < shape_.share(); ++j) mask[j * n_columns + column] = 0.0f;
      }
    }
  }

  HeadShape shape_;
  ScoreOptions options_;
  std::int32_t n_rows_;
  at::Tensor slots_;  ///< [n_columns]
  at::Tensor mask_;   ///< [n_rows * share, n_columns], additive
};

}  // namespace

std::unique_ptr<ReferenceAttention> make_reference(AttentionPath path, const StepPlan& plan, const HeadShape& shape,
                                                   const ScoreOptions& options) {
  if (path == AttentionPath::dense) return std::make_unique<DenseAttention>(plan, shape, options);
  return std::make_unique<PieceAttention>(plan, shape, options);
}

}  // namespace anabranch::torch
