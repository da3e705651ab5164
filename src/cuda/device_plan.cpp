#include <anabranch/cuda/device_plan.hpp>

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>
#include <tuple>
#include <vector>

#include <anabranch/error.hpp>

#include "head_shapes.hpp"
#include "plan_layout.hpp"
#include "row_paths.hpp"

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
  return sizeof(float) * static_cast<std::size_t>(bucket.n_states) * static_cast<std::size_t>(shape.query_heads) *
         static_cast<std::size_t>(shape.head_dim + 2);
}

struct DevicePlan::Impl {
  HeadShape shape;
  PlanSizes limits;
  PlanSizes sizes, bucket;
  std::int32_t n_slots = 0;
  std::vector<std::byte> packed, spare;

  // Of the plan that is being built.
  RowPaths paths;
  std::vector<Task> tasks;
  std::vector<Entry> entries;
  std::vector<Run> runs;
  std::vector<std::int32_t> row_states;

  void number_states(const StepPlan& plan);
  void sort_pieces();
  void add_stretches(const StepPlan& plan);
  std::int32_t add_runs(const StepPlan& plan, const Piece& longest);
  void add_chunk(std::span<const Piece> pieces, Task chunk);
  void pack(const StepPlan& plan, const PlanSizes& at_least);
};

DevicePlan::DevicePlan(const HeadShape& shape, const PlanSizes& limits) : impl_(std::make_unique<Impl>()) {
  check_head_shape(shape);
  check_limits(limits);
  impl_->shape = shape;
  impl_->limits = limits;
}
DevicePlan::DevicePlan(DevicePlan&&) noexcept = default;
DevicePlan& DevicePlan::operator=(DevicePlan&&) noexcept = default;
DevicePlan::~DevicePlan() = default;

const PlanSizes& DevicePlan::sizes() const noexcept { return impl_->sizes; }
const PlanSizes& DevicePlan::bucket() const noexcept { return impl_->bucket; }
std::span<const std::byte> DevicePlan::bytes() const noexcept { return impl_->packed; }
std::int32_t DevicePlan::n_slots() const noexcept { return impl_->n_slots; }
const HeadShape& DevicePlan::shape() const noexcept { return impl_->shape; }

void DevicePlan::build(const StepPlan& plan, const PlanSizes& at_least) {
  Impl& impl = *impl_;
  impl.paths.build(plan);
  impl.number_states(plan);
  impl.sort_pieces();
  impl.tasks.clear();
  impl.entries.clear();
  impl.runs.clear();
  impl.add_stretches(plan);
  impl.pack(plan, at_least);
}

void DevicePlan::Impl::number_states(const StepPlan& plan) {
  row_states.assign(static_cast<std::size_t>(plan.n_rows()) + 1, 0);
  std::int64_t n_states = 0;
  for (Piece& piece : paths.pieces()) {
    piece.first_state = static_cast<std::int32_t>(n_states);
    n_states += n_chunks(piece.begin, piece.end);
    check_size(n_states, limits.n_states, "states");
    row_states[static_cast<std::size_t>(piece.row) + 1] = static_cast<std::int32_t>(n_states);
  }
}

/// Pieces of one segment with the same begin come together: a stretch. A row may see a key once only.
void DevicePlan::Impl::sort_pieces() {
  std::vector<Piece>& pieces = paths.pieces();
  const auto by_row = [](const Piece& a, const Piece& b) {
    return std::tie(a.segment, a.row, a.begin) < std::tie(b.segment, b.row, b.begin);
  };
  std::sort(pieces.begin(), pieces.end(), by_row);
  for (std::size_t i = 1; i < pieces.size(); ++i)
    if (pieces[i].segment == pieces[i - 1].segment && pieces[i].row == pieces[i - 1].row &&
        pieces[i].begin < pieces[i - 1].end)
      fail(Status::bad_argument, "row ", pieces[i].row, " sees token ", pieces[i].begin, " of segment ",
           pieces[i].segment, " twice");
  const auto by_begin = [](const Piece& a, const Piece& b) {
    return std::tie(a.segment, a.begin, a.row) < std::tie(b.segment, b.begin, b.row);
  };
  if (!std::is_sorted(pieces.begin(), pieces.end(), by_begin)) std::sort(pieces.begin(), pieces.end(), by_begin);
}

