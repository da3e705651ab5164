// The host on the first layers of a real model in float32, every logit compared with llama.cpp one token at a time:
// forks and joins.
#include "host_world.hpp"

TEST_CASE("forks, nested forks, subset joins and late joins give every row what it gets alone") {
  GgufModel* model = shallow_model();
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

TEST_CASE("a pass with more rows than n_batch is split, shared rows and outputs included") {
  if (shallow_model() == nullptr) return;
  const GgufModel other = shallow_model()->with_own_cells();
  const GgufModel model = GgufModel::load(
      ab::test::shallow_file(),
      {.n_cells = 256, .n_seq_ids = 8, .max_rows = 8, .n_threads = 1, .cells = ab::llama::CellType::float32});
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
