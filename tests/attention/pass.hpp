// The inputs of the tests: a pass copied out of its step, with K, V and queries of its own.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <thread>
#include <vector>

#include <anabranch/attention/branch_attention.hpp>
#include <anabranch/cache/kv_cache.hpp>

namespace anabranch::test {

/// A copy of a plan's arrays, which outlives the step.
struct Pass {
  std::vector<VisibilityGroup> groups;
  std::vector<View> views;
  std::vector<std::vector<SlotRun>> runs;  ///< per view
  std::vector<Slot> slots;
  std::vector<SequenceId> sequences;
  std::vector<Position> positions;         ///< [n_rows]
  std::vector<Position> position_of_slot;  ///< [n_slots], for windows: noted by the test when the token was planned
  std::int32_t n_slots = 0;

  Pass() = default;
  explicit Pass(const StepPlan& plan)
      : groups(plan.groups.begin(), plan.groups.end()),
        views(plan.views.begin(), plan.views.end()),
        slots(plan.slots.begin(), plan.slots.end()),
        sequences(plan.sequences.begin(), plan.sequences.end()),
        positions(plan.positions.begin(), plan.positions.end()),
        n_slots(plan.n_slots) {
    for (View& view : views) {
      runs.emplace_back(view.runs, view.runs + view.n_runs);
      view.runs = runs.back().data();
    }
  }
  std::int32_t n_rows() const { return static_cast<std::int32_t>(slots.size()); }

  /// Slots that each row sees, in history order: groups, runs and visibility taken literally, then the window.
  std::vector<std::vector<Slot>> seen(std::int32_t window = 0) const {
    std::vector<std::vector<Slot>> out(slots.size());
    for (const VisibilityGroup& group : groups) {
      std::vector<Slot> keys;
      for_each_run(group, views, [&keys](Slot first, std::int32_t count) {
        for (std::int32_t i = 0; i < count; ++i) keys.push_back(first + i);
      });
      for (RowIndex row = group.row_begin; row < group.row_end; ++row) {
        const std::int32_t hidden = group.visibility == Visibility::causal ? group.row_end - 1 - row : 0;
        auto& of_row = out[static_cast<std::size_t>(row)];
        of_row.insert(of_row.end(), keys.begin(), keys.end() - hidden);
      }
    }
    for (std::size_t row = 0; window > 0 && row < out.size(); ++row)
      std::erase_if(out[row], [&](Slot slot) {
        return position_of_slot.at(static_cast<std::size_t>(slot)) <= positions[row] - window;
      });
    return out;
  }

  /// The same pass over scattered slots: every token moves to `place[slot]`, runs of one token each.
  Pass scattered(std::span<const Slot> place) const {
    Pass out = *this;
    for (Slot& slot : out.slots) slot = place[static_cast<std::size_t>(slot)];
    for (std::size_t slot = 0; slot < position_of_slot.size(); ++slot)
      out.position_of_slot[static_cast<std::size_t>(place[slot])] = position_of_slot[slot];
    for (std::size_t v = 0; v < views.size(); ++v) {
      std::vector<SlotRun> single;
      for (const SlotRun& run : runs[v])
        for (std::int32_t i = 0; i < run.count; ++i)
          single.push_back({place[static_cast<std::size_t>(run.first + i)], 1, run.offset + i});
      out.runs[v] = std::move(single);
      out.views[v].runs = out.runs[v].data();
      out.views[v].n_runs = static_cast<std::int32_t>(out.runs[v].size());
    }
    return out;
  }
};

inline std::vector<float> random_floats(std::size_t n, std::mt19937& random, float scale = 1.0f) {
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<float> out(n);
  for (float& x : out) x = normal(random);
  return out;
}

/// K and V of one layer: float32 as given, and K/V tensors in the wanted element.
class Layer {
 public:
  Layer(const attention::HeadShape& shape, attention::Element element, attention::KvLayout layout, std::int32_t n_slots)
      : shape_(shape),
        bytes_k_(static_cast<std::size_t>(n_slots * shape.kv_width()) * element_size(element)),
        bytes_v_(bytes_k_.size()),
        scales_k_(static_cast<std::size_t>(n_slots * shape.kv_heads)),
        scales_v_(scales_k_.size()),
        kv_(make_kv_tensors(shape, element, layout, n_slots, bytes_k_.data(), bytes_v_.data(), scales_k_.data(),
                            scales_v_.data())) {}
  Layer(const Layer&) = delete;
  Layer& operator=(const Layer&) = delete;

  /// [n_slots, kv_heads, head_dim] each; row s goes to slot place[s].
  void fill(std::span<const float> keys, std::span<const float> values, std::span<const Slot> place) {
    attention::store_rows(keys.data(), values.data(), shape_.kv_width(), place, shape_, kv_);
  }
  void fill(std::span<const float> keys, std::span<const float> values) {
    std::vector<Slot> same(static_cast<std::size_t>(kv_.n_slots));
    for (std::size_t s = 0; s < same.size(); ++s) same[s] = static_cast<Slot>(s);
    fill(keys, values, same);
  }
  const attention::KvTensors& kv() const { return kv_; }

 private:
  attention::HeadShape shape_;
  std::vector<std::byte> bytes_k_, bytes_v_;
  std::vector<float> scales_k_, scales_v_;
  attention::KvTensors kv_;
};

/// A new thread for each task but the first: slow, and as hostile to shared state as can be.
inline ParallelFor threads(std::int32_t n_workers) {
  return {[](void*, std::int32_t n, ParallelFor::Task task, void* body) {
            std::vector<std::thread> running;
            for (std::int32_t i = 1; i < n; ++i) running.emplace_back(task, body, i);
            task(body, 0);
            for (std::thread& thread : running) thread.join();
          },
          nullptr, n_workers};
}

struct Result {
  std::vector<float> out;  ///< [n_rows, query_heads * head_dim]
  std::vector<float> lse;  ///< [n_rows, query_heads]
  bool operator==(const Result&) const = default;
};

/// queries: [n_rows, query_heads * head_dim].
inline Result attend(const Pass& pass, std::span<const float> queries, const Layer& layer,
                     const attention::HeadShape& shape, const ParallelFor& parallel = {},
                     const attention::ScoreOptions& options = {}) {
  attention::BranchAttention attention(shape, options);
  attention.plan(pass.groups, pass.views, pass.n_rows());
  const auto n = static_cast<std::size_t>(pass.n_rows());
  Result result{std::vector<float>(n * static_cast<std::size_t>(shape.q_width())),
                std::vector<float>(n * static_cast<std::size_t>(shape.query_heads))};
  std::vector<std::byte> workspace(attention.workspace_bytes(parallel.n_workers()));
  attention.run({queries.data(), shape.q_width(), result.out.data(), shape.q_width(), result.lse.data()}, layer.kv(),
                workspace, parallel);
  return result;
}

}  // namespace anabranch::test
