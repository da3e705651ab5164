// Rows that turn out not to be wanted are rejected before the commit: what is left is as if they had never been
// appended.
#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "cache_steps.hpp"
#include "plan_reading.hpp"

using namespace anabranch;
using namespace anabranch::test;

namespace {

/// [views of the sequence] begin, end and first position.
std::vector<std::vector<std::int32_t>> views_of(const KvCache& cache, SequenceId sequence) {
  std::vector<std::vector<std::int32_t>> views;
  cache.for_each_view(sequence, [&](const View& view, Position first) {
    views.push_back({view.begin, view.end, first});
  });
  return views;
}

/// A host with one tokens_held per sequence: positions and tokens, as HostOp asks for. REQUIRES: what a step forks or
/// joins has not grown in it.
class HostWithCache {
 public:
  using Held = std::multimap<Position, TokenId>;

  /// Runs a planned step and commits it; `n_rejected` rows of each sequence are rejected.
  void run(KvCache& cache, Step& step, const std::map<SequenceId, std::int32_t>& n_rejected = {}) {
    const PlanResult plan = step.plan();
    REQUIRE(plan);
    for (const HostOp& op : plan->ops_before) before(op);
    for (std::int32_t row = 0; row < plan->n_rows(); ++row) {
      const auto r = static_cast<std::size_t>(row);
      Held& tokens_held = held[plan->sequences[r]];
      tokens_held.emplace(plan->positions[r], plan->tokens[r]);
      CHECK(visible_slots(*plan, row).size() == tokens_held.size());
    }
    const std::vector<HostOp> after(plan->ops_after_commit.begin(), plan->ops_after_commit.end());
    n_restarts += std::count_if(plan->ops_before.begin(), plan->ops_before.end(),
                                [](const HostOp& op) { return op.kind == HostOp::Kind::restart; });
    for (const auto& [sequence, n] : n_rejected) step.reject(sequence, n);
    step.commit();
    for (const HostOp& op : after)
      if (!cache.alive(op.sequence)) held.erase(op.sequence);
  }

  std::map<SequenceId, Held> held;
  std::int64_t n_restarts = 0;

 private:
  void before(const HostOp& op) {
    const SequenceId from = op.kind == HostOp::Kind::restart ? op.sequence : op.source;
    Held shared(held[from].lower_bound(op.begin), held[from].lower_bound(op.end));
    if (op.kind == HostOp::Kind::share) return held[op.sequence].merge(shared);
    held[op.sequence] = op.kind == HostOp::Kind::restart ? std::move(shared) : held[from];
  }
};

}  // namespace

TEST_CASE("A sequence without its rejected rows goes on as if they had never been there") {
  KvCache with({.n_pages = 16, .page_size = 4}), without({.n_pages = 16, .page_size = 4});
  const SequenceId a = with.create_sequence(), b = without.create_sequence();
  for (std::int32_t i = 0; i < 20; ++i) {
    CAPTURE(i);
    Step drafting = with.begin_step();
    drafting.append(a, {i}, Logits::last);
    drafting.append(a, tokens(i % 6, 100), Logits::all);
    const PlanResult plan = drafting.plan();
    REQUIRE(plan);
    CHECK(plan->n_rows() == 1 + i % 6);
    CHECK(plan->positions[0] == i);
    drafting.reject(a, i % 6);
    CHECK(plan->n_rows() == 1 + i % 6);  // the model has run, or will
    CHECK(with.n_tokens(a) == i + 1);
    CHECK(with.next_position(a) == i + 1);
    drafting.commit();
    append(without, b, 1);
    CHECK(with.slots_of(a).size() == without.slots_of(b).size());
    CHECK(views_of(with, a) == views_of(without, b));
    CHECK(with.n_free_pages() == without.n_free_pages());
    CHECK(violations(with) == "");
  }
  CHECK(views_of(with, a).size() == 1);
}

