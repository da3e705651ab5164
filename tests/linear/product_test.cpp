// Products with int8 weights: exact sums, rows that do not know of each other, refusals.
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <anabranch/error.hpp>

#include "../catch.hpp"
#include "cases.hpp"

using namespace anabranch;
using namespace anabranch::linear;
using namespace anabranch::linear::test;

namespace {

bool same_bits(const float* a, const float* b, std::size_t n) { return std::memcmp(a, b, n * sizeof(float)) == 0; }

/// The bits of one row's result, alone and with all that can change around it.
void check_row_alone(const Int8Matrix& matrix, const std::vector<float>& x, std::int32_t n_rows) {
  const auto width = static_cast<std::size_t>(matrix.in());
  const auto out = static_cast<std::size_t>(matrix.out());
  const std::vector<float> all = product(quantised(x, n_rows, matrix.row_shape()), matrix);
  for (std::int32_t r = 0; r < n_rows; ++r) {
    const auto place = static_cast<std::size_t>(r);
    const std::vector<float> row(x.begin() + static_cast<std::ptrdiff_t>(place * width),
                                 x.begin() + static_cast<std::ptrdiff_t>((place + 1) * width));
    const std::vector<float> alone = product(quantised(row, 1, matrix.row_shape()), matrix);
    INFO("row " << r << " of " << n_rows);
    REQUIRE(same_bits(alone.data(), all.data() + place * out, out));
  }
}

}  // namespace

TEST_CASE("a product of two small rows is what one calculates by hand") {
  const Quantisation quantisation = GENERATE(Quantisation::per_row, Quantisation::per_block);
  // Channel 0: 127 and -127 at scale 1/127; channel 1: 127 and 0 at scale 2/127. Rows of +-1 and 0 are exact.
  const std::vector<float> weights{1, -1, 2, 0};
  const std::vector<float> bias{0.5f, -3.0f};
  const Int8Matrix matrix = packed({weights.data(), bias.data(), 2, 2}, quantisation);
  const QuantisedRows rows = quantised({1, 1, 0, -1}, 2, matrix.row_shape());
  with_each_level([&](auto level) {
    INFO(level);
    const std::vector<float> out = product(rows, matrix);
    CHECK(out[0] == 0.5f);
    CHECK(out[1] == Approx(-1.0f));
    CHECK(out[2] == Approx(1.5f));
    CHECK(out[3] == -3.0f);
    const std::vector<float> added = product(rows, matrix, {}, Write::add, 10.0f);
    for (std::size_t i = 0; i < 4; ++i) CHECK(added[i] == 10.0f + out[i]);
  });
}

TEST_CASE("sums equal those in 64-bit integers, for sizes that fit nothing, on every instruction set") {
  const Quantisation quantisation = GENERATE(Quantisation::per_row, Quantisation::per_block);
  const std::int32_t sizes[][3] = {{1, 1, 1},    {2, 3, 1},     {31, 7, 2},  {32, 64, 3},  {33, 65, 4},
                                   {40, 129, 5}, {5, 100, 6},   {96, 31, 7}, {64, 576, 8}, {17, 1000, 9},
                                   {70, 33, 11}, {95, 257, 12}, {3, 2, 13},  {34, 96, 25}, {100, 48, 37}};
  std::uint32_t seed = 1;
  for (const auto& [out, in, n_rows] : sizes) {
    CAPTURE(out, in, n_rows, seed);
    const auto weights = random_floats(static_cast<std::size_t>(out) * static_cast<std::size_t>(in), seed++);
    const auto x = random_floats(static_cast<std::size_t>(n_rows) * static_cast<std::size_t>(in), seed++, 3.0f);
    const Int8Matrix matrix = packed({weights.data(), nullptr, out, in}, quantisation);
    std::vector<float> first;
    with_each_level([&, out = out, in = in, n_rows = n_rows](auto level) {
      INFO(level);
      const QuantisedRows rows = quantised(x, n_rows, {in, quantisation});
      const std::vector<float> results = product(rows, matrix);
      for (std::int32_t c = 0; c < out; ++c) {
        const Channel channel = channel_of(weights, in, c);
        for (std::int32_t r = 0; r < n_rows; ++r) {
          REQUIRE(results[static_cast<std::size_t>(r * out + c)] == expected_product(channel, rows, r));
        }
      }
      if (first.empty()) first = results;
      CHECK(same_bits(first.data(), results.data(), first.size()));  // not even the CPU changes them
    });
  }
}

