// The steps behind a product in the same loop over the threads: an epilogue on the written columns, and rounding for
// the next product.
#include <limits>
#include <mutex>
#include <set>
#include <utility>

#include <anabranch/error.hpp>
#include <anabranch/thread_team.hpp>

#include "../catch.hpp"
#include "cases.hpp"

using namespace anabranch;
using namespace anabranch::linear;
using namespace anabranch::linear::test;

namespace {

void check_same(const QuantisedRows& a, const QuantisedRows& b) {
  REQUIRE((a.n_rows() == b.n_rows() && a.width() == b.width() && a.quantisation() == b.quantisation()));
  for (std::int32_t r = 0; r < a.n_rows(); ++r)
    for (std::int32_t k = 0; k < a.width(); ++k) {
      REQUIRE(a.value(r, k) == b.value(r, k));
      REQUIRE(std::isnan(a.scale(r, k)) == std::isnan(b.scale(r, k)));
      if (!std::isnan(a.scale(r, k))) REQUIRE(a.scale(r, k) == b.scale(r, k));
      if (a.quantisation() == Quantisation::per_block)
        REQUIRE(a.starts(r)[k / QuantisedRows::kBlock] == b.starts(r)[k / QuantisedRows::kBlock]);
    }
}

}  // namespace

TEST_CASE("an epilogue finds the columns of its part written, and the parts cover every column once") {
  const bool gated = GENERATE(false, true);
  const std::int32_t out = GENERATE(20, 200, 960), unit = GENERATE(1, 20, 32, 64, 80), n_threads = GENERATE(1, 2, 5);
  const std::int32_t in = 40, n_rows = 3;
  const auto w = random_floats(static_cast<std::size_t>(in * out), 41), u = random_floats(w.size(), 42);
  const Int8Matrix matrix =
      gated ? packed({w.data(), nullptr, out, in}, {u.data(), nullptr, out, in}, Quantisation::per_block)
            : packed({w.data(), nullptr, out, in}, Quantisation::per_block);
  const QuantisedRows rows = quantised(random_floats(40 * 3, 43), n_rows, matrix.row_shape());
  const std::vector<float> expected = product(rows, matrix);
  const float unwritten = std::numeric_limits<float>::infinity();
  std::vector<float> got(expected.size(), unwritten);
  std::mutex mutex;
  std::set<std::pair<std::int32_t, std::int32_t>> parts;
  bool written = true;
  const auto task = [&](std::int32_t begin, std::int32_t end) {
    const std::lock_guard lock(mutex);
    parts.insert({begin, end});
    for (std::int32_t r = 0; r < n_rows; ++r)
      for (std::int32_t c = begin; c < end; ++c)
        written = written && got[static_cast<std::size_t>(r * out + c)] != unwritten;
  };
  multiply(rows, matrix, {got.data(), out}, threads(n_threads), Epilogue(task, unit));
  CHECK(written);
  CHECK(got == expected);
  std::int32_t at = 0;
  for (const auto& [begin, end] : parts) {
    CHECK(begin == at);
    CHECK((begin < end && begin % unit == 0 && (end % unit == 0 || end == out)));
    at = end;
  }
  CHECK(at == out);
}

TEST_CASE("rounding inside the product gives the bits of rounding after it") {
  const Quantisation quantisation = GENERATE(Quantisation::per_row, Quantisation::per_block),
                     next = GENERATE(Quantisation::per_row, Quantisation::per_block);
  const bool gated = GENERATE(false, true);
  const std::int32_t in = 64, out = GENERATE(30, 579), n_rows = 9, n_threads = GENERATE(1, 2, 3, 40);
  const auto w = random_floats(static_cast<std::size_t>(in * out), 44), u = random_floats(w.size(), 45);
  const Int8Matrix matrix = gated ? packed({w.data(), nullptr, out, in}, {u.data(), nullptr, out, in}, quantisation)
                                  : packed({w.data(), nullptr, out, in}, quantisation);
  auto x = random_floats(64 * 9, 46);
  x[64 * 4] = std::numeric_limits<float>::quiet_NaN();
  const QuantisedRows rows = quantised(x, n_rows, matrix.row_shape());
  std::vector<float> floats = random_floats(static_cast<std::size_t>(out * n_rows), 47), together = floats;
  multiply(rows, matrix, {floats.data(), out, Write::add});
  const QuantisedRows expected = quantised(floats, n_rows, {out, next});
  QuantisedRows got;
  multiply_and_round(rows, matrix, {together.data(), out, Write::add}, {out, next}, got, threads(n_threads));
  check_same(got, expected);
  for (std::size_t i = 0; i < floats.size(); ++i)
    REQUIRE((floats[i] == together[i] || (std::isnan(floats[i]) && std::isnan(together[i]))));
}

