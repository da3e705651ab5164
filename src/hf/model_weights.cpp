#include <anabranch/hf/model_weights.hpp>

#include <algorithm>
#include <cmath>
#include <utility>

#include <anabranch/error.hpp>
#include <anabranch/float16.hpp>
#include <anabranch/hf/layer_tensors.hpp>

#include "bfloat16.hpp"

namespace anabranch::hf {
namespace {

const std::string kEmbeddingWeight = std::string(kEmbeddingModule) + ".weight";
const std::string kHeadWeight = std::string(kHeadModule) + ".weight";
constexpr std::int64_t kRowsAtOnce = 256;

/// Calls use(first row, number of rows) for parts of a matrix until it returns false.
template <class Use>
bool all_rows(std::int64_t rows, Use&& use) {
  for (std::int64_t first = 0; first < rows; first += kRowsAtOnce)
    if (!use(first, std::min(kRowsAtOnce, rows - first))) return false;
  return true;
}

bool are_equal(const Tensor& a, const Tensor& b) {
  if (a.shape != b.shape) return false;
  if (a.bytes.data() == b.bytes.data()) return true;
  if (a.shape.empty()) return read_floats(a) == read_floats(b);
  return all_rows(a.shape[0], [&](std::int64_t first, std::int64_t n) {
    const Tensor one = a.rows(first, n), other = b.rows(first, n);
    const bool equal = a.stored_dtype == b.stored_dtype
                           ? std::equal(one.bytes.begin(), one.bytes.end(), other.bytes.begin(), other.bytes.end())
                           : read_floats(one) == read_floats(other);
    Weights::forget(one.bytes);
    Weights::forget(other.bytes);
    return equal;
  });
}

/// A value as a type with fewer bits keeps it.
float rounded(float value, Dtype dtype) {
  switch (dtype) {
    case Dtype::bf16: return impl::of_bfloat16(impl::bfloat16_of(value));
    case Dtype::f16: return float16_to_float32(float32_to_float16(value));
    default: return value;
  }
}

/// Whether the rows that both have are the model's, rounded to the copy's type.
bool is_copy_of(const Tensor& copy, const Tensor& model) {
  if (copy.shape.size() != 2 || model.shape.size() != 2 || copy.shape[1] != model.shape[1]) return false;
  return all_rows(std::min(copy.shape[0], model.shape[0]), [&](std::int64_t first, std::int64_t n) {
    const std::vector<float> found = read_floats(copy.rows(first, n));
    const std::vector<float> expected = read_floats(model.rows(first, n));
    return std::equal(found.begin(), found.end(), expected.begin(),
                      [&](float a, float b) { return a == rounded(b, copy.dtype); });
  });
}

const Tensor* or_else(const Tensor* first, const Tensor* second) { return first != nullptr ? first : second; }

}  // namespace

struct ModelWeights::Sources {
  const Tensor* embedding = nullptr;
  const Tensor* head = nullptr;
  bool tied = false;  ///< both are one tensor, for now
};

ModelWeights::ModelWeights(Weights files, const ModelConfig& config, std::optional<Adapter> adapter,
                           std::string adapter_name)
    : files_(std::move(files)), adapter_(std::move(adapter)), config_(config) {
  const Tensor *embedding = files_.find(kEmbeddingWeight), *head = files_.find(kHeadWeight);
  Sources sources{embedding, head, false};
  if (config.tied_embeddings) {
    sources.tied = embedding == nullptr || head == nullptr || are_equal(*embedding, *head);
    if (sources.tied) sources.embedding = sources.head = or_else(embedding, head);
  }
  if (adapter_) adapt(sources, adapter_name);
  if (sources.embedding != nullptr) embedding_ = *sources.embedding;
  if (sources.head != nullptr) head_ = *sources.head;
  config_.tied_embeddings = sources.tied;
  if (adapter_) measure_columns();
}

/// Replaces what the adapter replaces, and unties what it changes apart.
void ModelWeights::adapt(Sources& sources, const std::string& where) {
  adapter_->require_fit(config_, where);
  const std::int32_t vocabulary = adapter_->vocabulary(config_);
  const bool resized = vocabulary != config_.vocabulary;
  if (resized && config_.tied_embeddings && !sources.tied)
    fail(Status::unsupported, where, ": a vocabulary of ", vocabulary, " for a model of ", config_.vocabulary,
         " whose 'tie_word_embeddings' is true and which has another head is not supported");
  require_copies(sources, where);
  const SavedTensors& saved = adapter_->saved;
  const Tensor *embedding = saved.find_base(kEmbeddingWeight), *head = saved.find_base(kHeadWeight);
  if (sources.tied && embedding != nullptr && head != nullptr && !are_equal(*embedding, *head))
    fail(Status::bad_file, where, ": tensors \"", kEmbeddingWeight, "\" and \"", kHeadWeight,
         "\": expected the same values, because the model ties them, found others");
  if (sources.tied) embedding = head = or_else(embedding, head);
  sources.embedding = or_else(embedding, sources.embedding);
  sources.head = or_else(head, sources.head);
  const Tensor *active = saved.find_active(kEmbeddingWeight), *active_head = saved.find_active(kHeadWeight);
  const TokenRows &rows = adapter_->tokens, &head_rows = adapter_->head_tokens;
  const bool apart = adapter_->modules.contains(kEmbeddingModule) || adapter_->modules.contains(kHeadModule) ||
                     (!head_rows.empty() && (head_rows.ids != rows.ids || head_rows.rows != rows.rows)) ||
                     ((active != nullptr || active_head != nullptr) &&
                      !(adapter_->kind.tied && active != nullptr && active_head != nullptr));
  sources.tied = sources.tied && !apart;
  sources.embedding = or_else(active, sources.embedding);
  sources.head = or_else(active_head, sources.head);
  if (config_.tied_embeddings && head_rows.empty()) adapter_->head_tokens = rows;
  config_.vocabulary = vocabulary;
  for (const auto& [tensor, name] : {std::pair{sources.embedding, &kEmbeddingWeight}, {sources.head, &kHeadWeight}})
    if (resized && tensor != nullptr && !tensor->shape.empty() && tensor->shape[0] != vocabulary)
      fail(Status::bad_file, where, ": expected \"", *name, "\" too, with the ", vocabulary,
           " rows of the vocabulary that it has changed, found only the model's of ", tensor->shape[0]);
}

void ModelWeights::require_copies(const Sources& sources, const std::string& where) const {
  for (const auto& [name, stored] : adapter_->saved.base) {
    const Tensor* own = name == kEmbeddingWeight ? sources.embedding
                        : name == kHeadWeight    ? sources.head
                                                 : files_.find(name);
    if (!stored.is_copy || own == nullptr || is_copy_of(stored.tensor, *own)) continue;
    fail(Status::unsupported, where, ": tensor \"", stored.tensor.name, "\": expected a copy of the model's \"", name,
         "\", found other values; an adapter of another base model is not supported");
  }
}

/// The lengths of an embedding's columns are known when all rows have been read once.
void ModelWeights::measure_columns() {
  const auto found = adapter_->modules.find(kEmbeddingModule);
  if (found == adapter_->modules.end() || found->second.magnitude.empty()) return;
  const LoraPair& pair = found->second;
  const auto width = static_cast<std::size_t>(pair.in);
  const Tensor& stored = require(kEmbeddingWeight, {pair.out, pair.in});
  std::vector<double> squares(width);
  all_rows(pair.out, [&](std::int64_t first, std::int64_t n) {
    std::vector<float> values = read_floats(stored.rows(first, n));
    adapter_->merge_into(kEmbeddingWeight, values, static_cast<std::int32_t>(first));
    for (std::size_t i = 0; i < values.size(); ++i) squares[i % width] += static_cast<double>(values[i]) * values[i];
    return true;
  });
  for (std::size_t i = 0; i < width; ++i)
    column_factors_.push_back(static_cast<float>(pair.magnitude[i] / std::sqrt(squares[i])));
}

const Tensor* ModelWeights::find(std::string_view name) const {
  if (name == kEmbeddingWeight && embedding_) return &*embedding_;
  if (name == kHeadWeight && head_) return &*head_;
  const Tensor* saved =
      adapter_ ? or_else(adapter_->saved.find_active(name), adapter_->saved.find_base(name)) : nullptr;
  return or_else(saved, files_.find(name));
}

const Tensor& ModelWeights::require(std::string_view name, std::span<const std::int64_t> shape) const {
  const Tensor* tensor = find(name);
  return tensor != nullptr ? require_shape(*tensor, shape) : files_.require(name, shape);
}

void ModelWeights::change(std::string_view name, std::span<float> values, std::int32_t first) const {
  if (!adapter_) return;
  adapter_->merge_into(name, values, first);
  if (name != kEmbeddingWeight || column_factors_.empty()) return;
  const std::size_t width = column_factors_.size();
  for (std::size_t i = 0; i < values.size(); ++i) values[i] *= column_factors_[i % width];
}

void ModelWeights::read(std::string_view name, const Tensor& stored, std::span<float> out) const {
  read_floats(stored, out);
  if (is_changed(name)) change(name, out);
}

}  // namespace anabranch::hf
