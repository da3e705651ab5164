#include <anabranch/torch/causal_lm.hpp>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/tensor.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>

#include <anabranch/error.hpp>

#include "attention.hpp"
#include "pass_layout.hpp"
#include "row_ops.hpp"
#include "tensors.hpp"

namespace anabranch::torch {
namespace {

/// LibTorch's own exceptions leave as ours, with `status`.
template <class F>
auto guarded(Status status, const std::string& doing, F&& call) {
  const c10::InferenceMode inference;
  try {
    return call();
  } catch (const c10::Error& error) {
    fail(status, doing + " failed in LibTorch: " + error.what_without_backtrace());
  }
}

bool multiplies_bfloat16() noexcept {
#if defined(__x86_64__) && defined(__GNUC__)
  return __builtin_cpu_supports("avx512bf16") != 0;  // every CPU with amx_bf16 has it too
#else
  return false;
#endif
}

Weights choose(Weights wanted) noexcept {
  if (wanted != Weights::automatic) return wanted;
  return multiplies_bfloat16() ? Weights::bfloat16 : Weights::float32;
}

void check_options(const LoadOptions& options) {
  const auto require = [](bool holds, const char* name, std::int32_t value, const char* limit) {
    if (!holds) fail(Status::bad_argument, std::string(name) + " is " + std::to_string(value) + ", must be " + limit);
  };
  require(options.n_slots >= 0, "n_slots", options.n_slots, "0 or more");
  require(options.max_rows > 0, "max_rows", options.max_rows, "positive");
  require(options.n_threads >= 0, "n_threads", options.n_threads, "0 or more");
}

at::Tensor to_float(const at::Tensor& x) { return x.to(at::kFloat); }

at::Tensor normed(const at::Tensor& x, const at::Tensor& weight, double epsilon) {
  at::Tensor out = at::empty_like(x);
  rms_norm(x.const_data_ptr<float>(), weight.const_data_ptr<float>(), static_cast<std::int32_t>(x.size(0)),
           static_cast<std::int32_t>(x.size(1)), epsilon, out.data_ptr<float>());
  return out;
}

const float* values_or_null(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.const_data_ptr<float>() : nullptr;
}

/// What runners over the same weights share.
struct LoadedModel {
  std::filesystem::path folder;
  hf::ModelConfig config;
  Weights weights = Weights::float32;
  ModelTensors tensors;
  std::vector<double> frequencies;
  at::Tensor triangle;
  HeadShape heads() const noexcept { return {config.n_heads, config.n_kv_heads, config.head_dim}; }
};

/// K and V of one layer, each [n_slots, kv_heads, head_dim].
struct Slab {
  at::Tensor keys, values;
};

}  // namespace

struct CausalLm::Impl {
  std::shared_ptr<const LoadedModel> model;
  AttentionPath path = AttentionPath::groups;
  std::int32_t max_rows = 0;
  std::int32_t n_slots = 0;
  std::int64_t n_passes = 0;
  std::vector<Slab> slabs;
  at::Tensor logits;
  std::shared_ptr<const hf::ModelText> text;

