// Reading a folder into the network, and taking what it learned out again.
#include <algorithm>
#include <array>
#include <cmath>
#include <random>

#include <ATen/ATen.h>

#include <anabranch/hf/layer_tensors.hpp>
#include <anabranch/hf/model_weights.hpp>

#include "network.hpp"

namespace anabranch::train {
namespace {

at::Tensor read(const hf::ModelWeights& file, const std::string& name, std::vector<std::int64_t> shape) {
  at::Tensor out = at::empty(shape, at::kFloat);
  file.read(name, file.require(name, shape), {out.data_ptr<float>(), out.data_ptr<float>() + out.numel()});
  return out;
}

at::Tensor read(const hf::ModelWeights& file, const hf::NormSpec& norm) { return read(file, norm.name, {norm.size}); }

/// Matrices that share an input, one below the other, in the type that they are multiplied in. All or none have a bias.
NamedLinear read_linear(const hf::ModelWeights& file, std::span<const hf::MatrixSpec> parts,
                        const ModelOptions& options) {
  NamedLinear out;
  std::vector<at::Tensor> weights, biases;
  for (const hf::MatrixSpec& part : parts) {
    out.paths.push_back(part.module);
    out.linear.parts.push_back(part.out);
    weights.push_back(read(file, part.weight(), {part.out, part.in}));
    if (part.has_bias) biases.push_back(read(file, part.bias(), {part.out}));
  }
  out.linear.weight = at::cat(weights);
  if (!biases.empty()) out.linear.bias = at::cat(biases);
  const bool round = options.compute == Compute::bfloat16;
  out.linear.round = round;
  if (round && options.tuning == Tuning::lora) out.linear.weight = out.linear.weight.to(at::kBFloat16);
  return out;
}

/// Uniform in [-bound, bound); the same on every machine for the same seed.
at::Tensor uniform(std::int64_t rows, std::int64_t columns, double bound, std::mt19937_64& random) {
  at::Tensor out = at::empty({rows, columns}, at::kFloat);
  float* values = out.data_ptr<float>();
  for (std::int64_t i = 0; i < out.numel(); ++i)
    values[i] = static_cast<float>((static_cast<double>(random() >> 11) * 0x1p-52 - 1.0) * bound);
  return out;
}

}  // namespace

std::vector<float> copied(const at::Tensor& tensor) {
  if (!tensor.defined()) return {};
  const at::Tensor t = tensor.detach().contiguous();
  return {t.const_data_ptr<float>(), t.const_data_ptr<float>() + t.numel()};
}

void Network::load_layers(const std::filesystem::path& folder) {
  const hf::ModelWeights file(hf::Weights::open(folder), config_);
  for (std::int32_t l = 0; l < config_.n_layers; ++l) {
    const hf::LayerSpec spec = hf::layer_spec(config_, l);
    NetworkLayer layer;
    layer.input_norm = read(file, spec.input_norm);
    layer.ffn_norm = read(file, spec.ffn_norm);
    if (spec.query_norm) layer.query_norm = read(file, *spec.query_norm);
    if (spec.key_norm) layer.key_norm = read(file, *spec.key_norm);
    layer.qkv = read_linear(file, spec.qkv, options_);
    layer.out = read_linear(file, {&spec.out, 1}, options_);
    layer.gate_up = read_linear(file, spec.gate_up, options_);
    layer.down = read_linear(file, {&spec.down, 1}, options_);
    layers_.push_back(std::move(layer));
  }
}

void Network::load_embedding(const std::filesystem::path& folder) {
  const hf::ModelWeights file(hf::Weights::open(folder), config_);
  const hf::ModelConfig& c = config_;
  embedding_ = read(file, hf::embedding_spec(c).weight(), {c.vocabulary, c.hidden});
  final_norm_ = read(file, hf::final_norm_spec(c));
  at::Tensor head = c.tied_embeddings ? embedding_ : read(file, hf::head_spec(c).weight(), {c.vocabulary, c.hidden});
  head_.round = options_.compute == Compute::bfloat16;
  if (full()) {
    head_.weight = head;
    return;
  }
  const auto n = static_cast<std::int64_t>(options_.token_rows.size());
  if (n > 0) {
    head_.row_tokens = at::empty({n}, at::kLong);
    std::copy(options_.token_rows.begin(), options_.token_rows.end(), head_.row_tokens.data_ptr<std::int64_t>());
    const auto first_rows = [&](const at::Tensor& table) {
      if (options_.initial_rows.empty()) return table.index_select(0, head_.row_tokens);
      at::Tensor rows = at::empty({n, c.hidden}, at::kFloat);
      std::copy(options_.initial_rows.begin(), options_.initial_rows.end(), rows.data_ptr<float>());
      return rows;
    };
    token_rows_ = first_rows(embedding_);
    if (!c.tied_embeddings) head_rows_ = first_rows(head);
    head_.rows = c.tied_embeddings ? token_rows_ : head_rows_;
  }
  head_.weight = head_.round ? head.to(at::kBFloat16) : n > 0 ? head.clone() : head;
}

/// One generator per matrix, so that a model with more layers starts the others alike.
void Network::add_adapters() {
  std::uint64_t matrix = 0;
  const auto add = [&](NamedLinear& linear) {
    Linear& w = linear.linear;
    const std::int64_t in = w.weight.size(1), rank = options_.rank;
    std::vector<at::Tensor> a;
    for (std::size_t p = 0; p < w.parts.size(); ++p) {
      std::mt19937_64 random(options_.seed * 0x9E3779B97F4A7C15u + ++matrix);
      a.push_back(uniform(rank, in, 1.0 / std::sqrt(static_cast<double>(in)), random));
    }
    w.a = at::cat(a);
    w.b = at::zeros({w.weight.size(0), rank}, at::kFloat);
    w.scale = static_cast<double>(options_.alpha) / static_cast<double>(rank);
  };
  for (NetworkLayer& layer : layers_)
    for (NamedLinear* linear : {&layer.qkv, &layer.out, &layer.gate_up, &layer.down}) add(*linear);
}

void Network::collect_parameters() {
  const auto add = [&](const std::string& name, at::Tensor& tensor) {
    if (!tensor.defined()) return;
    tensor.set_requires_grad(true);
    parameters_.push_back({name, tensor});
  };
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    NetworkLayer& layer = layers_[l];
    const std::string prefix = "layers." + std::to_string(l) + ".";
    const std::pair<const char*, NamedLinear*> linears[] = {
        {"qkv", &layer.qkv}, {"out", &layer.out}, {"gate_up", &layer.gate_up}, {"down", &layer.down}};
    for (const auto& [name, linear] : linears) {
      add(prefix + name + ".lora_A", linear->linear.a);
      add(prefix + name + ".lora_B", linear->linear.b);
      if (full()) add(prefix + name + ".weight", linear->linear.weight);
      if (full()) add(prefix + name + ".bias", linear->linear.bias);
    }
    if (!full()) continue;
    add(prefix + "input_norm", layer.input_norm);
    add(prefix + "ffn_norm", layer.ffn_norm);
    add(prefix + "query_norm", layer.query_norm);
    add(prefix + "key_norm", layer.key_norm);
  }
  add("token_rows", token_rows_);
  add("head_rows", head_rows_);
  if (!full()) return;
  add("final_norm", final_norm_);
  add("embedding", embedding_);
  if (!config_.tied_embeddings) add("head", head_.weight);
}

