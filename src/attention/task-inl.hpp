// Runs one task: queries of one KV head over one chunk of keys, tile by tile.
//
// Scores are K times Q transposed, so queries stand in lanes and the softmax needs no sums across lanes; what a lane
// computes does not depend on its neighbours. A tile begins at a fixed offset of its segment, or an even number of keys
// behind it where nobody sees those before; keys that a query does not see weigh exactly 0.

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
#include "scores-inl.hpp"
#include "softmax-inl.hpp"
#include "split-inl.hpp"
#include "values-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace anabranch::attention {
namespace HWY_NAMESPACE {

/// kDim: head_dim where it is known when this is compiled, else 0.
template <class Element, class Form, int kDim>
class TaskRun {
 public:
  TaskRun(const Call& call, const Task& task, const Task* next, Scratch& scratch)
      : call_(call), task_(task), next_(next), s_(scratch), piece_(piece_of(task)) {}

  /// Takes the rows one by one where some query does not see a value that is infinite or NaN: 0 times that is not 0.
  void run() {
    set_limits();
    if ((end_ <= shortest_ && latest_ <= begin_) || hidden_values_are_finite()) return attend();
    one_row_ = true;
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
  const Piece& piece_of(const Task& task) const { return call_.list->pieces()[task.piece]; }
  HeadRows<Stored> rows_of(const void* base, std::int32_t head) const {
    return {static_cast<const Stored*>(base) + head * call_.kv.head_stride,
            static_cast<std::ptrdiff_t>(call_.kv.slot_stride)};
  }
  HeadRows<float> factors(const float* base) const {
    return {base == nullptr ? nullptr : base + task_.head * call_.kv.scale_head_stride,
            static_cast<std::ptrdiff_t>(call_.kv.scale_slot_stride)};
  }

  /// Sets, for each lane, the offset up to which its query sees, and with a window the one from which on; lanes without
  /// a query see nothing.
  void set_limits() {
    const std::span<const std::int32_t> limits = call_.list->limits(piece_);
    const std::int32_t share = call_.shape.share();
    lanes_ = padded(task_.n_queries);
    end_ = task_.begin;
    shortest_ = task_.end;
    for (std::int32_t i = 0; i < lanes_; ++i) {
      s_.limits[i] = i < task_.n_queries ? limits.begin()[(task_.query_begin + i) / share] : 0;
      if (i >= task_.n_queries) continue;
      end_ = std::max(end_, std::min(s_.limits[i], task_.end));
      shortest_ = std::min(shortest_, s_.limits[i]);
    }
    begin_ = latest_ = task_.begin;
    if (!call_.starts->empty()) set_starts();
  }

  /// Sets where each lane's window begins. Lanes whose query sees nothing of the task leave what nobody reads, so their
  /// window may be anywhere.
  void set_starts() {
    const std::span<const std::int32_t> starts = call_.starts->starts(piece_);
    const std::int32_t share = call_.shape.share();
    std::int32_t least = task_.end;
    for (std::int32_t i = 0; i < lanes_; ++i) {
      s_.starts[i] = task_.begin;
      if (i >= task_.n_queries) continue;
      const std::int32_t start = std::max(starts.begin()[(task_.query_begin + i) / share], task_.begin);
      if (start >= std::min(s_.limits[i], task_.end)) continue;
      s_.starts[i] = start;
      least = std::min(least, start);
      latest_ = std::max(latest_, start);
    }
    if (least < task_.end) begin_ = paired_begin(least, piece_.begin);
  }

  bool hidden_values_are_finite() const {
    return values_are_finite(begin_, std::min(latest_, end_)) && values_are_finite(std::max(shortest_, begin_), end_);
  }
  bool values_are_finite(std::int32_t begin, std::int32_t end) const {
    const HeadRows<Stored> values = rows_of(call_.kv.values, task_.head);
    const HeadRows<float> scales = factors(call_.kv.value_scales);
    bool finite = true;
    for_each_run_of(piece_, begin, end, [&](Slot first, std::int32_t count) {
      for (Slot slot = first; slot < first + count; ++slot) {
        finite = finite && all_finite<Element>(values.row(slot), dim());
        if (scales.base != nullptr) finite = finite && all_finite<Float32>(scales.row(slot), 1);
      }
    });
    return finite;
  }

  /// visit(first slot, count) for the runs of a piece's tokens [begin, end), perhaps none.
  template <class Visit>
  void for_each_run_of(const Piece& piece, std::int32_t begin, std::int32_t end, Visit&& visit) const {
    const std::span<const SlotRun> runs = call_.list->runs(piece);
    for (auto run = run_of(runs, begin); begin < end; ++run) {
      const std::int32_t last = std::min(end, run->offset + run->count);
      visit(run->first + begin - run->offset, last - begin);
      begin = last;
    }
  }
  static auto run_of(std::span<const SlotRun> runs, std::int32_t offset) {
    const auto after = std::upper_bound(runs.begin(), runs.end(), offset,
                                        [](std::int32_t value, const SlotRun& run) { return value < run.offset; });
    return after - 1;
  }

  void attend() {
    few_ = full_lanes() > 1 && task_.n_queries <= kFew && dim() % full_lanes() == 0;
    if (few_) lanes_ = kFew;
    split_ = Form::kSplits && few_ && dim() % 16 == 0;
    Tile<Stored> tiles[2];
    set_tile(task_, begin_, end_, tiles[0]);
    if (one_row_) blank_hidden(tiles[0]);
    if (s_.arranged_n == 0) {  // the thread's first task: its keys were not asked for yet
      Prefetch prefetch = prefetch_of(tiles[0].keys, tiles[0].n);
      prefetch.spread(1);
      prefetch.turn();
    }
    arrange_queries();
    std::fill_n(s_.max, lanes_, kNothing);
    std::fill_n(s_.sum, lanes_, 0.0f);
    std::fill_n(s_.out, std::ptrdiff_t{dim()} * lanes_, 0.0f);
    for (int i = 0; tiles[i].n > 0; i = 1 - i) {
      Tile<Stored>& coming = tiles[1 - i];
      set_tile(task_, tiles[i].begin + tiles[i].n, end_, coming);
      const bool last = coming.n == 0;
      if (last && next_ != nullptr) set_tile(*next_, next_->begin, next_->end, coming);
      add_tile(tiles[i], coming);
      if (last) break;
    }
    leave_partials();
  }

  /// Makes `tile` the task's keys from `begin` to the end of their tile, at most to `end`; perhaps none.
  void set_tile(const Task& task, std::int32_t begin, std::int32_t end, Tile<Stored>& tile) const {
    const HeadRows<Stored> keys = rows_of(call_.kv.keys, task.head);
    const HeadRows<Stored> values = rows_of(call_.kv.values, task.head);
    tile.begin = begin;
    tile.n = 0;
    tile.adjacent = true;
    for_each_run_of(piece_of(task), begin, std::min(end, begin / kTile * kTile + kTile),
                    [&](Slot first, std::int32_t count) {
                      tile.adjacent = tile.adjacent && (tile.n == 0 || first == tile.slots[0] + tile.n);
                      const Stored* key = keys.row(first);
                      const Stored* value = values.row(first);
                      for (std::int32_t i = 0; i < count; ++i) {
                        tile.slots[tile.n + i] = first + i;
                        tile.keys[tile.n + i] = key + i * keys.stride;
                        tile.values[tile.n + i] = value + i * values.stride;
                      }
                      tile.n += count;
                    });
    tile.keys[tile.n] = tile.values[tile.n] = reinterpret_cast<const Stored*>(s_.zeros);
  }

  /// Lets zeros stand for the key before the window of the only row, which is there for its pair.
  void blank_hidden(Tile<Stored>& tile) const {
    for (std::int32_t i = 0; i < tile.n && tile.begin + i < latest_; ++i) {
      tile.keys[i] = tile.values[i] = reinterpret_cast<const Stored*>(s_.zeros);
      tile.adjacent = false;
    }
  }

  Prefetch prefetch_of(const Stored* const* rows, std::int32_t n) const {
    return {reinterpret_cast<const char* const*>(rows), n, dim() * static_cast<std::int32_t>(sizeof(Stored))};
  }

  void add_tile(const Tile<Stored>& tile, const Tile<Stored>& next) {
    const std::ptrdiff_t stride = call_.kv.slot_stride;
    Prefetch values = prefetch_of(tile.values, tile.n);
    score(tile, values);
    weigh(tile);
    Prefetch keys = prefetch_of(next.keys, next.n);
    const std::int32_t depth = Form::depth_of_values(tile.n);
#if HWY_TARGET == HWY_AVX2
    if constexpr (Form::kSplits) {
      if (split_)
        return add_split_values(task_.n_queries, {tile.values, s_.scores, s_.out, dim(), depth, s_.shrink, &keys});
    }
#endif
    if (few_) {
      add_few_values<Form, Stored>(task_.n_queries, {tile.values, s_.scores, s_.out, dim(), depth, s_.shrink, &keys});
      return;
    }
    const Matrix v = Form::values(tile, stride, dim(), s_.values);
    add_values<typename Form::Multiply>({v.at, v.stride, s_.scores, s_.out, lanes_, depth, s_.shrink, &keys}, dim());
  }

  void score(const Tile<Stored>& tile, Prefetch& prefetch) {
    const std::ptrdiff_t stride = call_.kv.slot_stride;
#if HWY_TARGET == HWY_AVX2
    if constexpr (Form::kSplits) {
      if (split_) {
        const Matrix k = raw_matrix(tile.keys, tile.n, tile.adjacent, stride, dim(), s_.keys);
        return score_split({k.at, k.stride, s_.queries, s_.scores, lanes_, dim() / 2, &prefetch}, tile.n);
      }
    }
#endif
    const Matrix k = Form::keys(tile, stride, dim(), s_.keys);
    const ScoreOperands operands{k.at,     k.stride, s_.queries, s_.scores, lanes_, Form::depth_of_scores(dim()),
                                 &prefetch};
#if ANABRANCH_AVX512
    if (few_ && task_.n_queries > 4) return score_few<typename Form::Multiply>(Full(), operands, tile.n);
    if (few_) return score_few<typename Form::Multiply>(Half(), operands, tile.n);
#endif
    score_many<typename Form::Multiply>(operands, tile.n);
  }

  /// Runs the softmax, with the scales of int8. Which instructions turn a score into a weight depends on the call's
  /// options alone: a compiler may round a product and a sum at once.
  void weigh(const Tile<Stored>& tile) {
    float key_factors[kTile];
    float value_factors[kTile];
    TileKeys keys{tile.n, tile.begin, tile.begin + tile.n > shortest_, nullptr, nullptr};
    if constexpr (sizeof(Stored) == 1) {
      const HeadRows<float> of_keys = factors(call_.kv.key_scales);
      const HeadRows<float> of_values = factors(call_.kv.value_scales);
      for (std::int32_t i = 0; i < tile.n; ++i) {
        key_factors[i] = *of_keys.row(tile.slots[i]);
        value_factors[i] = *of_values.row(tile.slots[i]);
        if (one_row_ && tile.begin + i < latest_) value_factors[i] = 0.0f;
      }
      keys.key_factors = key_factors;
      keys.value_factors = value_factors;
    }
    if (call_.softcap > 0 || !call_.starts->empty()) {
      prepare_scores({call_.softcap, std::clamp(latest_ - tile.begin, 0, tile.n)}, keys, s_, lanes_);
      keys.key_factors = nullptr;
    }
    softmax<typename Form::Write>(keys, s_, lanes_);
  }

  /// Arranges the task's queries in lanes, unless the task before has left them there.
  void arrange_queries() {
    const std::int32_t share = call_.shape.share();
    const std::int32_t first = piece_.row_begin * share + task_.query_begin;
    if (s_.arranged_first == first && s_.arranged_n == task_.n_queries && s_.arranged_head == task_.head) return;
    s_.arranged_first = first;
    s_.arranged_n = task_.n_queries;
    s_.arranged_head = task_.head;
    float* rows = s_.keys;  // free between tiles
    for (std::int32_t i = 0; i < lanes_; i += 4) {
      const std::int32_t n = std::min(4, lanes_ - i);
      for (std::int32_t j = 0; j < n; ++j) arrange_query(first, i + j, rows + std::ptrdiff_t{j} * dim());
      const std::int32_t depth = Form::depth_of_scores(dim());
      const std::int32_t slots = task_.n_queries > 4 ? 8 : 4;
      if (few_ && kTwoSums && i < slots)
        transpose_twos(rows, dim(), n, depth / 2, s_.queries + 2 * i, 2 * slots);
      else if (!few_ || !kTwoSums)
        transpose(rows, dim(), n, depth, s_.queries + i, lanes_);
    }
  }

  /// Writes the query of one lane to `to`, zeros for a lane without one. `first`: index in the pass of lane 0's query.
  void arrange_query(std::int32_t first, std::int32_t lane, float* to) const {
    const std::int32_t share = call_.shape.share();
    const std::int32_t query = first + lane;
    if (lane >= task_.n_queries)
      std::fill_n(to, dim(), 0.0f);
    else
      Form::arrange_row(call_.rows.queries + query / share * call_.rows.query_stride +
                            (std::ptrdiff_t{task_.head} * share + query % share) * dim(),
                        dim(), call_.scale, to);
  }

  void leave_partials() {
    const std::int32_t n = task_.n_queries;
    std::copy_n(s_.max, n, call_.max + task_.partial);
    std::copy_n(s_.sum, n, call_.sum + task_.partial);
    float* out = call_.out + task_.partial * dim();
#if HWY_TARGET == HWY_AVX2
    if (split_) return join_split(s_.out, std::ptrdiff_t{n} * dim(), out);
#endif
    if (few_)
      std::copy_n(s_.out, std::ptrdiff_t{n} * dim(), out);
    else
      transpose(s_.out, lanes_, dim(), n, out, dim());
  }

  const Call& call_;
  Task task_;
  const Task* next_;
  Scratch& s_;
  const Piece& piece_;
  std::int32_t lanes_ = 0;
  bool split_ = false;         ///< see split-inl.hpp
  bool few_ = false;           ///< results are [queries, dim], not [dim, lanes]
  bool one_row_ = false;       ///< the task's queries are of one row
  std::int32_t begin_ = 0;     ///< smallest offset that some query sees from, or the one before it
  std::int32_t latest_ = 0;    ///< offset that all queries see from
  std::int32_t end_ = 0;       ///< largest offset that some query sees up to
  std::int32_t shortest_ = 0;  ///< offset that all queries see up to
};

template <class Element, class Form, int kDim>
void run_task(const Call& call, const Task& task, const Task* next, Scratch& scratch) {
  TaskRun<Element, Form, kDim>(call, task, next, scratch).run();
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

/// For elements that bfloat16 holds exactly: the CPU's product of bfloat16 where it has one.
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