TEST_CASE("sums of the largest integers do not overflow") {
  const Quantisation quantisation = GENERATE(Quantisation::per_row, Quantisation::per_block);
  for (const std::int32_t width : {1, 2, 515, 516, 517, 576, 1536, 4096, 131072}) {
    CAPTURE(width);
    const std::int64_t limit = QuantisedRows::limit(Quantisation::per_row, width);
    CHECK(limit * 127 * width <= std::numeric_limits<std::int32_t>::max());
    const auto n = static_cast<std::size_t>(width);
    std::vector<float> weights(2 * n, 1.0f);
    std::fill(weights.begin() + static_cast<std::ptrdiff_t>(n), weights.end(), -1.0f);
    const Int8Matrix matrix = packed({weights.data(), nullptr, 2, width}, quantisation);
    with_each_level([&](auto level) {
      INFO(level);
      const QuantisedRows rows = quantised(std::vector<float>(n, 1.0f), 1, {width, quantisation});
      CHECK(rows.value(0, 0) == QuantisedRows::limit(rows.quantisation(), width));
      const std::vector<float> out = product(rows, matrix);
      CHECK(out[0] == Approx(width).epsilon(1e-6));
      CHECK(out[1] == -out[0]);
    });
  }
}

TEST_CASE("a row's result does not depend on how many rows stand beside it") {
  const Quantisation quantisation = GENERATE(Quantisation::per_row, Quantisation::per_block);
  for (const auto& [out, in] : {std::pair{70, 129}, std::pair{576, 192}}) {
    const auto weights = random_floats(static_cast<std::size_t>(out) * static_cast<std::size_t>(in), 5);
    const auto bias = random_floats(static_cast<std::size_t>(out), 6);
    const Int8Matrix plain = packed({weights.data(), bias.data(), out, in}, quantisation);
    const Int8Matrix gated =
        packed({weights.data(), bias.data(), out, in}, {weights.data(), nullptr, out, in}, quantisation);
    with_each_level([&, in = in](auto level) {
      INFO(level);
      for (const std::int32_t n_rows : {2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 16, 24, 25}) {
        const auto x = random_floats(static_cast<std::size_t>(n_rows) * static_cast<std::size_t>(in), 7);
        check_row_alone(plain, x, n_rows);
        check_row_alone(gated, x, n_rows);
      }
    });
  }
}

TEST_CASE("a prompt of many rows gives the bits of its rows alone") {
  const Quantisation quantisation = GENERATE(Quantisation::per_row, Quantisation::per_block);
  const std::int32_t in = 1536, out = 64, n_rows = 500;  // several blocks of rows
  const auto weights = random_floats(std::size_t{64} * 1536, 8);
  const Int8Matrix matrix = packed({weights.data(), nullptr, out, in}, quantisation);
  check_row_alone(matrix, random_floats(std::size_t{500} * 1536, 9), n_rows);
}

TEST_CASE("the number of threads changes no bit") {
  const Quantisation quantisation = GENERATE(Quantisation::per_row, Quantisation::per_block);
  const std::int32_t in = 200, out = 333, n_rows = 7;
  const auto weights = random_floats(std::size_t{200} * 333, 10);
  const auto x = random_floats(std::size_t{200} * 7, 11);
  const Int8Matrix matrix = packed({weights.data(), nullptr, out, in}, quantisation);
  const QuantisedRows rows = quantised(x, n_rows, {in, quantisation});
  const std::vector<float> one = product(rows, matrix);
  for (const std::int32_t n : {2, 3, 7, 40}) {  // more threads than panels, too
    INFO(n);
    const std::vector<float> more = product(rows, matrix, threads(n));
    CHECK(same_bits(one.data(), more.data(), one.size()));
  }
}

