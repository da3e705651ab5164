#include <anabranch/hf/adapter.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <set>
#include <utility>

#include <anabranch/error.hpp>
#include <anabranch/hf/layer_tensors.hpp>
#include <anabranch/hf/safetensors.hpp>

#include "adapter_config.hpp"
#include "adapter_names.hpp"
#include "atomic_file.hpp"

namespace anabranch::hf {
namespace {

using namespace impl;

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

/// Vectors beside the factors: of all modules or of none.
void check_vectors(const std::string& module, const LoraPair& pair, const AdapterKind& kind) {
  const auto size = [](bool wanted, std::int32_t n) { return wanted ? static_cast<std::size_t>(n) : std::size_t{0}; };
  const std::size_t magnitudes = size(kind.dora, module == kEmbeddingModule ? pair.in : pair.out);
  const std::size_t biases = size(kind.factor_bias, pair.out);
  require(pair.magnitude.size() == magnitudes && pair.bias.size() == biases,
          module + ": expected " + std::to_string(magnitudes) + " magnitudes and " + std::to_string(biases) +
              " biases, found " + std::to_string(pair.magnitude.size()) + " and " + std::to_string(pair.bias.size()));
}

void check(const Adapter& adapter) {
  require(adapter.rank > 0, "rank is " + std::to_string(adapter.rank) + ", must be above 0");
  require(std::isfinite(adapter.alpha) && adapter.alpha > 0,
          "alpha is " + std::to_string(adapter.alpha) + ", must be above 0");
  for (const auto& [module, pair] : adapter.modules) {
    check_pair(module, pair);
    check_vectors(module, pair, adapter.kind);
    require(adapter.target_modules.empty() || impl::is_target(adapter.target_modules, module),
            module + ": no name in target_modules fits");
  }
  check_rows(adapter.tokens, "tokens");
  check_rows(adapter.head_tokens, "head_tokens");
}

/// The tensors of one module. `peft` stores the embedding's factors transposed.
void add_pair(const std::string& module, const LoraPair& pair, Dtype dtype, std::vector<LazyTensor>& tensors) {
  const std::string name = std::string(kWrapped) + module;
  const auto add = [&](std::string_view end, std::vector<std::int64_t> shape, const std::vector<float>& values) {
    tensors.push_back({name + std::string(end), std::move(shape), dtype,
                       [from = &values](std::span<float> out) { std::copy(from->begin(), from->end(), out.begin()); }});
  };
  const auto add_transposed = [&](std::string_view end, std::int64_t columns, const std::vector<float>& values) {
    const std::int64_t rows = std::ssize(values) / columns;
    tensors.push_back(
        {name + std::string(end), {columns, rows}, dtype, [=, from = values.data()](std::span<float> out) {
           for (std::int64_t r = 0; r < rows; ++r)
             for (std::int64_t c = 0; c < columns; ++c)
               out[static_cast<std::size_t>(c * rows + r)] = from[r * columns + c];
         }});
  };
  if (module == kEmbeddingModule) {
    add_transposed(kEmbeddingA, pair.rank(), pair.b);
    add_transposed(kEmbeddingB, pair.in, pair.a);
  } else {
    add(kFactorA, {pair.rank(), pair.in}, pair.a);
    add(kFactorB, {pair.out, pair.rank()}, pair.b);
  }
  if (!pair.magnitude.empty()) add(kMagnitude, {std::ssize(pair.magnitude)}, pair.magnitude);
  if (!pair.bias.empty()) add(kFactorBias, {pair.out}, pair.bias);
}

}  // namespace

const Tensor* SavedTensors::find_active(std::string_view name) const {
  const auto found = active.find(name);
  return found == active.end() ? nullptr : &found->second.tensor;
}

const Tensor* SavedTensors::find_base(std::string_view name) const {
  const auto found = base.find(name);
  return found == base.end() ? nullptr : &found->second.tensor;
}

void Adapter::save(const std::filesystem::path& folder, Dtype dtype) const {
  check(*this);
  std::vector<LazyTensor> tensors;
  const auto add = [&](std::string name, std::vector<std::int64_t> shape, std::span<const float> values) {
    tensors.push_back({std::move(name), std::move(shape), dtype,
                       [values](std::span<float> out) { std::copy(values.begin(), values.end(), out.begin()); }});
  };
  for (const auto& [module, pair] : modules) add_pair(module, pair, dtype, tensors);
  for (const auto& [name, rows] : {std::pair{kTokenRows, &tokens}, std::pair{kHeadRows, &head_tokens}})
    if (!rows->empty()) add(name, {std::ssize(rows->ids), width_of(*rows)}, rows->rows);
  for (const auto* whole : {&saved.active, &saved.base})
    for (const auto& [name, tensor] : *whole)
      tensors.push_back({std::string(kWrapped) + tensor.stored_as, tensor.tensor.shape, dtype,
                         [from = &tensor.tensor](std::span<float> out) { read_floats(*from, out); }});
  const std::string config = impl::adapter_config_json(*this);
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail(Status::bad_file, "cannot create the folder ", folder.string(), ": ", error.message());
  write_safetensors(folder / kAdapterTensorFile, std::span<const LazyTensor>(tensors), {{"format", "pt"}});
  impl::write_file(folder / kAdapterConfigFile, config);
}

}  // namespace anabranch::hf
