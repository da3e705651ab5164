#include <anabranch/attention/branch_attention.hpp>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <string>
#include <utility>

#include <anabranch/error.hpp>
#include <anabranch/simd.hpp>

#include "kernels.hpp"
#include "schedule.hpp"

namespace anabranch::attention {
namespace {

constexpr std::int64_t kAlignment = 64;
/// Queries times keys times head_dim below which a second thread costs more than it saves.
constexpr std::int64_t kWorthSharing = 1 << 17;
/// The same for merging: partial states times head_dim.
constexpr std::int64_t kWorthSharingMerge = 1 << 13;
/// Nanoseconds that merging takes per partial state and dimension, roughly.
constexpr double kMergeTime = 0.15;

/// Bytes of `n` elements, up to where the next array may begin.
template <class T = float>
constexpr std::int64_t bytes_of(std::int64_t n) noexcept {
  const std::int64_t bytes = n * std::int64_t{sizeof(T)};
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

/// Hands out parts of a block of memory, one behind the other.
class BumpAllocator {
 public:
  explicit BumpAllocator(std::byte* begin) noexcept : at_(begin) {}
  template <class T = float>
  T* take(std::int64_t n) noexcept {
    T* const part = reinterpret_cast<T*>(at_);
    at_ += bytes_of<T>(n);
    return part;
  }

 private:
  std::byte* at_;
};

std::byte* align(std::byte* at) noexcept {
  return at + (kAlignment - reinterpret_cast<std::uintptr_t>(at) % kAlignment) % kAlignment;
}

std::int64_t partial_bytes(std::int64_t n_partials, std::int32_t head_dim) noexcept {
  return 2 * bytes_of(n_partials) + bytes_of(n_partials * head_dim);
}

void check_shape(const HeadShape& s) {
  const auto require = [](bool holds, const char* name, std::int32_t value, const char* limit) {
    if (!holds) fail(Status::bad_argument, name, " is ", value, ", must be ", limit);
  };
  require(s.kv_heads > 0, "kv_heads", s.kv_heads, "positive");
  require(s.query_heads > 0 && s.query_heads % s.kv_heads == 0, "query_heads", s.query_heads,
          "a positive multiple of kv_heads");
  require(s.head_dim > 0 && s.head_dim <= 1024, "head_dim", s.head_dim, "1 to 1024");
}

void check_kv(const KvTensors& kv, Slot highest) {
  if (kv.keys == nullptr || kv.values == nullptr)
    fail(Status::bad_argument, "the K/V tensors' keys or values are null");
  if (highest >= kv.n_slots)
    fail(Status::bad_argument, "slot ", highest, " is planned, the K/V tensors have ", kv.n_slots);
  if (kv.element == Element::int8 && (kv.key_scales == nullptr || kv.value_scales == nullptr))
    fail(Status::bad_argument, "K/V tensors of int8 without scales");
}

void check_rows(const Rows& rows, const HeadShape& shape) {
  if (rows.queries == nullptr || rows.out == nullptr) fail(Status::bad_argument, "queries or out is null");
  for (const std::int64_t stride : {rows.query_stride, rows.out_stride})
    if (stride < shape.q_width())
      fail(Status::bad_argument, "a row stride is ", stride, ", must be ", shape.q_width(),
           " or more (query_heads * head_dim)");
}

}  // namespace

std::int64_t Scratch::bytes(std::int32_t head_dim) noexcept {
  // `keys` is also where four queries at a time wait to be transposed into lanes, so it has room for four rows.
  return 2 * bytes_of(head_dim * kMaxLanes) + bytes_of(kTile * kMaxLanes) + 2 * bytes_of(head_dim * kTile) +
         bytes_of(head_dim) + 5 * bytes_of(kMaxLanes);
}

Scratch Scratch::over(std::byte* memory, std::int32_t head_dim) noexcept {
  BumpAllocator allocator(memory);
  Scratch s;
  s.queries = allocator.take(head_dim * kMaxLanes);
  s.out = allocator.take(head_dim * kMaxLanes);
  s.scores = allocator.take(kTile * kMaxLanes);
  s.keys = allocator.take(head_dim * kTile);
  s.values = allocator.take(head_dim * kTile);
  s.max = allocator.take(kMaxLanes);
  s.sum = allocator.take(kMaxLanes);
  s.shrink = allocator.take(kMaxLanes);
  s.zeros = allocator.take(head_dim);
  std::fill_n(s.zeros, head_dim, 0.0f);
  s.limits = allocator.take<std::int32_t>(kMaxLanes);
  s.starts = allocator.take<std::int32_t>(kMaxLanes);
  return s;
}

Kernels kernels_for(Element element, std::int32_t head_dim) {
  simd::prepare();
  Kernels kernels;
  kernels.merge_row = row_merger();
  switch (element) {
    case Element::float32: kernels.run_task = float32_task(head_dim); break;
    case Element::bfloat16: kernels.run_task = bfloat16_task(head_dim); break;
    case Element::float16: kernels.run_task = float16_task(head_dim); break;
    case Element::int8: kernels.run_task = int8_task(head_dim); break;
  }
  if (kernels.run_task == nullptr)
    fail(Status::bad_argument, "element is ", static_cast<int>(element), ", must be 0 to 3");
  return kernels;
}

struct BranchAttention::Impl {
  HeadShape shape;
  ScoreOptions options;
  PieceList list, next_list;  ///< the next list is built beside the current one, which stays when that fails
  WindowStarts starts, next_starts;
  Schedule schedule, next_schedule;