std::vector<const NamedLinear*> Network::linears() const {
  std::vector<const NamedLinear*> out;
  for (const NetworkLayer& layer : layers_)
    for (const NamedLinear* linear : {&layer.qkv, &layer.out, &layer.gate_up, &layer.down}) out.push_back(linear);
  return out;
}

std::vector<LoraModule> Network::lora_modules() const {
  std::vector<LoraModule> modules;
  if (full()) return modules;
  for (const NamedLinear* linear : linears()) {
    const Linear& w = linear->linear;
    std::int64_t row = 0;
    for (std::size_t p = 0; p < w.parts.size(); ++p) {
      const std::int64_t rank = w.b.size(1), first = static_cast<std::int64_t>(p) * rank;
      modules.push_back({linear->paths[p], w.a.size(1), w.parts[p], copied(w.a.narrow(0, first, rank)),
                         copied(w.b.narrow(0, row, w.parts[p]))});
      row += w.parts[p];
    }
  }
  return modules;
}

std::vector<ModelTensor> Network::tensors() const {
  std::vector<ModelTensor> out;
  const auto add = [&](const std::string& name, const at::Tensor& tensor) {
    if (tensor.defined()) out.push_back({name, tensor.sizes().vec(), copied(tensor)});
  };
  add(hf::embedding_spec(config_).weight(), embedding_);
  std::int32_t index = 0;
  for (const NetworkLayer& layer : layers_) {
    const hf::LayerSpec spec = hf::layer_spec(config_, index++);
    add(spec.input_norm.name, layer.input_norm);
    add(spec.ffn_norm.name, layer.ffn_norm);
    if (spec.query_norm) add(spec.query_norm->name, layer.query_norm);
    if (spec.key_norm) add(spec.key_norm->name, layer.key_norm);
  }
  for (const NamedLinear* linear : linears()) {
    std::int64_t row = 0;
    for (std::size_t p = 0; p < linear->paths.size(); ++p) {
      const std::int64_t rows = linear->linear.parts[p];
      add(linear->paths[p] + ".weight", linear->linear.weight.narrow(0, row, rows));
      if (linear->linear.bias.defined()) add(linear->paths[p] + ".bias", linear->linear.bias.narrow(0, row, rows));
      row += rows;
    }
  }
  add(hf::final_norm_spec(config_).name, final_norm_);
  if (!config_.tied_embeddings) add(hf::head_spec(config_).weight(), head_.weight);
  return out;
}

Network::Network(const std::filesystem::path& folder, const hf::ModelConfig& config, const ModelOptions& options)
    : config_(config), options_(options), frequencies_(hf::rope_inverse_frequencies(config.rope, config.head_dim)) {
  load_layers(folder);
  load_embedding(folder);
  if (!full()) add_adapters();
  collect_parameters();
  // Copies made before a tensor wanted a gradient do not want one: name the leaves again.
  head_.rows = config_.tied_embeddings ? token_rows_ : head_rows_;
  if (full() && config_.tied_embeddings) head_.weight = embedding_;
  refresh_head();
}

}  // namespace anabranch::train
