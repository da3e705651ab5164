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
    fail(Status::bad_argument, "rows of width " + std::to_string(rows.width()) + " times a matrix of " +
                                   std::to_string(matrix.in()) + " inputs");
  if (rows.form() != matrix.row_shape().form)
    fail(Status::bad_argument, std::string("rows ") + (rows.form() == RowForm::blocks ? "in blocks" : "as a whole") +
                                   " times a matrix that is packed for the other form");
  if (rows.n_rows() > 1 && out.stride < matrix.out())
    fail(Status::bad_argument, "output rows are " + std::to_string(out.stride) + " floats apart, but " +
                                   std::to_string(matrix.out()) + " wide");
}

}  // namespace

void multiply(const QuantisedRows& rows, const Int8Matrix& matrix, const ProductRows& out, const ParallelFor& parallel,
              const PartTask& then) {
  if (rows.n_rows() == 0) return;
  check(rows, matrix, out);
  simd::prepare();
  const impl::Product product{&rows, &matrix, out, simd::allows(simd::Extra::avx512_vnni)};
  const std::int32_t width = matrix.panel_width();
  const std::int32_t unit = std::lcm(width, std::max(then.unit(), 1));
  parallel.in_parts((matrix.out() + unit - 1) / unit, [&](std::int32_t begin, std::int32_t end) {
    const std::int32_t first = begin * unit, last = std::min(end * unit, matrix.out());
    impl::multiply_panels(product, first / width, (last + width - 1) / width);
    then(first, last);
  });
}

void multiply_and_round(const QuantisedRows& rows, const Int8Matrix& matrix, const ProductRows& out,
                        const RowShape& next_shape, QuantisedRows& next, const ParallelFor& parallel) {
  check(rows, matrix, out);
  if (next_shape.width != matrix.out())
    fail(Status::bad_argument, "the next product takes rows of width " + std::to_string(next_shape.width) +
                                   ", this one gives " + std::to_string(matrix.out()));
  if (&next == &rows) fail(Status::bad_argument, "the next product's rows are this one's");
  const impl::Rounding rounding =
      impl::prepare_rounding({out.first, out.stride, rows.n_rows()}, next_shape, nullptr, 0.0f, next);
  if (next_shape.form == RowForm::whole) {
    multiply(rows, matrix, out, parallel);
    return impl::round(rounding, parallel);
  }
  const auto round = [&](std::int32_t begin, std::int32_t end) { impl::round_columns(rounding, begin, end); };
  multiply(rows, matrix, out, parallel, PartTask(round, QuantisedRows::kBlock));
}

}  // namespace anabranch::linear
