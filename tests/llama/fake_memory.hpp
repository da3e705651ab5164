// A model of llama.cpp's unified KV cache, after its source, without K and V: which seq_ids each cell has, why a batch
// is refused, and which cells each row of a batch sees.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <anabranch/types.hpp>

namespace anabranch::test {

struct FakeRow {
  int token = 0;  ///< any number that tells tokens apart
  Position position = 0;
  std::vector<std::int32_t> seq_ids;
};

class FakeMemory {
 public:
  explicit FakeMemory(std::size_t n_cells) : n_cells_(n_cells) {}

  /// llama_memory_seq_cp; throws where a debug build of llama.cpp would stop.
  void copy(std::int32_t from, std::int32_t to, Position begin, Position end) {
    if (begin < 0 || end < 0) throw std::logic_error("copy with an open end");
    for (Cell& cell : cells_) {
      if (cell.position < begin || cell.position >= end || cell.seq_ids.count(from) == 0) continue;
      if (from != to && !cell.seq_ids.insert(to).second)
        throw std::logic_error("a cell was copied into a seq_id twice");
    }
  }
  /// llama_memory_seq_rm of everything from `begin` on.
  void remove(std::int32_t seq_id, Position begin) {
    for (Cell& cell : cells_)
      if (cell.position >= begin) cell.seq_ids.erase(seq_id);
    std::erase_if(cells_, [](const Cell& cell) { return cell.seq_ids.empty(); });
  }

  /// llama_decode. Returns an empty text when it ran, with the tokens that each row saw, itself included, in `seen`;
  /// else why it was refused.
  std::string decode(const std::vector<FakeRow>& rows, std::vector<std::set<int>>& seen) {
    if (const std::string why = refused(rows); !why.empty()) return why;
    if (cells_.size() + rows.size() > n_cells_) return "no room";
    for (const FakeRow& row : rows)
      cells_.push_back({row.token, row.position, {row.seq_ids.begin(), row.seq_ids.end()}});
    for (const FakeRow& row : rows) {
      seen.push_back(visible(row.seq_ids.front(), row.position));
      for (const std::int32_t s : row.seq_ids)  // llama.cpp looks at one of the ids only
        if (visible(s, row.position) != seen.back()) return "ids of one row see different tokens";
    }
    return {};
  }

  std::size_t n_used() const noexcept { return cells_.size(); }
  std::set<int> held_tokens(std::int32_t seq_id) const { return visible(seq_id, kUnlimited); }
  /// All cells, in an order that does not depend on how they came about.
  std::multiset<std::pair<int, std::set<std::int32_t>>> state() const {
    std::multiset<std::pair<int, std::set<std::int32_t>>> all;
    for (const Cell& cell : cells_) all.insert({cell.token, cell.seq_ids});
    return all;
  }

 private:
  struct Cell {
    int token = 0;
    Position position = 0;
    std::set<std::int32_t> seq_ids;
  };
  struct Range {
    Position first = -1, last = -1;
    friend bool operator==(const Range&, const Range&) = default;
  };

  Range held(std::int32_t seq_id) const {
    Range range;
    for (const Cell& cell : cells_) {
      if (cell.seq_ids.count(seq_id) == 0) continue;
      range.first = range.first < 0 ? cell.position : std::min(range.first, cell.position);
      range.last = std::max(range.last, cell.position);
    }
    return range;
  }

  std::set<int> visible(std::int32_t seq_id, Position position) const {
    std::set<int> tokens;
    for (const Cell& cell : cells_)
      if (cell.seq_ids.count(seq_id) != 0 && cell.position <= position) tokens.insert(cell.token);
    return tokens;
  }

  /// The checks of llama_batch_allocr::init.
  std::string refused(const std::vector<FakeRow>& rows) const {
    if (rows.empty()) return "an empty batch";
    std::map<std::int32_t, std::vector<Position>> positions;
    for (const FakeRow& row : rows) {
      for (const std::int32_t s : row.seq_ids) {
        if (!positions[s].empty() && row.position < positions[s].back()) return "positions decrease";
        positions[s].push_back(row.position);
        if (held(s) != held(row.seq_ids.front())) return "seq_ids of one row hold different positions";
      }
    }
    for (const auto& [seq_id, list] : positions) {
      const Range range = held(seq_id);
      if (range.last >= 0 && list.front() != range.last + 1)
        return "seq_id " + std::to_string(seq_id) + " jumps from " + std::to_string(range.last) + " to " +
               std::to_string(list.front());
      const std::set<Position> distinct(list.begin(), list.end());
      if (list.back() - list.front() + 1 > static_cast<Position>(distinct.size())) return "positions have a gap";
    }
    return {};
  }

  std::size_t n_cells_;
  std::vector<Cell> cells_;
};

}  // namespace anabranch::test
