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

/// Three siblings of two rows each on a trunk, all of whose tokens share one tile of keys per segment.
struct Siblings {
  TreeWorld world{Places::together, 20};
  std::vector<int> kids;
  Siblings() {
    world.begin();
    kids = world.fork(0, 3);
    for (const int kid : kids) world.append(kid, 2);
  }
  Slot slot_of(int token) {
    const std::vector<int>& tokens = world.plan().token_of_slot;
    return static_cast<Slot>(std::find(tokens.begin(), tokens.end(), token) - tokens.begin());
  }
};

void set(std::vector<std::uint16_t>& slab, const AttentionCase& given, Slot slot, int place, float value) {
  slab[static_cast<std::size_t>(slot) * static_cast<std::size_t>(given.shape.kv_width()) +
       static_cast<std::size_t>(place)] = narrow(given.element, value);
}

std::vector<float> row_of(const AttentionCase& given, const AttentionResult& result, std::size_t row) {
  const auto width = static_cast<std::ptrdiff_t>(given.shape.q_width());
  const auto begin = result.out.begin() + static_cast<std::ptrdiff_t>(row) * width;
  return {begin, begin + width};
}

}  // namespace

TEST_CASE("what a row does not see does not reach it, whatever it is") {
  for (const Element element : {Element::bfloat16, Element::float16})
    for (const float poison : {std::numeric_limits<float>::quiet_NaN(), kInfinity, -kInfinity})
      for (const bool in_keys : {true, false}) {
        CAPTURE(static_cast<int>(element), poison, in_keys);
        Siblings tree;
        const Pass& pass = tree.world.plan();
        AttentionCase given = make_case(pass, {7, 1, 64}, element);
        const AttentionResult clean = run_attention(given, *pass.plan);
        // The second row of the second sibling: its first row stands in the same tile and does not see it.
        const int poisoned = tree.world.line(tree.kids[1]).content.back();
        for (int d = 0; d < 64; d += 3)
          set(in_keys ? given.keys : given.values, given, tree.slot_of(poisoned), d, poison);
        const AttentionResult result = run_attention(given, *pass.plan);
        for (std::size_t row = 0; row < pass.sees.size(); ++row) {
          const bool sees = pass.sees[row].back() == poisoned;
          const std::vector<float> before = row_of(given, clean, row), after = row_of(given, result, row);
          if (!sees) {
            CHECK(before == after);
          } else if (in_keys && std::isnan(poison)) {
            CHECK(std::all_of(after.begin(), after.end(), [](float x) { return std::isnan(x); }));
          } else if (!in_keys) {
            for (std::size_t i = 0; i < after.size(); ++i) {
              if (i % 64 % 3 != 0) CHECK(after[i] == before[i]);
              if (i % 64 % 3 == 0 && std::isnan(poison)) CHECK(std::isnan(after[i]));
              if (i % 64 % 3 == 0 && !std::isnan(poison)) CHECK(after[i] == poison);
            }
          }
        }
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
