#include "problem.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <span>
#include <stdexcept>

#include <anabranch/mask/dense_mask.hpp>
#include <anabranch/simd.hpp>

namespace anabranch::bench {
namespace {

constexpr std::int32_t kPage = 16;

std::int32_t pages_for(const ProblemShape& shape) {
  const std::int32_t sequences = shape.outer * (1 + shape.inner);
  return shape.trunk / kPage + 1 + sequences * (shape.written / kPage + 3);
}

void finish(Step& step) {
  if (!step.plan()) throw std::logic_error("the pool is too small");
  step.commit();
}

/// Uniform in [-limit, limit], with 7 bits of mantissa and nothing tiny: exact in bfloat16 and in float16.
void fill(std::span<float> out, float limit, std::uint32_t seed) {
  std::minstd_rand random(seed);
  const float unit = 2 * limit / static_cast<float>(std::minstd_rand::max());
  for (float& x : out) {
    const float wide = static_cast<float>(random()) * unit - limit;
    int exponent = 0;
    const float mantissa = std::frexp(wide, &exponent);
    x = exponent < -12 ? 0.0f : std::ldexp(std::round(std::ldexp(mantissa, 7)), exponent - 7);
  }
}

}  // namespace

std::string ProblemShape::branches() const {
  return inner == 0 ? std::to_string(outer) : std::to_string(outer) + "x" + std::to_string(inner);
}

Problem::Problem(const ProblemShape& shape) : shape_(shape), cache_({.n_pages = pages_for(shape), .page_size = kPage}) {
  grow(shape);
  step_.emplace(cache_.begin_step());
  for (const SequenceId branch : branches_) step_->append_unknown(branch, 1, Logits::last);
  plan_.emplace(step_->plan());
  if (!*plan_) throw std::logic_error("the pool is too small");
  read_plan();
  const auto n_kv = static_cast<std::size_t>(n_slots()) * static_cast<std::size_t>(shape.heads.kv_width());
  queries_.resize(static_cast<std::size_t>(n_rows()) * static_cast<std::size_t>(shape.heads.q_width()));
  keys_ = BigArray<float>(n_kv);
  values_ = BigArray<float>(n_kv);
  fill(queries_, 3.0f, 1);
  fill(keys_.span(), 1.75f, 2);
  fill(values_.span(), 1.75f, 3);
}

void Problem::grow(const ProblemShape& shape) {
  const SequenceId trunk = cache_.create_sequence();
  Step first = cache_.begin_step();
  first.append_unknown(trunk, shape.trunk);
  finish(first);
  std::vector<SequenceId> parents = {trunk};
  for (const std::int32_t n : {shape.outer, shape.inner}) {
    if (n == 0) break;
    Step step = cache_.begin_step();
    branches_.clear();
    for (const SequenceId parent : parents)
      for (const SequenceId child : step.fork(parent, n)) branches_.push_back(child);
    for (const SequenceId branch : branches_) step.append_unknown(branch, shape.written);
    finish(step);
    parents = branches_;
  }
}

void Problem::read_plan() {
  const StepPlan& p = plan();
  seen_by_.resize(static_cast<std::size_t>(p.n_rows()));
  for (const VisibilityGroup& group : p.groups) {
    if (group.visibility == Visibility::causal && group.row_end - group.row_begin != 1)
      throw std::logic_error("a decoding step has a causal group of several rows");
    for_each_run(group, p.views, [&](Slot first, std::int32_t count) {
      for (RowIndex row = group.row_begin; row < group.row_end; ++row)
        for (Slot slot = first; slot < first + count; ++slot) seen_by_[static_cast<std::size_t>(row)].push_back(slot);
    });
  }
  for (const std::vector<Slot>& slots : seen_by_) seen_.insert(seen_.end(), slots.begin(), slots.end());
  std::sort(seen_.begin(), seen_.end());
  seen_.erase(std::unique(seen_.begin(), seen_.end()), seen_.end());
  std::vector<std::int32_t> columns(static_cast<std::size_t>(p.n_slots), kNone);
  for (std::size_t i = 0; i < seen_.size(); ++i)
    columns[static_cast<std::size_t>(seen_[i])] = static_cast<std::int32_t>(i);
  mask_.resize(static_cast<std::size_t>(p.n_rows()) * seen_.size());
  dense_mask(p.groups, p.views, p.n_rows(), ColumnsByMap{columns}, static_cast<std::int32_t>(seen_.size()),
             std::span<float>(mask_), 0.0f, -std::numeric_limits<float>::infinity());
}

bool kernels_use_avx512() { return simd::in_use().substr(0, 4) == "AVX3"; }

Instruction instruction_for(attention::Element element) {
  const bool exact_in_bfloat16 = element == attention::Element::bfloat16 || element == attention::Element::int8;
  if (exact_in_bfloat16 && simd::allows(simd::Extra::avx512_bf16)) return Instruction::dot_bfloat16_512;
  return kernels_use_avx512() ? Instruction::fma_float32_512 : Instruction::fma_float32_256;
}

Limit limit_of(const Problem& problem, attention::Element element, const Speed& speed) {
  const attention::HeadShape& heads = problem.heads();
  const double bytes = 2.0 * static_cast<double>(problem.seen().size()) * heads.kv_width() *
                       static_cast<double>(attention::element_size(element));
  double operations = 0;
  for (std::int32_t row = 0; row < problem.n_rows(); ++row)  // scores, then values: 2 operations per element each
    operations += 4.0 * static_cast<double>(problem.seen_by(row).size()) * heads.q_width();
  const double peak = speed.peak(instruction_for(element));
  return {bytes / speed.bandwidth, peak > 0 ? operations / peak : 0};
}

}  // namespace anabranch::bench
