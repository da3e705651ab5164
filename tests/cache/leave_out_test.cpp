// Rows that turn out not to be wanted are left out of the commit: what is left is as if they had never been appended.
#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "cache_steps.hpp"
#include "plan_reading.hpp"

using namespace anabranch;
using namespace anabranch::test;

namespace {

/// [views of the line] begin, end and first position.
std::vector<std::vector<std::int32_t>> views_of(const KvCache& cache, LineId line) {
  std::vector<std::vector<std::int32_t>> views;
  cache.for_each_view(line, [&](const View& view, Position first) { views.push_back({view.begin, view.end, first}); });
  return views;
}

/// A host with one sequence per line: positions and tokens, as SequenceOp asks for. REQUIRES: what a step forks or
/// joins has not grown in it.
class SequenceHost {
 public:
  using Sequence = std::multimap<Position, TokenId>;

  /// Runs a planned step and commits it; `n_left_out` rows of each line are left out.
  void run(KvCache& cache, Step& step, const std::map<LineId, std::int32_t>& n_left_out = {}) {
    const PlanResult plan = step.plan();
    REQUIRE(plan);
    for (const SequenceOp& op : plan->ops_before) before(op);
    for (std::int32_t row = 0; row < plan->n_rows(); ++row) {
      const auto r = static_cast<std::size_t>(row);
      Sequence& sequence = sequences[plan->lines[r]];
      sequence.emplace(plan->positions[r], plan->tokens[r]);
      CHECK(visible_slots(*plan, row).size() == sequence.size());
    }
    const std::vector<SequenceOp> after(plan->ops_after_commit.begin(), plan->ops_after_commit.end());
    n_restarts += std::count_if(plan->ops_before.begin(), plan->ops_before.end(),
                                [](const SequenceOp& op) { return op.kind == SequenceOp::Kind::restart; });
    for (const auto& [line, n] : n_left_out) step.leave_out(line, n);
    step.commit();
    for (const SequenceOp& op : after)
      if (!cache.alive(op.line)) sequences.erase(op.line);
  }

  std::map<LineId, Sequence> sequences;
  std::int64_t n_restarts = 0;

 private:
  void before(const SequenceOp& op) {
    const LineId from = op.kind == SequenceOp::Kind::restart ? op.line : op.source;
    Sequence shared(sequences[from].lower_bound(op.begin), sequences[from].lower_bound(op.end));
    if (op.kind == SequenceOp::Kind::share) return sequences[op.line].merge(shared);
    sequences[op.line] = op.kind == SequenceOp::Kind::restart ? std::move(shared) : sequences[from];
  }
};

}  // namespace

TEST_CASE("A line without the rows that were left out goes on as if they had never been there") {
  KvCache with({.n_pages = 16, .page_size = 4}), without({.n_pages = 16, .page_size = 4});
  const LineId a = with.create_line(), b = without.create_line();
  for (std::int32_t i = 0; i < 20; ++i) {
    CAPTURE(i);
    Step guessing = with.begin_step();
    guessing.append(a, {i}, Logits::last);
    guessing.append(a, tokens(i % 6, 100), Logits::all);
    const PlanResult plan = guessing.plan();
    REQUIRE(plan);
    CHECK(plan->n_rows() == 1 + i % 6);
    CHECK(plan->positions[0] == i);
    guessing.leave_out(a, i % 6);
    CHECK(plan->n_rows() == 1 + i % 6);  // the model has run, or will
    CHECK(with.n_tokens(a) == i + 1);
    CHECK(with.next_position(a) == i + 1);
    guessing.commit();
    append(without, b, 1);
    CHECK(with.slots_of(a).size() == without.slots_of(b).size());
    CHECK(views_of(with, a) == views_of(without, b));
    CHECK(with.n_free_pages() == without.n_free_pages());
    CHECK(violations(with) == "");
  }
  CHECK(views_of(with, a).size() == 1);
}

