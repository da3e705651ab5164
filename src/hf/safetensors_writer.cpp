#include <algorithm>
#include <array>
#include <bit>
#include <set>
#include <utility>

#include <anabranch/hf/safetensors.hpp>

#include "atomic_file.hpp"
#include "bfloat16.hpp"
#include "json_file.hpp"

namespace anabranch::hf {
namespace {

/// The entry of one tensor in the header.
struct Entry {
  const std::string* name;
  std::span<const std::int64_t> shape;
  std::string dtype;
  std::uint64_t n_bytes;
};

void check_name(const std::string& name, std::set<std::string>& names) {
  if (name == "__metadata__" || !names.insert(name).second)
    fail(Status::bad_argument, "tensor \"", name, "\": the name is reserved or there twice");
}

/// The entry of a tensor that is written from floats.
template <class T>
Entry entry_of(const T& tensor) {
  const std::string where = "tensor \"" + tensor.name + "\": ";
  if (tensor.dtype != Dtype::f32 && tensor.dtype != Dtype::bf16)
    fail(Status::bad_argument, where, "expected to be stored as F32 or BF16, found ", dtype_name(tensor.dtype));
  std::uint64_t n = 1;
  bool fits = true;
  for (const std::int64_t size : tensor.shape)
    fits = fits && size >= 0 && !__builtin_mul_overflow(n, static_cast<std::uint64_t>(size), &n);
  if (!fits || n > PTRDIFF_MAX / sizeof(float))
    fail(Status::bad_argument, where, "the shape ", shape_text(tensor.shape), " is not one of a tensor in memory");
  return {&tensor.name, tensor.shape, std::string(dtype_name(tensor.dtype)), n * dtype_size(tensor.dtype)};
}

Entry entry_of(const RawTensor& tensor) { return {&tensor.name, tensor.shape, tensor.dtype, tensor.bytes.size()}; }

/// The file's beginning: the length of the header, and the header.
std::string header_of(std::span<const Entry> entries, const std::map<std::string, std::string>& metadata,
                      std::size_t alignment) {
  impl::Json header = impl::Json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t offset = 0;
  for (const Entry& entry : entries) {
    const std::uint64_t end = offset + entry.n_bytes;
    header[*entry.name] = {{"dtype", entry.dtype}, {"shape", entry.shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::exception& problem) {
    fail(Status::bad_argument, "names and metadata must be UTF-8: ", problem.what());
  }
  constexpr std::size_t kLength = sizeof(std::uint64_t);
  const std::size_t end = (kLength + text.size() + alignment - 1) / alignment * alignment;
  text.resize(end - kLength, ' ');  // keeps the tensors aligned
  const auto length = std::bit_cast<std::array<char, kLength>>(std::uint64_t{text.size()});
  return std::string(length.begin(), length.end()) + text;
}

void write_values(impl::AtomicFile& out, std::span<const float> values, Dtype dtype) {
  if (dtype == Dtype::f32) return out.write(values.data(), values.size_bytes());
  constexpr std::size_t kAtOnce = std::size_t{1} << 16;
  std::vector<std::uint16_t> halves;
  for (; !values.empty(); values = values.subspan(halves.size())) {
    halves.clear();
    for (const float value : values.first(std::min(kAtOnce, values.size()))) halves.push_back(impl::bfloat16_of(value));
    out.write(halves.data(), halves.size() * sizeof(std::uint16_t));
  }
}

template <class T>
std::string checked_header(std::span<const T> tensors, const std::map<std::string, std::string>& metadata,
                           std::size_t alignment = 8) {
  std::vector<Entry> entries;
  std::set<std::string> names;
  for (const T& tensor : tensors) {
    check_name(tensor.name, names);
    entries.push_back(entry_of(tensor));
  }
  return header_of(entries, metadata, alignment);
}

std::uint64_t n_values(std::span<const std::int64_t> shape) {
  std::uint64_t n = 1;
  for (const std::int64_t size : shape) n *= static_cast<std::uint64_t>(size);
  return n;
}

}  // namespace

void write_safetensors(const std::filesystem::path& file, std::span<const FloatTensor> tensors,
                       const std::map<std::string, std::string>& metadata) {
  const std::string header = checked_header(tensors, metadata);
  for (const FloatTensor& tensor : tensors)
    if (n_values(tensor.shape) != tensor.values.size())
      fail(Status::bad_argument, "tensor \"", tensor.name, "\": expected as many values as the shape ",
           shape_text(tensor.shape), " has, found ", tensor.values.size());
  impl::AtomicFile out(file);
  out.write(header.data(), header.size());
  for (const FloatTensor& tensor : tensors) write_values(out, tensor.values, tensor.dtype);
  out.finish();
}

void write_safetensors(const std::filesystem::path& file, std::span<const LazyTensor> tensors,
                       const std::map<std::string, std::string>& metadata) {
  const std::string header = checked_header(tensors, metadata);
  impl::AtomicFile out(file);
  out.write(header.data(), header.size());
  std::vector<float> values;
  for (const LazyTensor& tensor : tensors) {
    values.resize(n_values(tensor.shape));
    tensor.fill(values);
    write_values(out, values, tensor.dtype);
  }
  out.finish();
}

void write_safetensors(const std::filesystem::path& file, std::span<const RawTensor> tensors,
                       const std::map<std::string, std::string>& metadata) {
  constexpr std::size_t kLine = 64;
  const std::string header = checked_header(tensors, metadata, kLine);
  impl::AtomicFile out(file);
  out.write(header.data(), header.size());
  for (const RawTensor& tensor : tensors) out.write(tensor.bytes.data(), tensor.bytes.size());
  out.finish_unsynced();
}

}  // namespace anabranch::hf
