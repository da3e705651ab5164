// Weights in the safetensors format: mapped into memory and checked, one file or several shards; and a small writer.
// GGUF files are read, too.
//
// The format: 8 bytes with the header's length (little-endian), a JSON header {name: {dtype, shape, data_offsets}},
// then the tensors' bytes. Everything that the header says is checked on opening against the file's real size, so that
// no later access can leave the file: offsets inside it, no overlaps, no holes, sizes that fit shape and type.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <anabranch/hf/dtype.hpp>

namespace anabranch::hf {
namespace impl {
struct GgmlType;
}

/// How a tensor of a GGUF file differs from what a folder has: `StoredTensor` reads it (hf/model_weights.hpp).
struct GgufStorage {
  const impl::GgmlType* type = nullptr;
  /// Rows of so many heads are stored as rotary pairs, in the order 0, d/2, 1, d/2 + 1, ... of d; 0: as they are.
  std::int32_t paired_heads = 0;
  float added = 0.0f;  ///< to every value that is stored
};

/// A stored tensor. Lives as long as the `Weights` that gave it.
struct Tensor {
  std::string name;
  Dtype dtype = Dtype::other;
  std::string stored_dtype;          ///< as the file writes it, such as "BF16" or "I64"
  std::vector<std::int64_t> shape;   ///< row-major; empty for a scalar
  std::span<const std::byte> bytes;  ///< little-endian elements; not necessarily aligned; borrowed from the mapping
  std::filesystem::path file;
  std::optional<GgufStorage> gguf = {};  ///< set: `dtype` is `other`

  /// Whether its values can be had as floats.
  bool has_floats() const noexcept { return dtype != Dtype::other || gguf.has_value(); }
  std::int64_t n_elements() const noexcept;
  /// Rows [first, first + n) of a tensor whose rows are stored in whole bytes. Requires: it has them.
  Tensor rows(std::int64_t first, std::int64_t n) const;
};

/// "[2, 3]", for messages.
std::string shape_text(std::span<const std::int64_t> shape);

/// The tensors of a model. Movable; reading is safe from any number of threads.
class Weights {
 public:
  /// A folder with `model.safetensors`, or with `model.safetensors.index.json` and its shards; one such file; or a GGUF
  /// file, whose tensors have the names of a folder (hf/gguf.hpp).
  /// Throws `bad_file`, naming the file, for anything missing, damaged or truncated. Cost: the headers, not the
  /// tensors.
  static Weights open(const std::filesystem::path& folder_or_file);

  Weights(Weights&&) noexcept;
  Weights& operator=(Weights&&) noexcept;
  ~Weights();

  /// All tensors by name.
  const std::map<std::string, Tensor, std::less<>>& tensors() const noexcept { return tensors_; }
  /// `__metadata__` of the file, of all shards together; what is not text there is not taken.
  const std::map<std::string, std::string, std::less<>>& metadata() const noexcept { return metadata_; }
  /// Says that these bytes of a tensor will not be needed soon: the process gives back the memory that it has them in.
  /// Whoever reads them again gets them from the file.
  static void forget(std::span<const std::byte> bytes) noexcept;
  /// The text part of a model of pictures and text: names its tensors as a model of text alone has them,
  /// "language_model.model.norm.weight", or "model.language_model.norm.weight", "model.norm.weight". Throws `bad_file`
  /// where there is one of that name. A second call changes nothing.
  void take_text_part();
  /// nullptr if there is none of that name.
  const Tensor* find(std::string_view name) const;
  /// The tensor, which must be there with this shape, in a type that `read_floats` takes. Throws `bad_file` (missing,
  /// other shape) or `unsupported` (type), naming file, tensor, expected and found.
  const Tensor& require(std::string_view name, std::span<const std::int64_t> shape) const;
  const Tensor& require(std::string_view name, std::initializer_list<std::int64_t> shape) const {
    return require(name, std::span(shape.begin(), shape.size()));
  }

 private:
  Weights();
  void add_file(const std::filesystem::path& file);
  void add_shards(const std::filesystem::path& index);

  std::filesystem::path source_;
  std::vector<std::shared_ptr<const void>> mappings_;
  std::map<std::string, Tensor, std::less<>> tensors_;
  std::map<std::string, std::string, std::less<>> metadata_;
};

/// Returns the tensor, which must have this shape and a type that `read_floats` takes. Throws as `Weights::require`.
const Tensor& require_shape(const Tensor& tensor, std::span<const std::int64_t> shape);

/// Converts F32, F16 or BF16 elements; exact. Throws `unsupported` for another type and `bad_argument` if `out` has not
/// n_elements() places. Without `out` it returns them.
void read_floats(const Tensor& tensor, std::span<float> out);
std::vector<float> read_floats(const Tensor& tensor);

/// A tensor to write. Values are borrowed, row-major.
struct FloatTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  std::span<const float> values;
  Dtype dtype = Dtype::f32;  ///< what is stored: f32, or bf16 (rounded to nearest, ties to even)
};

/// A tensor to write whose values are made when their turn comes, so that one at a time lies in memory.
struct LazyTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  Dtype dtype = Dtype::f32;                    ///< as above
  std::function<void(std::span<float>)> fill;  ///< writes all values, row-major
};

/// A tensor to write as its bytes are, of one of the format's types. Borrowed.
struct RawTensor {
  std::string name;
  std::string dtype;  ///< as the file writes it, such as "U8"
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
};

/// Writes a safetensors file. Atomic: `file` is either the whole new file or what it was before.
/// Throws `bad_argument` (repeated or reserved name, values that do not fit the shape, another dtype), `bad_file`
/// (cannot write), and what `fill` throws.
void write_safetensors(const std::filesystem::path& file, std::span<const FloatTensor> tensors,
                       const std::map<std::string, std::string>& metadata = {});
void write_safetensors(const std::filesystem::path& file, std::span<const LazyTensor> tensors,
                       const std::map<std::string, std::string>& metadata = {});
/// The same for a file that can be made anew: it is not waited for until the disk has it. The first tensor begins at an
/// offset that 64 divides.
void write_safetensors(const std::filesystem::path& file, std::span<const RawTensor> tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace anabranch::hf