TEST_CASE("a gated product is silu of the one times the other") {
  const Quantisation quantisation = GENERATE(Quantisation::per_row, Quantisation::per_block);
  const std::int32_t in = 100, out = 37, n_rows = 5;
  const auto gate = random_floats(std::size_t{100} * 37, 12), up = random_floats(std::size_t{100} * 37, 13);
  const auto bias = random_floats(37, 14);
  const auto x = random_floats(std::size_t{100} * 5, 15);
  const QuantisedRows rows = quantised(x, n_rows, {in, quantisation});
  const Int8Matrix both = packed({gate.data(), bias.data(), out, in}, {up.data(), nullptr, out, in}, quantisation);
  const Int8Matrix first = packed({gate.data(), bias.data(), out, in}, quantisation),
                   second = packed({up.data(), nullptr, out, in}, quantisation);
  CHECK(both.out() == out);
  with_each_level([&](auto level) {
    INFO(level);
    const std::vector<float> results = product(rows, both), g = product(rows, first), u = product(rows, second);
    for (std::size_t i = 0; i < results.size(); ++i) {
      const double z = static_cast<double>(g[i]);
      CHECK(results[i] == Approx(z / (1.0 + std::exp(-z)) * static_cast<double>(u[i])).epsilon(1e-5).margin(1e-6));
    }
  });
}

TEST_CASE("a gate of GELU is GELU by its tanh formula, in every form of the packed matrix") {
  const Quantisation quantisation = GENERATE(Quantisation::per_row, Quantisation::per_block);
  const std::int32_t in = 100, out = 37, n_rows = 5;
  const auto gate = random_floats(std::size_t{100} * 37, 12), up = random_floats(std::size_t{100} * 37, 13);
  const auto bias = random_floats(37, 14);
  auto x = random_floats(std::size_t{100} * 5, 15, 0.2f);
  std::fill_n(x.begin(), 100, 30.0f);  // gates far below and above zero
  const QuantisedRows rows = quantised(x, n_rows, {in, quantisation});
  const PackedShape shape{
      .out = out, .in = in, .gated = true, .quantisation = quantisation, .activation = Activation::gelu_tanh};
  Int8Matrix both(shape);
  both.pack_rows({gate.data(), bias.data(), out, in}, 0, Half::gate);
  both.pack_rows({up.data(), nullptr, out, in}, 0, Half::up);
  CHECK(both.shape() == shape);
  const Int8Matrix borrowed = Int8Matrix::over(shape, both.packed());
  const Int8Matrix first = packed({gate.data(), bias.data(), out, in}, quantisation),
                   second = packed({up.data(), nullptr, out, in}, quantisation);
  with_each_level([&](auto level) {
    INFO(level);
    const std::vector<float> results = product(rows, both), g = product(rows, first), u = product(rows, second);
    CHECK(product(rows, borrowed) == results);
    for (std::size_t i = 0; i < results.size(); ++i) {
      const double z = static_cast<double>(g[i]);
      const double gelu = 0.5 * z * (1 + std::tanh(std::sqrt(2 / 3.14159265358979) * (z + 0.044715 * z * z * z)));
      CHECK(results[i] == Approx(gelu * static_cast<double>(u[i])).epsilon(1e-5).margin(2e-6));
    }
  });
}

TEST_CASE("a gate far below or above zero closes or opens without NaN") {
  const Quantisation quantisation = GENERATE(Quantisation::per_row, Quantisation::per_block);
  const std::vector<float> one{1.0f};
  const Int8Matrix matrix = packed({one.data(), nullptr, 1, 1}, {one.data(), nullptr, 1, 1}, quantisation);
  with_each_level([&](auto level) {
    INFO(level);
    const std::vector<float> out = product(quantised({-1000.0f, 1000.0f, 0.0f}, 3, {1, quantisation}), matrix);
    CHECK(out[0] == Approx(0.0).margin(1e-20));
    CHECK(out[1] == Approx(1e6));
    CHECK(out[2] == 0.0f);
  });
}

