// Reads an adapter's folder.
#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <set>
#include <utility>

#include <anabranch/error.hpp>
#include <anabranch/hf/adapter.hpp>
#include <anabranch/hf/layer_tensors.hpp>
#include <anabranch/hf/safetensors.hpp>

#include "adapter_config.hpp"
#include "adapter_names.hpp"

namespace anabranch::hf {
namespace {

using namespace impl;

[[noreturn]] void damaged(const Tensor& tensor, const std::string& expected, const std::string& found) {
  fail(Status::bad_file, tensor.file.string(), ": tensor \"", tensor.name, "\": expected ", expected, ", found ",
       found);
}

[[noreturn]] void unknown_name(const Tensor& tensor) {
  damaged(tensor, "the name of a LoRA factor, of token rows or of a saved weight or bias", "none that is known");
}

/// Values that are all finite numbers.
std::vector<float> read_finite(const Tensor& tensor) {
  std::vector<float> values = read_floats(tensor);
  const auto bad = std::find_if(values.begin(), values.end(), [](float v) { return !std::isfinite(v); });
  if (bad != values.end())
    damaged(tensor, "finite numbers", std::to_string(*bad) + " as element " + std::to_string(bad - values.begin()));
  return values;
}

std::vector<float> read_matrix(const Tensor& tensor) {
  const auto& shape = tensor.shape;
  if (shape.size() != 2 || std::any_of(shape.begin(), shape.end(), [](auto n) { return n < 1 || n > INT32_MAX; }))
    damaged(tensor, "a matrix", "shape " + shape_text(shape));
  return read_finite(tensor);
}

std::vector<float> read_vector(const Tensor& tensor, std::int32_t size) {
  const std::vector<std::int64_t> expected{size};
  if (tensor.shape != expected) damaged(tensor, "shape " + shape_text(expected), "shape " + shape_text(tensor.shape));
  return read_finite(tensor);
}

std::vector<float> transposed(const std::vector<float>& values, std::int64_t rows) {
  const std::int64_t columns = std::ssize(values) / rows;
  std::vector<float> out(values.size());
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; ++c)
      out[static_cast<std::size_t>(c * rows + r)] = values[static_cast<std::size_t>(r * columns + c)];
  return out;
}

/// A name without its end; none: it has another.
std::optional<std::string> without(std::string_view name, std::string_view end) {
  if (name.size() <= end.size() || !name.ends_with(end)) return std::nullopt;
  return std::string(name.substr(0, name.size() - end.size()));
}

class AdapterReader {
 public:
  explicit AdapterReader(const std::filesystem::path& folder)
      : config_file_((folder / kAdapterConfigFile).string()),
        config_(AdapterConfig::load(folder / kAdapterConfigFile)),
        tensors_(std::make_shared<Weights>(Weights::open(folder / kAdapterTensorFile))) {}

  Adapter run() {
    adapter_ = {config_.rank, config_.alpha, config_.scale, config_.base_model, {}, {}, {}, {}, config_.kind, {}};
    for (const auto& [name, tensor] : tensors_->tensors()) read(tensor);
    for (const Tensor* tensor : whole_) read_whole(*tensor);
    if (!adapter_.saved.active.empty() || !adapter_.saved.base.empty()) adapter_.saved.file = tensors_;
    adapter_.tokens = token_rows(kTokenRows, config_.tokens, {});
    adapter_.head_tokens = token_rows(kHeadRows, config_.head_tokens, config_.tokens);
    check_targets();
    return std::move(adapter_);
  }

 private:
  /// Reads factors, and puts whole tensors aside until all factors are known.
  void read(const Tensor& tensor) {
    if (!tensor.name.starts_with(kWrapped)) unknown_name(tensor);
    const std::string_view name = std::string_view(tensor.name).substr(kWrapped.size());
    for (const std::string_view end :
         {kFactorA, kFactorB, kFactorBias, kEmbeddingA, kEmbeddingB, kMagnitude, kMagnitudeWeight, kRowsOfTokens}) {
      const std::optional<std::string> module = without(name, end);
      if (!module) continue;
      if (!is_module_path(*module)) unknown_name(tensor);
      return read_part(tensor, *module, end);
    }
    whole_.push_back(&tensor);
  }

