// Two branches fork from a prompt, are computed in one pass, and join: prints the rows of the pass.
#include <anabranch/cache/kv_cache.hpp>
#include <anabranch/version.hpp>
#include <cstdio>
namespace ab = anabranch;

int main() {
  ab::KvCache cache({.n_pages = 64});
  const ab::SequenceId trunk = cache.create_sequence();
  auto step = cache.begin_step();
  step.append(trunk, {11, 12, 13});
  const auto branches = step.fork(trunk, 2, {.positions = ab::Positions::sequential});
  step.append(branches[0], {11}, ab::Logits::last);
  step.append(branches[1], {11, 12}, ab::Logits::last);
  step.join(trunk, branches);
  const auto plan = step.plan();
  if (!plan) return 1;
  std::printf("anabranch %d.%d.%d\n", ANABRANCH_VERSION_MAJOR, ANABRANCH_VERSION_MINOR, ANABRANCH_VERSION_PATCH);
  for (std::size_t row = 0; row < plan->tokens.size(); ++row)
    std::printf("token %d position %d slot %d\n", plan->tokens[row], plan->positions[row], plan->slots[row]);
  step.commit();
}