void DevicePlan::Impl::add_stretches(const StepPlan& plan) {
  const std::vector<Piece>& pieces = paths.pieces();
  for (std::size_t first = 0, last = 0; first < pieces.size(); first = last) {
    const Piece* longest = &pieces[first];
    while (last < pieces.size() && pieces[last].segment == pieces[first].segment &&
           pieces[last].begin == pieces[first].begin) {
      if (pieces[last].end > longest->end) longest = &pieces[last];
      ++last;
    }
    std::int32_t run = add_runs(plan, *longest);
    for (std::int32_t c = longest->begin / kChunkKeys * kChunkKeys; c < longest->end; c += kChunkKeys) {
      Task chunk;
      chunk.chunk_begin = c;
      chunk.key_begin = std::max(c, longest->begin);
      const std::int32_t key_end = std::min(c + kChunkKeys, longest->end);
      chunk.run_begin = run;
      while (static_cast<std::size_t>(run) < runs.size() && runs[static_cast<std::size_t>(run)].offset < key_end) ++run;
      chunk.run_end = run;
      add_chunk(std::span(pieces).subspan(first, last - first), chunk);
      if (static_cast<std::size_t>(run) == runs.size() || runs[static_cast<std::size_t>(run)].offset > key_end)
        --run;  // the last run goes on in the next chunk
    }
  }
}

/// Appends the runs of the piece that reaches furthest. Returns the first one's index.
std::int32_t DevicePlan::Impl::add_runs(const StepPlan& plan, const Piece& longest) {
  const std::size_t first_run = runs.size();
  std::int32_t offset = longest.begin;
  for (std::int32_t v = longest.view_begin; v < longest.view_end; ++v) {
    const View& view = plan.views[static_cast<std::size_t>(paths.views()[static_cast<std::size_t>(v)])];
    for_each_run(view, [&](Slot first, std::int32_t count) {
      const bool goes_on = runs.size() > first_run && runs.back().first + (offset - runs.back().offset) == first;
      if (!goes_on && offset < longest.end) runs.push_back({first, offset});
      offset += count;
    });
  }
  return static_cast<std::int32_t>(first_run);
}

/// One task for every `rows_of_block` rows that see the chunk.
void DevicePlan::Impl::add_chunk(std::span<const Piece> pieces, Task chunk) {
  const std::int32_t rows_of_block = kBlockQueries / shape.share();
  Task* task = nullptr;
  for (const Piece& piece : pieces) {
    if (piece.end <= chunk.key_begin) continue;
    if (task == nullptr || task->n_entries == rows_of_block) {
      task = &tasks.emplace_back(chunk);
      task->entry_begin = static_cast<std::int32_t>(entries.size());
    }
    const std::int32_t end = std::min(piece.end, chunk.chunk_begin + kChunkKeys);
    const std::int32_t state =
        piece.first_state + (chunk.chunk_begin - piece.begin / kChunkKeys * kChunkKeys) / kChunkKeys;
    entries.push_back({piece.row, end, state});
    task->key_end = std::max(task->key_end, end);
    ++task->n_entries;
  }
}

void DevicePlan::Impl::pack(const StepPlan& plan, const PlanSizes& at_least) {
  const PlanSizes need{plan.n_rows(), static_cast<std::int32_t>(tasks.size()),
                       static_cast<std::int32_t>(entries.size()), static_cast<std::int32_t>(runs.size())};
  const PlanSizes room{bucket_of(need.n_rows, at_least.n_rows, limits.n_rows, "rows"),
                       bucket_of(need.n_tasks, at_least.n_tasks, limits.n_tasks, "tasks"),
                       bucket_of(need.n_states, at_least.n_states, limits.n_states, "states"),
                       bucket_of(need.n_runs, at_least.n_runs, limits.n_runs, "runs")};
  spare.assign(plan_bytes(room), std::byte{0});
  const PackedPlan out = packed_plan(spare.data(), room);
  *out.counts = need;
  std::copy(tasks.begin(), tasks.end(), out.tasks);
  std::copy(entries.begin(), entries.end(), out.entries);
  std::copy(runs.begin(), runs.end(), out.runs);
  std::copy(row_states.begin(), row_states.end(), out.row_states);
  packed.swap(spare);
  sizes = need;
  bucket = room;
  n_slots = plan.n_slots;
}

}  // namespace anabranch::cuda
