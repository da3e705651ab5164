// Rounding of activations and weights: bounds of the error, norms, rows that cannot be rounded.
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <anabranch/error.hpp>

#include "../catch.hpp"
#include "cases.hpp"

using namespace anabranch;
using namespace anabranch::linear;
using namespace anabranch::linear::test;

TEST_CASE("every activation is rounded to the nearest integer of its block") {
  const Quantisation quantisation = GENERATE(Quantisation::per_row, Quantisation::per_block);
  for (const std::int32_t width : {1, 5, 16, 17, 31, 33, 576, 1537}) {
    const auto x = random_floats(static_cast<std::size_t>(width) * 3, 21, 40.0f);
    with_each_level([&](auto level) {
      INFO(level << ", width " << width);
      const QuantisedRows rows = quantised(x, 3, {width, quantisation});
      for (std::int32_t r = 0; r < 3; ++r) {
        std::vector<std::int32_t> largest(static_cast<std::size_t>(rows.n_blocks()));
        for (std::int32_t k = 0; k < width; ++k) {
          const std::int32_t q = rows.value(r, k);
          std::int32_t& of_block = largest[static_cast<std::size_t>(k / rows.block_width())];
          of_block = std::max(of_block, std::abs(q));
          const double unit = static_cast<double>(rows.scale(r, k));
          REQUIRE(std::fabs(unit * q - static_cast<double>(x[static_cast<std::size_t>(r * width + k)])) <=
                  unit * 0.505);
        }
        for (const std::int32_t of_block : largest)
          REQUIRE(of_block == QuantisedRows::limit(rows.quantisation(), width));
      }
    });
  }
}

TEST_CASE("rounded activations change a product by less than a thousandth of its spread, in blocks by a hundredth") {
  const std::int32_t in = 576, out = 256;
  const auto weights = random_floats(std::size_t{576} * 256, 22);
  const auto x = random_floats(576, 23);
  const Int8Matrix matrix =
      packed({weights.data(), nullptr, out, in}, GENERATE(Quantisation::per_row, Quantisation::per_block));
  with_each_level([&](auto level) {
    INFO(level);
    const QuantisedRows rows = quantised(x, 1, matrix.row_shape());
    const std::vector<float> results = product(rows, matrix);
    double error = 0, spread = 0;
    std::vector<float> w(576);
    for (std::int32_t c = 0; c < out; ++c) {
      matrix.channel(c, w.data());
      double sum = 0;
      for (std::size_t k = 0; k < w.size(); ++k) sum += static_cast<double>(w[k]) * static_cast<double>(x[k]);
      error += std::pow(static_cast<double>(results[static_cast<std::size_t>(c)]) - sum, 2);
      spread += sum * sum;
    }
    CHECK(std::sqrt(error / spread) < (rows.quantisation() == Quantisation::per_row ? 1e-3 : 1e-2));
  });
}

TEST_CASE("a weight is off by at most half of its channel's unit") {
  const std::int32_t in = 77, out = 35;
  auto weights = random_floats(std::size_t{77} * 35, 24);
  std::fill_n(weights.begin() + 77 * 3, 77, 0.0f);  // a channel of zeros
  const Int8Matrix matrix =
      packed({weights.data(), nullptr, out, in}, GENERATE(Quantisation::per_row, Quantisation::per_block));
  std::vector<float> w(77);
  for (std::int32_t c = 0; c < out; ++c) {
    matrix.channel(c, w.data());
    const Channel channel = channel_of(weights, in, c);
    for (std::size_t k = 0; k < w.size(); ++k)
      REQUIRE(std::fabs(w[k] - weights[static_cast<std::size_t>(c) * 77 + k]) <= channel.scale * 0.5001f);
  }
  CHECK_THROWS_AS(matrix.channel(out, w.data()), Error);
}

TEST_CASE("rows of zeros, of the smallest and of the largest numbers are rounded without harm") {
  const Quantisation quantisation = GENERATE(Quantisation::per_row, Quantisation::per_block);
  const float large = std::numeric_limits<float>::max(), tiny = std::numeric_limits<float>::denorm_min();
  with_each_level([&](auto level) {
    INFO(level);
    const QuantisedRows rows =
        quantised({0, -0.0f, 0, tiny, -tiny, 0, large, -large, 0, 1e-20f, 0, -1e-20f}, 4, {3, quantisation});
    const std::int32_t limit = QuantisedRows::limit(rows.quantisation(), 3);
    CHECK(rows.scale(0, 0) == 0.0f);
    CHECK(rows.scale(1, 0) == 0.0f);
    for (std::int32_t k = 0; k < 3; ++k) CHECK((rows.value(0, k) == 0 && rows.value(1, k) == 0));
    CHECK(rows.value(2, 0) == limit);
    CHECK(rows.value(2, 1) == -limit);
    CHECK(rows.value(3, 0) == limit);
    CHECK(rows.scale(3, 0) * static_cast<float>(limit) == Approx(1e-20f));
  });
}

TEST_CASE("a block of zeros leaves the others their numbers, and so does one with a NaN, but in a whole row") {
  const RowShape shape{70, GENERATE(Quantisation::per_row, Quantisation::per_block)};
  std::vector<float> x(70, 0.0f);
  x[40] = 2.0f;
  auto bad = x;
  bad[69] = std::numeric_limits<float>::quiet_NaN();
  with_each_level([&](auto level) {
    INFO(level);
    const QuantisedRows good = quantised(x, 1, shape), with_nan = quantised(bad, 1, shape);
    CHECK(good.value(0, 40) == QuantisedRows::limit(good.quantisation(), 70));
    CHECK(good.scale(0, 40) * static_cast<float>(good.value(0, 40)) == Approx(2.0f));
    for (std::int32_t k = 0; k < 70; ++k) {
      if (k != 40) REQUIRE(good.value(0, k) == 0);
      const bool spoiled = shape.quantisation == Quantisation::per_row || k >= 64;
      REQUIRE(with_nan.value(0, k) == (spoiled ? 0 : good.value(0, k)));
      REQUIRE(std::isnan(with_nan.scale(0, k)) == spoiled);
    }
  });
}

