#include <anabranch/hf/model_weights.hpp>

#include <algorithm>
#include <cmath>
#include <utility>

#include <anabranch/error.hpp>
#include <anabranch/float16.hpp>
#include <anabranch/hf/layer_tensors.hpp>

#include "bfloat16.hpp"
#include "gguf_rows.hpp"
#include "quantised_matrix.hpp"

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
bool is_copy_of(const Tensor& copy, const StoredTensor& model) {
  if (copy.shape.size() != 2 || model.shape().size() != 2 || copy.shape[1] != model.shape()[1]) return false;
  std::vector<float> expected;
  return all_rows(std::min(copy.shape[0], model.shape()[0]), [&](std::int64_t first, std::int64_t n) {
    const std::vector<float> found = read_floats(copy.rows(first, n));
    expected.resize(found.size());
    model.read(first, expected);
    return std::equal(found.begin(), found.end(), expected.begin(),
                      [&](float a, float b) { return a == rounded(b, copy.dtype); });
  });
}

const Tensor* or_else(const Tensor* first, const Tensor* second) { return first != nullptr ? first : second; }

}  // namespace

StoredTensor::StoredTensor(const Tensor& tensor) : tensor_(tensor) {
  if (tensor.gguf) rows_ = std::make_shared<const impl::GgufRows>(tensor);
}

StoredTensor::StoredTensor(const Tensor& tensor, std::shared_ptr<const impl::StoredRows> rows)
    : tensor_(tensor), rows_(std::move(rows)) {}

std::span<const std::int64_t> StoredTensor::shape() const noexcept {
  return rows_ != nullptr ? rows_->shape() : std::span<const std::int64_t>(tensor_.shape);
}

void StoredTensor::read(std::int64_t first, std::span<float> rows) const {
  if (rows_ != nullptr) return rows_->read(first, rows);
  std::int64_t width = 1;
  for (std::size_t i = 1; i < tensor_.shape.size(); ++i) width *= tensor_.shape[i];
  const Tensor part = tensor_.shape.empty() || width == 0 ? tensor_ : tensor_.rows(first, std::ssize(rows) / width);
  read_floats(part, rows);
  Weights::forget(part.bytes);
}

struct ModelWeights::Sources {
  const Tensor* embedding = nullptr;
  const Tensor* head = nullptr;
  bool tied = false;  ///< both are one tensor, for now
};

ModelWeights::ModelWeights(Weights files, const ModelConfig& config, std::optional<Adapter> adapter,
                           std::string adapter_name)
    : files_(std::move(files)), adapter_(std::move(adapter)), config_(config) {
  if (config.text_part) files_.take_text_part();
  const Tensor *embedding = files_.find(kEmbeddingWeight), *head = files_.find(kHeadWeight);
  Sources sources{embedding, head, false};
  if (config.tied_embeddings) {
    const bool quantised_head = head != nullptr ? !head->has_floats() : find_in_files(kHeadWeight).has_value();
    sources.tied = !quantised_head && (embedding == nullptr || head == nullptr || are_equal(*embedding, *head));
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
    if (!stored.is_copy) continue;
    const Tensor* of_pair = name == kEmbeddingWeight ? sources.embedding : name == kHeadWeight ? sources.head : nullptr;
    const std::optional<StoredTensor> own = of_pair != nullptr ? StoredTensor(*of_pair) : find_in_files(name);
    if (!own || is_copy_of(stored.tensor, *own)) continue;
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
  const StoredTensor stored = require(kEmbeddingWeight, {pair.out, pair.in});
  std::vector<double> squares(width);
  all_rows(pair.out, [&](std::int64_t first, std::int64_t n) {
    std::vector<float> values(static_cast<std::size_t>(n) * width);
    stored.read(first, values);
    adapter_->merge_into(kEmbeddingWeight, values, static_cast<std::int32_t>(first));
    for (std::size_t i = 0; i < values.size(); ++i) squares[i % width] += static_cast<double>(values[i]) * values[i];
    return true;
  });
  for (std::size_t i = 0; i < width; ++i)
    column_factors_.push_back(static_cast<float>(pair.magnitude[i] / std::sqrt(squares[i])));
}

/// Finds a tensor in the model's own files, without the adapter.
std::optional<StoredTensor> ModelWeights::find_in_files(std::string_view name) const {
  constexpr std::string_view kWeight = ".weight";
  if (config_.quantisation && name.ends_with(kWeight)) {
    const std::string module(name.substr(0, name.size() - kWeight.size()));
    if (auto matrix = impl::QuantisedMatrix::find(files_, module, *config_.quantisation)) {
      const auto rows = std::make_shared<const impl::QuantisedMatrix>(std::move(*matrix));
      return StoredTensor(rows->values(), rows);
    }
  }
  const Tensor* tensor = files_.find(name);
  return tensor != nullptr ? std::optional(StoredTensor(*tensor)) : std::nullopt;
}

std::int64_t ModelWeights::stored_bytes(std::string_view name) const {
  const auto size = [](const Tensor* tensor) {
    return tensor != nullptr ? static_cast<std::int64_t>(tensor->bytes.size()) : 0;
  };
  if (adapter_)
    if (const Tensor* saved = or_else(adapter_->saved.find_active(name), adapter_->saved.find_base(name)))
      return size(saved);
  if (name == kHeadWeight && head_) return size(&*head_);
  if (name == kEmbeddingWeight && embedding_) return size(&*embedding_);
  const std::string packed = std::string(name.substr(0, name.rfind('.'))) + ".qweight";
  return size(or_else(files_.find(name), files_.find(packed)));
}

std::optional<StoredTensor> ModelWeights::find(std::string_view name) const {
  if (adapter_)
    if (const Tensor* saved = or_else(adapter_->saved.find_active(name), adapter_->saved.find_base(name)))
      return StoredTensor(*saved);
  const std::optional<Tensor>& of_pair = name == kHeadWeight ? head_ : embedding_;
  if ((name == kHeadWeight || name == kEmbeddingWeight) && of_pair && of_pair->has_floats())
    return StoredTensor(*of_pair);
  return find_in_files(name);
}

StoredTensor ModelWeights::require(std::string_view name, std::span<const std::int64_t> shape) const {
  std::optional<StoredTensor> stored = find(name);
  if (!stored) files_.require(name, shape);
  if (!stored->is_quantised()) require_shape(stored->tensor(), shape);
  if (!std::equal(shape.begin(), shape.end(), stored->shape().begin(), stored->shape().end()))
    fail(Status::bad_file, stored->tensor().file.string(), ": tensor \"", stored->tensor().name,
         "\": expected a matrix of ", shape_text(shape), " in it, found ", shape_text(stored->shape()));
  return *stored;
}

void ModelWeights::change(std::string_view name, std::span<float> values, std::int32_t first) const {
  if (!adapter_) return;
  adapter_->merge_into(name, values, first);
  if (name != kEmbeddingWeight || column_factors_.empty()) return;
  const std::size_t width = column_factors_.size();
  for (std::size_t i = 0; i < values.size(); ++i) values[i] *= column_factors_[i % width];
}

void ModelWeights::read(std::string_view name, const StoredTensor& stored, std::span<float> out) const {
  stored.read(0, out);
  if (is_changed(name)) change(name, out);
}

}  // namespace anabranch::hf
