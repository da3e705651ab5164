// One task: queries of one KV head over one chunk of keys, tile by tile.
//
// Scores are K times Q transposed, so queries stand in lanes and the softmax needs no sums across lanes; what a lane
// computes does not depend on its neighbours. A tile begins at a fixed offset of its segment; keys that a query does
// not see weigh exactly 0.

#if defined(ANABRANCH_ATTENTION_TASK_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ANABRANCH_ATTENTION_TASK_INL
#undef ANABRANCH_ATTENTION_TASK_INL
#else
#define ANABRANCH_ATTENTION_TASK_INL
#endif

#include <algorithm>

#include <anabranch/simd.hpp>

#include "forms-inl.hpp"
#include "kernels.hpp"
#include "lanes-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace anabranch::attention {
namespace HWY_NAMESPACE {

/// kDim: head_dim where it is known when this is compiled, else 0.
template <class Element, class Form, int kDim>
class TaskRun {
 public:
  TaskRun(const Call& call, const Task& task, Scratch& scratch)
      : call_(call), task_(task), s_(scratch), piece_(call.list->pieces()[static_cast<std::size_t>(task.piece)]) {}

  /// Row by row where somebody does not see a value that is no number: 0 times that is not 0.
  void run() {
    set_limits();
    if (end_ <= shortest_ || hidden_values_are_finite()) return attend();
    const Task whole = task_;
    const std::int32_t share = call_.shape.share();
    for (std::int32_t i = 0; i < whole.n_queries; i += task_.n_queries) {
      task_.query_begin = whole.query_begin + i;
      task_.n_queries = std::min(share - task_.query_begin % share, whole.n_queries - i);
      task_.partial = whole.partial + i;
      set_limits();
      attend();
    }
  }

 private:
  using Stored = typename Form::Stored;
  std::int32_t dim() const { return kDim > 0 ? kDim : call_.shape.head_dim; }
  HeadSlab<Stored> slab(const void* base) const {
    return {static_cast<const Stored*>(base) + task_.head * call_.slabs.head_stride,
            static_cast<std::ptrdiff_t>(call_.slabs.slot_stride)};
  }
  HeadSlab<float> factors(const float* base) const {
    return {base == nullptr ? nullptr : base + task_.head * call_.slabs.scale_head_stride,
            static_cast<std::ptrdiff_t>(call_.slabs.scale_slot_stride)};
  }

  /// Offsets up to which the queries see; lanes beyond them see nothing.
  void set_limits() {
    const std::span<const std::int32_t> limits = call_.list->limits(piece_);
    const std::int32_t share = call_.shape.share();
    lanes_ = padded(task_.n_queries);
    end_ = task_.begin;
    shortest_ = task_.end;
    for (std::int32_t i = 0; i < lanes_; ++i) {
      const auto row = static_cast<std::size_t>((task_.query_begin + i) / share);
      s_.limits[i] = i < task_.n_queries ? limits[row] : 0;
      if (i >= task_.n_queries) continue;
      end_ = std::max(end_, std::min(s_.limits[i], task_.end));
      shortest_ = std::min(shortest_, s_.limits[i]);
    }
  }

  bool hidden_values_are_finite() const {
    const HeadSlab<Stored> values = slab(call_.slabs.values);
    const HeadSlab<float> scales = factors(call_.slabs.value_scales);
    bool finite = true;
    for_each_slot(std::max(shortest_, task_.begin), end_, [&](Slot slot) {
      finite = finite && all_finite<Element>(values.row(slot), dim());
      if (scales.base != nullptr) finite = finite && all_finite<Float32>(scales.row(slot), 1);
    });
    return finite;
  }

  /// visit(slot) for the piece's tokens [begin, end).
  template <class Visit>
  void for_each_slot(std::int32_t begin, std::int32_t end, Visit&& visit) const {
    const std::span<const SlotRun> runs = call_.list->runs(piece_);
    std::size_t r = run_of(runs, begin);
    for (std::int32_t offset = begin; offset < end; ++r) {
      const std::int32_t last = std::min(end, runs[r].offset + runs[r].count);
      for (Slot slot = runs[r].first + offset - runs[r].offset; offset < last; ++offset, ++slot) visit(slot);
    }
  }
  static std::size_t run_of(std::span<const SlotRun> runs, std::int32_t offset) {
    const auto after = std::upper_bound(runs.begin(), runs.end(), offset,
                                        [](std::int32_t value, const SlotRun& run) { return value < run.offset; });
    return static_cast<std::size_t>(after - runs.begin()) - 1;
  }

