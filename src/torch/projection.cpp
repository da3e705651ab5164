#include "projection.hpp"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include <ATen/core/List.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Exception.h>

#include "row_ops.hpp"
#include "sizes.hpp"

namespace anabranch::torch {
namespace {

/// Number of rows that the packed layout is chosen for.
constexpr std::int64_t kTypicalRows = 8;

/// LibTorch's products over oneDNN's blocked weights. They have no C++ function, only a name in the dispatcher.
struct Packing {
  using Pack = at::Tensor(const at::Tensor&, std::optional<std::int64_t>);
  using Scalars = c10::List<std::optional<at::Scalar>>;  // arguments of a fused activation, of which there is none
  using Multiply = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, std::string_view,
                              Scalars, std::optional<std::string_view>);
  c10::TypedOperatorHandle<Pack> pack;
  c10::TypedOperatorHandle<Multiply> multiply;
};

/// None where this LibTorch was built without oneDNN, or gives the products other names.
const std::optional<Packing>& packing() {
  static const std::optional<Packing> found = []() -> std::optional<Packing> {
    try {
      auto& dispatcher = c10::Dispatcher::singleton();
      return Packing{dispatcher.findSchemaOrThrow("mkldnn::_reorder_linear_weight", "").typed<Packing::Pack>(),
                     dispatcher.findSchemaOrThrow("mkldnn::_linear_pointwise", "").typed<Packing::Multiply>()};
    } catch (const c10::Error&) {
      return std::nullopt;
    }
  }();
  return found;
}

void write(const at::Tensor& result, const ProductRows& out) {
  const at::Tensor values = result.to(at::kFloat).contiguous();
  const float* from = values.const_data_ptr<float>();
  const std::int64_t width = values.size(1);
  for (std::int64_t r = 0; r < values.size(0); ++r, from += width) {
    float* to = out.first + r * out.stride;
    if (out.write == Write::replace)
      std::copy_n(from, width, to);
    else
      for (std::int64_t i = 0; i < width; ++i) to[i] += from[i];
  }
}

}  // namespace

Projection::Projection(at::Tensor weight, at::Tensor bias, std::optional<Activation> gate)
    : weight_(std::move(weight)),
      bias_(std::move(bias)),
      type_(weight_.scalar_type()),
      in_(weight_.size(1)),
      bytes_(static_cast<std::int64_t>(weight_.nbytes())),
      gate_(gate) {
  if (!packing().has_value()) return;
  try {
    const at::Tensor packed = packing()->pack.call(weight_, kTypicalRows);
    packing()->multiply.call(at::zeros({1, in_}, type_), packed, {}, "none", Packing::Scalars(), "");
    weight_ = packed;
    packed_ = true;
  } catch (const c10::Error&) {
    // oneDNN does not take this type or size on this CPU; the plain product does.
  }
}

std::int64_t Projection::bytes() const noexcept {
  return int8_.out() > 0 ? static_cast<std::int64_t>(int8_.bytes()) : bytes_;
}

at::Tensor Projection::product(const FloatRows& in, const InputNorm& norm, ProductScratch& scratch) const {
  const auto width = static_cast<std::int32_t>(in_);
  const float* values = in.first;
  std::int64_t stride = in.stride;
  if (norm.weight != nullptr) {
    scratch.normed.resize(std::max(scratch.normed.size(), n_elements(in.n_rows, in_)));
    for (std::int64_t r = 0; r < in.n_rows; ++r)
      rms_norm(in.first + r * in.stride, norm.weight, 1, width, static_cast<double>(norm.epsilon),
               scratch.normed.data() + r * in_);
    values = scratch.normed.data();
    stride = in_;
  }
  const at::Tensor x =
      at::from_blob(const_cast<float*>(values), {in.n_rows, in_}, {stride, 1}, at::kFloat).to(type_).contiguous();
  std::optional<at::Tensor> bias;
  if (bias_.defined()) bias = bias_;
  const at::Tensor y = packed_ ? packing()->multiply.call(x, weight_, bias, "none", Packing::Scalars(), "")
                               : at::linear(x, weight_, bias);
  if (!gate_) return y;
  const std::int64_t half = y.size(1) / 2;
  const at::Tensor gate = y.narrow(1, 0, half), up = y.narrow(1, half, half);
  return (*gate_ == Activation::gelu_tanh ? at::gelu(gate, "tanh") : at::silu(gate)).mul_(up);
}

bool Projection::begin_input(std::int32_t n_rows, ProductScratch& scratch) const {
  if (int8_.out() == 0) return false;
  linear::begin_rounding(n_rows, int8_.row_shape(), scratch.rows);
  return scratch.rounded = true;
}

void Projection::run(const FloatRows& in, const InputNorm& norm, const ProductRows& out, ProductScratch& scratch,
                     const ParallelFor& parallel, const AfterProduct& after) const {
  if (in.n_rows == 0) return;
  if (int8_.out() == 0) {
    const at::Tensor result = product(in, norm, scratch);
    write(result, out);
    return after.columns(0, static_cast<std::int32_t>(result.size(1)));
  }
  if (!std::exchange(scratch.rounded, false)) {
    if (norm.weight != nullptr)
      linear::rms_norm_quantise(in, norm.weight, norm.epsilon, int8_.row_shape(), scratch.rows, parallel);
    else
      linear::quantise(in, int8_.row_shape(), scratch.rows, parallel);
  }
  if (after.next == nullptr) return linear::multiply(scratch.rows, int8_, out, parallel, after.columns);
  linear::multiply_and_round(scratch.rows, int8_, out, after.next->int8_.row_shape(), scratch.next_rows, parallel);
  std::swap(scratch.rows, scratch.next_rows);
  scratch.rounded = true;
}

}  // namespace anabranch::torch
