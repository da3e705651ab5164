#include <anabranch/train/model.hpp>

#include <algorithm>
#include <iterator>
#include <utility>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <anabranch/error.hpp>
#include <anabranch/hf/model_weights.hpp>

#include "model_impl.hpp"

namespace anabranch::train {
namespace {

bool multiplies_bfloat16() noexcept {
#if defined(__x86_64__) && defined(__GNUC__)
  return __builtin_cpu_supports("avx512bf16") != 0;  // every CPU with amx_bf16 has it too
#else
  return false;
#endif
}

void check(const ModelOptions& o, const hf::ModelConfig& c) {
  const auto require = [](bool holds, const char* what, double value, const char* limit) {
    if (!holds) fail(Status::bad_argument, what, " is ", value, ", must be ", limit);
  };
  require(o.rank >= 1 && o.rank <= c.hidden, "rank", o.rank, "in [1, hidden size]");
  require(o.alpha > 0, "alpha", static_cast<double>(o.alpha), "positive");
  require(o.n_threads >= 0, "n_threads", o.n_threads, "at least 0");
  require(o.initial_rows.empty() || std::ssize(o.initial_rows) == std::ssize(o.token_rows) * c.hidden,
          "size of initial_rows", static_cast<double>(o.initial_rows.size()), "token rows times hidden size");
  for (const TokenId token : o.token_rows)
    require(token >= 0 && token < c.vocabulary, "trained token", token, "inside the vocabulary");
}

/// Refuses what the runner computes and this network does not.
void require_trainable(const hf::ModelConfig& c, const std::filesystem::path& folder) {
  const auto require = [&](bool holds, const char* key, const char* what) {
    if (!holds)
      fail(Status::unsupported, (folder / "config.json").string(), ": '", key, "': ", what, " of ",
           hf::architecture_name(c.architecture), " can be run, but not trained; supported are the shapes of ",
           "LlamaForCausalLM, Qwen2ForCausalLM and Qwen3ForCausalLM");
  };
  require(!c.text_part, "architectures", "the text part of a model of pictures");
  require(c.architecture != hf::Architecture::granite, "architectures", "multipliers");
  require(std::ranges::find(c.unturned, true) == c.unturned.end(), "no_rope_layers", "heads that do not turn");
  require(c.norm_offset == 0 && c.embedding_scale == 1.0f, "architectures", "norms and embeddings");
  require(!c.post_norms, "architectures", "norms behind attention");
  require(!c.fused_matrices, "architectures", "fused matrices");
  require(c.activation == hf::Activation::silu, "hidden_act", "a gate other than \"silu\"");
  require(c.windows.empty(), "sliding_window", "a window");
  require(c.query_scale == 0 && c.score_softcap == 0, "attn_logit_softcapping", "scaled or capped scores");
  require(c.logit_softcap == 0, "final_logit_softcapping", "capped logits");
  require(!c.mlp_bias, "mlp_bias", "biases in the feed-forward");
  require(c.rope.rotary_share == 1.0, "partial_rotary_factor", "partly turned heads");
  require(c.rope.attention_factor == 1.0, "rope_parameters", "scaled rotations");
}

std::span<float> values_of(const at::Tensor& tensor) {
  if (!tensor.defined()) return {};
  return {tensor.data_ptr<float>(), tensor.data_ptr<float>() + tensor.numel()};
}

/// Sorts the losses of a pass by the kinds of the targets.
Losses by_kind(std::span<const TokenRow* const> rows, const at::Tensor& losses) {
  const float* next = losses.const_data_ptr<float>();
  Losses out;
  for (const TokenRow* row : rows)
    for (std::size_t i = 0; i < row->targets.size(); ++i)
      if (row->targets[i] != kNone) out.add(row->target_kinds[i], static_cast<double>(*next++));
  return out;
}

}  // namespace

const char* compute_name(Compute compute) noexcept {
  switch (compute) {
    case Compute::automatic: return "auto";
    case Compute::float32: return "float32";
    case Compute::bfloat16: return "bfloat16";
  }
  return "unknown";
}

Model Model::load(const std::filesystem::path& folder, const ModelOptions& options) {
  const hf::ModelConfig of_folder = hf::ModelConfig::load(folder);
  require_trainable(of_folder, folder);
  const hf::ModelConfig config = hf::ModelWeights(hf::Weights::open(folder), of_folder).config();
  check(options, config);
  if (of_folder.tied_embeddings && !config.tied_embeddings && options.tuning == Tuning::lora &&
      !options.token_rows.empty())
    fail(Status::unsupported, (folder / "config.json").string(),
         ": 'tie_word_embeddings': true beside another lm_head.weight is not supported with token_rows, whose adapter "
         "would give both the same rows; supported is false");
  if (options.n_threads > 0) at::set_num_threads(options.n_threads);
  ModelOptions chosen = options;
  if (chosen.compute == Compute::automatic)
    chosen.compute = multiplies_bfloat16() ? Compute::bfloat16 : Compute::float32;
  if (chosen.tuning == Tuning::full) chosen.token_rows.clear(), chosen.initial_rows.clear();
  return Model(std::unique_ptr<Impl>(new Impl{config, chosen, Network(folder, config, chosen)}));
}

Model::Model(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;
Model::~Model() = default;

Losses Model::evaluate(std::span<const TokenRow* const> rows) const {
  const at::NoGradGuard no_gradient;
  return by_kind(rows, impl_->network.forward(impl_->network.pack(rows), 1.0).losses);
}

std::vector<float> Model::target_losses(const TokenRow& row) const {
  const at::NoGradGuard no_gradient;
  const TokenRow* const rows[] = {&row};
  return copied(impl_->network.forward(impl_->network.pack(rows), 1.0).losses);
}

Losses Model::accumulate(std::span<const TokenRow* const> rows, double scale) {
  const HeadLoss loss = impl_->network.forward(impl_->network.pack(rows), scale);
  if (loss.losses.numel() > 0) loss.total.backward();
  return by_kind(rows, loss.losses);
}

void Model::zero_gradients() {
  for (const NamedTensor& p : impl_->network.parameters()) {
    at::Tensor& gradient = p.tensor.mutable_grad();
    if (gradient.defined())
      gradient.zero_();
    else
      gradient = at::zeros_like(p.tensor.detach());
  }
}

std::vector<Parameter> Model::parameters() {
  std::vector<Parameter> out;
  for (const NamedTensor& p : impl_->network.parameters())
    out.push_back({p.name, p.tensor.sizes().vec(), values_of(p.tensor), values_of(p.tensor.grad())});
  return out;
}

void Model::parameters_changed() { impl_->network.refresh_head(); }

const hf::ModelConfig& Model::config() const noexcept { return impl_->config; }
Compute Model::compute() const noexcept { return impl_->options.compute; }
const ModelOptions& Model::options() const noexcept { return impl_->options; }
std::vector<LoraModule> Model::lora_modules() const { return impl_->network.lora_modules(); }
std::vector<float> Model::token_rows() const { return copied(impl_->network.token_rows()); }
std::vector<float> Model::head_rows() const { return copied(impl_->network.head_rows()); }
std::vector<ModelTensor> Model::tensors() const { return impl_->network.tensors(); }

}  // namespace anabranch::train
