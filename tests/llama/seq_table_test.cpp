// The batches that a plan becomes, carried out on a model of llama.cpp's memory that knows its rules: every row must
// see exactly what the plan says, and an aborted pass must leave nothing behind.
#include "catch.hpp"

#include <map>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include <anabranch/anabranch.hpp>

#include "fake_memory.hpp"
#include "seq_table.hpp"

namespace {

namespace ab = anabranch;
using ab::Positions;
using ab::SequenceId;
using ab::test::FakeMemory;
using ab::test::FakeRow;

struct Counts {
  int steps = 0, refused = 0, aborted = 0, rows = 0, batches = 0, two_waves = 0, joins = 0, rewinds = 0, adopts = 0,
      has_rejected = 0;
};

/// A cache and the host's books over the fake memory.
class World {
 public:
  explicit World(std::size_t n_cells = 4096, std::int32_t n_seq_ids = 200)
      : cache({.n_pages = 512, .page_size = 4}),
        books(1, n_seq_ids,
              [this](SequenceId sequence, std::vector<ab::Slot>* slots) {
                if (!cache.alive(sequence)) return ab::kNone;
                if (slots != nullptr) *slots = cache.slots_of(sequence);
                return cache.n_tokens(sequence);
              }),
        memory(n_cells) {}

  /// Plans the step and runs it. False: refused as not_exact, with nothing changed. Throws std::logic_error when a row
  /// sees the wrong tokens or llama.cpp would have refused a batch.
  bool run(ab::Step& step) {
    const ab::PlanResult plan = step.plan();
    if (!plan) throw std::logic_error("the test's cache is too small");
    empty(books.sweep(*plan));
    before_ = memory.state();
    before_slots_ = token_of_;
    const std::vector<ab::llama::DecodeBatch>* batches = nullptr;
    try {
      batches = &books.plan_batches(*plan);
    } catch (const ab::Error& error) {
      if (error.status() != ab::Status::not_exact) throw;
      text = error.what();
      return false;
    }
    for (const ab::Slot slot : plan->slots) token_of_[slot] = ++n_tokens_;
    n_rows = 0;
    n_waves = 0;
    for (const ab::llama::DecodeBatch& batch : *batches) run(*plan, batch);
    n_left_out = plan->n_rows() - n_rows;  // taken back in the step that brought them
    return true;
  }
  void commit(ab::Step& step) {
    step.commit();
    empty(books.settle());
    const ab::Snapshot snapshot = cache.snapshot();
    for (std::uint32_t i = 0; i < snapshot.sequences.size(); ++i) check_sequence(snapshot, i);
  }
  /// After `run` gave true.
  void abort(ab::Step& step) {
    for (const ab::llama::Gained& gain : books.gained()) memory.remove(gain.seq_id, gain.kept);
    books.undo();
    step.abort();
    token_of_ = before_slots_;
    if (memory.state() != before_) throw std::logic_error("an aborted pass left something behind");
  }
  void empty(const std::vector<std::int32_t>& seq_ids) {
    for (const std::int32_t s : seq_ids) memory.remove(s, 0);
  }

  ab::KvCache cache;
  ab::llama::SeqTable books;
  FakeMemory memory;
  std::string text;
  int n_rows = 0, n_waves = 0, n_left_out = 0;

 private:
  /// What the sequence sees is what its llama.cpp sequence holds; behind it there may still be what was left out.
  void check_sequence(const ab::Snapshot& snapshot, std::uint32_t index) const {
    const SequenceId sequence{index, snapshot.sequences[index].generation};
    if (!cache.alive(sequence)) return;
    std::set<int> tokens;
    for (const ab::Slot slot : cache.slots_of(sequence)) tokens.insert(token_of_.at(slot));
    const std::int32_t seq_id = books.seq_id_of(sequence);
    const std::set<int> held = seq_id == ab::kNone ? std::set<int>() : memory.held_tokens(seq_id);
    const bool same =
        snapshot.sequences[index].has_rejected
            ? held.size() > tokens.size() && std::includes(held.begin(), held.end(), tokens.begin(), tokens.end())
            : held == tokens;
    if (!same)
      throw std::logic_error("line " + std::to_string(index) + " sees " + std::to_string(tokens.size()) +
                             " tokens, its sequence holds " + std::to_string(held.size()) + ", or others");
  }