TEST_CASE("NaN and infinity in one row reach no other row") {
  const Quantisation quantisation = GENERATE(Quantisation::per_row, Quantisation::per_block);
  const std::int32_t in = 65, out = 40;
  const auto weights = random_floats(std::size_t{65} * 40, 16);
  const Int8Matrix matrix = packed({weights.data(), nullptr, out, in}, quantisation);
  const auto clean = random_floats(std::size_t{65} * 6, 17);
  auto x = clean;
  x[65 * 1 + 64] = std::numeric_limits<float>::quiet_NaN();
  x[65 * 3] = std::numeric_limits<float>::infinity();
  x[65 * 4 + 30] = -std::numeric_limits<float>::infinity();
  with_each_level([&](auto level) {
    INFO(level);
    const std::vector<float> good = product(quantised(clean, 6, {in, quantisation}), matrix),
                             got = product(quantised(x, 6, {in, quantisation}), matrix);
    for (const std::size_t r : {0u, 2u, 5u}) CHECK(same_bits(good.data() + r * 40, got.data() + r * 40, 40));
    for (const std::size_t r : {1u, 3u, 4u})
      for (std::size_t c = 0; c < 40; ++c) CHECK(std::isnan(got[r * 40 + c]));
  });
}

TEST_CASE("results go to their stride and nowhere else") {
  const Quantisation quantisation = GENERATE(Quantisation::per_row, Quantisation::per_block);
  const std::int32_t in = 16, out = 33;
  const auto weights = random_floats(std::size_t{16} * 33, 18);
  const Int8Matrix matrix = packed({weights.data(), nullptr, out, in}, quantisation);
  const QuantisedRows rows = quantised(random_floats(16 * 3, 19), 3, {in, quantisation});
  const std::vector<float> dense = product(rows, matrix);
  std::vector<float> wide(3 * 40, 123.0f);
  multiply(rows, matrix, {wide.data(), 40, Write::replace});
  for (std::size_t r = 0; r < 3; ++r) {
    CHECK(same_bits(wide.data() + r * 40, dense.data() + r * 33, 33));
    for (std::size_t c = 33; c < 40; ++c) CHECK(wide[r * 40 + c] == 123.0f);
  }
}

TEST_CASE("sizes that do not fit are refused with both of them") {
  const std::vector<float> weights(12, 1.0f);
  const Int8Matrix matrix = packed({weights.data(), nullptr, 3, 4}, Quantisation::per_row);
  std::vector<float> out(6, 7.0f);
  const auto refused = [](auto&& call, const char* first, const char* second) {
    try {
      call();
      FAIL("no error");
    } catch (const Error& error) {
      CHECK(error.status() == Status::bad_argument);
      CHECK(std::string(error.what()).find(first) != std::string::npos);
      CHECK(std::string(error.what()).find(second) != std::string::npos);
    }
  };
  refused(
      [&] {
        multiply(quantised({1, 2}, 1, {2, Quantisation::per_row}), matrix, {out.data(), 3});
      },
      "width 2", "4 inputs");
  refused(
      [&] {
        multiply(quantised(std::vector<float>(8, 1.0f), 2, matrix.row_shape()), matrix, {out.data(), 2});
      },
      "2 floats", "3");
  refused(
      [&] {
        multiply(quantised({1, 2, 3, 4}, 1, {4, Quantisation::per_block}), matrix, {out.data(), 3});
      },
      "rows quantised per block", "other quantisation");
  CHECK(out == std::vector<float>(6, 7.0f));
  refused([&] { Int8Matrix({weights.data(), nullptr, 0, 4}); }, "0 channels", "1 to");
  refused([&] { Int8Matrix({weights.data(), nullptr, 1, 131073}); }, "131073", "131072");
  refused([&] { Int8Matrix({weights.data(), nullptr, 3, 4}, {weights.data(), nullptr, 4, 3}); }, "3 x 4", "4 x 3");
  auto bad = weights;
  bad[6] = std::numeric_limits<float>::infinity();
  refused([&] { Int8Matrix({bad.data(), nullptr, 3, 4}); }, "channel 1, input 2", "inf");
  multiply(quantised({}, 0, {4}), matrix, {nullptr, 0});  // no rows: nothing happens
}
