// Calls of a step that change sequences.
#include <algorithm>
#include <array>
#include <vector>

#include "check.hpp"
#include "world.hpp"

namespace fuzz {

namespace {

constexpr std::int32_t kMany = 0x7fffffff;

/// Open children of a sequence, shuffled and thinned out now and then; or sequences that are none.
std::vector<anb_sequence> some_children(World& world, anb_sequence parent) {
  Input& input = world.input();
  std::array<anb_sequence, 8> all{};
  std::int32_t n = 0;
  if (world.group().cache != nullptr) anb_sequence_children(world.group().cache, parent, 8, all.data(), &n);
  std::vector<anb_sequence> chosen(all.begin(), all.begin() + std::min(n, 8));
  const std::uint8_t how = input.byte();
  if ((how & 1) != 0) std::reverse(chosen.begin(), chosen.end());
  if ((how & 2) != 0 && !chosen.empty()) chosen.pop_back();
  if ((how & 4) != 0 && chosen.size() > 1) chosen.erase(chosen.begin());
  if (how >= 240) chosen.push_back(world.some_sequence());
  if (how >= 250) chosen.push_back(chosen.front());
  return chosen;
}

anb_positions some_positions(Input& input) {
  switch (input.below(4)) {
    case 0: return ANB_POSITIONS_SEQUENTIAL;
    case 1: return ANB_POSITIONS_LONGEST;
    case 2: return ANB_POSITIONS_RESERVED(1 + input.below(12));
    default: return input.number(-1, 3);
  }
}

struct TreeCalls {
  World& world;
  Input& input;
  Group& group;
  anb_step* step;
  Group* about;  ///< null with a bad handle

