// Branch attention on the CPU: all rows of a pass over one shared K/V cache, by visibility group.
//
// Keys that several rows see are read once for all these rows and for all query heads that share the KV head. The keys
// of a row are cut into chunks at fixed offsets inside their segments; each chunk gives a partial state (flash
// attention: running maximum and sum), and a row's partial states are merged in history order. The cuts, and the order
// of every sum, depend on the row's own history only. So a row's result is the same, bit for bit, whichever rows are
// beside it, however its keys are grouped or scattered over slots, and on any number of threads.
//
// The kernels are compiled for several instruction sets, and the best one that the CPU has is taken when the program
// runs. Bits are the same between runs on one machine, not between machines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <anabranch/attention/kv_tensors.hpp>
#include <anabranch/attention/score_options.hpp>
#include <anabranch/mask/visibility.hpp>
#include <anabranch/parallel_for.hpp>

namespace anabranch::attention {

/// The arrays of one call. Row r's query head h starts at queries + r * query_stride + h * head_dim, likewise `out`.
struct Rows {
  const float* queries = nullptr;  ///< after RoPE
  std::int64_t query_stride = 0;   ///< floats from row to row, at least query_heads * head_dim
  float* out = nullptr;
  std::int64_t out_stride = 0;
  float* lse = nullptr;  ///< [n_rows, query_heads]: natural logarithm of the sum of exp(score); null: do not write it
};

class BranchAttention {
 public:
  /// Throws bad_argument for an impossible shape, or options outside their limits.
  explicit BranchAttention(const HeadShape& shape, const ScoreOptions& options = {});
  BranchAttention(BranchAttention&&) noexcept;
  BranchAttention& operator=(BranchAttention&&) noexcept;
  ~BranchAttention();

  /// Cuts the keys of a pass's rows into tasks; call it once per pass. It copies the slot runs, so the plan need not
  /// outlive the call. With a window, keys that no row has in its window get no task; positions are those that the
  /// views say. Throws bad_argument for groups and views that GroupCheck refuses (mask/check_groups.hpp), and with a
  /// window for views of one segment that differ in first_position. The previous plan stays then, and also when memory
  /// runs out. O(rows + runs). Allocates nothing once the buffers have grown.
  void plan(std::span<const VisibilityGroup> groups, std::span<const View> views, std::int32_t n_rows);

  /// Bytes of scratch memory that `run` needs for the last plan. Any alignment will do.
  std::size_t workspace_bytes(std::int32_t n_workers) const noexcept;

  /// Computes the attention of one layer. Requires: the rows' own K and V are in the K/V tensors (store_rows). Throws
  /// bad_argument, and has written nothing, when a planned slot lies outside the K/V tensors, a stride is too small, or
  /// the workspace is too small for `parallel.n_workers()`. Allocates nothing. The epilogue runs on rows that a thread
  /// has finished, with all their heads, while other threads may still work on other rows; its unit is taken as 1.
  void run(const Rows& rows, const KvTensors& kv, std::span<std::byte> workspace, const ParallelFor& parallel = {},
           const Epilogue& epilogue = {}) const;

  const HeadShape& shape() const noexcept;
  const ScoreOptions& options() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace anabranch::attention