TEST_CASE("Forks behind rows left out see one view, where a rewind would have cut it") {
  KvCache cache({.n_pages = 16, .page_size = 4});
  const LineId line = cache.create_line();
  for (const bool guess : {false, true}) {
    Step step = cache.begin_step();
    step.append(line, {1, 2, 3}, Logits::last);
    if (guess) step.append(line, {9}, Logits::last);
    REQUIRE(step.plan());
    if (guess) step.leave_out(line, 1);
    step.commit();
    std::vector<LineId> kids;
    in_step(cache, [&](Step& s) {
      s.append(line, {4});
      kids = s.fork(line, 2);
      for (const LineId kid : kids) s.append(kid, {5});
    });
    CHECK(views_of(cache, line).size() == 1);
    CHECK(views_of(cache, kids[1]).size() == 2);
    in_step(cache, [&](Step& s) {
      for (const LineId kid : kids) s.drop(kid);
      s.rewind(line, 0);
    });
  }
}

TEST_CASE("All rows of a step may be left out, the first of a branch among them") {
  KvCache cache({.n_pages = 16, .page_size = 4});
  const LineId line = cache.create_line();
  Step step = cache.begin_step();
  step.append(line, {1, 2});
  const std::vector<LineId> kids = step.fork(line, 3);
  step.append(line, {7});
  for (const LineId kid : kids) step.append(kid, {3, 4});
  REQUIRE(step.plan());
  step.leave_out(line, 1);
  step.leave_out(kids[0], 2);
  step.leave_out(kids[1], 1);
  step.commit();
  CHECK(violations(cache) == "");
  CHECK(cache.n_tokens(line) == 2);
  CHECK(cache.n_tokens(kids[0]) == 2);
  CHECK(cache.n_tokens(kids[1]) == 3);
  CHECK(cache.slots_of(kids[0]) == cache.slots_of(line));
  Step next = cache.begin_step();
  for (std::size_t k = 3; k-- > 0;) next.append(kids[k], {5});
  const PlanResult plan = next.plan();
  REQUIRE(plan);
  for (std::size_t k = 0; k < 3; ++k) CHECK(plan->lines[k] == kids[k]);  // their places are kept
  CHECK(positions_of_rows(*plan, kids[0]) == std::vector<Position>{2});
  next.commit();
  in_step(cache, [&](Step& s) { s.join(line, kids); });
  CHECK(cache.n_tokens(line) == 2 + 1 + 2 + 3);
  CHECK(violations(cache) == "");
}

TEST_CASE("What is left out may be changed until the end, and an abort knows nothing of it") {
  KvCache cache({.n_pages = 16, .page_size = 4});
  const LineId line = cache.create_line();
  append(cache, line, 3);
  const std::vector<Slot> slots = cache.slots_of(line);
  for (const bool commit : {false, true}) {
    Step step = cache.begin_step();
    step.append(line, {1, 2, 3});
    REQUIRE(step.plan());
    const std::uint64_t epoch = cache.epoch();
    step.leave_out(line, 3);
    CHECK(cache.n_tokens(line) == 3);
    step.leave_out(line, 0);
    CHECK(cache.n_tokens(line) == 6);
    CHECK(cache.epoch() == epoch);
    step.leave_out(line, 2);
    CHECK(cache.next_position(line) == 4);
    if (commit) {
      step.commit();
      CHECK(cache.slots_of(line).size() == 4);
    } else {
      step.abort();
      CHECK(cache.slots_of(line) == slots);
    }
    CHECK(violations(cache) == "");
  }
}

TEST_CASE("Only rows that the line has written since its last fork or join can be left out") {
  KvCache cache({.n_pages = 16, .page_size = 4});
  const LineId line = cache.create_line(), other = cache.create_line();
  append(cache, line, 3);
  Step step = cache.begin_step();
  CHECK(status_of([&] { step.leave_out(line, 0); }) == Status::wrong_state);
  step.append(line, {1, 2});
  const std::vector<LineId> kids = step.fork(line, 2);
  step.append(line, {3});
  REQUIRE(step.plan());
  CHECK(status_of([&] { step.leave_out(line, 2); }) == Status::bad_argument);
  CHECK(status_of([&] { step.leave_out(line, -1); }) == Status::bad_argument);
  CHECK(status_of([&] { step.leave_out(kids[0], 1); }) == Status::bad_argument);
  CHECK(status_of([&] { step.leave_out(other, 1); }) == Status::bad_argument);
  CHECK_THROWS_WITH(step.leave_out(line, 7), "leaving out 7 rows of line 0; the last 1 of its tokens can be left out");
  CHECK(status_of([&] { step.leave_out(LineId{99, 0}, 0); }) == Status::stale_line);
  CHECK(cache.n_tokens(line) == 6);
  step.leave_out(other, 0);
  step.leave_out(line, 1);
  step.commit();
  CHECK(status_of([&] { step.leave_out(line, 0); }) == Status::wrong_state);
  CHECK(cache.n_tokens(line) == 5);
}

