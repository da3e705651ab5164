// NaN and infinity in a key or value reach the rows that see it and no other. On the host and on a device.
#include <algorithm>
#include <cmath>
#include <limits>

#include "catch.hpp"
#include "reference.hpp"

using namespace anabranch;
using namespace anabranch::test;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Three siblings on a trunk. Their rows are a causal group each, so that in every tile some rows see what others do
/// not.
struct Siblings {
  TreeWorld world{Places::together, 20};
  std::vector<int> kids;
  explicit Siblings(int n_tokens = 2) {
    world.begin();
    kids = world.fork(0, 3);
    for (const int kid : kids) world.append(kid, n_tokens);
  }
  Slot slot_of(int token) {
    const std::vector<int>& tokens = world.plan().token_of_slot;
    return static_cast<Slot>(std::find(tokens.begin(), tokens.end(), token) - tokens.begin());
  }
};

void set(std::vector<std::uint16_t>& stored, const AttentionCase& given, Slot slot, int place, float value) {
  stored[static_cast<std::size_t>(slot) * static_cast<std::size_t>(given.shape.kv_width()) +
         static_cast<std::size_t>(place)] = narrow(given.element, value);
}

std::vector<float> row_of(const AttentionCase& given, const AttentionResult& result, std::size_t row) {
  const auto width = static_cast<std::ptrdiff_t>(given.shape.q_width());
  const auto begin = result.out.begin() + static_cast<std::ptrdiff_t>(row) * width;
  return {begin, begin + width};
}

bool is_nan(float x) { return std::isnan(x); }

/// Every third element of a head of 64 is `poison`, the others are as before.
bool same_but(const std::vector<float>& before, const std::vector<float>& after, float poison) {
  for (std::size_t i = 0; i < after.size(); ++i) {
    const float expected = i % 64 % 3 == 0 ? poison : before[i];
    if (std::isnan(expected) ? !std::isnan(after[i]) : after[i] != expected) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("what a row does not see does not reach it, whatever it is") {
  const int place = GENERATE(0, 1, 31, 33, 45, 69);  // of 70 tokens: in tiles of either parity, first and last
  const float poison = GENERATE(std::numeric_limits<float>::quiet_NaN(), kInfinity, -kInfinity);
  for (const Element element : {Element::bfloat16, Element::float16})
    for (const bool in_keys : {true, false}) {
      CAPTURE(place, poison, static_cast<int>(element), in_keys);
      Siblings tree(70);
      const Pass& pass = tree.world.plan();
      AttentionCase given = make_case(pass, {3, 1, 64}, element);
      const AttentionResult clean = run_attention(given, *pass.plan);
      const int poisoned = tree.world.sequence(tree.kids[1]).content[static_cast<std::size_t>(20 + place)];
      for (int d = 0; d < 64; d += 3)
        set(in_keys ? given.keys : given.values, given, tree.slot_of(poisoned), d, poison);
      const AttentionResult result = run_attention(given, *pass.plan);
      int n_seeing = 0;
      for (std::size_t row = 0; row < pass.sees.size(); ++row) {
        const std::vector<int>& seen = pass.sees[row];
        const bool sees = std::find(seen.begin(), seen.end(), poisoned) != seen.end();
        n_seeing += sees ? 1 : 0;
        const std::vector<float> before = row_of(given, clean, row), after = row_of(given, result, row);
        if (!sees) CHECK(before == after);
        if (sees && in_keys && std::isnan(poison)) CHECK(std::all_of(after.begin(), after.end(), is_nan));
        if (sees && !in_keys) CHECK(same_but(before, after, poison));
      }
      CHECK(n_seeing == 70 - place);
    }
}

TEST_CASE("infinite values of both signs in one column give NaN, as their sum does") {
  Siblings tree;
  const Pass& pass = tree.world.plan();
  AttentionCase given = make_case(pass, {1, 1, 64}, Element::bfloat16);
  set(given.values, given, tree.slot_of(3), 5, kInfinity);
  set(given.values, given, tree.slot_of(9), 5, -kInfinity);
  const AttentionResult result = run_attention(given, *pass.plan);
  for (std::size_t row = 0; row < pass.sees.size(); ++row) {
    CHECK(std::isnan(row_of(given, result, row)[5]));
    CHECK(std::isfinite(row_of(given, result, row)[4]));
  }
}

TEST_CASE("a row whose query is NaN spoils no other row") {
  Siblings tree;
  const Pass& pass = tree.world.plan();
  AttentionCase given = make_case(pass, {3, 1, 64}, Element::float16);
  const AttentionResult clean = run_attention(given, *pass.plan);
  std::fill_n(given.queries.begin() + 192, 192, std::numeric_limits<float>::quiet_NaN());  // row 1
  const AttentionResult result = run_attention(given, *pass.plan);
  for (std::size_t row = 0; row < pass.sees.size(); ++row) {
    if (row == 1)
      CHECK(std::isnan(row_of(given, result, row)[0]));
    else
      CHECK(row_of(given, clean, row) == row_of(given, result, row));
  }
}
