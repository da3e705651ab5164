// The work of one call of branch attention, cut into tasks at fixed offsets inside segments.
//
// A piece is cut into chunks. A task is one chunk for one KV head and up to kMaxLanes queries; one thread runs it, and
// it leaves one partial state per query: maximum, sum, and unscaled output. Afterwards each query's partial states are
// merged in history order. Plain C++.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <anabranch/attention/kv_tensors.hpp>
#include <anabranch/mask/pieces.hpp>

namespace anabranch::attention {

/// Keys of the largest tile: its scores and the queries stay near the first-level cache.
inline constexpr std::int32_t kTile = 96;
/// Queries that are computed side by side at most.
inline constexpr std::int32_t kMaxLanes = 64;
/// Keys of a chunk: short ones at the start of a segment, so that a short context still feeds several threads.
inline constexpr std::int32_t kShortChunk = 3 * kTile;
inline constexpr std::int32_t kLongChunk = 6 * kTile;
inline constexpr std::int32_t kLongFrom = 4 * kShortChunk;

/// The first chunk boundary after `offset`.
constexpr std::int32_t chunk_end(std::int32_t offset) noexcept {
  const std::int32_t size = offset < kLongFrom ? kShortChunk : kLongChunk;
  return offset / size * size + size;
}
static_assert(kLongFrom % kLongChunk == 0);

/// Queries [query_begin, query_begin + n_queries) of KV head `head` over keys [begin, end) of a piece. Query i is the
/// i-th of the piece's rows times the query heads that share the KV head, row by row.
struct Task {
  std::int32_t piece = 0;
  std::int32_t head = 0;
  std::int32_t query_begin = 0;
  std::int32_t n_queries = 0;
  std::int32_t begin = 0;
  std::int32_t end = 0;
  std::int64_t partial = 0;  ///< index of the first query's partial state
};

/// The partial states that a row has of one chunk: those of KV head h are from `first + h * head_stride` on, one for
/// each query head that shares it.
struct RowPart {
  std::int64_t first = 0;
  std::int64_t head_stride = 0;
};

class Schedule {
 public:
  void build(const PieceList& list, const HeadShape& shape);

  const std::vector<Task>& tasks() const noexcept { return tasks_; }
  /// A job is some tasks that one thread runs in order: together they take long enough to be worth handing out.
  std::int32_t n_jobs() const noexcept { return static_cast<std::int32_t>(job_ends_.size()); }
  std::span<const Task> job(std::size_t index) const noexcept {
    const std::size_t begin = index == 0 ? 0 : job_ends_[index - 1];
    return {tasks_.data() + begin, job_ends_[index] - begin};
  }
  std::int64_t n_partials() const noexcept { return n_partials_; }
  /// The row's chunks, in history order.
  std::span<const RowPart> parts(RowIndex row) const noexcept {
    const auto r = static_cast<std::size_t>(row);
    return {parts_.data() + first_part_[r], static_cast<std::size_t>(first_part_[r + 1] - first_part_[r])};
  }
  std::int64_t n_scores() const noexcept { return n_scores_; }  ///< queries times keys; the work grows with it

 private:
  struct Chunk {
    std::int32_t piece, begin, end;
    RowIndex row_begin, row_end;  ///< from the first to the last row that sees some of it
    std::int64_t partial;
  };
  void cut(const PieceList& list, const HeadShape& shape);
  void add_tasks(const PieceList& list, const HeadShape& shape);
  void gather_jobs(const HeadShape& shape);
  void list_parts(const PieceList& list, const HeadShape& shape);

  std::vector<Chunk> chunks_;
  std::vector<Task> tasks_;
  std::vector<std::size_t> job_ends_;
  std::vector<std::int32_t> first_part_;
  std::vector<RowPart> parts_;
  std::int64_t n_partials_ = 0;
  std::int64_t n_scores_ = 0;
};

}  // namespace anabranch::attention