  void run(const ab::StepPlan& plan, const ab::llama::DecodeBatch& batch) {
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
    ++n_waves;
  }

  std::set<int> expected(const ab::StepPlan& plan, ab::RowIndex row) const {
    std::set<int> tokens;
    for (const ab::VisibilityGroup& group : plan.groups) {
      if (row < group.row_begin || row >= group.row_end) continue;
      std::vector<int> keys;
      ab::for_each_run(group, plan.views, [&](ab::Slot first, std::int32_t count) {
        for (ab::Slot slot = first; slot < first + count; ++slot) keys.push_back(token_of_.at(slot));
      });
      if (group.visibility == ab::Visibility::causal)
        keys.resize(keys.size() - static_cast<std::size_t>(group.row_end - 1 - row));
      tokens.insert(keys.begin(), keys.end());
    }
    return tokens;
  }

  std::map<ab::Slot, int> token_of_, before_slots_;
  int n_tokens_ = 0;
  std::multiset<std::pair<int, std::set<std::int32_t>>> before_;
};

enum class Kinds { longest, all };

/// Random steps of several operations each.
class RandomTrees {
 public:
  RandomTrees(unsigned seed, Kinds kinds, Counts& counts) : random_(seed), kinds_(kinds), counts_(counts) {
    sequences_.push_back(world_.cache.create_sequence());
    tail_[sequences_.back()] = 0;
  }

  void step() {
    const auto sequences = sequences_;
    const auto tail = tail_;
    n_own_rows_.clear();
    ab::Step step = world_.cache.begin_step();
    const int n = 1 + static_cast<int>(below(7));
    for (int i = 0; i < n; ++i) one(step);
    ++counts_.steps;
    const bool ran = world_.run(step);
    counts_.refused += ran ? 0 : 1;
    if (ran) reject(step);
    if (ran && below(4) != 0) {
      world_.commit(step);
      counts_.rows += world_.n_rows;
      counts_.batches += world_.n_waves;
      counts_.two_waves += world_.n_waves > 1 ? 1 : 0;
      return;
    }
    if (ran) world_.abort(step);
    step.abort();
    ++counts_.aborted;
    sequences_ = sequences;
    tail_ = tail;
    if (!ran && below(3) == 0) drop_all();  // a sequence that llama.cpp cannot go on with would be refused for ever
  }
  void drop_all() {
    ab::Step step = world_.cache.begin_step();
    for (const SequenceId sequence : sequences_)
      if (world_.cache.alive(sequence)) step.drop(sequence);
    if (!step.plan()) throw std::logic_error("no plan");
    step.commit();  // the host is not told
    sequences_ = {world_.cache.create_sequence()};
    tail_ = {{sequences_.back(), 0}};
  }
  World& world() { return world_; }

 private:
  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }
  SequenceId any() { return sequences_[below(static_cast<std::uint32_t>(sequences_.size()))]; }
  void sweep() {
    std::erase_if(sequences_, [&](SequenceId sequence) { return !world_.cache.alive(sequence); });
    if (sequences_.empty()) sequences_.push_back(world_.cache.create_sequence());
  }
  Positions policy() {
    if (kinds_ == Kinds::longest) return Positions::longest;
    switch (below(6)) {
      case 0: return Positions::sequential;
      case 1: return Positions::reserved(6);
      default: return Positions::longest;
    }
  }

