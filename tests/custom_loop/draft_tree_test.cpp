// Trees of drafts against a model that is a plain function of the text: speculating must write what it writes serially.
#include "draft_tree.hpp"

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "catch.hpp"
#include "drafts.hpp"

namespace {

namespace ab = anabranch;
using loop::Says;
using loop::Stretch;
using Tokens = std::vector<ab::TokenId>;
using Drafts = std::vector<Tokens>;

/// The model: a token of [0, 4) from the last three, and from the length now and then, so that it repeats itself but
/// not for ever.
ab::TokenId next_of(const Tokens& text) {
  std::uint32_t x = text.size() % 7 == 0 ? 17u : 1u;
  for (std::size_t i = text.size() - std::min<std::size_t>(3, text.size()); i < text.size(); ++i)
    x = x * 31u + static_cast<std::uint32_t>(text[i]) + 5u;
  return static_cast<ab::TokenId>((x >> 2) % 4u);
}

/// The model's token at each row of the tree; `text` is the text before the tree.
void run_model(const Stretch& tree, Tokens text, Says& says) {
  for (const ab::TokenId token : tree.tokens) {
    text.push_back(token);
    says[tree.sequence].push_back(next_of(text));
  }
  for (const Stretch& way : tree.ways) run_model(way, text, says);
}

/// Tokens of the longest draft's beginning that the model writes after `text`, by brute force.
std::size_t n_right(const Drafts& drafts, const Tokens& text) {
  std::size_t most = 0;
  for (const Tokens& draft : drafts) {
    Tokens so_far = text;
    std::size_t n = 1;  // the first token is no draft
    while (n < draft.size() && next_of(so_far) == draft[n]) so_far.push_back(draft[n++]);
    most = std::max(most, n - 1);
  }
  return most;
}

/// A cache that remembers which token each slot holds.
struct World {
  ab::KvCache cache{{.n_pages = 64, .page_size = 4}};
  ab::SequenceId trunk = cache.create_sequence();
  Tokens at_slot = Tokens(256, -1);

  void commit(ab::Step& step) {
    const ab::PlanResult plan = step.plan();
    REQUIRE(plan);
    for (std::size_t i = 0; i < plan->tokens.size(); ++i)
      at_slot[static_cast<std::size_t>(plan->slots[i])] = plan->tokens[i];
    step.commit();
    for (const std::string& violation : cache.snapshot().check()) FAIL(violation);
  }
  Tokens held() const {
    Tokens tokens;
    for (const ab::Slot slot : cache.slots_of(trunk)) tokens.push_back(at_slot[static_cast<std::size_t>(slot)]);
    return tokens;
  }
};

/// Sorted drafts without one that another begins with, each after `last`.
Drafts random_drafts(std::mt19937& random, ab::TokenId last) {
  Drafts drafts(random() % 6);
  for (Tokens& draft : drafts) {
    draft = {last};
    for (std::size_t n = 1 + random() % 6; n > 0; --n) draft.push_back(static_cast<ab::TokenId>(random() % 4));
  }
  if (drafts.empty()) drafts.push_back({last});
  std::sort(drafts.begin(), drafts.end());
  for (std::size_t i = drafts.size(); i-- > 1;)
    if (std::equal(drafts[i - 1].begin(), drafts[i - 1].end(), drafts[i].begin(),
                   drafts[i].begin() + static_cast<std::ptrdiff_t>(std::min(drafts[i].size(), drafts[i - 1].size()))))
      drafts.erase(drafts.begin() + static_cast<std::ptrdiff_t>(i - 1));
  return drafts;
}

}  // namespace

TEST_CASE("drafts share the rows of their common beginning") {
  World world;
  ab::Step step = world.cache.begin_step();
  const Drafts drafts{{9, 1, 2, 3}, {9, 1, 2, 4, 5}, {9, 1, 6}, {9, 7}};
  const Stretch tree = loop::grow(step, world.trunk, drafts);
  CHECK(loop::n_rows(tree) == 8);
  CHECK(tree.tokens == Tokens{9});
  REQUIRE(tree.ways.size() == 2);
  CHECK(tree.ways[0].tokens == Tokens{1});
  REQUIRE(tree.ways[0].ways.size() == 2);
  CHECK(tree.ways[0].ways[0].tokens == Tokens{2});
  CHECK(tree.ways[0].ways[0].ways.size() == 2);
  CHECK(tree.ways[1].tokens == Tokens{7});
  const ab::PlanResult plan = step.plan();
  REQUIRE(plan);
  CHECK(plan->n_rows() == 8);
  CHECK(plan->outputs.size() == 8);
}

TEST_CASE("the accepted path stays, the rest goes back to the pool") {
  World world;
  ab::Step step = world.cache.begin_step();
  const Stretch tree = loop::grow(step, world.trunk, Drafts{{9, 1, 2, 3}, {9, 1, 2, 4, 5}, {9, 1, 6}, {9, 7}});
  world.commit(step);
  const Stretch& one = tree.ways[0];
  const Stretch& two = one.ways[0];
  const Says says{{tree.sequence, {1}},
                  {one.sequence, {2}},
                  {two.sequence, {4}},
                  {two.ways[0].sequence, {0}},
                  {two.ways[1].sequence, {8, 8}},
                  {one.ways[1].sequence, {0}},
                  {tree.ways[1].sequence, {0}}};
  step = world.cache.begin_step();
  CHECK(loop::accept(step, world.cache, tree, says) == Tokens{1, 2, 4, 8});
  world.commit(step);
  CHECK(world.held() == Tokens{9, 1, 2, 4});
  CHECK(world.cache.n_sequences() == 1);
  CHECK(world.cache.next_position(world.trunk) == 4);
}

TEST_CASE("speculating writes what serial decoding writes, whatever the drafts are") {
  for (std::uint32_t seed = 1; seed <= 40; ++seed) {
    INFO("seed " << seed);
    std::mt19937 random(seed);
    World world;
    Tokens text{1, 2, 3};
    Tokens serial = text;
    while (serial.size() < 150) serial.push_back(next_of(serial));
    ab::Step step = world.cache.begin_step();
    step.append(world.trunk, std::span<const ab::TokenId>(text).first(text.size() - 1));
    std::size_t n_guessed = 0;
    while (text.size() < 120) {
      Drafts drafts = random_drafts(random, text.back());
      if (random() % 2 == 0) {
        drafts = loop::look_up(text, {.n_drafts = 3, .length = 6, .max_match = 3, .min_match = 1});
        for (Tokens& draft : drafts) draft.insert(draft.begin(), text.back());
        if (drafts.empty()) drafts.push_back({text.back()});
      }
      const Stretch tree = loop::grow(step, world.trunk, drafts);
      world.commit(step);
      Says says;
      run_model(tree, Tokens(text.begin(), text.end() - 1), says);
      step = world.cache.begin_step();
      const Tokens written = loop::accept(step, world.cache, tree, says);
      REQUIRE(written.size() == n_right(drafts, text) + 1);
      n_guessed += written.size() - 1;
      text.insert(text.end(), written.begin(), written.end());
    }
    world.commit(step);
    CHECK(text == Tokens(serial.begin(), serial.begin() + std::ssize(text)));
    CHECK(world.held() == Tokens(text.begin(), text.end() - 1));
    CHECK(world.cache.n_sequences() == 1);
    CHECK(n_guessed > 0);
    CHECK(world.cache.n_pages() - world.cache.n_free_pages() <= std::ssize(text) / 4 + 8);
  }
}
