// LibTorch's attention, in its best forms: the query heads of a KV head stand in the query dimension, so that K and V
// of the head are read once for all of them.
#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <tuple>

#include <ATen/Parallel.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <c10/core/InferenceMode.h>

#include "side.hpp"

namespace anabranch::bench {
namespace {

using attention::Element;

at::Tensor queries_of(const Problem& problem) {
  const attention::HeadShape& h = problem.heads();
  return at::tensor(problem.queries(), at::kFloat).view({problem.n_rows(), h.kv_heads, h.share(), h.head_dim});
}

/// [kv_heads, slots, head_dim] out of [n_slots, kv_heads, head_dim].
at::Tensor by_head(const BigArray<float>& from, const std::vector<Slot>& slots, const Problem& problem) {
  const attention::HeadShape& h = problem.heads();
  const at::Tensor all = at::from_blob(from.get(), {problem.n_slots(), h.kv_heads, h.head_dim}, at::kFloat);
  return all.index_select(0, at::tensor(slots, at::kInt)).transpose(0, 1);
}

at::Tensor dense_mask_of(const Problem& problem) {  // [rows * share, seen]
  const auto n_seen = static_cast<std::int64_t>(problem.seen().size());
  const std::int64_t share = problem.heads().share();
  const at::Tensor mask = at::tensor(problem.mask(), at::kFloat).view({problem.n_rows(), 1, n_seen});
  return mask.expand({problem.n_rows(), share, n_seen}).reshape({problem.n_rows() * share, n_seen});
}

/// K and V of all layers, each [batch, kv_heads, keys, head_dim].
class Layers {
 public:
  /// `one`: what every layer holds, [2, batch, kv_heads, keys, head_dim].
  Layers(const std::vector<std::int64_t>& sizes, at::ScalarType type) : sizes_(sizes), type_(type) {
    elements_ = 2;
    for (const std::int64_t n : sizes) elements_ *= n;
    bytes_ = static_cast<std::size_t>(elements_) * c10::elementSize(type);
    n_ = layers_of(bytes_);
    memory_ = BigArray<std::byte>(static_cast<std::size_t>(n_) * bytes_);
  }
  int size() const noexcept { return n_; }
  at::Tensor keys(int layer) const { return part(layer, 0); }
  at::Tensor values(int layer) const { return part(layer, 1); }
  void repeat_first() const {
    for (int i = 1; i < n_; ++i)
      std::copy_n(memory_.get(), bytes_, memory_.get() + static_cast<std::size_t>(i) * bytes_);
  }

 private:
  at::Tensor part(int layer, int which) const {
    std::byte* at =
        memory_.get() + static_cast<std::size_t>(layer) * bytes_ + static_cast<std::size_t>(which) * bytes_ / 2;
    return at::from_blob(at, sizes_, at::TensorOptions(type_));
  }
  std::vector<std::int64_t> sizes_;
  at::ScalarType type_;
  std::int64_t elements_ = 0;
  std::size_t bytes_ = 0;
  int n_ = 0;
  BigArray<std::byte> memory_;
};

const char* name_of(at::ScalarType type) { return type == at::kFloat ? "float32" : "bfloat16"; }

class TorchSide : public Side {
 public:
  TorchSide(const Problem& problem, const std::vector<std::int64_t>& sizes, at::ScalarType type)
      : problem_(problem), type_(type), layers_(sizes, type) {}
  Element element() const override { return type_ == at::kFloat ? Element::float32 : Element::bfloat16; }
  int n_layers() const override { return layers_.size(); }
  void set_threads(int n_threads) override { at::set_num_threads(n_threads); }
  void run() override {
    const c10::InferenceMode inference;
    for (int i = 0; i < layers_.size(); ++i) out_ = attend(layers_.keys(i), layers_.values(i));
  }
  std::vector<float> result() override {
    const at::Tensor rows = by_row(out_).to(at::kFloat).contiguous();
    return {rows.const_data_ptr<float>(), rows.const_data_ptr<float>() + rows.numel()};
  }

 protected:
  virtual at::Tensor attend(const at::Tensor& keys, const at::Tensor& values) const = 0;
  /// [rows, kv_heads, share, head_dim], from what `attend` gave.
  virtual at::Tensor by_row(const at::Tensor& out) const = 0;

  const Problem& problem_;
  at::ScalarType type_;
  Layers layers_;

 private:
  at::Tensor out_;
};

enum class Form : std::uint8_t { flash, products };

/// One call for all rows over all keys, with a dense mask: LibTorch's flash attention, or two products and a softmax.
class TorchDense final : public TorchSide {
 public:
  TorchDense(const Problem& problem, at::ScalarType type, Form form)
      : TorchSide(problem, sizes(problem), type), form_(form) {
    const attention::HeadShape& h = problem.heads();
    layers_.keys(0).copy_(by_head(problem.keys(), problem.seen(), problem).unsqueeze(0));
    layers_.values(0).copy_(by_head(problem.values(), problem.seen(), problem).unsqueeze(0));
    layers_.repeat_first();
    const at::Tensor folded = queries_of(problem).transpose(0, 1).reshape({1, h.kv_heads, n_queries(), h.head_dim});
    queries_ = folded.to(type);
    mask_ = dense_mask_of(problem).to(type);
    if (form == Form::flash) mask_ = mask_.unsqueeze(0).unsqueeze(0);
  }
  Kind kind() const override { return Kind::torch_dense; }
  std::string name() const override {
    return std::string(form_ == Form::flash ? "torch SDPA, dense mask, " : "torch two products, mask, ") +
           name_of(type_);
  }