  void one(ab::Step& step) {
    const SequenceId sequence = any();
    switch (below(14)) {
      case 0:
        if (sequences_.size() < 6) sequences_.push_back(step.create_sequence(static_cast<ab::Position>(below(3))));
        break;
      case 1:
      case 2:
      case 3: fork(step, sequence); break;
      case 4:
      case 5:
      case 6: join(step, sequence); break;
      case 7: rewind(step, sequence); break;
      case 8: adopt(step, sequence); break;
      case 9:
        if (below(2) == 0) step.drop(sequence);
        break;
      case 10:
        if (below(3) == 0 && world_.cache.parent(sequence) != ab::kNoSequence) step.detach(sequence);
        break;
      default: append(step, sequence); break;
    }
    sweep();
  }
  void append(ab::Step& step, SequenceId sequence) {
    const auto n = static_cast<std::int32_t>(1 + below(3));
    if (world_.cache.next_position(sequence) + n > world_.cache.position_limit(sequence)) return;
    step.append(sequence, std::vector<ab::TokenId>(static_cast<std::size_t>(n), 7));
    tail_[sequence] += n;
    n_own_rows_[sequence] += n;
  }
  void reject(ab::Step& step) {
    for (const auto& [sequence, n_rows] : n_own_rows_) {
      if (n_rows == 0 || !world_.cache.alive(sequence) || below(4) != 0) continue;
      const auto n = static_cast<std::int32_t>(1 + below(static_cast<std::uint32_t>(n_rows)));
      step.reject(sequence, n);
      tail_[sequence] -= n;
      ++counts_.has_rejected;
    }
  }
  void fork(ab::Step& step, SequenceId sequence) {
    if (sequences_.size() > 16) return;
    n_own_rows_[sequence] = 0;
    for (const SequenceId child : step.fork(sequence, 1 + static_cast<int>(below(3)), {.positions = policy()})) {
      sequences_.push_back(child);
      tail_[child] = 0;
      if (below(3) != 0) append(step, child);
    }
  }
  void join(ab::Step& step, SequenceId sequence) {
    std::vector<SequenceId> kids = world_.cache.children(sequence);
    std::erase_if(kids, [&](SequenceId kid) { return !world_.cache.children(kid).empty() || below(5) == 0; });
    std::shuffle(kids.begin(), kids.end(), random_);
    if (kids.empty()) return;
    step.join(sequence, kids);
    tail_[sequence] = n_own_rows_[sequence] = 0;
    ++counts_.joins;
    if (below(2) == 0) append(step, sequence);
  }
  void rewind(ab::Step& step, SequenceId sequence) {
    const ab::KvCache& cache = world_.cache;
    std::int32_t least = cache.fork_tokens(sequence);
    for (const SequenceId kid : cache.children(sequence)) least = std::max(least, cache.fork_tokens(kid));
    if (kinds_ == Kinds::longest) least = std::max(least, cache.n_tokens(sequence) - tail_[sequence]);
    const std::int32_t room = cache.n_tokens(sequence) - least;
    if (room <= 0) return;
    const auto n = static_cast<std::int32_t>(1 + below(static_cast<std::uint32_t>(room)));
    step.rewind(sequence, cache.n_tokens(sequence) - n);
    tail_[sequence] = std::max(0, tail_[sequence] - n);
    n_own_rows_[sequence] = std::max(0, n_own_rows_[sequence] - n);
    ++counts_.rewinds;
    if (below(2) == 0) append(step, sequence);
  }
  void adopt(ab::Step& step, SequenceId sequence) {
    const std::vector<SequenceId> kids = world_.cache.children(sequence);
    if (kids.empty()) return;
    const SequenceId kid = kids[below(static_cast<std::uint32_t>(kids.size()))];
    const std::int32_t tail = tail_[kid];
    step.adopt(sequence, kid);
    tail_[sequence] = tail;
    n_own_rows_[sequence] = n_own_rows_[kid];
    ++counts_.adopts;
  }

  std::mt19937 random_;
  Kinds kinds_;
  Counts& counts_;
  World world_;
  std::vector<SequenceId> sequences_;
  std::map<SequenceId, std::int32_t> tail_;  ///< tokens that the sequence wrote since its last fork, join or start
  std::map<SequenceId, std::int32_t> n_own_rows_;  ///< of them, in the open step
};

std::vector<ab::TokenId> words(int n) { return std::vector<ab::TokenId>(static_cast<std::size_t>(n), 7); }

}  // namespace

TEST_CASE("a fork with ragged prefixes is one batch, a join with branch ends two") {
  World world;
  const SequenceId trunk = world.cache.create_sequence();
  ab::Step first = world.cache.begin_step();
  first.append(trunk, words(5));
  const auto kids = first.fork(trunk, 3, {.positions = Positions::longest});
  for (int k = 0; k < 3; ++k) first.append(kids[static_cast<std::size_t>(k)], words(1 + k));
  REQUIRE(world.run(first));
  CHECK(world.n_waves == 1);
  world.commit(first);
  CHECK(world.books.n_used() == 4);

  ab::Step second = world.cache.begin_step();
  second.append(kids[1], words(1));
  second.join(trunk, kids);
  second.append(trunk, words(1));
  REQUIRE(world.run(second));
  CHECK(world.n_waves == 2);
  world.abort(second);
  CHECK(world.books.n_used() == 4);

  ab::Step again = world.cache.begin_step();
  again.append(kids[1], words(1));
  again.join(trunk, kids);
  again.append(trunk, words(1));
  REQUIRE(world.run(again));
  world.commit(again);
  CHECK(world.books.n_used() == 1);
  CHECK(world.memory.n_used() == 5 + 1 + 3 + 3 + 1);
}

