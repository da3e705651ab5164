// Adds an adapter to a model's tensors.
#include <algorithm>
#include <cmath>
#include <iterator>

#include <anabranch/error.hpp>
#include <anabranch/hf/adapter.hpp>
#include <anabranch/hf/layer_tensors.hpp>

#include "adapter_targets.hpp"

namespace anabranch::hf {
namespace {

constexpr std::string_view kWeight = ".weight", kBias = ".bias";

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

/// Gives a row the length that DoRA has learned for it.
void set_length(std::span<float> row, float length) {
  double squares = 0;
  for (const float value : row) squares += static_cast<double>(value) * value;
  const auto factor = static_cast<float>(length / std::sqrt(squares));
  for (float& value : row) value *= factor;
}

/// W += scale * (B A), row by row; the sum of a row's products is made before it is scaled, as `peft` does.
/// `lengths`: of all rows, or empty.
void add_product(const LoraPair& pair, float scale, const SomeRows& part, std::span<const float> lengths) {
  const auto in = static_cast<std::size_t>(pair.in);
  const std::int32_t rank = pair.rank();
  std::vector<float> change(in);
  const float* b = pair.b.data() + std::ptrdiff_t{part.first} * rank;
  auto row = static_cast<std::size_t>(part.first);
  for (std::span<float> rest = part.values; rest.size() >= in; rest = rest.subspan(in)) {
    std::fill(change.begin(), change.end(), 0.0f);
    const float* a = pair.a.data();
    for (std::int32_t r = 0; r < rank; ++r, a += in) {
      const float factor = *b++;
      for (std::size_t i = 0; i < in; ++i) change[i] += factor * a[i];
    }
    float* w = rest.data();
    for (std::size_t i = 0; i < in; ++i) w[i] += scale * change[i];
    if (!lengths.empty()) set_length(rest.first(in), lengths[row++]);
  }
}

/// Whether a layer's module has a bias to which a factor's could be added.
bool has_bias(const ModelConfig& config, const std::string& module) {
  return tensor_shapes(config).contains(module + std::string(kBias));
}

void require_factors(const Adapter& adapter, const ModelConfig& config, const std::string& where) {
  auto known = linear_modules(config);
  known[kEmbeddingModule] = known[kHeadModule] = {config.vocabulary, config.hidden};
  for (const auto& [module, pair] : adapter.modules) {
    const auto found = known.find(module);
    if (found == known.end())
      fail(Status::bad_file, where, ": module \"", module,
           "\": expected a linear layer or the embedding of the model (", config.n_layers, " layers), found none");
    const MatrixShape& shape = found->second;
    if (pair.in != shape.in || pair.out != shape.out)
      fail(Status::bad_file, where, ": module \"", module, "\": expected B A of ", sizes(shape.out, shape.in),
           " as the model has, found ", sizes(pair.out, pair.in));
    if (!pair.bias.empty() && !has_bias(config, module))
      fail(Status::unsupported, where, ": 'lora_bias': module \"", module,
           "\" of the model has no bias; supported are modules that have one");
  }
}

void require_saved(const Adapter& adapter, const ModelConfig& config, const std::string& where) {
  const auto shapes = tensor_shapes(config);
  for (const auto* whole : {&adapter.saved.active, &adapter.saved.base})
    for (const auto& [name, stored] : *whole) {
      const auto found = shapes.find(name);
      if (found == shapes.end())
        fail(Status::bad_file, where, ": tensor \"", stored.tensor.name, "\": expected a tensor of the model (",
             config.n_layers, " layers), found none that is called ", name);
      if (stored.tensor.shape != found->second)
        fail(Status::bad_file, where, ": tensor \"", stored.tensor.name, "\": expected shape ",
             shape_text(found->second), ", found ", shape_text(stored.tensor.shape));
    }
  for (const auto& [name, shape] : shapes)
    if (impl::is_saved_module(adapter.kind.modules_to_save, name.substr(0, name.rfind('.'))) &&
        !adapter.saved.active.contains(name))
      fail(Status::bad_file, where, ": 'modules_to_save': expected the tensor \"base_model.model.", name,
           "\" that it stands for, found no such tensor");
}

/// `peft` wraps an embedding or a head in one thing only.
void refuse_two_changes(const Adapter& adapter, const ModelConfig& config, const std::string& where) {
  const auto factors = [&](const char* module) { return adapter.modules.contains(module); };
  const auto whole = [&](const char* module) {
    return adapter.saved.find_active(std::string(module) + std::string(kWeight)) != nullptr;
  };
  const auto both = [&](const char* module, const char* rows_of) {
    if (factors(module) || whole(module))
      fail(Status::unsupported, where, ": ", rows_of, " has token rows, and ", module,
           (factors(module) ? " has LoRA factors" : " is saved whole"), "; only one of both is supported");
  };
  if (!adapter.tokens.empty()) both(kEmbeddingModule, kEmbeddingModule);
  if (!adapter.tokens.empty() && config.tied_embeddings) both(kHeadModule, "the embedding, to which the head is tied,");
  if (!adapter.head_tokens.empty()) both(kHeadModule, kHeadModule);
}

/// Embedding and head have the same of all that `ensure_weight_tying` ties.
void require_tied(const Adapter& adapter, const ModelConfig& config, const std::string& where) {
  if (!adapter.kind.tied) return;
  if (!config.tied_embeddings && !adapter.kind.module_by_tying.empty())
    fail(Status::bad_file, where, ": 'ensure_weight_tying': module \"", adapter.kind.module_by_tying,
         "\": expected a model whose head is tied, or it among 'target_modules', found neither");
  if (!config.tied_embeddings) return;
  const auto require_same = [&](bool same, const char* what) {
    if (!same)
      fail(Status::bad_file, where, ": 'ensure_weight_tying': expected the same ", what, " of ", kEmbeddingModule,
           " and of ", kHeadModule, ", found others");
  };
  const auto embedding = adapter.modules.find(kEmbeddingModule), head = adapter.modules.find(kHeadModule);
  const auto none = adapter.modules.end();
  require_same((embedding == none) == (head == none), "factors");
  if (embedding != none)
    require_same(embedding->second.a == head->second.a && embedding->second.b == head->second.b, "factors");
  const Tensor* whole = adapter.saved.find_active(std::string(kEmbeddingModule) + std::string(kWeight));
  const Tensor* whole_head = adapter.saved.find_active(std::string(kHeadModule) + std::string(kWeight));
  require_same((whole == nullptr) == (whole_head == nullptr), "weights");
  if (whole != nullptr) require_same(read_floats(*whole) == read_floats(*whole_head), "weights");
}

}  // namespace

std::map<std::string, MatrixShape, std::less<>> linear_modules(const ModelConfig& config) {
  std::map<std::string, MatrixShape, std::less<>> modules;
  const auto add = [&](const MatrixSpec& matrix) { modules[matrix.module] = {matrix.out, matrix.in}; };
  for (std::int32_t index = 0; index < config.n_layers; ++index) {
    const LayerSpec layer = layer_spec(config, index);
    for (const MatrixSpec* matrix : layer.matrices()) add(*matrix);
  }
  if (!config.tied_embeddings) add(head_spec(config));
  return modules;
}

float Adapter::scale_of(const LoraPair& pair) const noexcept {
  const auto n = static_cast<float>(pair.rank());
  return pair.alpha.value_or(alpha) / (scale == LoraScale::by_root ? std::sqrt(n) : n);
}

std::int32_t Adapter::vocabulary(const ModelConfig& config) const {
  for (const auto* whole : {&saved.active, &saved.base})
    for (const char* module : {kEmbeddingModule, kHeadModule})
      if (const auto found = whole->find(std::string(module) + std::string(kWeight)); found != whole->end()) {
        const std::vector<std::int64_t>& shape = found->second.tensor.shape;
        if (shape.size() == 2 && shape[1] == config.hidden && shape[0] > 0 && shape[0] <= INT32_MAX)
          return static_cast<std::int32_t>(shape[0]);
      }
  return config.vocabulary;
}

void Adapter::require_fit(const ModelConfig& config, const std::string& where) const {
  ModelConfig whole = config;
  whole.vocabulary = vocabulary(config);
  require_factors(*this, whole, where);
  require_saved(*this, whole, where);
  require_rows(tokens, whole, where);
  require_rows(head_tokens, whole, where);
  refuse_two_changes(*this, whole, where);
  require_tied(*this, whole, where);
}

void Adapter::merge_into(std::string_view tensor, std::span<float> values, std::int32_t first) const {
  if (tensor.ends_with(kBias)) {
    const auto found = modules.find(tensor.substr(0, tensor.size() - kBias.size()));
    if (found == modules.end() || found->second.bias.empty()) return;
    const float* add = found->second.bias.data() + first;
    for (float& value : values) value += scale_of(found->second) * *add++;
    return;
  }
  if (!tensor.ends_with(kWeight)) return;
  const std::string_view module = tensor.substr(0, tensor.size() - kWeight.size());
  const SomeRows part{values, first};
  if (const auto found = modules.find(module); found != modules.end() && saved.find_active(tensor) == nullptr) {
    const LoraPair& pair = found->second;
    ANABRANCH_ASSERT(std::ssize(values) % pair.in == 0 && std::ssize(values) / pair.in <= pair.out - first);
    const std::span<const float> lengths = module == kEmbeddingModule ? std::span<const float>() : pair.magnitude;
    add_product(pair, scale_of(pair), part, lengths);
  }
  if (module == kEmbeddingModule) replace_rows(tokens, part);
  if (module == kHeadModule) replace_rows(head_tokens, part);
}

bool Adapter::changes(std::string_view tensor) const {
  if (tensor.ends_with(kBias)) {
    const auto found = modules.find(tensor.substr(0, tensor.size() - kBias.size()));
    return found != modules.end() && !found->second.bias.empty();
  }
  if (!tensor.ends_with(kWeight)) return false;
  const std::string_view module = tensor.substr(0, tensor.size() - kWeight.size());
  return modules.contains(module) || (module == kEmbeddingModule && !tokens.empty()) ||
         (module == kHeadModule && !head_tokens.empty());
}

}  // namespace anabranch::hf
