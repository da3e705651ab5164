// A row's bits depend on its own history only. On the host and on a device.
#include <algorithm>
#include <cstring>

#include "catch.hpp"
#include "random_steps.hpp"
#include "reference.hpp"

using namespace anabranch;
using namespace anabranch::test;

namespace {

/// Bits of a row's result: out, then lse.
std::vector<std::uint32_t> row_bits(const AttentionCase& given, const AttentionResult& result, std::size_t row) {
  const auto width = static_cast<std::size_t>(given.shape.q_width());
  const auto heads = static_cast<std::size_t>(given.shape.query_heads);
  std::vector<std::uint32_t> bits;
  for (std::size_t i = 0; i < width; ++i) bits.push_back(bits_of_float(result.out[row * width + i]));
  for (std::size_t i = 0; i < heads; ++i) bits.push_back(bits_of_float(result.lse[row * heads + i]));
  return bits;
}

/// Bits of the rows of the open step, by token; the step stays open.
std::map<int, std::vector<std::uint32_t>> bits_of_pass(TreeWorld& world, const HeadShape& shape, Element element,
                                                       const cuda::PlanSizes& at_least = {},
                                                       const attention::ScoreOptions& options = {}) {
  const Pass pass = world.plan();
  const AttentionCase given = make_case(pass, shape, element, options);
  const AttentionResult result = run_attention(given, *pass.plan, at_least);
  std::map<int, std::vector<std::uint32_t>> bits;
  for (std::size_t row = 0; row < pass.token_of_row.size(); ++row)
    bits[pass.token_of_row[row]] = row_bits(given, result, row);
  return bits;
}

void grow(TreeWorld& world, std::uint32_t seed, int n_steps) {
  RandomSteps tree(seed, world, {Positions::sequential, Positions::longest});
  for (int i = 0; i < n_steps; ++i) {
    tree.step(i % 3 == 0 ? 40 : 4);
    world.commit();
  }
}

std::vector<int> living(const TreeWorld& world) {
  std::vector<int> sequences;
  for (int number = 0; number < world.n_sequences(); ++number)
    if (world.sequence(number).alive) sequences.push_back(number);
  return sequences;
}

struct Kind {
  HeadShape shape;
  Element element;
};
const std::vector<Kind> kKinds = {{{7, 1, 64}, Element::bfloat16}, {{6, 2, 128}, Element::float16}};

}  // namespace

TEST_CASE("a sequence's rows have the same bits alone and beside all others") {
  const auto seed = GENERATE(21u, 22u, 23u);
  const auto kind = GENERATE(0u, 1u);
  const auto window = GENERATE(0, 45);
  const attention::ScoreOptions options{.softcap = window > 0 ? 5.0f : 0.0f, .window = window};
  CAPTURE(seed, kind, window);
  TreeWorld world(Places::scattered, 330);
  grow(world, seed, 9);
  const std::vector<int> sequences = living(world);
  REQUIRE(sequences.size() > 2);
  const auto n_of = [](int sequence) { return 1 + sequence % 3 * 2; };
  world.begin();
  std::vector<int> first_token;
  for (const int sequence : sequences) {
    world.append(sequence, n_of(sequence));
    first_token.push_back(world.sequence(sequence).content[world.sequence(sequence).content.size() -
                                                           static_cast<std::size_t>(n_of(sequence))]);
  }
  const auto together = bits_of_pass(world, kKinds[kind].shape, kKinds[kind].element, {}, options);
  world.abort();
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    world.begin();
    world.number_from(first_token[i]);
    world.append(sequences[i], n_of(sequences[i]));
    const auto alone = bits_of_pass(world, kKinds[kind].shape, kKinds[kind].element, {}, options);
    world.abort();
    for (const auto& [token, bits] : alone) CHECK(bits == together.at(token));
  }
}

TEST_CASE("a prompt has the same bits in one pass, in pieces and token by token") {
  const Kind& kind = kKinds[0];
  TreeWorld at_once(Places::together);
  at_once.begin();
  at_once.append(0, 290);
  const auto expected = bits_of_pass(at_once, kind.shape, kind.element);
  for (const int piece : {1, 7, 100}) {
    TreeWorld world(Places::scattered);
    int n = 0;
    for (const int least : {250, 290})  // attention is run on the last pieces only
      for (; n < least; n += piece) {
        world.begin();
        world.append(0, std::min(piece, 290 - n));
        if (least == 290)
          for (const auto& [token, bits] : bits_of_pass(world, kind.shape, kind.element))
            CHECK(bits == expected.at(token));
        world.commit();
      }
  }
}

TEST_CASE("where tokens lie in the pool changes no bit") {
  const auto seed = GENERATE(31u, 32u);
  CAPTURE(seed);
  for (const Kind& kind : kKinds) {
    TreeWorld together(Places::together, 330), scattered(Places::scattered, 330);
    for (TreeWorld* world : {&together, &scattered}) {
      grow(*world, seed, 6);
      world->begin();
      for (const int sequence : living(*world)) world->append(sequence, 2);
    }
    CHECK(bits_of_pass(together, kind.shape, kind.element) == bits_of_pass(scattered, kind.shape, kind.element));
  }
}

TEST_CASE("a larger bucket changes no bit") {
  for (const Kind& kind : kKinds) {
    TreeWorld world(Places::scattered, 330);
    grow(world, 41, 5);
    world.begin();
    for (const int sequence : living(world)) world.append(sequence, 2);
    CHECK(bits_of_pass(world, kind.shape, kind.element) ==
          bits_of_pass(world, kind.shape, kind.element, {256, 1024, 2048, 4096}));
  }
}

TEST_CASE("a row that sees a prefix of what its neighbours see has the same bits without them") {
  const Kind& kind = kKinds[0];
  for (const int prefix : {1, 40, 255, 256, 257, 300}) {
    TreeWorld world(Places::together, 330);
    world.begin();
    const std::vector<int> kids = world.fork(0, 3);
    world.detach(kids[0]);
    world.commit();
    world.begin();
    world.rewind(kids[0], static_cast<std::size_t>(prefix));
    world.append(kids[0], 2);
    const auto alone = bits_of_pass(world, kind.shape, kind.element);
    world.abort();
    world.begin();
    world.rewind(kids[0], static_cast<std::size_t>(prefix));
    world.append(kids[0], 2);
    for (const int sequence : {0, kids[1], kids[2]}) world.append(sequence, 2);
    const auto together = bits_of_pass(world, kind.shape, kind.element);
    CHECK(alone.size() == 2);
    CHECK(together.size() == 8);
    for (const auto& [token, bits] : alone) CHECK(bits == together.at(token));
  }
}
