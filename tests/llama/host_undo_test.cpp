// The host on the first layers of a real model: passes that are aborted, or fail halfway, leave llama.cpp as it was.
#include "host_world.hpp"

#include <functional>
#include <set>
#include <utility>

TEST_CASE("an abort after any pass leaves llama.cpp as it was, and the pass can be repeated") {
  GgufModel* model = shallow_model();
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

TEST_CASE("when llama.cpp has no room the whole pass is undone, and it runs once there is room") {
  if (shallow_model() == nullptr) return;
  const GgufModel other = shallow_model()->with_own_cells();
  const GgufModel model =
      GgufModel::load(ab::test::shallow_file(),
                      {.n_cells = 256, .n_seq_ids = 8, .n_threads = 1, .cells = ab::llama::CellType::float32});
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
  GgufModel* model = shallow_model();
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
  for (bool stopped = true; stopped; n_allowed += 40) {
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
