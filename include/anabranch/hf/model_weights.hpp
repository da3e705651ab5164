// A model's tensors as they are computed with: read from its files, changed by an adapter, in float32.
//
// Which tensor the head is follows from the files and the adapter, not from the configuration alone. A configuration
// that ties the head to the embedding says what to take where only one of both is stored; where the files have both and
// they differ, the stored head counts, as in transformers 5. An adapter that changes one of both unties them.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <anabranch/hf/adapter.hpp>
#include <anabranch/hf/config.hpp>
#include <anabranch/hf/safetensors.hpp>

namespace anabranch::hf {

namespace impl {
class StoredRows;
}

/// A tensor of the model as it is stored. Lives as long as the `ModelWeights` that gave it.
class StoredTensor {
 public:
  explicit StoredTensor(const Tensor& tensor);
  /// `rows` says what the tensor stands for.
  StoredTensor(const Tensor& tensor, std::shared_ptr<const impl::StoredRows> rows);

  std::span<const std::int64_t> shape() const noexcept;
  std::int64_t n_bytes() const noexcept { return static_cast<std::int64_t>(tensor_.bytes.size()); }
  /// Reads whole rows, beginning with row `first`, and gives back the memory of the file's. A vector has rows of one
  /// value.
  void read(std::int64_t first, std::span<float> rows) const;
  /// The tensor in the file: of a quantised matrix its packed values.
  const Tensor& tensor() const noexcept { return tensor_; }
  /// Whether its rows are not simply its bytes as floats.
  bool is_quantised() const noexcept { return rows_ != nullptr; }

 private:
  Tensor tensor_;
  std::shared_ptr<const impl::StoredRows> rows_;  ///< null: the tensor is of floats
};

class ModelWeights {
 public:
  /// `config` is what the model's folder says. Throws bad_file or unsupported where the adapter does not fit the model;
  /// messages about it begin with `adapter_name`.
  ModelWeights(Weights files, const ModelConfig& config, std::optional<Adapter> adapter = {},
               std::string adapter_name = {});

  /// The configuration with the vocabulary and `tied_embeddings` that the tensors have.
  const ModelConfig& config() const noexcept { return config_; }
  const Weights& files() const noexcept { return files_; }
  const std::optional<Adapter>& adapter() const noexcept { return adapter_; }

  /// The stored form of a tensor of the model; none: it is not there. Throws bad_file or unsupported for a quantised
  /// matrix whose parts do not fit.
  std::optional<StoredTensor> find(std::string_view name) const;
  /// The same, which must be there with this shape. Throws bad_file or unsupported.
  StoredTensor require(std::string_view name, std::span<const std::int64_t> shape) const;
  StoredTensor require(std::string_view name, std::initializer_list<std::int64_t> shape) const {
    return require(name, std::span(shape.begin(), shape.size()));
  }
  /// Bytes that a tensor is read from; 0: it is not there. Cost: none is read.
  std::int64_t stored_bytes(std::string_view name) const;
  /// Whether the adapter adds something to what is stored.
  bool is_changed(std::string_view name) const { return adapter_ && adapter_->changes(name); }
  /// Adds it to whole rows of the tensor, beginning with row `first`. A vector has rows of one value.
  void change(std::string_view name, std::span<float> values, std::int32_t first = 0) const;
  /// A whole tensor, from what `require` gave for it. Requires: `out` has its size.
  void read(std::string_view name, const StoredTensor& stored, std::span<float> out) const;

 private:
  struct Sources;
  std::optional<StoredTensor> find_in_files(std::string_view name) const;
  void adapt(Sources& sources, const std::string& where);
  void require_copies(const Sources& sources, const std::string& where) const;
  void measure_columns();

  Weights files_;
  std::optional<Adapter> adapter_;
  ModelConfig config_;
  std::optional<Tensor> embedding_, head_;  ///< where they are not the files' tensors of that name
  std::vector<float> column_factors_;       ///< of an embedding whose columns have lengths of their own
};

}  // namespace anabranch::hf
