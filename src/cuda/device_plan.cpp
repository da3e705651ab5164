#include <anabranch/cuda/device_plan.hpp>

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>
#include <tuple>
#include <vector>

#include <anabranch/error.hpp>
#include <anabranch/mask/pieces.hpp>
#include <anabranch/mask/window_starts.hpp>

#include "head_shapes.hpp"
#include "plan_layout.hpp"

namespace anabranch::cuda {
namespace {

constexpr std::int32_t kSmallestBucket = 16;

std::int32_t n_chunks(std::int32_t begin, std::int32_t end) {
  return (end + kChunkKeys - 1) / kChunkKeys - begin / kChunkKeys;
}

void check_size(std::int64_t size, std::int32_t limit, const char* what) {
  if (size > limit) fail(Status::limit_reached, "the plan needs ", size, " ", what, ", the limit is ", limit);
}

std::int32_t bucket_of(std::int64_t size, std::int32_t at_least, std::int32_t limit, const char* what) {
  check_size(std::max<std::int64_t>(size, at_least), limit, what);
  const std::int64_t rounded = std::bit_ceil(static_cast<std::uint64_t>(std::max<std::int64_t>(size, kSmallestBucket)));
  return static_cast<std::int32_t>(std::min<std::int64_t>(std::max<std::int64_t>(rounded, at_least), limit));
}

void check_limits(const PlanSizes& limits) {
  for (const std::int32_t limit : {limits.n_rows, limits.n_tasks, limits.n_states, limits.n_runs})
    if (limit < 1) fail(Status::bad_argument, "a limit of a device plan is ", limit, ", at least 1");
}

}  // namespace

std::size_t plan_bytes(const PlanSizes& bucket) noexcept { return packed_plan(nullptr, bucket).n_bytes; }

std::size_t workspace_bytes(const HeadShape& shape, const PlanSizes& bucket) noexcept {
  const std::int64_t n_floats = std::int64_t{bucket.n_states} * shape.query_heads * (shape.head_dim + 2);
  return sizeof(float) * static_cast<std::size_t>(n_floats);
}

struct DevicePlan::Impl {
  HeadShape shape;
  PlanSizes limits;
  std::int32_t window = 0;
  PlanSizes sizes, bucket;
  std::int32_t n_slots = 0;
  std::vector<std::byte> packed, spare;

  // Of the plan that is being built:
  PieceList list;
  WindowStarts starts;
  std::vector<Piece> pieces;               ///< the list's, those of one segment with one begin together
  std::vector<std::int32_t> first_states;  ///< [list.n_limits()]: index of the first state of a row of a piece
  std::vector<std::int32_t> seen;          ///< [n_rows]: up to where the row has seen the segment at hand
  std::vector<Task> tasks;
  std::vector<Entry> entries;
  std::vector<Run> runs;
  std::vector<std::int32_t> row_states;

