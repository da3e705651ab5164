// The work of one call of branch attention, cut into tasks at fixed offsets inside segments.
//
// A piece is cut into chunks. A task is one chunk for one KV head and up to kMaxLanes queries; one thread runs it, and
// it leaves one partial state per query: maximum, sum, and unscaled output. Afterwards each query's partial states are
// merged in history order. With a window, a chunk that no row has in its window is left out, and a task begins at the
// first key that one of its rows sees. Plain C++.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <anabranch/attention/kv_tensors.hpp>
#include <anabranch/mask/pieces.hpp>
#include <anabranch/mask/window_starts.hpp>
#include <anabranch/pool/indexed_vector.hpp>

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
/// The last chunk boundary up to `offset`.
constexpr std::int32_t chunk_begin(std::int32_t offset) noexcept {
  const std::int32_t size = offset < kLongFrom ? kShortChunk : kLongChunk;
  return offset / size * size;
}

/// Where the keys of a tile begin when the first of them that is needed is `offset`: there or one key before it. Keys
/// are weighed in pairs, which must be the same ones whatever is needed. `piece_begin`: where the piece's keys begin.
constexpr std::int32_t paired_begin(std::int32_t offset, std::int32_t piece_begin) noexcept {
  const std::int32_t tile = offset / kTile * kTile;
  return offset - (offset - (tile > piece_begin ? tile : piece_begin)) % 2;
}

/// Queries [query_begin, query_begin + n_queries) of KV head `head` over keys [begin, end) of a piece. Query i is the
/// i-th of the piece's rows times the query heads that share the KV head, row by row.
struct Task {
  Index<Piece> piece;
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
  /// `starts`: of the list, empty without a window.
  void build(const PieceList& list, const WindowStarts& starts, const HeadShape& shape);

  const std::vector<Task>& tasks() const noexcept { return tasks_; }
  /// A job is some tasks that one thread runs in order: together they take long enough to be worth handing out.
  std::int32_t n_jobs() const noexcept { return job_ends_.size(); }
  std::span<const Task> job(std::int32_t index) const noexcept {
    const auto begin = index == 0 ? 0 : job_ends_[index - 1];
    return {tasks_.begin() + begin, tasks_.begin() + job_ends_[index]};
  }
  std::int64_t n_partials() const noexcept { return n_partials_; }
  /// The row's chunks, in history order.
  std::span<const RowPart> parts(RowIndex row) const noexcept {
    return {parts_.begin() + first_part_[row], parts_.begin() + first_part_[row + 1]};
  }
  std::int64_t n_scores() const noexcept { return n_scores_; }  ///< queries times keys; the work grows with it

 private:
  struct Chunk {
    Index<Piece> piece;
    std::int32_t begin, end;
    RowIndex row_begin, row_end;  ///< from the first to the last row that sees some of it
    std::int64_t partial;
  };
  void cut(const PieceList& list, const WindowStarts& starts, const HeadShape& shape);
  void add_tasks(const PieceList& list, const WindowStarts& starts, const HeadShape& shape);
  void gather_jobs(const HeadShape& shape);
  void list_parts(const PieceList& list, const WindowStarts& starts, const HeadShape& shape);

  std::vector<Chunk> chunks_;
  std::vector<Task> tasks_;
  IndexedVector<std::ptrdiff_t, std::int32_t> job_ends_;  ///< [n_jobs]: index behind its last task
  IndexedVector<std::int32_t, RowIndex> first_part_;      ///< [n_rows + 1]
  IndexedVector<RowPart, std::int32_t> parts_;
  std::int64_t n_partials_ = 0;
  std::int64_t n_scores_ = 0;
};

}  // namespace anabranch::attention