  std::int32_t useful_workers(std::int32_t n_workers) const noexcept {
    if (schedule.n_scores() * shape.head_dim < kWorthSharing) return 1;
    return std::max(1, std::min(n_workers, schedule.n_jobs()));
  }
  void attend(const Call& call, const Kernels& kernels, std::byte* scratch, const ParallelFor& parallel) const;
  void merge(const Call& call, const Kernels& kernels, const ParallelFor& parallel, const Epilogue& epilogue) const;
};

void BranchAttention::Impl::attend(const Call& call, const Kernels& kernels, std::byte* scratch,
                                   const ParallelFor& parallel) const {
  const std::int32_t n_jobs = schedule.n_jobs();
  const std::int64_t scratch_bytes = Scratch::bytes(shape.head_dim);
  std::atomic<std::int32_t> next{0};
  parallel(useful_workers(parallel.n_workers()), [&](std::int32_t worker) {
    Scratch own = Scratch::over(scratch + worker * scratch_bytes, shape.head_dim);
    for (std::int32_t i = next++; i < n_jobs;) {
      const std::int32_t after = next++;
      const std::span<const Task> job = schedule.job(i);
      for (std::size_t t = 0; t < job.size(); ++t) {
        const bool last = t + 1 == job.size();
        const Task* const coming = !last ? &job[t + 1] : after < n_jobs ? schedule.job(after).data() : nullptr;
        kernels.run_task(call, job[t], coming, own);
      }
      i = after;
    }
  });
}

void BranchAttention::Impl::merge(const Call& call, const Kernels& kernels, const ParallelFor& parallel,
                                  const Epilogue& epilogue) const {
  const std::int64_t size = schedule.n_partials() * shape.head_dim;
  const double time = kMergeTime * static_cast<double>(size);
  const auto run = [&](RowIndex begin, RowIndex end) {
    for (RowIndex row = begin; row < end; ++row) kernels.merge_row(call, row);
    epilogue(begin, end);
  };
  (size >= kWorthSharingMerge ? parallel : ParallelFor{}).in_parts(list.n_rows(), time, run);
}

BranchAttention::BranchAttention(const HeadShape& shape, const ScoreOptions& options)
    : impl_(std::make_unique<Impl>()) {
  check_shape(shape);
  check_score_options(options);
  impl_->shape = shape;
  impl_->options = options;
}
BranchAttention::BranchAttention(BranchAttention&&) noexcept = default;
BranchAttention& BranchAttention::operator=(BranchAttention&&) noexcept = default;
BranchAttention::~BranchAttention() = default;

const HeadShape& BranchAttention::shape() const noexcept { return impl_->shape; }
const ScoreOptions& BranchAttention::options() const noexcept { return impl_->options; }

void BranchAttention::plan(std::span<const VisibilityGroup> groups, std::span<const View> views, std::int32_t n_rows) {
  impl_->next_list.build(groups, views, {.n_rows = n_rows});
  impl_->next_starts.build(impl_->next_list, impl_->options.window);
  impl_->next_schedule.build(impl_->next_list, impl_->next_starts, impl_->shape);
  std::swap(impl_->list, impl_->next_list);
  std::swap(impl_->starts, impl_->next_starts);
  std::swap(impl_->schedule, impl_->next_schedule);
}

std::size_t BranchAttention::workspace_bytes(std::int32_t n_workers) const noexcept {
  const std::int64_t scratch = impl_->useful_workers(n_workers) * Scratch::bytes(impl_->shape.head_dim);
  return static_cast<std::size_t>(kAlignment + partial_bytes(impl_->schedule.n_partials(), impl_->shape.head_dim) +
                                  scratch);
}

void BranchAttention::run(const Rows& rows, const KvTensors& kv, std::span<std::byte> workspace,
                          const ParallelFor& parallel, const Epilogue& epilogue) const {
  if (impl_->list.n_rows() == 0) return;
  check_rows(rows, impl_->shape);
  check_kv(kv, impl_->list.highest_slot());
  const std::size_t needed = workspace_bytes(parallel.n_workers());
  if (workspace.size() < needed)
    fail(Status::bad_argument, "the workspace has ", workspace.size(), " bytes, needed are ", needed);
  const Kernels kernels = kernels_for(kv.element, impl_->shape.head_dim);
  const std::int64_t n_partials = impl_->schedule.n_partials();
  BumpAllocator allocator(align(workspace.data()));
  constexpr float kLog2E = 1.44269504088896341f;
  Call call;
  call.rows = rows;
  call.kv = kv;
  call.shape = impl_->shape;
  call.scale = kLog2E * scale_of(impl_->options, impl_->shape.head_dim);
  call.softcap = kLog2E * impl_->options.softcap;
  call.list = &impl_->list;
  call.starts = &impl_->starts;
  call.schedule = &impl_->schedule;
  call.max = allocator.take(n_partials);
  call.sum = allocator.take(n_partials);
  call.out = allocator.take(n_partials * impl_->shape.head_dim);
  impl_->attend(call, kernels, allocator.take<std::byte>(0), parallel);
  impl_->merge(call, kernels, parallel, epilogue);
}

}  // namespace anabranch::attention
