#include "schedule.hpp"

#include <algorithm>
#include <span>

namespace anabranch::attention {
namespace {

/// Least queries times keys times head_dim of a job: shorter ones would wait for the counter of jobs, which travels
/// between the threads, longer than they run.
constexpr std::int64_t kJob = 1 << 15;
/// The cost of a task beside its keys, in the same unit.
constexpr std::int64_t kTask = 1 << 14;

/// The rows of a piece, and the tokens that each of them sees.
class PieceRows {
 public:
  PieceRows(const PieceList& list, const WindowStarts& starts, const Piece& piece)
      : begin_(piece.begin), limits_(list.limits(piece)), starts_(starts.starts(piece)) {}
  std::int32_t size() const noexcept { return static_cast<std::int32_t>(limits_.size()); }
  std::int32_t limit(std::int32_t i) const noexcept { return limits_.begin()[i]; }
  std::int32_t start(std::int32_t i) const noexcept { return starts_.empty() ? begin_ : starts_.begin()[i]; }
  /// Whether row i sees some of the tokens [begin, end).
  bool sees(std::int32_t i, std::int32_t begin, std::int32_t end) const noexcept {
    return limit(i) > begin && (starts_.empty() || starts_.begin()[i] < std::min(limit(i), end));
  }
  /// The first token that some row sees.
  std::int32_t first_seen() const noexcept { return starts_.empty() ? begin_ : *std::ranges::min_element(starts_); }

 private:
  std::int32_t begin_;
  std::span<const std::int32_t> limits_, starts_;
};

/// Moves the task's begin to the first key that one of its rows sees. False: none of them sees any.
bool narrow(const PieceRows& rows, std::int32_t share, std::int32_t piece_begin, Task& task) {
  std::int32_t first = task.end;
  for (std::int32_t row = task.query_begin / share; row * share < task.query_begin + task.n_queries; ++row)
    if (rows.sees(row, task.begin, task.end)) first = std::min(first, std::max(rows.start(row), task.begin));
  if (first == task.end) return false;
  task.begin = paired_begin(first, piece_begin);
  return true;
}

}  // namespace

void Schedule::build(const PieceList& list, const WindowStarts& starts, const HeadShape& shape) {
  chunks_.clear();
  tasks_.clear();
  job_ends_.clear();
  parts_.clear();
  n_partials_ = 0;
  n_scores_ = 0;
  cut(list, starts, shape);
  add_tasks(list, starts, shape);
  gather_jobs(shape);
  list_parts(list, starts, shape);
}

void Schedule::cut(const PieceList& list, const WindowStarts& starts, const HeadShape& shape) {
  for (Index<Piece> p(0); p != list.pieces().end_index(); ++p) {
    const Piece& piece = list.pieces()[p];
    const PieceRows rows(list, starts, piece);
    for (std::int32_t begin = std::max(piece.begin, chunk_begin(rows.first_seen())); begin < piece.end;
         begin = chunk_end(begin)) {
      const std::int32_t end = std::min(chunk_end(begin), piece.end);
      std::int32_t first = 0, last = rows.size();
      while (first < last && !rows.sees(first, begin, end)) ++first;
      while (last > first && !rows.sees(last - 1, begin, end)) --last;
      if (first == last) continue;
      chunks_.push_back({p, begin, end, piece.row_begin + first, piece.row_begin + last, n_partials_});
      n_partials_ += std::int64_t{last - first} * shape.query_heads;
    }
  }
}

/// Tasks of chunks with the same rows follow one another, head by head, so that a thread keeps its arranged queries
/// from task to task.
void Schedule::add_tasks(const PieceList& list, const WindowStarts& starts, const HeadShape& shape) {
  const std::int32_t share = shape.share();
  const auto same_rows = [this](std::size_t a, std::size_t b) {
    return chunks_[a].row_begin == chunks_[b].row_begin && chunks_[a].row_end == chunks_[b].row_end;
  };
  for (std::size_t first = 0, last = 0; first < chunks_.size(); first = last) {
    while (last < chunks_.size() && same_rows(first, last)) ++last;
    const std::int32_t n_queries = (chunks_[first].row_end - chunks_[first].row_begin) * share;
    for (std::int32_t head = 0; head < shape.kv_heads; ++head)
      for (std::int32_t query = 0; query < n_queries; query += kMaxLanes)
        for (std::size_t c = first; c < last; ++c) {
          const Chunk& chunk = chunks_[c];
          const Piece& piece = list.pieces()[chunk.piece];
          const std::int32_t before = (chunk.row_begin - piece.row_begin) * share;
          Task task{chunk.piece,
                    head,
                    before + query,
                    std::min(kMaxLanes, n_queries - query),
                    chunk.begin,
                    chunk.end,
                    chunk.partial + std::int64_t{head} * n_queries + query};
          if (!starts.empty() && !narrow(PieceRows(list, starts, piece), share, piece.begin, task)) continue;
          n_scores_ += std::int64_t{task.n_queries} * (task.end - task.begin);
          tasks_.push_back(task);
        }
  }
}

void Schedule::gather_jobs(const HeadShape& shape) {
  std::int64_t size = 0;
  for (std::size_t t = 0; t < tasks_.size(); ++t) {
    const Task& task = tasks_[t];
    size += kTask + std::int64_t{task.n_queries} * (task.end - task.begin) * shape.head_dim;
    if (size < kJob && t + 1 < tasks_.size()) continue;
    job_ends_.push_back(t + 1);
    size = 0;
  }
}

void Schedule::list_parts(const PieceList& list, const WindowStarts& starts, const HeadShape& shape) {
  const std::int32_t n_rows = list.n_rows();
  const auto visit = [&](auto&& seen) {
    for (const Chunk& chunk : chunks_) {
      const Piece& piece = list.pieces()[chunk.piece];
      const PieceRows rows(list, starts, piece);
      for (RowIndex row = chunk.row_begin; row < chunk.row_end; ++row)
        if (rows.sees(row - piece.row_begin, chunk.begin, chunk.end)) seen(row, chunk);
    }
  };
  first_part_.assign(n_rows + 1, 0);
  visit([&](RowIndex row, const Chunk&) { ++first_part_[row + 1]; });
  for (RowIndex row = 0; row < n_rows; ++row) first_part_[row + 1] += first_part_[row];
  parts_.assign(first_part_[n_rows], {});
  const std::int32_t share = shape.share();
  // Filling moves first_part_[row] to where the next row's parts begin, so all are moved back by one afterwards.
  visit([&](RowIndex row, const Chunk& chunk) {
    const std::int64_t n_chunk_rows = chunk.row_end - chunk.row_begin;
    const std::int64_t index = row - chunk.row_begin;
    parts_[first_part_[row]++] = {chunk.partial + index * share, n_chunk_rows * share};
  });
  for (RowIndex row = n_rows; row > 0; --row) first_part_[row] = first_part_[row - 1];
  first_part_[0] = 0;
}

}  // namespace anabranch::attention