  void read_part(const Tensor& tensor, const std::string& module, std::string_view end) {
    if (end == kFactorA || end == kEmbeddingA) {
      if (!adapter_.modules.emplace(module, end == kFactorA ? pair(module, tensor) : embedding_pair(module, tensor))
               .second)
        damaged(tensor, "one pair of factors for a module", "two");
    } else if (end == kFactorB) {
      partner(tensor, module, kFactorA);
    } else if (end == kEmbeddingB) {
      partner(tensor, module, kEmbeddingA);
    } else if (end == kRowsOfTokens) {
      if (tensor.name != kTokenRows && tensor.name != kHeadRows)
        damaged(tensor, "token rows of model.embed_tokens or of lm_head", "those of " + module);
    } else {
      if (find(module, kFactorA) == nullptr && find(module, kEmbeddingA) == nullptr)
        damaged(tensor, "LoRA factors of the module beside it", "none");
      if (end == kFactorBias && !config_.kind.factor_bias)
        damaged(tensor, "'lora_bias' in " + config_file_, "it unset");
      if (end != kFactorBias && !config_.kind.dora) damaged(tensor, "'use_dora' in " + config_file_, "it unset");
    }
  }

  const Tensor* find(const std::string& module, std::string_view end) const {
    return tensors_->find(std::string(kWrapped) + module + std::string(end));
  }
  const Tensor& partner(const Tensor& tensor, const std::string& module, std::string_view end) const {
    const Tensor* found = find(module, end);
    if (found == nullptr)
      damaged(tensor, "\"" + std::string(kWrapped) + module + std::string(end) + "\" beside it", "no such tensor");
    return *found;
  }

  LoraPair pair(const std::string& module, const Tensor& a) const {
    const Tensor& b = partner(a, module, kFactorB);
    LoraPair pair;
    pair.a = read_matrix(a);
    pair.b = read_matrix(b);
    pair.in = static_cast<std::int32_t>(a.shape[1]);
    pair.out = static_cast<std::int32_t>(b.shape[0]);
    set_numbers(module, a, pair);
    if (b.shape[1] != a.shape[0])
      damaged(b, "as many columns as A has rows (" + std::to_string(a.shape[0]) + ")", "shape " + shape_text(b.shape));
    if (config_.kind.dora) pair.magnitude = read_vector(magnitude(a, module), pair.out);
    if (config_.kind.factor_bias) pair.bias = read_vector(partner(a, module, kFactorBias), pair.out);
    return pair;
  }

  /// `peft` stores A [rank, vocabulary] and B [hidden, rank] and adds (B A) transposed.
  LoraPair embedding_pair(const std::string& module, const Tensor& a) const {
    const Tensor& b = partner(a, module, kEmbeddingB);
    if (config_.kind.factor_bias)
      fail(Status::unsupported, config_file_, ": 'lora_bias': true is not supported for the embedding ", module);
    LoraPair pair;
    pair.b = transposed(read_matrix(a), a.shape[0]);
    pair.a = transposed(read_matrix(b), b.shape[0]);
    pair.in = static_cast<std::int32_t>(b.shape[0]);
    pair.out = static_cast<std::int32_t>(a.shape[1]);
    set_numbers(module, a, pair);
    if (b.shape[1] != a.shape[0])
      damaged(b, "as many columns as A has rows (" + std::to_string(a.shape[0]) + ")", "shape " + shape_text(b.shape));
    if (config_.kind.dora) pair.magnitude = read_vector(magnitude(a, module), pair.in);
    return pair;
  }

  const Tensor& magnitude(const Tensor& a, const std::string& module) const {
    const Tensor* named_weight = find(module, kMagnitudeWeight);
    return named_weight != nullptr ? *named_weight : partner(a, module, kMagnitude);
  }

  void set_numbers(const std::string& module, const Tensor& a, LoraPair& pair) const {
    const double rank = config_.ranks.find(module).value_or(config_.rank);
    if (static_cast<double>(a.shape[0]) != rank)
      damaged(a, "rank " + rank_text(rank) + " of " + kAdapterConfigFile, "shape " + shape_text(a.shape));
    if (const auto alpha = config_.alphas.find(module)) pair.alpha = static_cast<float>(*alpha);
  }

  static std::string rank_text(double value) {
    const auto whole = static_cast<std::int64_t>(value);
    return static_cast<double>(whole) == value ? std::to_string(whole) : std::to_string(value);
  }

  /// A tensor whose name says that it stands for one of the model's.
  void read_whole(const Tensor& tensor) {
    const std::string stored_as = tensor.name.substr(kWrapped.size());
    const std::size_t dot = stored_as.rfind('.');
    const std::string parameter = dot == std::string::npos ? "" : stored_as.substr(dot);
    if (parameter != ".weight" && parameter != ".bias") unknown_name(tensor);
    const std::string owner = stored_as.substr(0, dot);
    for (const std::string_view end : {std::string_view(".token_adapter.base_layer"), std::string_view(".base_layer"),
                                       std::string_view(".original_module"), std::string_view(".modules_to_save")})
      if (const auto module = without(owner, end)) return read_wrapped(tensor, *module, end, parameter);
    if (!is_module_path(owner)) unknown_name(tensor);
    if (has_factors(owner)) damaged(tensor, "the name " + owner + ".base_layer" + parameter, "another");
    if (is_saved(owner))
      adapter_.saved.active[owner + parameter] = {tensor, stored_as, false};
    else
      adapter_.saved.base[owner + parameter] = {tensor, stored_as, false};
  }