  void number_states();
  void sort_pieces();
  void check_seen_once();
  void add_stretches();
  std::int32_t start(const Piece& piece, std::size_t i) const;
  std::int32_t first_seen(std::span<const Piece> stretch) const;
  void add_runs(const Piece& longest, std::int32_t first);
  void add_chunk(std::span<const Piece> stretch, Task chunk);
  void pack(const StepPlan& plan, const PlanSizes& at_least);
};

DevicePlan::DevicePlan(const HeadShape& shape, const PlanSizes& limits, std::int32_t window)
    : impl_(std::make_unique<Impl>()) {
  check_head_shape(shape);
  check_limits(limits);
  impl_->shape = shape;
  impl_->limits = limits;
  if (window < 0) fail(Status::bad_argument, "window is ", window, ", must be 0 (none) or more");
  impl_->window = window;
}
DevicePlan::DevicePlan(DevicePlan&&) noexcept = default;
DevicePlan& DevicePlan::operator=(DevicePlan&&) noexcept = default;
DevicePlan::~DevicePlan() = default;

const PlanSizes& DevicePlan::sizes() const noexcept { return impl_->sizes; }
const PlanSizes& DevicePlan::bucket() const noexcept { return impl_->bucket; }
std::span<const std::byte> DevicePlan::bytes() const noexcept { return impl_->packed; }
std::int32_t DevicePlan::n_slots() const noexcept { return impl_->n_slots; }
const HeadShape& DevicePlan::shape() const noexcept { return impl_->shape; }
std::int32_t DevicePlan::window() const noexcept { return impl_->window; }

void DevicePlan::build(const StepPlan& plan, const PlanSizes& at_least) {
  Impl& impl = *impl_;
  impl.list.build(plan.groups, plan.views, {plan.n_rows(), plan.n_slots});
  impl.starts.build(impl.list, impl.window);
  impl.number_states();
  impl.sort_pieces();
  impl.check_seen_once();
  impl.tasks.clear();
  impl.entries.clear();
  impl.runs.clear();
  impl.add_stretches();
  impl.pack(plan, at_least);
}

/// Row by row, each row's states in history order.
void DevicePlan::Impl::number_states() {
  const auto visit = [this](auto&& seen_by) {
    for (const Piece& piece : list.pieces()) {
      const std::span<const std::int32_t> ends = list.limits(piece);
      for (std::size_t i = 0; i < ends.size(); ++i) {
        const auto index = static_cast<std::int32_t>(i);
        const std::int32_t begin = start(piece, i);
        if (ends[i] > begin) seen_by(piece.row_begin + index, n_chunks(begin, ends[i]), piece.first_limit + index);
      }
    }
  };
  row_states.assign(static_cast<std::size_t>(list.n_rows()) + 1, 0);
  std::int64_t n_states = 0;
  std::int32_t* const states = row_states.data();
  visit([&](std::int32_t row, std::int32_t n, std::int32_t) {
    n_states += n;
    states[row + 1] += n;
  });
  check_size(n_states, limits.n_states, "states");
  for (std::size_t row = 1; row < row_states.size(); ++row) row_states[row] += row_states[row - 1];
  first_states.assign(list.n_limits(), 0);
  // Filling moves row_states[row] to where the next row's states begin, so all are moved back by one afterwards.
  visit([&](std::int32_t row, std::int32_t n, std::int32_t limit) {
    first_states.begin()[limit] = states[row];
    states[row] += n;
  });
  for (std::size_t row = row_states.size() - 1; row > 0; --row) row_states[row] = row_states[row - 1];
  row_states.front() = 0;
}

void DevicePlan::Impl::sort_pieces() {
  pieces.assign(list.pieces().begin(), list.pieces().end());
  const auto before = [](const Piece& a, const Piece& b) {
    return std::tie(a.segment, a.begin, a.row_begin) < std::tie(b.segment, b.begin, b.row_begin);
  };
  if (!std::is_sorted(pieces.begin(), pieces.end(), before)) std::sort(pieces.begin(), pieces.end(), before);
}

/// A row may see a key once only, or its states could not be told apart.
void DevicePlan::Impl::check_seen_once() {
  for (std::size_t p = 0; p < pieces.size(); ++p) {
    const Piece& piece = pieces[p];
    if (p == 0 || piece.segment != pieces[p - 1].segment) seen.assign(row_states.size() - 1, 0);
    const std::span<const std::int32_t> ends = list.limits(piece);
    std::int32_t* const seen_by = seen.data() + piece.row_begin;
    for (std::size_t i = 0; i < ends.size(); ++i) {
      std::int32_t& row_seen = seen_by[i];
      if (ends[i] > piece.begin && piece.begin < row_seen)
        fail(Status::bad_argument, "row ", piece.row_begin + static_cast<RowIndex>(i), " sees token ", piece.begin,
             " of segment ", piece.segment, " twice");
      row_seen = std::max(row_seen, ends[i]);
    }
  }
}

/// The first token that row i of the piece sees; its limit, where it sees none.
std::int32_t DevicePlan::Impl::start(const Piece& piece, std::size_t i) const {
  const std::span<const std::int32_t> of_piece = starts.starts(piece);
  return of_piece.empty() ? piece.begin : of_piece[i];
}

/// The first token that some row of the stretch sees.
std::int32_t DevicePlan::Impl::first_seen(std::span<const Piece> stretch) const {
  std::int32_t first = stretch.front().begin;
  if (starts.empty()) return first;
  first = kUnlimited;
  for (const Piece& piece : stretch) first = std::min(first, *std::ranges::min_element(starts.starts(piece)));
  return first;
}

/// A stretch is the pieces of one segment with one begin.
void DevicePlan::Impl::add_stretches() {
  for (std::size_t first = 0, last = 0; first < pieces.size(); first = last) {
    const Piece* longest = &pieces[first];
    for (; last < pieces.size() && pieces[last].segment == longest->segment && pieces[last].begin == longest->begin;
         ++last)
      if (pieces[last].end > longest->end) longest = &pieces[last];
    const std::span<const Piece> stretch = std::span(pieces).subspan(first, last - first);
    const std::int32_t first_key = first_seen(stretch);
    if (first_key >= longest->end) continue;
    std::size_t run = runs.size();
    add_runs(*longest, first_key);
    for (std::int32_t c = first_key / kChunkKeys * kChunkKeys; c < longest->end; c += kChunkKeys) {
      Task chunk;
      chunk.chunk_begin = c;
      const std::int32_t key_end = std::min(c + kChunkKeys, longest->end);
      chunk.run_begin = static_cast<std::int32_t>(run);
      while (run < runs.size() && runs[run].offset < key_end) ++run;
      chunk.run_end = static_cast<std::int32_t>(run);
      add_chunk(stretch, chunk);
      if (run == runs.size() || runs[run].offset > key_end) --run;  // the last run goes on in the next chunk
    }
  }
}

/// Adds the runs of the stretch's piece that reaches furthest, from the token `first` on.
void DevicePlan::Impl::add_runs(const Piece& longest, std::int32_t first) {
  for (const SlotRun& run : list.runs(longest))
    if (run.offset < longest.end && run.offset + run.count > first) runs.push_back({run.first, run.offset});
}

/// Adds one task for every so many rows that see the chunk as a thread block takes.
void DevicePlan::Impl::add_chunk(std::span<const Piece> stretch, Task chunk) {
  const std::int32_t rows_of_block = kBlockQueries / shape.share();
  const std::int32_t chunk_end = chunk.chunk_begin + kChunkKeys;
  Task* task = nullptr;
  for (const Piece& piece : stretch) {
    const std::span<const std::int32_t> ends = list.limits(piece);
    const std::int32_t* const firsts = first_states.data() + piece.first_limit;
    for (std::size_t i = 0; i < ends.size(); ++i) {
      const std::int32_t row_begin = start(piece, i);
      const std::int32_t begin = std::max(row_begin, chunk.chunk_begin), end = std::min(ends[i], chunk_end);
      if (begin >= end) continue;
      if (task == nullptr || task->n_entries == rows_of_block) {
        task = &tasks.emplace_back(chunk);
        task->entry_begin = static_cast<std::int32_t>(entries.size());
        task->key_begin = begin;
      }
      const std::int32_t state = firsts[i] + chunk.chunk_begin / kChunkKeys - row_begin / kChunkKeys;
      entries.push_back({piece.row_begin + static_cast<RowIndex>(i), begin, end, state});
      task->key_begin = std::min(task->key_begin, begin);
      task->key_end = std::max(task->key_end, end);
      ++task->n_entries;
    }
  }
}

void DevicePlan::Impl::pack(const StepPlan& plan, const PlanSizes& at_least) {
  const PlanSizes need{plan.n_rows(), static_cast<std::int32_t>(tasks.size()),
                       static_cast<std::int32_t>(entries.size()), static_cast<std::int32_t>(runs.size())};
  const PlanSizes sizes_of_bucket{bucket_of(need.n_rows, at_least.n_rows, limits.n_rows, "rows"),
                                  bucket_of(need.n_tasks, at_least.n_tasks, limits.n_tasks, "tasks"),
                                  bucket_of(need.n_states, at_least.n_states, limits.n_states, "states"),
                                  bucket_of(need.n_runs, at_least.n_runs, limits.n_runs, "runs")};
  spare.assign(plan_bytes(sizes_of_bucket), std::byte{0});
  const PackedPlan out = packed_plan(spare.data(), sizes_of_bucket);
  *out.counts = need;
  std::copy(tasks.begin(), tasks.end(), out.tasks);
  std::copy(entries.begin(), entries.end(), out.entries);
  std::copy(runs.begin(), runs.end(), out.runs);
  std::copy(row_states.begin(), row_states.end(), out.row_states);
  packed.swap(spare);
  sizes = need;
  bucket = sizes_of_bucket;
  n_slots = plan.n_slots;
}

}  // namespace anabranch::cuda