  void attend() {
    arrange_queries();
    const std::int32_t n = lanes_;
    std::fill_n(s_.max, n, kNothing);
    std::fill_n(s_.sum, n, 0.0f);
    std::fill_n(s_.out, std::ptrdiff_t{dim()} * n, 0.0f);
    TileSlots tile;
    for (std::int32_t begin = task_.begin, end = begin; begin < end_; begin = end) {
      end = std::min(end_, begin / kTile * kTile + kTile);
      tile.n = 0;
      for_each_slot(begin, end, [&tile](Slot slot) { tile.slots[tile.n++] = slot; });
      tile.adjacent = tile.slots[tile.n - 1] - tile.slots[0] == tile.n - 1 && ascending(tile);
      add_tile(tile, begin);
    }
    leave_partials();
  }
  static bool ascending(const TileSlots& tile) {
    for (std::int32_t i = 1; i < tile.n; ++i)
      if (tile.slots[i] != tile.slots[0] + i) return false;
    return true;
  }

  void add_tile(const TileSlots& tile, std::int32_t begin) {
    float key_factors[kTile];
    float value_factors[kTile];
    TileKeys keys{tile.n, begin, begin + tile.n > shortest_, nullptr, nullptr};
    if (call_.slabs.key_scales != nullptr && sizeof(Stored) == 1) {
      for (std::int32_t i = 0; i < tile.n; ++i) {
        key_factors[i] = *factors(call_.slabs.key_scales).row(tile.slots[i]);
        value_factors[i] = *factors(call_.slabs.value_scales).row(tile.slots[i]);
      }
      keys.key_factors = key_factors;
      keys.value_factors = value_factors;
    }
    const Matrix k = Form::keys(slab(call_.slabs.keys), tile, dim(), s_.keys);
    product<typename Form::Multiply, Walk::along_rows>(
        {k.at, k.stride, s_.queries, s_.scores, lanes_, Form::depth_of_scores(dim()), nullptr}, tile.n);
    softmax<typename Form::Write>(keys, s_, lanes_);
    const Matrix v = Form::values(slab(call_.slabs.values), tile, dim(), s_.values);
    product<typename Form::Multiply, Walk::across_rows>(
        {v.at, v.stride, s_.scores, s_.out, lanes_, Form::depth_of_values(tile.n), s_.shrink}, dim());
  }

  /// Queries of this task into lanes, unless they are there from the task before.
  void arrange_queries() {
    const std::int32_t share = call_.shape.share();
    const std::int32_t first = piece_.row_begin * share + task_.query_begin;
    if (s_.arranged_first == first && s_.arranged_n == task_.n_queries && s_.arranged_head == task_.head) return;
    s_.arranged_first = first;
    s_.arranged_n = task_.n_queries;
    s_.arranged_head = task_.head;
    const std::int32_t depth = Form::depth_of_scores(dim());
    float* rows = s_.keys;  // free between tiles
    for (std::int32_t i = 0; i < lanes_; i += 4) {
      const std::int32_t n = std::min(4, lanes_ - i);
      for (std::int32_t j = 0; j < n; ++j) {
        float* to = rows + std::ptrdiff_t{j} * dim();
        const std::int32_t query = first + i + j;
        if (i + j >= task_.n_queries)
          std::fill_n(to, dim(), 0.0f);
        else
          Form::arrange_row(call_.rows.queries + query / share * call_.rows.query_stride +
                                (std::ptrdiff_t{task_.head} * share + query % share) * dim(),
                            dim(), call_.scale, to);
      }
      transpose(rows, dim(), n, depth, s_.queries + i, lanes_);
    }
  }

  void leave_partials() {
    const std::int32_t n = task_.n_queries;
    std::copy_n(s_.max, n, call_.max + task_.partial);
    std::copy_n(s_.sum, n, call_.sum + task_.partial);
    transpose(s_.out, lanes_, dim(), n, call_.out + task_.partial * dim(), dim());
  }

  const Call& call_;
  Task task_;
  Scratch& s_;
  const Piece& piece_;
  std::int32_t lanes_ = 0;
  std::int32_t end_ = 0;       ///< up to where anybody sees
  std::int32_t shortest_ = 0;  ///< up to where everybody sees
};

template <class Element, class Form, int kDim>
void run_task(const Call& call, const Task& task, Scratch& scratch) {
  TaskRun<Element, Form, kDim>(call, task, scratch).run();
}

template <class Element, class Form>
RunTask task_of_dim(std::int32_t head_dim) {
  switch (head_dim) {
    case 64: return run_task<Element, Form, 64>;
    case 80: return run_task<Element, Form, 80>;
    case 96: return run_task<Element, Form, 96>;
    case 128: return run_task<Element, Form, 128>;
    case 256: return run_task<Element, Form, 256>;
    default: return run_task<Element, Form, 0>;
  }
}

/// Elements that are bfloat16 exactly take the CPU's product of bfloat16 where there is one.
template <class Element>
RunTask bfloat16_exact_task(std::int32_t head_dim) {
#if ANABRANCH_AVX512
  if (simd::allows(simd::Extra::avx512_bf16) && head_dim % 2 == 0)
    return task_of_dim<Element, PairForm<Element>>(head_dim);
#endif
  return task_of_dim<Element, FloatForm<Element>>(head_dim);
}

}  // namespace HWY_NAMESPACE
}  // namespace anabranch::attention
HWY_AFTER_NAMESPACE();

#endif
