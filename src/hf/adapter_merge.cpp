// Adds an adapter to a model's tensors.
#include <algorithm>
#include <cmath>
#include <iterator>

#include <anabranch/error.hpp>
#include <anabranch/hf/adapter.hpp>
#include <anabranch/hf/layer_tensors.hpp>

namespace anabranch::hf {
namespace {

constexpr std::string_view kWeight = ".weight";

std::string sizes(std::int32_t out, std::int32_t in) {
  return "[" + std::to_string(out) + ", " + std::to_string(in) + "]";
}

void require_rows(const TokenRows& rows, const ModelConfig& config, const std::string& where) {
  for (const TokenId id : rows.ids)
    if (id < 0 || id >= config.vocabulary)
      fail(Status::bad_file, where, ": expected token ids from 0 to ", config.vocabulary - 1,
           " (the model's vocabulary), found ", id);
  if (std::ssize(rows.rows) != std::ssize(rows.ids) * config.hidden)
    fail(Status::bad_file, where, ": expected ", rows.ids.size(), " token rows of ", config.hidden,
         " (the model's hidden size), found ", rows.rows.size(), " values");
}

/// Some rows of a tensor: `values` begins with row `first`.
struct SomeRows {
  std::span<float> values;
  std::int32_t first = 0;
};

void replace_rows(const TokenRows& rows, const SomeRows& part) {
  if (rows.empty()) return;
  const std::ptrdiff_t width = std::ssize(rows.rows) / std::ssize(rows.ids);
  const std::ptrdiff_t n = std::ssize(part.values) / width;
  const float* row = rows.rows.data();
  for (const TokenId id : rows.ids) {
    const std::ptrdiff_t place = std::ptrdiff_t{id} - part.first;
    if (place >= 0 && place < n) std::copy_n(row, width, part.values.data() + place * width);
    row += width;
  }
}

/// W += scale * (B A), row by row; the sum of a row's products is made before it is scaled, as `peft` does.
void add_product(const LoraPair& pair, float scale, const SomeRows& part) {
  const auto in = static_cast<std::size_t>(pair.in);
  const std::int32_t rank = pair.rank();
  std::vector<float> change(in);
  const float* b = pair.b.data() + std::ptrdiff_t{part.first} * rank;
  for (std::span<float> rest = part.values; rest.size() >= in; rest = rest.subspan(in)) {
    std::fill(change.begin(), change.end(), 0.0f);
    const float* a = pair.a.data();
    for (std::int32_t r = 0; r < rank; ++r, a += in) {
      const float factor = *b++;
      for (std::size_t i = 0; i < in; ++i) change[i] += factor * a[i];
    }
    float* w = rest.data();
    for (std::size_t i = 0; i < in; ++i) w[i] += scale * change[i];
  }
}

}  // namespace

std::map<std::string, MatrixShape, std::less<>> linear_modules(const ModelConfig& config) {
  std::map<std::string, MatrixShape, std::less<>> modules;
  const auto add = [&](const MatrixSpec& matrix) { modules[matrix.module] = {matrix.out, matrix.in}; };
  for (std::int32_t index = 0; index < config.n_layers; ++index) {
    const LayerSpec layer = layer_spec(config, index);
    for (const MatrixSpec& matrix : layer.qkv) add(matrix);
    add(layer.out);
    for (const MatrixSpec& matrix : layer.gate_up) add(matrix);
    add(layer.down);
  }
  if (!config.tied_embeddings) add(head_spec(config));
  return modules;
}

float Adapter::scale_of(const LoraPair& pair) const noexcept {
  const auto n = static_cast<float>(pair.rank());
  return pair.alpha.value_or(alpha) / (scale == LoraScale::by_root ? std::sqrt(n) : n);
}

void Adapter::require_fit(const ModelConfig& config, const std::string& where) const {
  const auto known = linear_modules(config);
  for (const auto& [module, pair] : modules) {
    const auto found = known.find(module);
    if (found == known.end())
      fail(Status::bad_file, where, ": module \"", module, "\": expected a linear layer of the model (",
           config.n_layers, " layers", (config.tied_embeddings ? ", the head tied to the embedding" : ""),
           "), found none");
    const MatrixShape& shape = found->second;
    if (pair.in != shape.in || pair.out != shape.out)
      fail(Status::bad_file, where, ": module \"", module, "\": expected B A of ", sizes(shape.out, shape.in),
           " as the model has, found ", sizes(pair.out, pair.in));
  }
  require_rows(tokens, config, where);
  require_rows(head_tokens, config, where);
  if (!head_tokens.empty() && config.tied_embeddings)
    fail(Status::unsupported, where, ": token rows of lm_head: the model's head is tied to its embedding");
  if (!head_tokens.empty() && modules.contains(kHeadModule))
    fail(Status::unsupported, where, ": lm_head has token rows and LoRA factors; only one of both is supported");
}

void Adapter::merge_into(std::string_view tensor, std::span<float> values, std::int32_t first) const {
  if (!tensor.ends_with(kWeight)) return;
  const std::string_view module = tensor.substr(0, tensor.size() - kWeight.size());
  const SomeRows part{values, first};
  if (const auto found = modules.find(module); found != modules.end()) {
    const LoraPair& pair = found->second;
    ANABRANCH_ASSERT(std::ssize(values) % pair.in == 0 && std::ssize(values) / pair.in <= pair.out - first);
    add_product(pair, scale_of(pair), part);
  }
  if (module == kEmbeddingModule) replace_rows(tokens, part);
  if (module == kHeadModule) replace_rows(head_tokens, part);
}

bool Adapter::changes(std::string_view tensor) const {
  if (!tensor.ends_with(kWeight)) return false;
  const std::string_view module = tensor.substr(0, tensor.size() - kWeight.size());
  return modules.contains(module) || (module == kEmbeddingModule && !tokens.empty()) ||
         (module == kHeadModule && !head_tokens.empty());
}

}  // namespace anabranch::hf
