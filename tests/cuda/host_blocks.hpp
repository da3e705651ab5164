// Runs the kernels' phases on the host: block after block, in a block phase after phase, in a phase warp after warp.
#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "calls.hpp"
#include "head_shapes.hpp"
#include "merge.hpp"
#include "partial.hpp"

namespace anabranch::test {

/// Order of the warps within a phase. Results must not depend on it: threads meet between phases only.
enum class WarpOrder { forwards, backwards };

template <class E, int D>
void run_partial_block(const cuda::PartialCall& call, std::int32_t task, std::int32_t kv_head, WarpOrder order) {
  using Block = cuda::PartialBlock<E, D>;
  constexpr int kWarps = Block::Shape::kWarps;
  if (task >= call.plan.counts->n_tasks) return;
  auto shared = std::make_unique<cuda::PartialShared<D>>();
  std::fill_n(reinterpret_cast<unsigned char*>(shared.get()), sizeof *shared, static_cast<unsigned char>(0xff));
  std::vector<typename Block::Registers> registers(Block::Shape::kThreads);
  const Block block{call, *shared, call.plan.tasks[task], kv_head};
  cuda::partial_block<E, D>(block, [&](auto body) {
    for (int i = 0; i < kWarps; ++i) {
      const int warp = order == WarpOrder::forwards ? i : kWarps - 1 - i;
      body(typename Block::Lanes{warp, registers.data() + warp * cuda::kLanes});
    }
  });
}

inline void run_on_host(const cuda::Calls& calls, const cuda::AttentionKind& kind, const cuda::PlanSizes& bucket,
                        WarpOrder order) {
  cuda::with_head_dim(kind.shape.head_dim, [&](auto head_dim) {
    constexpr int D = head_dim.value;
    for (std::int32_t task = 0; task < bucket.n_tasks; ++task)
      for (std::int32_t head = 0; head < kind.shape.kv_heads; ++head)
        if (kind.element == attention::Element::float16)
          run_partial_block<cuda::Float16, D>(calls.partial, task, head, order);
        else
          run_partial_block<cuda::Bfloat16, D>(calls.partial, task, head, order);
  });
  for (std::int32_t row = 0; row < bucket.n_rows; ++row)
    for (std::int32_t head = 0; head < kind.shape.query_heads; ++head)
      for (int thread = 0; thread < cuda::kMergeThreads; ++thread) cuda::merge_phase(calls.merge, row, head, thread);
}

}  // namespace anabranch::test
