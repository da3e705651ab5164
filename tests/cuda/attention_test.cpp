// Branch attention against the dense reference, on trees of the real cache. On the host and on a device.
#include <random>

#include "catch.hpp"
#include "random_steps.hpp"
#include "reference.hpp"

using namespace anabranch;
using namespace anabranch::test;

namespace {

/// Weights are rounded to the element before they meet the values, which lie in [-1, 1).
double out_bound(Element element) { return element == Element::bfloat16 ? 4e-3 : 6e-4; }
constexpr double kLseBound = 2e-5;

void compare(const AttentionCase& given, const Pass& pass) {
  const Reference expected = reference(given, pass);
  const AttentionResult result = run_attention(given, *pass.plan);
  CHECK(difference(result.lse, expected.lse) < kLseBound);
  CHECK(difference(result.out, expected.out) < out_bound(given.element));
}

}  // namespace

TEST_CASE("one row that sees itself alone gets its own value") {
  TreeWorld world(Places::together);
  world.begin();
  world.append(0, 1);
  const Pass& pass = world.plan();
  const AttentionCase given = make_case(pass, {2, 1, 64}, Element::float16);
  const AttentionResult result = run_attention(given, *pass.plan);
  for (int i = 0; i < 128; ++i)
    CHECK(result.out[static_cast<std::size_t>(i)] ==
          widen(Element::float16, narrow(Element::float16, value_of(0, i % 64))));
}

TEST_CASE("a prompt in one pass sees causally") {
  TreeWorld world(Places::together);
  world.begin();
  world.append(0, 300);
  const Pass& pass = world.plan();
  compare(make_case(pass, {3, 1, 64}, Element::bfloat16), pass);
}

TEST_CASE("eight branches share a trunk of several chunks") {
  for (const Places places : {Places::together, Places::scattered}) {
    TreeWorld world(places, 900);
    world.begin();
    for (const int child : world.fork(0, 8)) world.append(child, 1 + child % 3);
    world.append(0, 2);
    const Pass& pass = world.plan();
    compare(make_case(pass, {14, 2, 128}, Element::bfloat16), pass);
  }
}

TEST_CASE("every head size, element and share agrees with the dense reference on random trees") {
  std::uint32_t seed = 1000;
  for (const int head_dim : {64, 80, 96, 128, 256})
    for (const Element element : {Element::bfloat16, Element::float16})
      for (const int share : {1, 3, 7, 8}) {
        ++seed;  // another tree for each
        CAPTURE(seed, head_dim, static_cast<int>(element), share);
        TreeWorld world(share % 2 == 0 ? Places::scattered : Places::together, 200 + head_dim);
        RandomSteps tree(seed, world);
        for (int i = 0; i < 4; ++i) {
          tree.step(i == 0 ? 30 : 4);
          const Pass& pass = world.plan();
          const int kv_heads = 1 + i % 2;
          AttentionCase given = make_case(pass, {kv_heads * share, kv_heads, head_dim}, element);
          given.layout = i < 2 ? KvLayout::slot_major : KvLayout::head_major;
          if (i > 0) compare(given, pass);
          world.commit();
        }
      }
}

TEST_CASE("windows, capped scores and scales agree with the dense reference under every policy") {
  const auto seed = GENERATE(1u, 2u, 3u);
  std::mt19937 random(seed);
  for (const int head_dim : {64, 256})
    for (const Element element : {Element::bfloat16, Element::float16}) {
      CAPTURE(seed, head_dim, static_cast<int>(element));
      TreeWorld world(Places::scattered, 300);
      RandomSteps tree(seed * 77 + static_cast<std::uint32_t>(head_dim), world,
                       {Positions::sequential, Positions::longest, Positions::reserved(300)});
      for (int i = 0; i < 6; ++i) {
        tree.step(i % 3 == 0 ? 40 : 4);
        const Pass& pass = world.plan();
        const attention::ScoreOptions options{.scale = i % 2 == 0 ? 0.0f : 0.05f,
                                              .softcap = i % 3 == 0 ? 0.0f : 2.0f,
                                              .window = 1 + static_cast<std::int32_t>(random() % 100)};
        CAPTURE(i, options.window);
        if (i > 0) compare(make_case(pass, {4, 2, head_dim}, element, options), pass);
        world.commit();
      }
    }
}

TEST_CASE("long random histories agree with the dense reference") {
  const auto seed = GENERATE(11u, 12u, 13u);
  CAPTURE(seed);
  TreeWorld world(Places::scattered, 500);
  RandomSteps tree(seed, world);
  for (int i = 0; i < 25; ++i) {
    tree.step(i % 5 == 0 ? 70 : 3);
    const Pass& pass = world.plan();
    if (i % 5 != 0) compare(make_case(pass, {3, 1, 64}, Element::float16), pass);
    world.commit();
  }
}

TEST_CASE("queries and outputs may have the element of K and V") {
  TreeWorld world(Places::together, 40);
  world.begin();
  world.append(0, 3);
  const Pass& pass = world.plan();
  for (const Element element : {Element::bfloat16, Element::float16}) {
    AttentionCase given = make_case(pass, {6, 2, 80}, element);
    const AttentionResult wide = run_attention(given, *pass.plan);
    given.query_element = given.out_element = element;
    const AttentionResult same = run_attention(given, *pass.plan);
    CHECK(same.lse == wide.lse);
    for (std::size_t i = 0; i < wide.out.size(); ++i)
      CHECK(same.out[i] == widen(element, narrow(element, wide.out[i])));
  }
}

TEST_CASE("float32 queries are rounded to the element of K and V") {
  TreeWorld world(Places::together, 40);
  world.begin();
  world.append(0, 3);
  const Pass& pass = world.plan();
  for (const Element element : {Element::bfloat16, Element::float16}) {
    AttentionCase given = make_case(pass, {3, 1, 96}, element);
    const AttentionResult rounded = run_attention(given, *pass.plan);
    given.queries.clear();
    for (const int token : pass.token_of_row)
      for (int i = 0; i < given.shape.q_width(); ++i) given.queries.push_back(query_of(token, i));
    const AttentionResult exact = run_attention(given, *pass.plan);
    CHECK(exact.out == rounded.out);
    CHECK(exact.lse == rounded.lse);
  }
}