  void reserve(std::int32_t wanted);
  LogitsView forward(const StepPlan& plan);
  /// Writes the layer's K and V, returns what attention gives for all rows.
  at::Tensor attend(std::size_t layer, const at::Tensor& hidden, const StepPlan& plan, const RopeTable& rope,
                    const PassAttention& attention);
  void finish_layer(const LayerTensors& layer, const at::Tensor& context, at::Tensor& hidden) const;
};

void CausalLm::Impl::reserve(std::int32_t wanted) {
  if (wanted <= n_slots) return;
  const HeadShape heads = model->heads();
  std::vector<Slab> grown;
  const auto grow = [&](const at::Tensor& old) {
    at::Tensor fresh = at::empty({wanted, heads.kv_heads, heads.head_dim}, at::kFloat);
    if (old.defined()) fresh.narrow(0, 0, n_slots).copy_(old);
    return fresh;
  };
  for (std::int32_t l = 0; l < model->config.n_layers; ++l) {
    const auto i = static_cast<std::size_t>(l);
    const Slab old = i < slabs.size() ? slabs[i] : Slab{};
    grown.push_back({grow(old.keys), grow(old.values)});
  }
  slabs = std::move(grown);
  n_slots = wanted;
}

at::Tensor CausalLm::Impl::attend(std::size_t layer, const at::Tensor& hidden, const StepPlan& plan,
                                  const RopeTable& rope, const PassAttention& attention) {
  const LayerTensors& w = model->tensors.layers[layer];
  const HeadShape heads = model->heads();
  const at::Tensor qkv = to_float(w.qkv(normed(hidden, w.input_norm, model->config.rms_eps)));
  at::Tensor queries = at::empty({heads.kv_heads, plan.n_rows() * heads.share(), heads.head_dim}, at::kFloat);
  const Slab& slab = slabs[layer];
  const HeadSplit split{heads, &rope, values_or_null(w.query_norm), values_or_null(w.key_norm), model->config.rms_eps};
  split_heads(qkv.const_data_ptr<float>(), plan.slots, split,
              {queries.data_ptr<float>(), slab.keys.data_ptr<float>(), slab.values.data_ptr<float>()});
  const bool nothing_wanted = layer + 1 == slabs.size() && plan.outputs.empty();
  return nothing_wanted ? at::Tensor{} : attention.run(queries, slab.keys, slab.values);
}

void CausalLm::Impl::finish_layer(const LayerTensors& layer, const at::Tensor& context, at::Tensor& hidden) const {
  hidden.add_(layer.out(context));
  const at::Tensor gate_up = layer.gate_up(normed(hidden, layer.ffn_norm, model->config.rms_eps));
  const std::int64_t ffn = model->config.ffn;
  hidden.add_(layer.down(at::silu(gate_up.narrow(1, 0, ffn)).mul_(gate_up.narrow(1, ffn, ffn))));
}

LogitsView CausalLm::Impl::forward(const StepPlan& plan) {
  const hf::ModelConfig& config = model->config;
  if (plan.n_rows() == 0) return {nullptr, 0, config.vocabulary};
  const RopeTable rope(plan.positions, model->frequencies);
  const auto attention = make_attention(path, plan, model->heads(), model->triangle);
  const std::vector<std::int64_t> tokens(plan.tokens.begin(), plan.tokens.end());
  at::Tensor hidden = to_float(model->tensors.embedding.index_select(0, at::tensor(tokens, at::kLong)));
  std::vector<std::int64_t> output_rows;
  for (const Output& output : plan.outputs) output_rows.push_back(output.row);
  for (std::size_t l = 0; l < model->tensors.layers.size(); ++l) {
    at::Tensor context = attend(l, hidden, plan, rope, *attention);
    if (l + 1 == model->tensors.layers.size()) {  // past the last attention only outputs matter
      if (plan.outputs.empty()) return {nullptr, 0, config.vocabulary};
      const at::Tensor rows = at::tensor(output_rows, at::kLong);
      context = context.index_select(0, rows);
      hidden = hidden.index_select(0, rows);
    }
    finish_layer(model->tensors.layers[l], context, hidden);
  }
  logits = to_float(model->tensors.head(normed(hidden, model->tensors.final_norm, config.rms_eps))).contiguous();
  return {logits.const_data_ptr<float>(), static_cast<std::int32_t>(plan.outputs.size()), config.vocabulary};
}

CausalLm::CausalLm(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
CausalLm::CausalLm(CausalLm&&) noexcept = default;
CausalLm& CausalLm::operator=(CausalLm&&) noexcept = default;
CausalLm::~CausalLm() = default;

CausalLm CausalLm::load(const std::filesystem::path& folder, const LoadOptions& options) {
  check_options(options);
  auto model = std::make_shared<LoadedModel>();
  model->folder = folder;
  model->config = hf::ModelConfig::load(folder);
  model->weights = choose(options.weights);
  model->frequencies = hf::rope_inverse_frequencies(model->config.rope, model->config.head_dim);
  if (options.n_threads > 0) at::set_num_threads(options.n_threads);
  auto impl = std::make_unique<Impl>();
  guarded(Status::internal, "loading a model", [&] {
    const auto type = model->weights == Weights::bfloat16 ? at::kBFloat16 : at::kFloat;
    model->tensors = load_tensors(folder, model->config, type);
    model->triangle = triangle_mask(model->heads().share());
  });
  impl->model = std::move(model);
  impl->path = options.attention;
  impl->max_rows = options.max_rows;
  CausalLm runner(std::move(impl));
  runner.reserve(options.n_slots);
  return runner;
}

CausalLm CausalLm::with_own_slots() const {
  auto impl = std::make_unique<Impl>();
  impl->model = impl_->model;
  impl->path = impl_->path;
  impl->max_rows = impl_->max_rows;
  impl->text = impl_->text;
  CausalLm runner(std::move(impl));
  runner.reserve(impl_->n_slots);
  return runner;
}

LogitsView CausalLm::operator()(const StepPlan& plan) {
  const hf::ModelConfig& config = impl_->model->config;
  check_plan(plan, {config.vocabulary, config.max_positions, std::max(impl_->n_slots, plan.n_slots)});
  reserve(plan.n_slots);
  const LogitsView logits = guarded(Status::internal, "running a pass", [&] { return impl_->forward(plan); });
  ++impl_->n_passes;
  return logits;
}

void CausalLm::reserve(std::int32_t n_slots) {
  if (n_slots < 0) fail(Status::bad_argument, "n_slots is " + std::to_string(n_slots) + ", must be 0 or more");
  guarded(Status::bad_argument, "room for K and V of " + std::to_string(n_slots) + " slots",
          [&] { impl_->reserve(n_slots); });
}

void CausalLm::set_attention(AttentionPath path) noexcept { impl_->path = path; }
const hf::ModelConfig& CausalLm::config() const noexcept { return impl_->model->config; }
const hf::ModelText& CausalLm::text() const {
  if (!impl_->text) impl_->text = std::make_shared<hf::ModelText>(hf::ModelText::load(impl_->model->folder));
  return *impl_->text;
}
Weights CausalLm::weights() const noexcept { return impl_->model->weights; }
AttentionPath CausalLm::attention() const noexcept { return impl_->path; }
std::int32_t CausalLm::max_rows() const noexcept { return impl_->max_rows; }
std::int32_t CausalLm::n_slots() const noexcept { return impl_->n_slots; }
std::int64_t CausalLm::n_passes() const noexcept { return impl_->n_passes; }

}  // namespace anabranch::torch
