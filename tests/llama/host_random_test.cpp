// The host on the first layers of a real model: random trees, and thousands of steps on few seq_ids.
#include "host_world.hpp"
#include "support/random_tree.hpp"

namespace {

using ab::test::RandomTree;

/// The calls of a Step on a Tree, with random words for tokens.
struct RandomCalls {
  Tree& tree;
  std::mt19937& random;
  SequenceId create_sequence(ab::Position) { return tree.create(); }
  void append_unknown(SequenceId sequence, std::int32_t n) { tree.append(sequence, words(random, n)); }
  std::vector<SequenceId> fork(SequenceId parent, std::int32_t n, const ab::ForkOptions&) {
    return tree.fork(parent, n);
  }
  void join(SequenceId parent, const std::vector<SequenceId>& children) { tree.join(parent, children); }
  void rewind(SequenceId sequence, std::int32_t n_tokens) { tree.rewind(sequence, n_tokens); }
  void adopt(SequenceId parent, SequenceId child) { tree.adopt(parent, child); }
  void drop(SequenceId sequence) { tree.step().drop(sequence); }
  void detach(SequenceId sequence) { tree.step().detach(sequence); }
};

}  // namespace

TEST_CASE("random trees give every row what it gets alone, with aborts in between") {
  GgufModel* model = shallow_model();
  if (model == nullptr) return;
  const GgufModel other = model->with_own_cells();
  int n_rows = 0;
  for (unsigned seed = 1; seed <= 5; ++seed) {
    INFO("seed " << seed);
    std::mt19937 random(seed);
    Tree t(model->context());
    const SequenceId trunk = t.create();
    t.append(trunk, words(random, 5));
    t.pass();
    RandomTree tree(seed, t.cache, {trunk},
                    {.mix = {.append = 4, .fork = 3, .join = 3},
                     .max_sequences = 10,
                     .max_children = 2,
                     .max_tokens = 2,
                     .policies = {ab::Positions::longest},
                     .reach = ab::test::RewindReach::tail});
    RandomCalls calls{t, random};
    for (int round = 0; round < 12; ++round) {
      for (const bool abort_it : {true, false}) {
        if (abort_it && !tree.chance(1, 3)) continue;
        const ab::test::Book before = t.book;
        tree.begin_step();
        for (int op = 1 + tree.below(4); op > 0; --op) tree.act(calls);
        t.run();
        if (!abort_it) {
          t.commit();
          continue;
        }
        t.abort();
        tree.abort_step();
        for (int number = before.n_fed(); number < t.book.n_fed(); ++number) t.logits.erase(number);
        t.book = before;
        t.next();
      }
    }
    t.end();
    n_rows += t.compare(other.context());
  }
  CHECK(n_rows > 150);
}

TEST_CASE("seq_ids are used again over thousands of steps") {
  GgufModel* model = shallow_model();
  if (model == nullptr) return;
  std::mt19937 random(6);
  const std::vector<ab::Position> empty = ends(model->context());
  ab::KvCache cache(ab::CacheOptions{.n_pages = 64, .page_size = 4});
  {
    Host host(model->context(), cache, {.first_seq_id = 3, .n_seq_ids = 8});
    ab::SequenceId trunk = cache.create_sequence();
    std::vector<SequenceId> kids;
    const auto pass = [&](auto&& fill) {
      ab::Step step = cache.begin_step();
      fill(step);
      const ab::PlanResult plan = step.plan();
      REQUIRE(plan);
      host(*plan);
      const bool commit = random() % 8 != 0;
      commit ? step.commit() : step.abort();
      commit ? host.committed() : host.aborted();
      return commit;
    };
    int n_steps = 0;
    for (; n_steps < 2000; ++n_steps) {
      const std::size_t what = random() % 6;
      if (cache.n_tokens(trunk) > 60) {
        REQUIRE(cache.children(trunk).size() == kids.size());
        ab::Step step = cache.begin_step();  // that does not run through the host
        step.drop(trunk);
        REQUIRE(step.plan());
        step.commit();
        trunk = cache.create_sequence();
        kids.clear();
      } else if (what == 0 && kids.empty()) {
        std::vector<SequenceId> made;
        if (pass([&](ab::Step& step) { made = step.fork(trunk, 3, kLongest); })) kids = made;
      } else if (what == 1 && !kids.empty()) {
        if (pass([&](ab::Step& step) { step.join(trunk, kids); })) kids.clear();
      } else if (what == 2 && !kids.empty()) {
        if (pass([&](ab::Step& step) { step.adopt(trunk, kids[1]); })) kids.clear();
      } else if (what == 3 && kids.empty() && cache.n_tokens(trunk) > 0 && cache.n_tokens(trunk) < 4) {
        pass([&](ab::Step& step) { step.rewind(trunk, cache.n_tokens(trunk) - 1); });
      } else if (!kids.empty() && what == 4) {
        pass([&](ab::Step& step) { step.append(kids[random() % 3], {static_cast<ab::TokenId>(random() % 1000)}); });
      } else if (n_steps % 3 == 0) {
        pass([&](ab::Step& step) { step.append(trunk, {static_cast<ab::TokenId>(random() % 1000)}); });
      }
      REQUIRE(host.n_used_seq_ids() <= 4);
    }
    for (std::int32_t s = 0; s < 256; ++s)
      if (s < 3 || s >= 11) CHECK(ends(model->context())[static_cast<std::size_t>(s)] == -1);
  }
  CHECK(ends(model->context()) == empty);
}
