// A model of llama.cpp's memory under the host's table: every row must see exactly what the plan says, and an aborted
// pass must leave nothing behind.
#pragma once

#include "catch.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <anabranch/anabranch.hpp>

#include "fake_memory.hpp"
#include "seq_table.hpp"

namespace anabranch::test {

/// A cache and the host's table over the fake memory. `run` and `commit` throw std::logic_error when a row or a
/// sequence sees other tokens than the plan and the cache say.
class World {
 public:
  explicit World(std::size_t n_cells = 4096, std::int32_t n_seq_ids = 200)
      : cache({.n_pages = 512, .page_size = 4}),
        table(1, n_seq_ids,
              [this](SequenceId sequence, std::vector<Slot>* slots) {
                if (!cache.alive(sequence)) return kNone;
                if (slots != nullptr) *slots = cache.slots_of(sequence);
                return cache.n_tokens(sequence);
              }),
        memory(n_cells) {}

  /// Plans the step and runs it. Returns false when the table refused it as not_exact, with nothing changed. Throws
  /// also when llama.cpp would have refused a batch.
  bool run(Step& step) {
    const PlanResult plan = step.plan();
    if (!plan) throw std::logic_error("the test's cache is too small");
    empty(table.sweep(*plan));
    before_ = memory.state();
    before_slots_ = token_of_;
    const std::vector<llama::DecodeBatch>* batches = nullptr;
    try {
      batches = &table.plan_batches(*plan);
    } catch (const Error& error) {
      if (error.status() != Status::not_exact) throw;
      text = error.what();
      return false;
    }
    for (const Slot slot : plan->slots) token_of_[slot] = ++n_tokens_;
    n_rows = 0;
    n_batches = 0;
    for (const llama::DecodeBatch& batch : *batches) run(*plan, batch);
    return true;
  }
  void commit(Step& step) {
    step.commit();
    empty(table.settle());
    const Snapshot snapshot = cache.snapshot();
    for (std::uint32_t i = 0; i < snapshot.sequences.size(); ++i) check_sequence(snapshot, i);
  }
  /// Requires: `run` returned true.
  void abort(Step& step) {
    for (const llama::Gained& gain : table.gained()) memory.remove(gain.seq_id, gain.kept);
    table.undo();
    step.abort();
    token_of_ = before_slots_;
    if (memory.state() != before_) throw std::logic_error("an aborted pass left something behind");
  }
  void empty(const std::vector<std::int32_t>& seq_ids) {
    for (const std::int32_t s : seq_ids) memory.remove(s, 0);
  }

  KvCache cache;
  llama::SeqTable table;
  FakeMemory memory;
  std::string text;
  int n_rows = 0, n_batches = 0;  ///< of the last run

 private:
  /// A sequence's seq_id holds the tokens that the sequence sees, and behind them perhaps rejected ones.
  void check_sequence(const Snapshot& snapshot, std::uint32_t index) const {
    const SequenceId sequence{index, snapshot.sequences[index].generation};
    if (!cache.alive(sequence)) return;
    std::set<int> tokens;
    for (const Slot slot : cache.slots_of(sequence)) tokens.insert(token_of_.at(slot));
    const std::int32_t seq_id = table.seq_id_of(sequence);
    const std::set<int> held = seq_id == kNone ? std::set<int>() : memory.held_tokens(seq_id);
    const bool same =
        snapshot.sequences[index].has_rejected
            ? held.size() > tokens.size() && std::includes(held.begin(), held.end(), tokens.begin(), tokens.end())
            : held == tokens;
    if (!same)
      throw std::logic_error("sequence " + std::to_string(index) + " sees " + std::to_string(tokens.size()) +
                             " tokens, its seq_id holds " + std::to_string(held.size()) + ", or others");
  }

  void run(const StepPlan& plan, const llama::DecodeBatch& batch) {
    for (const auto& copy : batch.copies) memory.copy(copy.from, copy.to, copy.begin, copy.end);
    if (batch.rows.empty()) return;
    std::vector<FakeRow> rows;
    for (const auto& row : batch.rows) {
      const auto r = static_cast<std::size_t>(row.row);
      rows.push_back({token_of_.at(plan.slots[r]), plan.positions[r], {row.seq_id}});
    }
    for (const auto& [row, seq_id] : batch.also) rows.at(static_cast<std::size_t>(row)).seq_ids.push_back(seq_id);
    std::vector<std::set<int>> seen;
    if (const std::string why = memory.decode(rows, seen); !why.empty()) throw std::logic_error("llama.cpp: " + why);
    for (std::size_t i = 0; i < rows.size(); ++i)
      if (seen[i] != expected(plan, batch.rows[i].row))
        throw std::logic_error("row " + std::to_string(batch.rows[i].row) + " sees " + std::to_string(seen[i].size()) +
                               " tokens, not " + std::to_string(expected(plan, batch.rows[i].row).size()));
    n_rows += static_cast<int>(rows.size());
    ++n_batches;
  }

  std::set<int> expected(const StepPlan& plan, RowIndex row) const {
    std::set<int> tokens;
    for (const VisibilityGroup& group : plan.groups) {
      if (row < group.row_begin || row >= group.row_end) continue;
      std::vector<int> keys;
      for_each_run(group, plan.views, [&](Slot first, std::int32_t count) {
        for (Slot slot = first; slot < first + count; ++slot) keys.push_back(token_of_.at(slot));
      });
      if (group.visibility == Visibility::causal)
        keys.resize(keys.size() - static_cast<std::size_t>(group.row_end - 1 - row));
      tokens.insert(keys.begin(), keys.end());
    }
    return tokens;
  }

  std::map<Slot, int> token_of_, before_slots_;
  int n_tokens_ = 0;
  std::multiset<std::pair<int, std::set<std::int32_t>>> before_;
};

inline std::vector<TokenId> words(int n) { return std::vector<TokenId>(static_cast<std::size_t>(n), 7); }

}  // namespace anabranch::test

// What the cases call by its short name.
namespace ab = anabranch;
using ab::Positions;
using ab::SequenceId;
using ab::test::words;
using ab::test::World;