TEST_CASE("long products have the same bits on a team, whose threads claim many parts in any order") {
  const Quantisation quantisation = GENERATE(Quantisation::per_row, Quantisation::per_block);
  const std::int32_t in = 320, out = 4004, n_rows = 3, n_threads = GENERATE(2, 3);
  const auto w = random_floats(static_cast<std::size_t>(in * out), 50);
  const Int8Matrix matrix = packed({w.data(), nullptr, out, in}, quantisation);
  const QuantisedRows rows = quantised(random_floats(320 * 3, 51), n_rows, matrix.row_shape());
  std::vector<float> alone = random_floats(static_cast<std::size_t>(out * n_rows), 52);
  const std::vector<float> before = alone;
  multiply(rows, matrix, {alone.data(), out, Write::add});
  const QuantisedRows expected = quantised(alone, n_rows, {out, quantisation});
  OwnThreadTeam team(n_threads, {ThreadUse::all});
  std::mutex mutex;
  std::int32_t n_parts = 0;
  const auto count = [&](std::int32_t, std::int32_t) {
    const std::lock_guard lock(mutex);
    ++n_parts;
  };
  std::vector<float> got(before.size());
  multiply(rows, matrix, {got.data(), out}, team.parallel(), Epilogue(count, QuantisedRows::kBlock));
  CHECK(n_parts > n_threads);
  QuantisedRows next;
  for (int repeat = 0; repeat < 20; ++repeat) {
    std::vector<float> together = before;
    multiply_and_round(rows, matrix, {together.data(), out, Write::add}, {out, quantisation}, next, team.parallel());
    REQUIRE(together == alone);
  }
  check_same(next, expected);
}

TEST_CASE("rows that are rounded part by part have the bits of rows rounded at once") {
  const RowShape shape{GENERATE(31, 577), GENERATE(Quantisation::per_row, Quantisation::per_block)};
  const auto x = random_floats(static_cast<std::size_t>(shape.width * 7), 48);
  const FloatRows in{x.data(), shape.width, 7};
  QuantisedRows got;
  begin_rounding(7, shape, got);
  for (const auto& [begin, end] : {std::pair{4, 7}, std::pair{0, 1}, std::pair{1, 4}}) round_rows(in, begin, end, got);
  check_same(got, quantised(x, 7, shape));
}

TEST_CASE("a next product that does not fit is refused, and nothing is written") {
  const auto w = random_floats(32 * 64, 49);
  const Int8Matrix matrix = packed({w.data(), nullptr, 64, 32}, Quantisation::per_block);
  QuantisedRows rows = quantised(random_floats(32, 50), 1, matrix.row_shape()), next;
  std::vector<float> out(64, 7.0f);
  CHECK_THROWS_WITH(multiply_and_round(rows, matrix, {out.data(), 64}, {63}, next),
                    Catch::Matchers::Contains("width 63") && Catch::Matchers::Contains("64"));
  CHECK_THROWS_AS(multiply_and_round(rows, matrix, {out.data(), 64}, {64}, rows), Error);
  CHECK(out == std::vector<float>(64, 7.0f));
  CHECK((next.n_rows() == 0 && rows.n_rows() == 1 && rows.width() == 32));
}