 protected:
  at::Tensor attend(const at::Tensor& keys, const at::Tensor& values) const override {
    if (form_ == Form::flash)
      return std::get<0>(at::_scaled_dot_product_flash_attention_for_cpu(queries_, keys, values, 0.0, false, mask_));
    const double scale = 1 / std::sqrt(static_cast<double>(problem_.heads().head_dim));
    const at::Tensor scores = at::bmm(queries_[0].mul(scale), keys[0].transpose(1, 2));
    return at::bmm(at::softmax(scores.add_(mask_), -1), values[0]).unsqueeze(0);
  }
  at::Tensor by_row(const at::Tensor& out) const override {
    const attention::HeadShape& h = problem_.heads();
    return out.reshape({h.kv_heads, problem_.n_rows(), h.share(), h.head_dim}).transpose(0, 1);
  }

 private:
  static std::vector<std::int64_t> sizes(const Problem& problem) {
    const attention::HeadShape& h = problem.heads();
    return {1, h.kv_heads, static_cast<std::int64_t>(problem.seen().size()), h.head_dim};
  }
  std::int64_t n_queries() const { return problem_.n_rows() * problem_.heads().share(); }

  Form form_;
  at::Tensor queries_, mask_;
};

/// All branches in one call, each over keys of its own: a copy of the trunk and what the branch wrote. Copying is not
/// counted.
class TorchByBranch final : public TorchSide {
 public:
  TorchByBranch(const Problem& problem, at::ScalarType type) : TorchSide(problem, sizes(problem), type) {
    for (std::int32_t row = 0; row < problem.n_rows(); ++row) {
      layers_.keys(0)[row].copy_(by_head(problem.keys(), problem.seen_by(row), problem));
      layers_.values(0)[row].copy_(by_head(problem.values(), problem.seen_by(row), problem));
    }
    layers_.repeat_first();
    queries_ = queries_of(problem).to(type);
  }
  Kind kind() const override { return Kind::torch_by_branch; }
  std::string name() const override { return std::string("torch flash by branch, ") + name_of(type_); }

  static std::vector<std::int64_t> sizes(const Problem& problem) {
    const attention::HeadShape& h = problem.heads();
    for (std::int32_t row = 0; row < problem.n_rows(); ++row)
      if (problem.seen_by(row).size() != problem.seen_by(0).size())
        throw std::logic_error("branches of different lengths do not fit one call");
    return {problem.n_rows(), h.kv_heads, static_cast<std::int64_t>(problem.seen_by(0).size()), h.head_dim};
  }

 protected:
  at::Tensor attend(const at::Tensor& keys, const at::Tensor& values) const override {
    return std::get<0>(at::_scaled_dot_product_flash_attention_for_cpu(queries_, keys, values));
  }
  at::Tensor by_row(const at::Tensor& out) const override { return out; }

 private:
  at::Tensor queries_;
};

}  // namespace

void add_torch(const Problem& problem, std::size_t max_bytes, Sides& sides) {
  const c10::InferenceMode inference;
  std::size_t n_by_branch = 2;
  for (const std::int64_t n : TorchByBranch::sizes(problem)) n_by_branch *= static_cast<std::size_t>(n);
  for (const at::ScalarType type : {at::kBFloat16, at::kFloat}) {
    for (const Form form : {Form::flash, Form::products})
      sides.push_back(std::make_unique<TorchDense>(problem, type, form));
    if (n_by_branch * c10::elementSize(type) <= max_bytes)
      sides.push_back(std::make_unique<TorchByBranch>(problem, type));
  }
}

std::vector<float> dense_reference(const Problem& problem) {
  const c10::InferenceMode inference;
  const attention::HeadShape& h = problem.heads();
  const at::Tensor keys = by_head(problem.keys(), problem.seen(), problem);
  const at::Tensor values = by_head(problem.values(), problem.seen(), problem);
  const at::Tensor queries = queries_of(problem).to(at::kDouble).div(std::sqrt(static_cast<double>(h.head_dim)));
  const at::Tensor mask = dense_mask_of(problem).to(at::kDouble);
  std::vector<at::Tensor> heads;
  for (std::int32_t head = 0; head < h.kv_heads; ++head) {  // one after the other, for the sake of memory
    const at::Tensor own = queries.select(1, head).reshape({-1, h.head_dim});
    const at::Tensor scores = own.matmul(keys[head].to(at::kDouble).t()).add_(mask);
    const at::Tensor out = at::softmax(scores, -1).matmul(values[head].to(at::kDouble));
    heads.push_back(out.view({problem.n_rows(), h.share(), h.head_dim}));
  }
  const at::Tensor rows = at::stack(heads, 1).to(at::kFloat).contiguous();
  return {rows.const_data_ptr<float>(), rows.const_data_ptr<float>() + rows.numel()};
}

}  // namespace anabranch::bench
