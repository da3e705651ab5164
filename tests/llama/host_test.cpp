// The host on real weights, in float32: every row's logits against llama.cpp one token at a time.
#include "catch.hpp"

#include <functional>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <llama.h>

#include <anabranch/anabranch.hpp>
#include <anabranch/llama/host.hpp>

#include "gguf.hpp"
#include "tree.hpp"

namespace {

namespace ab = anabranch;
using ab::Positions;
using ab::SequenceId;
using ab::Status;
using ab::llama::GgufModel;
using ab::llama::Host;
using ab::test::gguf_model;
using ab::test::kLongest;
using ab::test::Tree;
using ab::test::words;
using Tokens = std::vector<ab::TokenId>;

/// Last positions of a context's llama.cpp sequences.
std::vector<ab::Position> ends(llama_context* context) {
  std::vector<ab::Position> all;
  for (std::uint32_t s = 0; s < llama_n_seq_max(context); ++s)
    all.push_back(llama_memory_seq_pos_max(llama_get_memory(context), static_cast<llama_seq_id>(s)));
  return all;
}

template <class Call>
ab::Error error_of(Call&& call) {
  try {
    call();
  } catch (const ab::Error& error) {
    return error;
  }
  FAIL("nothing was thrown");
  return {Status::ok, ""};
}

bool says(const ab::Error& error, const std::string& part) {
  return std::string(error.what()).find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("forks, nested forks, subset joins and late joins give every row what it gets alone") {
  GgufModel* model = gguf_model("f32");
  if (model == nullptr) return;
  const GgufModel other = model->with_own_cells();
  std::mt19937 random(1);
  Tree t(model->context());
  const SequenceId trunk = t.create();
  t.append(trunk, words(random, 9));
  const auto kids = t.fork(trunk, 4);  // ragged prefixes in the pass of the fork
  for (int k = 0; k < 3; ++k) t.append(kids[static_cast<std::size_t>(k)], words(random, 1 + k));
  t.pass();
  CHECK(t.host.statistics().n_decodes == 1);
  for (const SequenceId kid : kids) t.append(kid, words(random, 1));
  t.append(trunk, words(random, 2));  // the parent goes on beside its children
  t.pass();
  const auto inner = t.fork(kids[1], 2);
  t.append(inner[0], words(random, 3));
  t.append(inner[1], words(random, 1));
  t.append(kids[0], words(random, 2));
  t.pass();
  t.append(inner[1], words(random, 1));  // an end, two joins and what sees them, in one plan
  t.join(kids[1], {inner[1], inner[0]});
  t.append(kids[1], words(random, 1));
  t.join(trunk, {kids[1], kids[3]});
  t.append(trunk, words(random, 2));
  t.run();
  CHECK(t.host.statistics().n_decodes == 3 + 3);
  t.commit();
  t.append(trunk, words(random, 1));
  t.append(kids[0], words(random, 1));
  t.append(kids[2], words(random, 1));
  t.pass();
  t.append(kids[2], words(random, 2));
  t.join(trunk, {kids[2], kids[0]});
  t.append(trunk, words(random, 3));
  t.pass();
  CHECK(t.host.n_used_seq_ids() == 1);
  t.end();
  CHECK(t.compare(other.context()) > 30);
}

TEST_CASE("rows left out are gone for llama.cpp as well when their sequence goes on") {
  GgufModel* model = gguf_model("f32");
  if (model == nullptr) return;
  const GgufModel other = model->with_own_cells();
  std::mt19937 random(7);
  Tree t(model->context());
  const SequenceId trunk = t.create();
  t.append(trunk, words(random, 6));
  for (int i = 0; i < 4; ++i) {
    t.append(trunk, words(random, 1 + i));
    t.run();
    t.reject(trunk, i);
    t.commit();
  }
  CHECK(t.cache.n_tokens(trunk) == 10);
  const auto kids = t.fork(trunk, 3);
  for (const SequenceId kid : kids) t.append(kid, words(random, 3));
  t.run();
  t.reject(kids[0], 3);
  t.reject(kids[1], 1);
  t.commit();
  for (const SequenceId kid : kids) t.append(kid, words(random, 2));
  t.join(trunk, kids);
  t.append(trunk, words(random, 1));
  t.pass();
  CHECK(t.cache.n_tokens(trunk) == 10 + 2 + 4 + 5 + 1);
  CHECK(t.host.n_used_seq_ids() == 1);
  t.end();
  CHECK(t.compare(other.context()) > 20);
}

TEST_CASE("rewind, adopt, detach and drop give every row what it gets alone") {
  GgufModel* model = gguf_model("f32");
  if (model == nullptr) return;
  const GgufModel other = model->with_own_cells();
  std::mt19937 random(2);
  Tree t(model->context());
  const SequenceId trunk = t.create();
  t.append(trunk, words(random, 7));
  t.pass();
  auto drafts = t.fork(trunk, 4);
  for (const SequenceId draft : drafts) t.append(draft, words(random, 4));
  t.pass();
  t.rewind(drafts[1], 9);
  t.adopt(trunk, drafts[1]);
  t.append(trunk, words(random, 2));
  t.pass();
  CHECK(t.host.n_used_seq_ids() == 1);
  t.rewind(trunk, 5);
  t.append(trunk, words(random, 2));
  const auto kids = t.fork(trunk, 3);
  t.append(kids[0], words(random, 1));
  t.append(kids[1], words(random, 2));
  t.pass();
  t.step().detach(kids[1]);
  t.step().drop(kids[2]);
  t.append(kids[1], words(random, 2));
  t.rewind(kids[0], t.cache.n_tokens(kids[0]) - 1);
  t.append(kids[0], words(random, 2));
  t.join(trunk, {kids[0]});
  t.append(trunk, words(random, 1));
  t.pass();
  t.append(kids[1], words(random, 1));
  t.append(trunk, words(random, 1));
  t.pass();
  CHECK(t.host.n_used_seq_ids() == 2);
  t.end();
  CHECK(t.compare(other.context()) > 25);
}

TEST_CASE("random trees give every row what it gets alone, with aborts in between") {
  GgufModel* model = gguf_model("f32");
  if (model == nullptr) return;
  const GgufModel other = model->with_own_cells();
  int n_rows = 0;
  for (unsigned seed = 1; seed <= 5; ++seed) {
    INFO("seed " << seed);
    std::mt19937 random(seed);
    const auto below = [&](std::size_t n) { return random() % n; };
    Tree t(model->context());
    std::vector<SequenceId> sequences{t.create()};
    t.append(sequences[0], words(random, 5));
    t.pass();
    for (int round = 0; round < 12; ++round) {
      for (const bool abort_it : {true, false}) {
        if (abort_it && below(3) != 0) continue;
        std::erase_if(sequences, [&](SequenceId sequence) { return !t.cache.alive(sequence); });
        const ab::test::Book before = t.book;
        auto now = sequences;
        for (std::size_t op = 0; op < 1 + below(4); ++op) {
          const SequenceId sequence = now[below(now.size())];
          auto kids = t.cache.children(sequence);
          std::erase_if(kids, [&](SequenceId kid) { return !t.cache.children(kid).empty(); });
          if (below(3) == 0 && now.size() < 10) {
            for (const SequenceId kid : t.fork(sequence, 2)) {
              now.push_back(kid);
              t.append(kid, words(random, 1 + static_cast<int>(below(2))));
            }
          } else if (below(2) == 0 && !kids.empty()) {
            t.join(sequence, kids);
            t.append(sequence, words(random, 1));
          } else {
            t.append(sequence, words(random, 1 + static_cast<int>(below(2))));
          }
          std::erase_if(now, [&](SequenceId l) { return !t.cache.alive(l); });
        }
        t.run();
        if (!abort_it) {
          sequences = now;
          t.commit();
          continue;
        }
        t.abort();
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

TEST_CASE("a pass with more rows than n_batch is split, shared rows and outputs included") {
  if (gguf_model("f32") == nullptr) return;
  const GgufModel other = gguf_model("f32")->with_own_cells();
  const GgufModel model = GgufModel::load(
      ab::test::gguf_file("f32"),
      {.n_cells = 256, .n_seq_ids = 8, .max_rows = 8, .n_threads = 2, .cells = ab::llama::CellType::float32});
  std::mt19937 random(3);
  Tree t(model.context());
  const SequenceId trunk = t.create();
  t.append(trunk, words(random, 19));
  const auto kids = t.fork(trunk, 3);
  for (const SequenceId kid : kids) t.append(kid, words(random, 5));
  t.append(trunk, words(random, 3));
  t.pass();
  CHECK(t.host.statistics().n_decodes == 5);
  for (const SequenceId kid : kids) t.append(kid, words(random, 4));
  t.join(trunk, kids);
  t.append(trunk, words(random, 9));
  t.pass();
  CHECK(t.host.statistics().n_decodes == 5 + 2 + 2);
  t.end();
  CHECK(t.compare(other.context()) == 37 + 12 + 9);
}

TEST_CASE("an abort after any pass leaves llama.cpp as it was, and the pass can be repeated") {
  GgufModel* model = gguf_model("f32");
  if (model == nullptr) return;
  const GgufModel other = model->with_own_cells();
  std::mt19937 random(4);
  const Tokens prompt = words(random, 6);
  Tree t(model->context());
  const SequenceId trunk = t.create();
  t.append(trunk, prompt);
  t.pass();
  std::vector<SequenceId> kids;
  const std::vector<std::function<void()>> steps = {
      [&] {
        kids = t.fork(trunk, 3);
        for (const SequenceId kid : kids) t.append(kid, {40, 41});
      },
      [&] {
        t.append(kids[0], {42});
        t.append(trunk, {43, 44, 45});
      },
      [&] {
        t.rewind(kids[1], t.cache.n_tokens(kids[1]) - 1);
        t.append(kids[1], {46});
      },
      [&] {
        t.append(kids[0], {47});
        t.join(trunk, {kids[0]});
        t.append(trunk, {48});
      },  // among its own tokens
      [&] {
        t.adopt(trunk, kids[1]);
        t.append(trunk, {49});
      },
      [&] { t.step().drop(trunk); },
  };
  for (const auto& step : steps) {
    const std::vector<ab::Position> before = ends(model->context());
    const ab::test::Book book = t.book;
    step();
    t.run();
    t.abort();
    CHECK(ends(model->context()) == before);
    t.book = book;
    t.next();
    step();
    t.run();
    t.commit();
  }
  t.end();
  CHECK(t.host.n_used_seq_ids() == 0);
  CHECK(t.compare(other.context()) == 6 + 6 + 4 + 1 + 2 + 1);
}

TEST_CASE("no room in llama.cpp undoes the pass, its first decode included; with room made it goes on") {
  if (gguf_model("f32") == nullptr) return;
  const GgufModel other = gguf_model("f32")->with_own_cells();
  const GgufModel model =
      GgufModel::load(ab::test::gguf_file("f32"),
                      {.n_cells = 256, .n_seq_ids = 8, .n_threads = 2, .cells = ab::llama::CellType::float32});
  std::mt19937 random(5);
  Tree t(model.context(), {.n_pages = 512, .page_size = 4});
  const SequenceId trunk = t.create();
  t.append(trunk, words(random, 6));
  const auto kids = t.fork(trunk, 2);
  const SequenceId ballast = t.create();
  for (const SequenceId kid : kids) t.append(kid, words(random, 2));
  t.pass();
  {
    ab::Step& step = t.step();
    step.append(ballast, Tokens(238, 50));  // 248 of 256 cells
    const ab::PlanResult plan = step.plan();
    t.host(*plan);
    step.commit();
    t.host.committed();
    t.next();
  }
  const std::vector<ab::Position> before = ends(model.context());
  const ab::test::Book book = t.book;
  const auto too_much = [&] {
    for (const SequenceId kid : kids) t.append(kid, {60, 61, 62});  // six rows fit, then two do not
    t.join(trunk, kids);
    t.append(trunk, {63, 64, 65});
  };
  too_much();
  const std::int64_t n_decodes = t.host.statistics().n_decodes;
  const ab::Error error = error_of([&] { t.run(); });
  CHECK(error.status() == Status::no_room);
  CHECK(says(error, "3 tokens in its 256 cells"));
  CHECK(t.host.statistics().n_decodes == n_decodes + 1);
  CHECK(ends(model.context()) == before);
  t.book = book;
  t.next();
  t.step().drop(ballast);
  t.pass();
  too_much();
  t.pass();
  t.end();
  t.compare(other.context());
}

TEST_CASE("a pass that llama.cpp gives up halfway is undone, whatever it had computed") {
  GgufModel* model = gguf_model("f32");
  if (model == nullptr) return;
  const GgufModel other = model->with_own_cells();
  std::mt19937 random(8);
  Tree t(model->context());
  const SequenceId trunk = t.create();
  t.append(trunk, words(random, 5));
  const auto kids = t.fork(trunk, 2);
  for (const SequenceId kid : kids) t.append(kid, words(random, 2));
  t.pass();
  const auto fill = [&] {
    for (const SequenceId kid : kids) t.append(kid, {70});
    t.join(trunk, kids);
    t.append(trunk, {71, 72});
  };
  int n_asked = 0, n_allowed = 0;
  const auto stop = [](void* user) {
    const auto& [asked, allowed] = *static_cast<std::pair<int*, int*>*>(user);
    return ++*asked > *allowed;
  };
  std::pair<int*, int*> counters{&n_asked, &n_allowed};
  const std::vector<ab::Position> before = ends(model->context());
  const ab::test::Book book = t.book;
  std::set<std::int64_t> n_decodes;
  llama_set_abort_callback(model->context(), stop, &counters);
  for (bool stopped = true; stopped; n_allowed += 300) {
    n_asked = 0;
    const std::int64_t n_before = t.host.statistics().n_decodes;
    fill();
    try {
      t.run();
      stopped = false;
    } catch (const ab::Error& error) {
      CHECK(says(error, "llama_decode gave 2 for a batch of"));
      CHECK(ends(model->context()) == before);
      n_decodes.insert(t.host.statistics().n_decodes - n_before);
      t.book = book;
      t.next();
    }
  }
  llama_set_abort_callback(model->context(), nullptr, nullptr);
  CHECK(n_decodes == std::set<std::int64_t>{0, 1});  // stopped in the first and in the second
  t.commit();
  t.end();
  t.compare(other.context());
}

TEST_CASE("seq_ids are used again over thousands of steps") {
  GgufModel* model = gguf_model("q4_1");
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
        ab::Step step = cache.begin_step();  // of which the host is not told
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

TEST_CASE("contexts, tokens and calls that cannot be are refused with the value and the limit") {
  GgufModel* model = gguf_model("q4_1");
  if (model == nullptr) return;
  ab::KvCache cache(ab::llama::cache_options(model->context()));
  CHECK(cache.n_slots() == 512);
  CHECK(cache.options().max_sequences == 128);
  CHECK(error_of([&] { Host(nullptr, cache); }).status() == Status::bad_argument);
  CHECK(says(error_of([&] { Host(model->context(), cache, {.first_seq_id = 250, .n_seq_ids = 7}); }),
             "7 sequences from id 250"));
  llama_context_params split = llama_context_default_params();
  split.n_ctx = 512;
  split.n_seq_max = 2;
  llama_context* not_unified = llama_init_from_model(const_cast<llama_model*>(model->model()), split);
  CHECK(says(error_of([&] { Host(not_unified, cache); }), "kv_unified"));
  llama_free(not_unified);

  Host host(model->context(), cache);
  const SequenceId sequence = cache.create_sequence();
  const auto run = [&](const Tokens& tokens, std::int32_t n_unknown) {
    ab::Step step = cache.begin_step();
    step.append(sequence, tokens, ab::Logits::last);
    if (n_unknown > 0) step.append(sequence, n_unknown);
    const ab::PlanResult plan = step.plan();
    host(*plan);
    return host(*plan);  // the pass before is still open
  };
  CHECK(says(error_of([&] { run({1, 49152}, 0); }), "token 49152 of row 1 is outside the vocabulary [0, 49152)"));
  CHECK(says(error_of([&] { run({1}, 1); }), "needs every token"));
  CHECK(error_of([&] { run({1, 2}, 0); }).status() == Status::wrong_state);
  host.aborted();
  CHECK(host.n_used_seq_ids() == 0);
  {
    ab::Step step = cache.begin_step();
    step.append(sequence, {1, 2, 3}, ab::Logits::last);
    const ab::PlanResult plan = step.plan();
    CHECK(host(*plan).n_outputs == 1);
    step.commit();
    host.committed();
  }
  CHECK(host.seq_id_of(sequence) == 0);
  CHECK(says(error_of([&] { Host(model->context(), cache); }),
             "sequence 0 of the context is not empty: it holds position 2"));
}