TEST_CASE("1,000 steps of four appended tokens with three left out fill their pages") {
  KvCache cache({.n_pages = 4096, .page_size = 16});
  const LineId line = cache.create_line();
  for (std::int32_t i = 0; i < 1000; ++i) {
    Step step = cache.begin_step();
    step.append(line, 4, Logits::all);
    REQUIRE(step.plan());
    step.leave_out(line, 3);
    step.commit();
    REQUIRE(cache.n_pages() - cache.n_free_pages() == i / 16 + 1);
  }
  CHECK(views_of(cache, line).size() == 1);
}

TEST_CASE("A host with sequences hears of rows left out when the line is used again") {
  KvCache cache({.n_pages = 32, .page_size = 4});
  SequenceHost host;
  const LineId line = cache.create_line(), other = cache.create_line();
  {
    Step step = cache.begin_step();
    step.append(line, {1, 2});
    step.append(other, {5});
    step.append(line, {3, 4});
    host.run(cache, step, {{line, 2}});
  }
  CHECK(host.sequences[line].size() == 4);  // not yet
  {
    Step step = cache.begin_step();
    step.append(other, {6});
    step.append(other, {8});
    host.run(cache, step, {{other, 1}});  // a step that has nothing to do with the line
  }
  CHECK(host.n_restarts == 0);
  {
    Step step = cache.begin_step();  // and one that comes to nothing
    step.append(line, {9});
    REQUIRE(step.plan());
  }
  SECTION("to grow") {
    const Snapshot snapshot = Snapshot::load(cache.snapshot().save());
    KvCache restored(snapshot);
    Step step = restored.begin_step();
    step.append(line, {10});
    step.append(line, {11});
    host.run(restored, step);
    CHECK(host.n_restarts == 1);
    CHECK(host.sequences[line] == SequenceHost::Sequence{{0, 1}, {1, 2}, {2, 10}, {3, 11}});
  }
  SECTION("to fork, and to join branches that had rows left out as well") {
    std::vector<LineId> kids;
    {
      Step step = cache.begin_step();
      kids = step.fork(line, 2, {.positions = Positions::longest});
      step.append(kids[0], {10, 11});
      step.append(kids[1], {12});
      host.run(cache, step, {{kids[0], 1}});
    }
    CHECK(host.n_restarts == 1);
    {
      Step step = cache.begin_step();
      step.join(line, kids);
      step.append(line, {13});
      host.run(cache, step);
    }
    CHECK(host.n_restarts == 1);
    CHECK(host.sequences[line] == SequenceHost::Sequence{{0, 1}, {1, 2}, {2, 10}, {2, 12}, {3, 13}});
  }
  SECTION("a rewind says it by itself") {
    Step step = cache.begin_step();
    step.rewind(line, 1);
    step.append(line, {10});
    host.run(cache, step);
    CHECK(host.n_restarts == 1);
    CHECK(host.sequences[line] == SequenceHost::Sequence{{0, 1}, {1, 10}});
  }
  SECTION("an adopt takes it over from the branch") {
    std::vector<LineId> kids;
    {
      Step step = cache.begin_step();
      kids = step.fork(line, 2);
      step.append(kids[1], {10, 11});
      host.run(cache, step, {{kids[1], 1}});
    }
    {
      Step step = cache.begin_step();
      step.adopt(line, kids[1]);
      host.run(cache, step);
    }
    {
      Step step = cache.begin_step();
      step.append(line, {12});
      host.run(cache, step);
    }
    CHECK(host.sequences[line] == SequenceHost::Sequence{{0, 1}, {1, 2}, {2, 10}, {3, 12}});
  }
  CHECK(violations(cache) == "");
}