TEST_CASE("the norm and the rounding in one go are the norm, rounded") {
  const std::int32_t width = 579, n_rows = 4;
  const RowShape shape{width, GENERATE(Quantisation::per_row, Quantisation::per_block)};
  const auto x = random_floats(579 * 4, 25, 2.0f), weight = random_floats(579, 26);
  with_each_level([&](auto level) {
    INFO(level);
    QuantisedRows rows;
    rms_norm_quantise({x.data(), width, n_rows}, weight.data(), 1e-5f, shape, rows);
    for (std::size_t r = 0; r < 4; ++r) {
      double squares = 0;
      for (std::size_t k = 0; k < 579; ++k) squares += std::pow(static_cast<double>(x[r * 579 + k]), 2);
      const double scale = 1.0 / std::sqrt(squares / 579 + 1e-5);
      for (std::size_t k = 0; k < 579; ++k) {
        const auto row = static_cast<std::int32_t>(r), index = static_cast<std::int32_t>(k);
        const double normed = static_cast<double>(x[r * 579 + k]) * scale * static_cast<double>(weight[k]);
        const double unit = static_cast<double>(rows.scale(row, index));
        REQUIRE(std::fabs(unit * rows.value(row, index) - normed) <= 0.51 * unit + 1e-5);
      }
    }
  });
}

TEST_CASE("a row is rounded the same alone, among others, and by any thread") {
  const std::int32_t width = 576, n_rows = 130;  // enough to be shared out
  const RowShape shape{width, GENERATE(Quantisation::per_row, Quantisation::per_block)};
  auto x = random_floats(std::size_t{576} * 130, 27);
  x[576 * 64] = std::numeric_limits<float>::quiet_NaN();
  const auto weight = random_floats(576, 28);
  QuantisedRows one, many, alone;
  rms_norm_quantise({x.data(), width, n_rows}, weight.data(), 1e-6f, shape, one);
  rms_norm_quantise({x.data(), width, n_rows}, weight.data(), 1e-6f, shape, many, threads(3));
  for (std::int32_t r = 0; r < n_rows; ++r) {
    rms_norm_quantise({x.data() + r * width, width, 1}, weight.data(), 1e-6f, shape, alone);
    INFO("row " << r);
    for (std::int32_t k = 0; k < width; ++k) {
      REQUIRE((one.value(r, k) == many.value(r, k) && one.value(r, k) == alone.value(0, k)));
      if (r == 64)
        REQUIRE((std::isnan(one.scale(r, k)) && std::isnan(many.scale(r, k)) && one.value(r, k) == 0));
      else
        REQUIRE((one.scale(r, k) == many.scale(r, k) && one.scale(r, k) == alone.scale(0, k)));
    }
  }
}

TEST_CASE("columns that threads share out are rounded as one thread rounds them") {
  const std::int32_t width = GENERATE(577, 1536), n_rows = 8, n_threads = GENERATE(2, 3, 64);
  const RowShape shape{width, Quantisation::per_block};
  auto x = random_floats(static_cast<std::size_t>(width * n_rows), 29);
  const auto compare = [&] {
    QuantisedRows one, many;
    quantise({x.data(), width, n_rows}, shape, one);
    quantise({x.data(), width, n_rows}, shape, many, threads(n_threads));
    for (std::int32_t r = 0; r < n_rows; ++r)
      for (std::int32_t k = 0; k < width; ++k) {
        INFO("row " << r << ", column " << k);
        REQUIRE(one.value(r, k) == many.value(r, k));
        REQUIRE(std::isnan(one.scale(r, k)) == std::isnan(many.scale(r, k)));
        if (!std::isnan(one.scale(r, k))) REQUIRE(one.scale(r, k) == many.scale(r, k));
        const std::int32_t block = k / QuantisedRows::kBlock;
        REQUIRE(one.starts(r)[block] == many.starts(r)[block]);
      }
    return std::isnan(many.scale(5, width - 1)) && !std::isnan(many.scale(5, 0)) &&
           !std::isnan(many.scale(4, width - 1));
  };
  CHECK_FALSE(compare());
  x[static_cast<std::size_t>(5 * width + width - 1)] = std::numeric_limits<float>::infinity();
  CHECK(compare());  // the last column takes its block, and no other
}

TEST_CASE("rows of an impossible size are refused, and what was there stays") {
  QuantisedRows rows = quantised({1, 2, 3}, 1, {3});
  CHECK_THROWS_AS(rows.resize(1, {0}), Error);
  CHECK_THROWS_AS(rows.resize(1, {QuantisedRows::kMaxWidth + 1}), Error);
  CHECK_THROWS_AS(rows.resize(-1, {3}), Error);
  const float x[4] = {};
  CHECK_THROWS_WITH(quantise({x, 1, 2}, {2}, rows), Catch::Matchers::Contains("1 floats apart"));
  CHECK(rows.n_rows() == 1);
  CHECK(rows.width() == 3);
  CHECK(rows.value(0, 2) == QuantisedRows::limit(rows.quantisation(), 3));
}
