#include <algorithm>
#include <numeric>
#include <string>

#include <anabranch/error.hpp>
#include <anabranch/linear/int8_matrix.hpp>
#include <anabranch/simd.hpp>

#include "kernels.hpp"

namespace anabranch::linear {
namespace {

void check(const QuantisedRows& rows, const Int8Matrix& matrix, const ProductRows& out) {
  if (rows.width() != matrix.in())
    fail(Status::bad_argument, "rows of width ", rows.width(), " times a matrix of ", matrix.in(), " inputs");
  if (rows.quantisation() != matrix.row_shape().quantisation)
    fail(Status::bad_argument, "rows quantised per ",
         (rows.quantisation() == Quantisation::per_block ? "block" : "row"),
         " times a matrix that is packed for the other quantisation");
  if (rows.n_rows() > 1 && out.stride < matrix.out())
    fail(Status::bad_argument, "output rows are ", out.stride, " floats apart, but ", matrix.out(), " wide");
}

/// Nanoseconds that a product takes on one thread, roughly: reading the weights, or multiplying them.
double estimated_time(const QuantisedRows& rows, const Int8Matrix& matrix) {
  constexpr double kBytes = 20, kProducts = 100;  // a nanosecond, on a fast core
  const auto bytes = static_cast<double>(matrix.bytes());
  return std::max(bytes / kBytes, bytes * rows.n_rows() / kProducts);
}

}  // namespace

void multiply(const QuantisedRows& rows, const Int8Matrix& matrix, const ProductRows& out, const ParallelFor& parallel,
              const Epilogue& epilogue) {
  if (rows.n_rows() == 0) return;
  check(rows, matrix, out);
  simd::prepare();
  const impl::Product product{&rows, &matrix, out, simd::allows(simd::Extra::avx512_vnni)};
  const std::int32_t width = matrix.panel_width();
  const std::int32_t unit = std::lcm(width, std::max(epilogue.unit(), 1));
  const auto run = [&](std::int32_t begin, std::int32_t end) {
    const std::int32_t first = begin * unit, last = std::min(end * unit, matrix.out());
    impl::multiply_panels(product, first / width, (last + width - 1) / width);
    epilogue(first, last);
  };
  parallel.in_parts((matrix.out() + unit - 1) / unit, estimated_time(rows, matrix), run);
}

void multiply_and_round(const QuantisedRows& rows, const Int8Matrix& matrix, const ProductRows& out,
                        const RowShape& next_shape, QuantisedRows& next, const ParallelFor& parallel) {
  check(rows, matrix, out);
  if (next_shape.width != matrix.out())
    fail(Status::bad_argument, "the next product takes rows of width ", next_shape.width, ", this one gives ",
         matrix.out());
  if (&next == &rows) fail(Status::bad_argument, "the next product's rows are this one's");
  const impl::Rounding rounding =
      impl::prepare_rounding({out.first, out.stride, rows.n_rows()}, next_shape, nullptr, 0.0f, next);
  if (next_shape.quantisation == Quantisation::per_row) {
    multiply(rows, matrix, out, parallel);
    return impl::round(rounding, parallel);
  }
  const auto round = [&](std::int32_t begin, std::int32_t end) { impl::round_columns(rounding, begin, end); };
  multiply(rows, matrix, out, parallel, Epilogue(round, QuantisedRows::kBlock));
}

}  // namespace anabranch::linear