TEST_CASE("position jumps are refused with the position, and the step can be aborted") {
  World world;
  const SequenceId trunk = world.cache.create_sequence();
  ab::Step first = world.cache.begin_step();
  first.append(trunk, words(4));
  const auto kids = first.fork(trunk, 2, {.positions = Positions::sequential});
  for (const SequenceId kid : kids) first.append(kid, words(3));
  REQUIRE(world.run(first));
  world.commit(first);
  {
    ab::Step step = world.cache.begin_step();
    step.join(trunk, kids);
    step.append(trunk, words(1));
    CHECK_FALSE(world.run(step));
    CHECK(world.text.find("at position 10") != std::string::npos);
    CHECK(world.text.find("goes on at position 7") != std::string::npos);
  }
  {
    ab::Step step = world.cache.begin_step();
    const auto set_aside = step.fork(trunk, 2, {.positions = Positions::reserved(8)});
    step.append(set_aside[1], words(1));
    CHECK_FALSE(world.run(step));
    CHECK(world.text.find("at position 12") != std::string::npos);
  }
  ab::Step step = world.cache.begin_step();
  step.join(trunk, {kids[0]});
  step.append(trunk, words(1));
  step.drop(kids[1]);
  REQUIRE(world.run(step));
  world.commit(step);
  CHECK(world.books.n_used() == 1);
}

TEST_CASE("a rewind into a join is refused where llama.cpp would show too much, and works again further back") {
  World world;
  const SequenceId trunk = world.cache.create_sequence();
  ab::Step first = world.cache.begin_step();
  first.append(trunk, words(4));
  const auto kids = first.fork(trunk, 2, {.positions = Positions::longest});
  for (const SequenceId kid : kids) first.append(kid, words(3));
  first.join(trunk, kids);
  first.append(trunk, words(2));
  REQUIRE(world.run(first));
  world.commit(first);
  for (const std::int32_t n_kept : {9, 7, 5}) {  // in the second branch, before it, in the first
    ab::Step step = world.cache.begin_step();
    step.rewind(trunk, n_kept);
    step.append(trunk, words(1));
    CHECK_FALSE(world.run(step));
    CHECK(world.text.find("sequence 0 has " + std::to_string(n_kept + 1) + " tokens") != std::string::npos);
  }
  for (const std::int32_t n_kept : {10, 4, 2}) {
    ab::Step step = world.cache.begin_step();
    step.rewind(trunk, n_kept);
    step.append(trunk, words(1));
    REQUIRE(world.run(step));
    world.commit(step);
    CHECK(world.memory.n_used() == static_cast<std::size_t>(n_kept) + 1);
  }
}

TEST_CASE("a late join among the parent's own tokens is undone and done") {
  World world;
  const SequenceId trunk = world.cache.create_sequence();
  ab::Step first = world.cache.begin_step();
  first.append(trunk, words(4));
  const auto kids = first.fork(trunk, 2, {.positions = Positions::longest});
  for (const SequenceId kid : kids) first.append(kid, words(2));
  first.append(trunk, words(5));  // past what the branches reach
  REQUIRE(world.run(first));
  world.commit(first);
  for (const bool commit : {false, true}) {
    ab::Step step = world.cache.begin_step();
    step.append(kids[1], words(1));
    step.append(trunk, words(1));
    step.join(trunk, {kids[1]});
    step.append(trunk, words(1));
    REQUIRE(world.run(step));
    CHECK(world.n_waves == 2);
    commit ? world.commit(step) : world.abort(step);
  }
  CHECK(world.books.n_used() == 2);
}

