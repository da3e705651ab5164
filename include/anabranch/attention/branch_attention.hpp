// Branch attention on the CPU: all rows of a pass over one shared K/V cache, by visibility group.
//
// A stretch of keys that several rows see is read once for all of them and for all query heads of its KV head. What a
// row sees is cut at fixed offsets inside its segments; the parts are attended to one by one (flash attention: running
// maximum and sum) and merged in history order. The cuts, and the order of every sum, depend on the row's own history
// only. So a row's result is the same, bit for bit, whichever rows are beside it, however its keys are grouped or
// scattered over slots, and on any number of threads.
//
// Kernels are compiled for several instruction sets and chosen when the program runs; bits are the same between runs
// on one machine, not between machines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <anabranch/attention/kv_tensors.hpp>
#include <anabranch/mask/visibility.hpp>
#include <anabranch/parallel_for.hpp>

namespace anabranch::attention {

/// The arrays of one call. Row r's query head h starts at queries + r * query_stride + h * head_dim, likewise `out`.
struct Rows {
  const float* queries = nullptr;  ///< after RoPE
  std::int64_t query_stride = 0;   ///< floats from row to row, at least query_heads * head_dim
  float* out = nullptr;
  std::int64_t out_stride = 0;
  float* lse = nullptr;  ///< [n_rows, query_heads]: natural logarithm of the sum of exp(score); null: not wanted
};

class BranchAttention {
 public:
  /// `scale`: factor of the scores; 0 means 1 / sqrt(head_dim). Throws bad_argument for an impossible shape.
  explicit BranchAttention(const HeadShape& shape, float scale = 0.0f);
  BranchAttention(BranchAttention&&) noexcept;
  BranchAttention& operator=(BranchAttention&&) noexcept;
  ~BranchAttention();

  /// Once per pass: cuts what the rows see into tasks. The slot runs are copied: the plan may go.
  /// Throws bad_argument, naming value and limit, for groups that do not fit `n_rows`, keys that are not listed, or a
  /// row that sees nothing; the previous plan then stays, also when memory runs out. O(rows + runs). Allocates nothing
  /// once the buffers, two of each, have grown.
  void plan(std::span<const VisibilityGroup> groups, std::span<const View> views, std::int32_t n_rows);

  /// Bytes of scratch memory that `run` needs for what was planned last. Any alignment will do.
  std::size_t workspace_bytes(std::int32_t n_workers) const noexcept;

  /// Once per layer. The rows' own K and V must be in the kv. Throws bad_argument, and has written nothing, when a
  /// planned slot lies outside the kv, a stride is too small, or the workspace too small for
  /// `parallel.n_workers()`. Allocates nothing. `epilogue` follows on the rows that a thread has finished, all their
  /// heads, before the others may be done; its unit does not count.
  void run(const Rows& rows, const KvTensors& kv, std::span<std::byte> workspace, const ParallelFor& parallel = {},
           const Epilogue& epilogue = {}) const;

  const HeadShape& shape() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace anabranch::attention
