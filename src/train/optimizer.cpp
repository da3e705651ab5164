#include <anabranch/train/optimizer.hpp>

#include <algorithm>
#include <iterator>
#include <utility>

#include <ATen/ATen.h>
#include <torch/optim/adamw.h>

#include "model_impl.hpp"

namespace anabranch::train {
namespace {

using State = ::torch::optim::AdamWParamState;

at::Tensor tensor_like(const at::Tensor& like, const std::vector<float>& values) {
  at::Tensor out = at::empty(like.sizes(), at::kFloat);
  std::copy(values.begin(), values.end(), out.data_ptr<float>());
  return out;
}

std::vector<at::Tensor> tensors_of(const std::vector<NamedTensor>& parameters) {
  std::vector<at::Tensor> out;
  for (const NamedTensor& p : parameters) out.push_back(p.tensor);
  return out;
}

}  // namespace

struct Optimizer::Impl {
  Model::Impl* model;
  ::torch::optim::AdamW adam;
  std::int64_t n_steps = 0;
};

Optimizer::Optimizer(Model& model, const OptimizerOptions& o) {
  const auto options =
      ::torch::optim::AdamWOptions(0.0).betas({o.beta1, o.beta2}).eps(o.epsilon).weight_decay(o.weight_decay);
  impl_.reset(
      new Impl{model.impl_.get(), ::torch::optim::AdamW(tensors_of(model.impl_->network.parameters()), options)});
}

Optimizer::Optimizer(Optimizer&&) noexcept = default;
Optimizer::~Optimizer() = default;

double Optimizer::clip(double limit) {
  double squares = 0;
  for (const NamedTensor& p : impl_->model->network.parameters())
    if (p.tensor.grad().defined()) {
      const double norm = p.tensor.grad().norm().item<double>();
      squares += norm * norm;
    }
  const double norm = std::sqrt(squares);
  if (limit > 0 && norm > limit)
    for (const NamedTensor& p : impl_->model->network.parameters())
      if (p.tensor.grad().defined()) p.tensor.mutable_grad().mul_(limit / norm);
  return norm;
}

void Optimizer::step(double rate) {
  for (auto& group : impl_->adam.param_groups()) group.options().set_lr(rate);
  impl_->adam.step();
  ++impl_->n_steps;
  impl_->model->network.refresh_head();
}

std::int64_t Optimizer::n_steps() const noexcept { return impl_->n_steps; }

std::vector<Moments> Optimizer::moments() const {
  std::vector<Moments> out;
  const auto& states = impl_->adam.state();
  for (const NamedTensor& p : impl_->model->network.parameters()) {
    const auto found = states.find(p.tensor.unsafeGetTensorImpl());
    if (found == states.end()) {
      const std::vector<float> zeros = copied(at::zeros(p.tensor.sizes(), at::kFloat));
      out.push_back({p.name, zeros, zeros});
    } else {
      const auto& state = static_cast<const State&>(*found->second);
      out.push_back({p.name, copied(state.exp_avg()), copied(state.exp_avg_sq())});
    }
  }
  return out;
}

void Optimizer::restore(std::int64_t n_steps, const std::vector<Moments>& moments) {
  const std::vector<NamedTensor>& parameters = impl_->model->network.parameters();
  const auto fits = [](const NamedTensor& p, const Moments& m) {
    const std::int64_t n = p.tensor.numel();
    return p.name == m.name && std::ssize(m.first) == n && std::ssize(m.second) == n;
  };
  if (!std::equal(parameters.begin(), parameters.end(), moments.begin(), moments.end(), fits))
    fail(Status::bad_argument, "the moments are not those of this model's ", parameters.size(), " parameters");
  impl_->n_steps = n_steps;
  impl_->adam.state().clear();
  if (n_steps == 0) return;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    auto state = std::make_unique<State>();
    state->step(n_steps);
    state->exp_avg(tensor_like(parameters[i].tensor, moments[i].first));
    state->exp_avg_sq(tensor_like(parameters[i].tensor, moments[i].second));
    impl_->adam.state()[parameters[i].tensor.unsafeGetTensorImpl()] = std::move(state);
  }
}

}  // namespace anabranch::train
