#include <anabranch/anabranch.hpp>

int visible_after_join(anabranch::KvCache& cache) {
  anabranch::Step step = cache.begin_step();
  const anabranch::SequenceId trunk = step.create_sequence();
  step.append(trunk, {1, 2, 3});
  const auto children = step.fork(trunk, 2);
  for (const anabranch::SequenceId child : children) step.append(child, {4, 5});
  step.join(trunk, children);
  if (!step.plan()) return -1;
  step.commit();
  return cache.n_tokens(trunk);
}
