#include <anabranch/hf/adapter.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <set>
#include <utility>

#include <anabranch/error.hpp>
#include <anabranch/hf/safetensors.hpp>

#include "adapter_config.hpp"
#include "atomic_file.hpp"

namespace anabranch::hf {
namespace {

constexpr const char* kConfigFile = "adapter_config.json";
constexpr const char* kTensorFile = "adapter_model.safetensors";
// `peft` wraps the model twice and saves the names that this gives.
constexpr std::string_view kWrapped = "base_model.model.";
constexpr std::string_view kFactorA = ".lora_A.weight", kFactorB = ".lora_B.weight";
constexpr const char* kTokenRows = "base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta";
constexpr const char* kHeadRows = "base_model.model.lm_head.token_adapter.trainable_tokens_delta";

[[noreturn]] void damaged(const Tensor& tensor, const std::string& expected, const std::string& found) {
  fail(Status::bad_file, tensor.file.string(), ": tensor \"", tensor.name, "\": expected ", expected, ", found ",
       found);
}

/// A matrix whose values are all finite numbers.
std::vector<float> read_matrix(const Tensor& tensor) {
  const auto& shape = tensor.shape;
  if (shape.size() != 2 || std::any_of(shape.begin(), shape.end(), [](auto n) { return n < 1 || n > INT32_MAX; }))
    damaged(tensor, "a matrix", "shape " + shape_text(shape));
  std::vector<float> values = read_floats(tensor);
  const auto bad = std::find_if(values.begin(), values.end(), [](float v) { return !std::isfinite(v); });
  if (bad != values.end())
    damaged(tensor, "finite numbers", std::to_string(*bad) + " as element " + std::to_string(bad - values.begin()));
  return values;
}

std::optional<std::string> module_of(std::string_view tensor, std::string_view factor) {
  if (!tensor.starts_with(kWrapped) || !tensor.ends_with(factor)) return std::nullopt;
  if (tensor.size() <= kWrapped.size() + factor.size()) return std::nullopt;
  return std::string(tensor.substr(kWrapped.size(), tensor.size() - kWrapped.size() - factor.size()));
}

class Reader {
 public:
  explicit Reader(const std::filesystem::path& folder)
      : config_file_((folder / kConfigFile).string()),
        config_(impl::AdapterConfig::load(folder / kConfigFile)),
        tensors_(Weights::open(folder / kTensorFile)) {}

  Adapter run() const {
    Adapter adapter{config_.rank, config_.alpha, config_.scale, config_.base_model, config_.target_modules, {}, {}, {}};
    for (const auto& [name, tensor] : tensors_.tensors()) {
      if (name == kTokenRows || name == kHeadRows) continue;
      if (const auto module = module_of(name, kFactorA)) {
        adapter.modules.emplace(*module, pair(*module, tensor));
      } else {
        const auto other = module_of(name, kFactorB);
        if (!other) damaged(tensor, "the name of a LoRA factor or of token rows", "none that is known");
        partner(tensor, *other, kFactorA);
      }
    }
    adapter.tokens = token_rows(kTokenRows, config_.tokens, {});
    adapter.head_tokens = token_rows(kHeadRows, config_.head_tokens, config_.tokens);
    return adapter;
  }

 private:
  const Tensor& partner(const Tensor& tensor, const std::string& module, std::string_view factor) const {
    const std::string name = std::string(kWrapped) + module + std::string(factor);
    const Tensor* found = tensors_.find(name);
    if (found == nullptr) damaged(tensor, "\"" + name + "\" beside it", "no such tensor");
    return *found;
  }

  LoraPair pair(const std::string& module, const Tensor& a) const {
    const Tensor& b = partner(a, module, kFactorB);
    LoraPair pair;
    pair.a = read_matrix(a);
    pair.b = read_matrix(b);
    pair.in = static_cast<std::int32_t>(a.shape[1]);
    pair.out = static_cast<std::int32_t>(b.shape[0]);
    const double rank = config_.ranks.find(module, config_file_ + ": 'rank_pattern'").value_or(config_.rank);
    if (static_cast<double>(a.shape[0]) != rank)
      damaged(a, "rank " + rank_text(rank) + " of " + kConfigFile, "shape " + shape_text(a.shape));
    if (b.shape[1] != a.shape[0])
      damaged(b, "as many columns as A has rows (" + std::to_string(a.shape[0]) + ")", "shape " + shape_text(b.shape));
    if (const auto alpha = config_.alphas.find(module, config_file_ + ": 'alpha_pattern'"))
      pair.alpha = static_cast<float>(*alpha);
    if (!config_.target_modules.empty() && !impl::is_target(config_.target_modules, module))
      damaged(a, "a module of 'target_modules' in " + std::string(kConfigFile), "module " + module);
    return pair;
  }

  static std::string rank_text(double value) {
    const auto whole = static_cast<std::int64_t>(value);
    return static_cast<double>(whole) == value ? std::to_string(whole) : std::to_string(value);
  }

