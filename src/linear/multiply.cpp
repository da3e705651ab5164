#include <string>

#include <anabranch/error.hpp>
#include <anabranch/linear/int8_matrix.hpp>
#include <anabranch/simd.hpp>

#include "kernels.hpp"
#include "share_out.hpp"

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
  impl::share_out(matrix.n_panels(), parallel,
                  [&](std::int32_t begin, std::int32_t end) { impl::multiply_panels(product, begin, end); });
}

}  // namespace anabranch::linear