  void append() {
    const anb_sequence sequence = world.some_sequence();
    const std::int32_t n = input.one_in(64) ? input.odd_number() : input.below(14);
    const bool known = n <= 4096 && !input.one_in(4);
    std::vector<anb_token> tokens(static_cast<std::size_t>(std::clamp(n, 0, 4096)), 7);
    if (!tokens.empty()) tokens.back() = input.number(0, 100);
    const std::int32_t logits = input.number(0, 3);
    if (known)
      world.make(function::kAppend, about, [&] { return anb_step_append(step, sequence, tokens.data(), n, logits); });
    else
      world.make(function::kAppendUnknown, about, [&] { return anb_step_append_unknown(step, sequence, n, logits); });
  }
  void create_sequence() {
    const OutArray<anb_sequence> sequence(1);
    const anb_position first = input.number(0, 20);
    const anb_status status = world.make(function::kCreateSequence, about,
                                         [&] { return anb_step_create_sequence(step, first, sequence.pointer()); });
    sequence.check(status == ANB_OK ? 1 : 0);
    if (status == ANB_OK) world.remember_sequence(group, sequence[0]);
  }
  void fork(bool given) {
    const anb_sequence parent = world.some_sequence();
    const std::int32_t n = input.one_in(48) ? kMany : 1 + input.below(5) - (input.one_in(32) ? 5 : 0);
    const OutArray<anb_sequence> children(static_cast<std::size_t>(n == kMany ? 1 : std::max(n, 0)));
    std::vector<anb_position> starts;
    for (std::int32_t i = 0; given && n != kMany && i < n; ++i) starts.push_back(input.number(0, 60));
    const anb_positions positions = given ? 0 : some_positions(input);
    anb_sequence* to = input.one_in(64) ? nullptr : children.pointer();
    if (given && n == kMany) return;  // a promise about an array that nobody has
    const anb_status status =
        given ? world.make(function::kForkGiven, about,
                           [&] { return anb_step_fork_given(step, parent, n, starts.data(), to); })
              : world.make(function::kFork, about, [&] { return anb_step_fork(step, parent, n, positions, to); });
    children.check(status == ANB_OK ? children.size() : 0);
    if (given && status == ANB_OK) group.given_parent = parent;
    for (std::size_t i = 0; status == ANB_OK && i < children.size(); ++i) world.remember_sequence(group, children[i]);
  }
  void join(bool given) {
    const anb_sequence parent = given ? some_given_parent() : world.some_sequence();
    const std::vector<anb_sequence> children = some_children(world, parent);
    const auto n = input.one_in(64) ? -1 : static_cast<std::int32_t>(children.size());
    if (!given) {
      world.make(function::kJoin, about, [&] { return anb_step_join(step, parent, children.data(), n); });
      return;
    }
    const anb_position next = input.number(0, 80);
    world.make(function::kJoinGiven, about,
               [&] { return anb_step_join_given(step, parent, children.data(), n, next); });
  }
  /// A random sequence would hardly ever be the right one.
  anb_sequence some_given_parent() {
    anb_sequence child{};
    std::int32_t n = 0;
    const bool has_children = group.cache != nullptr &&
                              anb_sequence_children(group.cache, group.given_parent, 1, &child, &n) == ANB_OK && n > 0;
    return has_children && !input.one_in(8) ? group.given_parent : world.some_sequence();
  }
  void rewind() {
    const anb_sequence sequence = world.some_sequence();
    anb_sequence_state state = ANB_SEQUENCE_STATE_INIT;
    if (group.cache != nullptr) anb_sequence_get_state(group.cache, sequence, &state);
    const std::int32_t n = input.one_in(16) ? input.odd_number() : state.n_tokens - input.below(6);
    world.make(function::kRewind, about, [&] { return anb_step_rewind(step, sequence, n); });
  }
  void reject() {
    const anb_sequence sequence = world.some_sequence();
    const std::int32_t n = input.one_in(16) ? input.odd_number() : input.below(4);
    const anb_status status = world.make(function::kReject, about, [&] { return anb_step_reject(step, sequence, n); });
    if (about != nullptr) FUZZ_CHECK(status != ANB_OK || group.planned, "rows rejected in a step without a plan");
  }
  void adopt() {
    const anb_sequence parent = world.some_sequence();
    const std::vector<anb_sequence> children = some_children(world, parent);
    const anb_sequence child = children.empty() ? world.some_sequence() : children.front();
    world.make(function::kAdopt, about, [&] { return anb_step_adopt(step, parent, child); });
  }
};

}  // namespace

void World::tree_call() {
  Group& g = group();
  if (g.step == nullptr && g.cache != nullptr && !g.plan_open() && anb_step_begin(g.cache, &g.step) != ANB_OK)
    g.step = nullptr;
  anb_step* step = some_step();
  TreeCalls calls{*this, input_, g, step, step == g.step && step != nullptr ? &g : nullptr};
  if (g.planned && input_.one_in(2)) return calls.reject();
  if (g.planned && !input_.one_in(16)) return finish_step();  // nothing else can work
  switch (input_.below(20)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4: return g.sequences.empty() ? calls.create_sequence() : calls.append();
    case 5: return calls.create_sequence();
    case 6:
    case 7: return g.sequences.empty() ? calls.create_sequence() : calls.fork(false);
    case 8: return calls.fork(true);
    case 9:
    case 10:
    case 11: return calls.join(false);
    case 12: return calls.join(true);
    case 13:
    case 14: return calls.rewind();
    case 15: return calls.adopt();
    case 16: {
      const anb_sequence sequence = some_sequence();
      make(function::kDrop, calls.about, [&] { return anb_step_drop(step, sequence); });
      return;
    }
    case 17: {
      const anb_sequence sequence = some_sequence();
      make(function::kDetach, calls.about, [&] { return anb_step_detach(step, sequence); });
      return;
    }
    case 18: {
      const anb_sequence sequence = some_sequence();
      const std::int32_t n = input_.number(0, 20);
      make(function::kHold, calls.about, [&] { return anb_step_hold(step, sequence, n); });
      return;
    }
    default: {
      const anb_sequence sequence = some_sequence();
      make(function::kRequestLogits, calls.about, [&] { return anb_step_request_logits(step, sequence); });
    }
  }
}

}  // namespace fuzz