  /// A tensor of a module that `peft` has put something around.
  void read_wrapped(const Tensor& tensor, const std::string& module, std::string_view end,
                    const std::string& parameter) {
    if (!is_module_path(module)) unknown_name(tensor);
    const std::string name = module + parameter;
    if (end == ".base_layer" && !has_factors(module))
      damaged(tensor, "LoRA factors of " + module + " beside it", "none");
    if (end == ".token_adapter.base_layer" && find(module, kRowsOfTokens) == nullptr)
      damaged(tensor, "token rows of " + module + " beside it", "none");
    const bool of_saved = end == ".original_module" || end == ".modules_to_save";
    if (of_saved && !is_saved_module(config_.kind.modules_to_save, module))
      damaged(tensor, "a module of 'modules_to_save' in " + config_file_, "module " + module);
    if (end == ".modules_to_save") {  // stored once more under the plain name, which is the one that is read
      if (tensors_->find(std::string(kWrapped) + name) == nullptr)
        damaged(tensor, "\"" + std::string(kWrapped) + name + "\" beside it", "no such tensor");
      return;
    }
    adapter_.saved.base[name] = {tensor, tensor.name.substr(kWrapped.size()), parameter == ".weight"};
  }

  /// A tied head is saved with its embedding.
  bool is_saved(const std::string& module) const {
    const std::vector<std::string>& names = config_.kind.modules_to_save;
    const bool with_other = config_.kind.tied && (module == kHeadModule || module == kEmbeddingModule);
    return is_saved_module(names, module) ||
           (with_other && (is_saved_module(names, kEmbeddingModule) || is_saved_module(names, kHeadModule)));
  }

  bool has_factors(const std::string& module) const { return adapter_.modules.contains(module); }

  /// Rows of a tied head need not be stored a second time: with the same ids as `stored` they may be missing.
  TokenRows token_rows(const char* name, const std::vector<TokenId>& ids, const std::vector<TokenId>& stored) const {
    const Tensor* tensor = tensors_->find(name);
    if (tensor == nullptr && (ids.empty() || ids == stored)) return {};
    if (tensor == nullptr)
      fail(Status::bad_file, config_file_, ": 'trainable_token_indices': expected the rows in \"", name, "\" of ",
           kAdapterTensorFile, ", found no such tensor");
    TokenRows rows{ids, read_matrix(*tensor)};
    if (ids.empty() && !stored.empty() && rows.rows == adapter_.tokens.rows) return {};  // a copy of the embedding's
    if (tensor->shape[0] != static_cast<std::int64_t>(ids.size()))
      damaged(*tensor, std::to_string(ids.size()) + " rows ('trainable_token_indices' of " + kAdapterConfigFile + ")",
              "shape " + shape_text(tensor->shape));
    return rows;
  }

  void check_targets() {
    if (!adapter_.modules.empty() && !config_.targets.any())
      fail(Status::bad_file, config_file_,
           ": 'target_modules': expected names of modules or a regular expression, "
           "found nothing");
    adapter_.target_modules = config_.targets.plain_names();
    const auto is_tied_target = [&](const std::string& module) {
      return config_.kind.tied && ((module == kHeadModule && config_.targets.has(kEmbeddingModule)) ||
                                   (module == kEmbeddingModule && config_.targets.has(kHeadModule)));
    };
    for (const auto& [module, pair] : adapter_.modules) {
      if (config_.targets.has(module)) continue;
      if (!is_tied_target(module))
        fail(Status::bad_file, tensors_->tensors().begin()->second.file.string(), ": LoRA factors of module ", module,
             ": expected a module of 'target_modules' in ", kAdapterConfigFile, ", found one that it leaves out");
      adapter_.target_modules.clear();  // the names alone do not say it
      adapter_.kind.module_by_tying = module;
    }
  }

  std::string config_file_;
  AdapterConfig config_;
  std::shared_ptr<const Weights> tensors_;
  Adapter adapter_;
  std::vector<const Tensor*> whole_;
};

}  // namespace

Adapter Adapter::load(const std::filesystem::path& folder) {
  std::error_code error;
  if (!std::filesystem::is_directory(folder, error))
    fail(Status::bad_file, "adapter folder " + folder.string() + ": expected a folder, found " +
                               (std::filesystem::exists(folder, error) ? "a file" : "nothing"));
  return AdapterReader(folder).run();
}

}  // namespace anabranch::hf