  /// Rows of a tied head are not stored a second time: with the same ids as `stored` they may be missing.
  TokenRows token_rows(const char* name, const std::vector<TokenId>& ids, const std::vector<TokenId>& stored) const {
    const Tensor* tensor = tensors_.find(name);
    if (tensor == nullptr && (ids.empty() || ids == stored)) return {};
    if (tensor == nullptr)
      fail(Status::bad_file, config_file_, ": 'trainable_token_indices': expected the rows in \"", name, "\" of ",
           kTensorFile, ", found no such tensor");
    TokenRows rows{ids, read_matrix(*tensor)};
    if (tensor->shape[0] != static_cast<std::int64_t>(ids.size()))
      damaged(*tensor, std::to_string(ids.size()) + " rows ('trainable_token_indices' of " + kConfigFile + ")",
              "shape " + shape_text(tensor->shape));
    return rows;
  }

  std::string config_file_;
  impl::AdapterConfig config_;
  Weights tensors_;
};

void require(bool holds, const std::string& text) {
  if (!holds) fail(Status::bad_argument, "adapter: ", text);
}

std::int64_t width_of(const TokenRows& rows) { return rows.empty() ? 0 : std::ssize(rows.rows) / std::ssize(rows.ids); }

void check_rows(const TokenRows& rows, const char* name) {
  const std::set<TokenId> ids(rows.ids.begin(), rows.ids.end());
  require(ids.size() == rows.ids.size() && (ids.empty() || *ids.begin() >= 0),
          std::string(name) + ": expected different token ids of at least 0");
  const std::int64_t n = width_of(rows) * std::ssize(rows.ids);
  require(n == std::ssize(rows.rows) && (n > 0 || rows.empty()),
          std::string(name) + ": expected " + std::to_string(rows.ids.size()) + " rows of one length, found " +
              std::to_string(rows.rows.size()) + " values");
}

void check_pair(const std::string& module, const LoraPair& pair) {
  require(pair.in > 0 && pair.out > 0 && pair.rank() > 0,
          module + ": expected sizes above 0, found " + std::to_string(pair.in) + " in, " + std::to_string(pair.out) +
              " out, rank " + std::to_string(pair.rank()));
  const std::int64_t rank = pair.rank();
  require(std::ssize(pair.a) == rank * pair.in && std::ssize(pair.b) == rank * pair.out,
          module + ": expected A [rank, in] and B [out, rank], found " + std::to_string(pair.a.size()) + " and " +
              std::to_string(pair.b.size()) + " values for " + std::to_string(pair.in) + " in and " +
              std::to_string(pair.out) + " out");
  require(!pair.alpha || (std::isfinite(*pair.alpha) && *pair.alpha > 0), module + ": alpha must be above 0");
}

void check(const Adapter& adapter) {
  require(adapter.rank > 0, "rank is " + std::to_string(adapter.rank) + ", must be above 0");
  require(std::isfinite(adapter.alpha) && adapter.alpha > 0,
          "alpha is " + std::to_string(adapter.alpha) + ", must be above 0");
  for (const auto& [module, pair] : adapter.modules) {
    check_pair(module, pair);
    require(adapter.target_modules.empty() || impl::is_target(adapter.target_modules, module),
            module + ": no name in target_modules fits");
  }
  check_rows(adapter.tokens, "tokens");
  check_rows(adapter.head_tokens, "head_tokens");
}

}  // namespace

Adapter Adapter::load(const std::filesystem::path& folder) {
  std::error_code error;
  if (!std::filesystem::is_directory(folder, error))
    fail(Status::bad_file, "adapter folder " + folder.string() + ": expected a folder, found " +
                               (std::filesystem::exists(folder, error) ? "a file" : "nothing"));
  return Reader(folder).run();
}

void Adapter::save(const std::filesystem::path& folder, Dtype dtype) const {
  check(*this);
  std::vector<FloatTensor> tensors;
  const auto add = [&](std::string name, std::int64_t rows, std::int64_t columns, std::span<const float> values) {
    tensors.push_back({std::move(name), {rows, columns}, values, dtype});
  };
  for (const auto& [module, pair] : modules) {
    add(std::string(kWrapped) + module + std::string(kFactorA), pair.rank(), pair.in, pair.a);
    add(std::string(kWrapped) + module + std::string(kFactorB), pair.out, pair.rank(), pair.b);
  }
  for (const auto& [name, rows] : {std::pair{kTokenRows, &tokens}, std::pair{kHeadRows, &head_tokens}})
    if (!rows->empty()) add(name, static_cast<std::int64_t>(rows->ids.size()), width_of(*rows), rows->rows);
  const std::string config = impl::adapter_config_json(*this);
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail(Status::bad_file, "cannot create the folder ", folder.string(), ": ", error.message());
  write_safetensors(folder / kTensorFile, tensors, {{"format", "pt"}});
  impl::write_file(folder / kConfigFile, config);
}

}  // namespace anabranch::hf
