// The header of a GGUF file: metadata, and where its tensors lie.
//
// The format (little-endian): "GGUF", version, number of tensors, number of metadata; the metadata (key, type, value);
// of each tensor name, sizes with the innermost first, type and offset; then, from the next multiple of the alignment
// on, the tensors' bytes. Texts are a length of 8 bytes and as many bytes. Everything is checked on opening against the
// file's real size, before anything is allocated for it, so that no later access can leave the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gguf_blocks.hpp"
#include "mapped_file.hpp"

namespace anabranch::hf::impl {

/// Types of metadata, with the numbers that the file has.
enum class GgufType : std::uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, text, array, u64, i64, f64 };

/// A value as it lies in the file. Borrowed from the mapping.
struct GgufValue {
  GgufType type = GgufType::u8;  ///< of an array: of its elements
  bool is_array = false;
  std::uint64_t n = 1;               ///< elements
  std::span<const std::byte> bytes;  ///< texts with their lengths
};

struct GgufTensor {
  std::string_view name;
  std::vector<std::int64_t> shape;  ///< outermost first
  const GgmlType* type = nullptr;   ///< one that can be read
  std::span<const std::byte> bytes;
};

/// One file. Lookups that find another type than they ask for throw `bad_file`: file, key, expected, found.
class GgufFile {
 public:
  /// Throws `bad_file`, or `unsupported` for versions and types of tensors that are not read.
  explicit GgufFile(const std::filesystem::path& file);

  const std::filesystem::path& path() const noexcept { return path_; }
  std::string where() const { return path_.string(); }
  const std::map<std::string_view, GgufValue, std::less<>>& metadata() const noexcept { return metadata_; }
  /// In the order of the file.
  const std::vector<GgufTensor>& tensors() const noexcept { return tensors_; }

  bool has(std::string_view key) const { return metadata_.contains(key); }
  std::optional<std::string_view> text(std::string_view key) const;
  std::optional<bool> flag(std::string_view key) const;
  /// Integers in [0, 2^31); negative ones are refused.
  std::optional<std::int32_t> integer(std::string_view key) const;
  /// A finite number: of a float32 the shortest decimal number that rounds to it, which is what its writer began with.
  std::optional<double> number(std::string_view key) const;
  std::optional<std::vector<std::string_view>> texts(std::string_view key) const;
  std::optional<std::vector<double>> numbers(std::string_view key) const;
  std::optional<std::vector<std::int32_t>> integers(std::string_view key) const;

  [[noreturn]] void wrong(std::string_view key, std::string_view expected, std::string_view found) const;
  [[noreturn]] void unsupported(std::string_view key, std::string_view text) const;

 private:
  const GgufValue* find(std::string_view key) const;
  const GgufValue* scalar(std::string_view key, std::string_view expected) const;
  const GgufValue* list(std::string_view key, std::string_view expected) const;

  std::filesystem::path path_;
  std::shared_ptr<const MappedFile> mapping_;
  std::map<std::string_view, GgufValue, std::less<>> metadata_;
  std::vector<GgufTensor> tensors_;
};

/// A value as text, shortened, for messages.
std::string shown(const GgufValue& value);

/// All files of a model; the first has its metadata. Throws as gguf_files.
std::vector<GgufFile> open_gguf(const std::filesystem::path& file);

/// The shortest decimal number that rounds to a float.
double decimal(float value);

}  // namespace anabranch::hf::impl
