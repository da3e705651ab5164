// The host on the first layers of a real model in float32, every logit compared with llama.cpp one token at a time:
// rewinds, adopts and rejects.
#include "host_world.hpp"

TEST_CASE("rewind, adopt, detach and drop give every row what it gets alone") {
  GgufModel* model = shallow_model();
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

TEST_CASE("an adopt after the parent went on and forked again gives every row what it gets alone") {
  GgufModel* model = shallow_model();
  if (model == nullptr) return;
  const GgufModel other = model->with_own_cells();
  std::mt19937 random(9);
  Tree t(model->context());
  const SequenceId trunk = t.create();
  t.append(trunk, words(random, 5));
  t.pass();
  const SequenceId child = t.fork(trunk, 1)[0];
  t.append(child, words(random, 2));
  t.append(trunk, words(random, 2));
  const SequenceId aside = t.fork(trunk, 1)[0];
  t.append(aside, words(random, 1));
  t.step().detach(aside);
  t.adopt(trunk, child);
  t.append(trunk, words(random, 1));
  t.pass();
  t.append(trunk, words(random, 1));
  t.append(aside, words(random, 1));
  t.pass();
  CHECK(t.host.n_used_seq_ids() == 2);
  t.end();
  CHECK(t.compare(other.context()) == 5 + 2 + 2 + 1 + 1 + 2);
}

TEST_CASE("rejected rows are gone for llama.cpp too when their sequence goes on") {
  GgufModel* model = shallow_model();
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
