#include <anabranch/linear/int8_matrix.hpp>

bool use_linear();
bool use_linear() {
  const float weights[] = {1, 2, 3, 4};
  const anabranch::linear::Int8Matrix matrix({weights, nullptr, 2, 2});
  anabranch::linear::QuantisedRows rows;
  anabranch::linear::quantise({weights, 2, 1}, matrix.row_shape(), rows);
  float out[2] = {};
  anabranch::linear::multiply(rows, matrix, {out, 2});
  return out[0] > 4.9f && out[0] < 5.1f && out[1] > 10.8f && out[1] < 11.2f;
}
