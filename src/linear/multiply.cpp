#include <string>

#include <anabranch/error.hpp>
#include <anabranch/linear/int8_matrix.hpp>
#include <anabranch/simd.hpp>

#include "kernels.hpp"

namespace anabranch::linear {

void multiply(const QuantisedRows& rows, const Int8Matrix& matrix, const ProductRows& out,
              const ParallelFor& parallel) {
  if (rows.n_rows() == 0) return;
  if (rows.width() != matrix.in())
    fail(Status::bad_argument, "rows of width " + std::to_string(rows.width()) + " times a matrix of " +
                                   std::to_string(matrix.in()) + " inputs");
  if (rows.form() != matrix.row_shape().form)
    fail(Status::bad_argument, std::string("rows ") + (rows.form() == RowForm::blocks ? "in blocks" : "as a whole") +
                                   " times a matrix that is packed for the other form");
  if (rows.n_rows() > 1 && out.stride < matrix.out())
    fail(Status::bad_argument, "output rows are " + std::to_string(out.stride) + " floats apart, but " +
                                   std::to_string(matrix.out()) + " wide");
  simd::prepare();
  const impl::Product product{&rows, &matrix, out, simd::allows(simd::Extra::avx512_vnni)};
  const std::int64_t n_panels = matrix.n_panels();
  const std::int32_t n = parallel.n_workers();
  parallel(n, [&](std::int32_t i) {
    const auto begin = static_cast<std::int32_t>(n_panels * i / n);
    const auto end = static_cast<std::int32_t>(n_panels * (i + 1) / n);
    if (begin < end) impl::multiply_panels(product, begin, end);
  });
}

}  // namespace anabranch::linear