TEST_CASE("Forks behind rejected rows see one view, where a rewind would have cut it") {
  KvCache cache({.n_pages = 16, .page_size = 4});
  const SequenceId sequence = cache.create_sequence();
  for (const bool draft : {false, true}) {
    Step step = cache.begin_step();
    step.append(sequence, {1, 2, 3}, Logits::last);
    if (draft) step.append(sequence, {9}, Logits::last);
    REQUIRE(step.plan());
    if (draft) step.reject(sequence, 1);
    step.commit();
    std::vector<SequenceId> kids;
    in_step(cache, [&](Step& s) {
      s.append(sequence, {4});
      kids = s.fork(sequence, 2);
      for (const SequenceId kid : kids) s.append(kid, {5});
    });
    CHECK(views_of(cache, sequence).size() == 1);
    CHECK(views_of(cache, kids[1]).size() == 2);
    in_step(cache, [&](Step& s) {
      for (const SequenceId kid : kids) s.drop(kid);
      s.rewind(sequence, 0);
    });
  }
}

TEST_CASE("All rows of a step may be rejected, the first of a branch among them") {
  KvCache cache({.n_pages = 16, .page_size = 4});
  const SequenceId sequence = cache.create_sequence();
  Step step = cache.begin_step();
  step.append(sequence, {1, 2});
  const std::vector<SequenceId> kids = step.fork(sequence, 3);
  step.append(sequence, {7});
  for (const SequenceId kid : kids) step.append(kid, {3, 4});
  REQUIRE(step.plan());
  step.reject(sequence, 1);
  step.reject(kids[0], 2);
  step.reject(kids[1], 1);
  step.commit();
  CHECK(violations(cache) == "");
  CHECK(cache.n_tokens(sequence) == 2);
  CHECK(cache.n_tokens(kids[0]) == 2);
  CHECK(cache.n_tokens(kids[1]) == 3);
  CHECK(cache.slots_of(kids[0]) == cache.slots_of(sequence));
  Step next = cache.begin_step();
  for (std::size_t k = 3; k-- > 0;) next.append(kids[k], {5});
  const PlanResult plan = next.plan();
  REQUIRE(plan);
  for (std::size_t k = 0; k < 3; ++k) CHECK(plan->sequences[k] == kids[k]);  // their places are kept
  CHECK(positions_of_rows(*plan, kids[0]) == std::vector<Position>{2});
  next.commit();
  in_step(cache, [&](Step& s) { s.join(sequence, kids); });
  CHECK(cache.n_tokens(sequence) == 2 + 1 + 2 + 3);
  CHECK(violations(cache) == "");
}

TEST_CASE("The number of rejected rows may be changed until the end, and an abort knows nothing of it") {
  KvCache cache({.n_pages = 16, .page_size = 4});
  const SequenceId sequence = cache.create_sequence();
  append(cache, sequence, 3);
  const std::vector<Slot> slots = cache.slots_of(sequence);
  for (const bool commit : {false, true}) {
    Step step = cache.begin_step();
    step.append(sequence, {1, 2, 3});
    REQUIRE(step.plan());
    const std::uint64_t epoch = cache.epoch();
    step.reject(sequence, 3);
    CHECK(cache.n_tokens(sequence) == 3);
    step.reject(sequence, 0);
    CHECK(cache.n_tokens(sequence) == 6);
    CHECK(cache.epoch() == epoch);
    step.reject(sequence, 2);
    CHECK(cache.next_position(sequence) == 4);
    if (commit) {
      step.commit();
      CHECK(cache.slots_of(sequence).size() == 4);
    } else {
      step.abort();
      CHECK(cache.slots_of(sequence) == slots);
    }
    CHECK(violations(cache) == "");
  }
}

TEST_CASE("Only rows that the sequence has written since its last fork or join can be rejected") {
  KvCache cache({.n_pages = 16, .page_size = 4});
  const SequenceId sequence = cache.create_sequence(), other = cache.create_sequence();
  append(cache, sequence, 3);
  Step step = cache.begin_step();
  CHECK(status_of([&] { step.reject(sequence, 0); }) == Status::wrong_state);
  step.append(sequence, {1, 2});
  const std::vector<SequenceId> kids = step.fork(sequence, 2);
  step.append(sequence, {3});
  REQUIRE(step.plan());
  CHECK(status_of([&] { step.reject(sequence, 2); }) == Status::bad_argument);
  CHECK(status_of([&] { step.reject(sequence, -1); }) == Status::bad_argument);
  CHECK(status_of([&] { step.reject(kids[0], 1); }) == Status::bad_argument);
  CHECK(status_of([&] { step.reject(other, 1); }) == Status::bad_argument);
  CHECK_THROWS_WITH(step.reject(sequence, 7),
                    "rejecting 7 rows of sequence 0; it wrote 1 since its last fork or join in this step");
  CHECK(status_of([&] { step.reject(SequenceId{99, 0}, 0); }) == Status::stale_sequence);
  CHECK(cache.n_tokens(sequence) == 6);
  step.reject(other, 0);
  step.reject(sequence, 1);
  step.commit();
  CHECK(status_of([&] { step.reject(sequence, 0); }) == Status::wrong_state);
  CHECK(cache.n_tokens(sequence) == 5);
}

