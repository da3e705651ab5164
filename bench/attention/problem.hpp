// One decoding step whose attention is measured: a trunk, branches that have each written something, and one new token
// of every branch. The plan comes from the real cache; queries, keys and values are random.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <anabranch/attention/kv_tensors.hpp>
#include <anabranch/cache/kv_cache.hpp>

#include "../machine/machine.hpp"

namespace anabranch::bench {

/// Sizes of a problem. Every one of `outer` branches forks into `inner` more, which decode; 0: it decodes itself.
struct ProblemShape {
  attention::HeadShape heads;
  std::int32_t trunk = 0;  ///< tokens
  std::int32_t outer = 1;
  std::int32_t inner = 0;
  std::int32_t written = 32;  ///< tokens that each branch has written before
  std::int32_t n_rows() const noexcept { return inner == 0 ? outer : outer * inner; }
  std::string branches() const;  ///< "8", or "2x4" if nested
};

class Problem {
 public:
  explicit Problem(const ProblemShape& shape);

  const ProblemShape& shape() const noexcept { return shape_; }
  const attention::HeadShape& heads() const noexcept { return shape_.heads; }
  const StepPlan& plan() const noexcept { return **plan_; }
  std::int32_t n_rows() const noexcept { return plan().n_rows(); }
  std::int32_t n_slots() const noexcept { return plan().n_slots; }

  /// Slots that any row sees, ascending; the new tokens' own included.
  const std::vector<Slot>& seen() const noexcept { return seen_; }
  /// Slots that one row sees, in history order.
  const std::vector<Slot>& seen_by(std::int32_t row) const { return seen_by_[static_cast<std::size_t>(row)]; }
  /// [n_rows, seen().size()]: 0 where the row sees the slot, else -infinity.
  const std::vector<float>& mask() const noexcept { return mask_; }

  /// [n_rows, query_heads, head_dim]. These and the keys and values are exact in every type but int8, so that sides
  /// with other types compute the same thing.
  const std::vector<float>& queries() const noexcept { return queries_; }
  /// [n_slots, kv_heads, head_dim].
  const BigArray<float>& keys() const noexcept { return keys_; }
  const BigArray<float>& values() const noexcept { return values_; }

 private:
  void grow(const ProblemShape& shape);
  void read_plan();

  ProblemShape shape_;
  KvCache cache_;
  std::vector<SequenceId> branches_;
  std::optional<Step> step_;
  std::optional<PlanResult> plan_;
  std::vector<Slot> seen_;
  std::vector<std::vector<Slot>> seen_by_;
  std::vector<float> mask_, queries_;
  BigArray<float> keys_, values_;
};

/// The least time that a machine of `speed` needs for a problem: the larger of the time to read K and V once, and the
/// time for the multiplications of all rows. In seconds.
struct Limit {
  double reading = 0, computing = 0;
  double seconds() const noexcept { return reading > computing ? reading : computing; }
};
Limit limit_of(const Problem& problem, attention::Element element, const Speed& speed);

/// Whether our kernels use it: the CPU has it, and ANABRANCH_SIMD does not forbid it.
bool kernels_use_avx512();
/// With what our kernels can multiply K and V of a type; the limit counts with its peak.
Instruction instruction_for(attention::Element element);

}  // namespace anabranch::bench