TEST_CASE("an adopt of a rewound draft and a detached branch go on in their own sequences") {
  World world;
  const SequenceId trunk = world.cache.create_sequence();
  ab::Step first = world.cache.begin_step();
  first.append(trunk, words(4));
  const auto kids = first.fork(trunk, 3, {.positions = Positions::longest});
  for (const SequenceId kid : kids) first.append(kid, words(4));
  REQUIRE(world.run(first));
  world.commit(first);
  for (const bool commit : {false, true}) {
    ab::Step step = world.cache.begin_step();
    step.detach(kids[2]);
    step.rewind(kids[1], 6);
    step.adopt(trunk, kids[1]);
    step.append(trunk, words(1));
    step.append(kids[2], words(2));
    REQUIRE(world.run(step));
    CHECK(world.n_waves == 1);
    commit ? world.commit(step) : world.abort(step);
  }
  CHECK(world.books.n_used() == 2);
  CHECK(world.memory.n_used() == 4 + 2 + 1 + 4 + 2);
}

TEST_CASE("a sequence that ends in a step of which the host is not told gives its sequence back") {
  World world;
  const SequenceId trunk = world.cache.create_sequence();
  ab::Step first = world.cache.begin_step();
  first.append(trunk, words(4));
  const auto kids = first.fork(trunk, 2, {.positions = Positions::longest});
  for (const SequenceId kid : kids) first.append(kid, words(2));
  REQUIRE(world.run(first));
  world.commit(first);
  ab::Step drop = world.cache.begin_step();
  drop.drop(kids[0]);
  REQUIRE(drop.plan());
  drop.commit();
  CHECK(world.books.n_used() == 3);
  ab::Step step = world.cache.begin_step();
  step.append(kids[1], words(1));
  REQUIRE(world.run(step));
  CHECK(world.books.n_used() == 2);
  world.commit(step);
  CHECK(world.memory.n_used() == 4 + 3);
}

TEST_CASE("a plan that needs more seq_ids than there are is refused, and goes through when some are free") {
  World world(4096, 4);
  const SequenceId trunk = world.cache.create_sequence();
  ab::Step first = world.cache.begin_step();
  first.append(trunk, words(4));
  const auto kids = first.fork(trunk, 3, {.positions = Positions::longest});
  REQUIRE(world.run(first));
  world.commit(first);
  CHECK(world.books.n_used() == 4);
  {
    ab::Step step = world.cache.begin_step();
    step.rewind(trunk, 4);
    step.append(kids[0], words(1));
    step.fork(kids[0], 1, {.positions = Positions::longest});
    try {
      world.run(step);
      FAIL("a fifth sequence of four");
    } catch (const ab::Error& error) {
      CHECK(error.status() == ab::Status::limit_reached);
      CHECK(std::string(error.what()).find("all 4 are in use") != std::string::npos);
    }
  }
  ab::Step drop = world.cache.begin_step();
  drop.drop(kids[2]);
  REQUIRE(world.run(drop));
  world.commit(drop);
  ab::Step step = world.cache.begin_step();
  step.append(kids[0], words(1));
  step.fork(kids[0], 1, {.positions = Positions::longest});
  REQUIRE(world.run(step));
  world.commit(step);
}

TEST_CASE("random trees with longest positions: every row sees what the plan says, nothing is refused") {
  Counts counts;
  for (unsigned seed = 1; seed <= 400; ++seed) {
    INFO("seed " << seed);
    RandomTrees trees(seed, Kinds::longest, counts);
    for (int i = 0; i < 40; ++i) REQUIRE_NOTHROW(trees.step());
    CHECK(trees.world().text == "");
    trees.drop_all();
    ab::Step last = trees.world().cache.begin_step();
    REQUIRE(trees.world().run(last));
    CHECK(trees.world().books.n_used() == 0);
    CHECK(trees.world().memory.n_used() == 0);
  }
  CHECK(counts.refused == 0);
  CHECK(counts.two_waves > 200);
  CHECK(counts.adopts > 500);
  CHECK(counts.rewinds > 500);
  CHECK(counts.has_rejected > 500);
  WARN(counts.steps << " steps, " << counts.aborted << " aborted, " << counts.rows << " rows in " << counts.batches
                    << " batches, " << counts.joins << " joins");
}

TEST_CASE("random trees with every position policy and any rewind: a row sees what the plan says, or is refused") {
  Counts counts;
  for (unsigned seed = 1; seed <= 400; ++seed) {
    INFO("seed " << seed);
    RandomTrees trees(seed, Kinds::all, counts);
    for (int i = 0; i < 40; ++i) REQUIRE_NOTHROW(trees.step());
  }
  CHECK(counts.refused > 500);
  CHECK(counts.steps - counts.refused > 3000);
  WARN(counts.steps << " steps, " << counts.refused << " refused, " << counts.aborted << " aborted");
}