TEST_CASE("1,000 steps of four appended tokens, three of them rejected, fill their pages") {
  KvCache cache({.n_pages = 4096, .page_size = 16});
  const SequenceId sequence = cache.create_sequence();
  for (std::int32_t i = 0; i < 1000; ++i) {
    Step step = cache.begin_step();
    step.append_unknown(sequence, 4, Logits::all);
    REQUIRE(step.plan());
    step.reject(sequence, 3);
    step.commit();
    REQUIRE(cache.n_pages() - cache.n_free_pages() == i / 16 + 1);
  }
  CHECK(views_of(cache, sequence).size() == 1);
}

TEST_CASE("A host that keeps sequences of its own hears of rejected rows when the sequence is used again") {
  KvCache cache({.n_pages = 32, .page_size = 4});
  HostWithCache host;
  const SequenceId sequence = cache.create_sequence(), other = cache.create_sequence();
  {
    Step step = cache.begin_step();
    step.append(sequence, {1, 2});
    step.append(other, {5});
    step.append(sequence, {3, 4});
    host.run(cache, step, {{sequence, 2}});
  }
  CHECK(host.held[sequence].size() == 4);  // not yet
  {
    Step step = cache.begin_step();
    step.append(other, {6});
    step.append(other, {8});
    host.run(cache, step, {{other, 1}});  // a step that has nothing to do with the sequence
  }
  CHECK(host.n_restarts == 0);
  {
    Step step = cache.begin_step();  // and one that comes to nothing
    step.append(sequence, {9});
    REQUIRE(step.plan());
  }
  SECTION("to grow") {
    const Snapshot snapshot = Snapshot::load(cache.snapshot().save());
    KvCache restored(snapshot);
    Step step = restored.begin_step();
    step.append(sequence, {10});
    step.append(sequence, {11});
    host.run(restored, step);
    CHECK(host.n_restarts == 1);
    CHECK(host.held[sequence] == HostWithCache::Held{{0, 1}, {1, 2}, {2, 10}, {3, 11}});
  }
  SECTION("to fork, and to join branches that had rows rejected as well") {
    std::vector<SequenceId> kids;
    {
      Step step = cache.begin_step();
      kids = step.fork(sequence, 2, {.positions = Positions::longest});
      step.append(kids[0], {10, 11});
      step.append(kids[1], {12});
      host.run(cache, step, {{kids[0], 1}});
    }
    CHECK(host.n_restarts == 1);
    {
      Step step = cache.begin_step();
      step.join(sequence, kids);
      step.append(sequence, {13});
      host.run(cache, step);
    }
    CHECK(host.n_restarts == 1);
    CHECK(host.held[sequence] == HostWithCache::Held{{0, 1}, {1, 2}, {2, 10}, {2, 12}, {3, 13}});
  }
  SECTION("a rewind says it by itself") {
    Step step = cache.begin_step();
    step.rewind(sequence, 1);
    step.append(sequence, {10});
    host.run(cache, step);
    CHECK(host.n_restarts == 1);
    CHECK(host.held[sequence] == HostWithCache::Held{{0, 1}, {1, 10}});
  }
  SECTION("an adopt takes it over from the branch") {
    std::vector<SequenceId> kids;
    {
      Step step = cache.begin_step();
      kids = step.fork(sequence, 2);
      step.append(kids[1], {10, 11});
      host.run(cache, step, {{kids[1], 1}});
    }
    {
      Step step = cache.begin_step();
      step.adopt(sequence, kids[1]);
      host.run(cache, step);
    }
    {
      Step step = cache.begin_step();
      step.append(sequence, {12});
      host.run(cache, step);
    }
    CHECK(host.held[sequence] == HostWithCache::Held{{0, 1}, {1, 2}, {2, 10}, {3, 12}});
  }
  CHECK(violations(cache) == "");
}
