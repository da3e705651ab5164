#include <anabranch/hf/safetensors.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <iterator>
#include <optional>
#include <set>

#include <anabranch/float16.hpp>
#include <anabranch/hf/gguf.hpp>

#include "bfloat16.hpp"
#include "gguf_weights.hpp"
#include "json_file.hpp"
#include "mapped_file.hpp"

namespace anabranch::hf {

namespace {

using impl::Json;
using impl::JsonObject;

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kLongestHeader = 100'000'000;  // the limit of the format's own library

// Bytes per element of the types that are stored but not turned into floats; those of parts of a byte are not listed.
struct StoredType {
  const char* name;
  std::uint64_t size;
};
constexpr std::array<StoredType, 17> kStoredTypes{{{"F32", 4},
                                                   {"F16", 2},
                                                   {"BF16", 2},
                                                   {"F64", 8},
                                                   {"I64", 8},
                                                   {"I32", 4},
                                                   {"I16", 2},
                                                   {"I8", 1},
                                                   {"U64", 8},
                                                   {"U32", 4},
                                                   {"U16", 2},
                                                   {"U8", 1},
                                                   {"BOOL", 1},
                                                   {"F8_E4M3", 1},
                                                   {"F8_E5M2", 1},
                                                   {"F8_E8M0", 1},
                                                   {"C64", 8}}};

Dtype dtype_of(std::string_view stored) {
  for (const Dtype dtype : {Dtype::f32, Dtype::f16, Dtype::bf16})
    if (stored == dtype_name(dtype)) return dtype;
  return Dtype::other;
}

std::optional<std::uint64_t> unsigned_number(const Json& value) {
  if (!value.is_number_unsigned()) return std::nullopt;
  return value.get<std::uint64_t>();
}

std::vector<std::int64_t> read_shape(const JsonObject& entry) {
  const Json& sizes = entry.array("shape");
  std::vector<std::int64_t> shape;
  for (const Json& size : sizes) {
    const auto number = unsigned_number(size);
    if (!number || *number > INT64_MAX) entry.wrong("shape", "sizes of at least 0", size);
    shape.push_back(static_cast<std::int64_t>(*number));
  }
  return shape;
}

// nullopt: more than 64 bits.
std::optional<std::uint64_t> bytes_of(const std::vector<std::int64_t>& shape, std::uint64_t element) {
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
  std::uint64_t bytes = element;
  for (const std::int64_t size : shape)
    if (__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(size), &bytes)) return std::nullopt;
  return bytes;
}

struct Header {
  Json json;
  std::span<const std::byte> tensors;  ///< everything behind the header
};

Header read_header(std::span<const std::byte> bytes, const std::string& where) {
  if (bytes.size() < kLengthBytes)
    fail(Status::bad_file, where, ": truncated: expected at least 8 bytes, found ", bytes.size());
  std::uint64_t length = 0;
  for (std::size_t i = kLengthBytes; i-- > 0;) length = length << 8 | std::to_integer<std::uint64_t>(bytes[i]);
  const std::uint64_t rest = bytes.size() - kLengthBytes;
  if (length > kLongestHeader)
    fail(Status::bad_file, where, ": header too long: expected at most ", kLongestHeader, " bytes, found a length of ",
         length);
  if (length > rest)
    fail(Status::bad_file, where, ": truncated: expected a header of ", length, " bytes, found ", rest);
  const auto text = bytes.subspan(kLengthBytes, length);
  Header header;
  header.json = impl::parse_json({reinterpret_cast<const char*>(text.data()), text.size()}, where + ": header",
                                 impl::DuplicateKeys::refused);
  header.tensors = bytes.subspan(kLengthBytes + length);
  return header;
}

constexpr std::uint64_t kNotANumber = ~std::uint64_t{0};  // no file is that long

Tensor read_entry(const std::string& name, const Json& json, const Header& header, const std::filesystem::path& file) {
  const JsonObject entry(json, file.string() + ": tensor \"" + name + "\"");
  Tensor tensor;
  tensor.name = name;
  tensor.file = file;
  tensor.stored_dtype = entry.text("dtype");
  tensor.dtype = dtype_of(tensor.stored_dtype);
  tensor.shape = read_shape(entry);
  const Json& offsets = entry.array("data_offsets");
  const bool two = offsets.size() == 2;
  const std::uint64_t begin = two ? unsigned_number(offsets[0]).value_or(kNotANumber) : kNotANumber;
  const std::uint64_t end = two ? unsigned_number(offsets[1]).value_or(kNotANumber) : kNotANumber;
  if (end == kNotANumber || begin > end) entry.wrong("data_offsets", "two ascending offsets", offsets);
  const std::uint64_t n_bytes = end - begin;
  if (end > header.tensors.size())
    fail(Status::bad_file, entry.where(), ": truncated: expected its bytes to end at ", end, ", found ",
         header.tensors.size(), " bytes behind the header");
  const auto known = std::find_if(kStoredTypes.begin(), kStoredTypes.end(),
                                  [&](const StoredType& type) { return tensor.stored_dtype == type.name; });
  if (known != kStoredTypes.end()) {
    const auto expected = bytes_of(tensor.shape, known->size);
    if (!expected || *expected != n_bytes)
      fail(Status::bad_file, entry.where(), ": expected ", (expected ? std::to_string(*expected) : "2^64 or more"),
           " bytes for ", tensor.stored_dtype, " ", shape_text(tensor.shape), ", found ", n_bytes);
  }
  tensor.bytes = header.tensors.subspan(begin, n_bytes);
  return tensor;
}

// Tensors must fill the file: a hole or an overlap means that header and bytes do not belong together.
void check_layout(std::vector<Tensor>& tensors, const Header& header, const std::string& where) {
  std::sort(tensors.begin(), tensors.end(), [](const Tensor& a, const Tensor& b) {
    return a.bytes.data() != b.bytes.data() ? a.bytes.data() < b.bytes.data() : a.bytes.size() < b.bytes.size();
  });
  std::ptrdiff_t expected = 0;
  for (const Tensor& tensor : tensors) {
    const std::ptrdiff_t begin = tensor.bytes.data() - header.tensors.data();
    if (begin != expected)
      fail(Status::bad_file, where, ": tensor \"", tensor.name, "\": expected its bytes to begin at ", expected,
           ", found ", begin, (begin < expected ? " (overlaps another tensor)" : " (a hole)"));
    expected = begin + std::ssize(tensor.bytes);
  }
  if (expected != std::ssize(header.tensors))
    fail(Status::bad_file, where, ": expected ", expected, " bytes behind the header, found ", header.tensors.size());
}

using Metadata = std::map<std::string, std::string, std::less<>>;

std::vector<Tensor> read_tensors(std::span<const std::byte> bytes, const std::filesystem::path& file,
                                 Metadata& metadata) {
  const Header header = read_header(bytes, file.string());
  const JsonObject object(header.json, file.string() + ": header");
  std::vector<Tensor> tensors;
  for (const auto& [name, entry] : object.json().items())
    if (name != "__metadata__") tensors.push_back(read_entry(name, entry, header, file));
  if (const Json* notes = object.find("__metadata__"); notes != nullptr && notes->is_object())
    for (const auto& [key, value] : notes->items())
      if (value.is_string()) metadata.insert_or_assign(key, value.get<std::string>());
  check_layout(tensors, header, file.string());
  return tensors;
}

template <class Stored>
Stored load(const std::byte* from) {
  Stored value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

}  // namespace

static_assert(std::endian::native == std::endian::little, "the file format is little-endian");

std::int64_t Tensor::n_elements() const noexcept {
  std::int64_t n = 1;
  for (const std::int64_t size : shape)
    if (size == 0) return 0;
  for (const std::int64_t size : shape)
    if (__builtin_mul_overflow(n, size, &n)) return INT64_MAX;  // only for types that are not turned into floats
  return n;
}

Tensor Tensor::rows(std::int64_t first, std::int64_t n) const {
  ANABRANCH_ASSERT(!shape.empty() && first >= 0 && n >= 0 && first <= shape[0] - n);
  Tensor part = *this;
  part.shape[0] = n;
  const std::size_t row = shape[0] > 0 ? bytes.size() / static_cast<std::size_t>(shape[0]) : 0;
  part.bytes = bytes.subspan(static_cast<std::size_t>(first) * row, static_cast<std::size_t>(n) * row);
  return part;
}

std::string shape_text(std::span<const std::int64_t> shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

Weights::Weights() = default;
Weights::Weights(Weights&&) noexcept = default;
Weights& Weights::operator=(Weights&&) noexcept = default;
Weights::~Weights() = default;

void Weights::add_file(const std::filesystem::path& file) {
  const auto mapping = std::make_shared<const impl::MappedFile>(file);
  mappings_.push_back(mapping);
  for (Tensor& tensor : read_tensors(mapping->bytes(), file, metadata_)) {
    std::string name = tensor.name;
    tensors_.emplace(std::move(name), std::move(tensor));
  }
}

void Weights::forget(std::span<const std::byte> bytes) noexcept { impl::MappedFile::forget(bytes); }

// The index names the file of each tensor; what a shard holds beyond that is not part of the model.
void Weights::add_shards(const std::filesystem::path& index) {
  const Json json = impl::parse_json(impl::read_file(index), index.string());
  const JsonObject map = JsonObject(json, index.string()).object("weight_map");
  std::map<std::string, std::map<std::string, Tensor>> shards;
  for (const auto& [name, shard] : map.json().items()) {
    if (!shard.is_string()) map.wrong(name.c_str(), "a file name", shard);
    const std::string file = shard.get<std::string>();
    if (file.empty() || file == "." || file == ".." || file.find('/') != std::string::npos ||
        file.find('\0') != std::string::npos)
      map.wrong(name.c_str(), "a file name inside the folder", shard);
    const auto [entry, first] = shards.try_emplace(file);
    auto& held = entry->second;
    const std::filesystem::path path = index.parent_path() / file;
    if (first) {
      const auto mapping = std::make_shared<const impl::MappedFile>(path);
      mappings_.push_back(mapping);
      for (Tensor& tensor : read_tensors(mapping->bytes(), path, metadata_)) {
        std::string key = tensor.name;
        held.emplace(std::move(key), std::move(tensor));
      }
    }
    const auto found = held.find(name);
    if (found == held.end())
      fail(Status::bad_file, path.string(), ": tensor \"", name, "\": expected here by ", index.filename().string(),
           ", found nothing");
    tensors_.emplace(name, found->second);
  }
}

Weights Weights::open(const std::filesystem::path& source) {
  Weights weights;
  weights.source_ = source;
  std::error_code error;
  if (is_gguf(source)) {
    const auto files = std::make_shared<const std::vector<impl::GgufFile>>(impl::open_gguf(source));
    weights.tensors_ = impl::gguf_tensors(*files);
    weights.mappings_.push_back(files);
    return weights;
  }
  const bool folder = std::filesystem::is_directory(source, error);
  if (!folder) {
    weights.add_file(source);
    return weights;
  }
  const std::filesystem::path whole = source / "model.safetensors", index = source / "model.safetensors.index.json";
  if (std::filesystem::exists(whole, error)) {
    weights.add_file(whole);
  } else if (std::filesystem::exists(index, error)) {
    weights.add_shards(index);
  } else {
    const bool pickled = std::filesystem::exists(source / "pytorch_model.bin", error) ||
                         std::filesystem::exists(source / "pytorch_model.bin.index.json", error);
    fail(Status::bad_file, source.string(), ": expected model.safetensors or model.safetensors.index.json, found ",
         (pickled ? "pytorch_model.bin, which cannot be read" : "neither"));
  }
  return weights;
}

void Weights::take_text_part() {
  constexpr std::array<std::array<std::string_view, 2>, 3> kPrefixes{{{"language_model.model.", "model."},
                                                                      {"language_model.lm_head.", "lm_head."},
                                                                      {"model.language_model.", "model."}}};
  for (const auto& [from, to] : kPrefixes)
    for (auto at = tensors_.lower_bound(from); at != tensors_.end() && at->first.starts_with(from);
         at = tensors_.lower_bound(from)) {
      auto entry = tensors_.extract(at);
      const std::string name = entry.key();
      entry.key() = std::string(to) + name.substr(from.size());
      const auto placed = tensors_.insert(std::move(entry));
      if (!placed.inserted)
        fail(Status::bad_file, source_.string(), ": tensor \"", name, "\": expected no \"", placed.position->first,
             "\" beside it, found one");
    }
}

const Tensor* Weights::find(std::string_view name) const {
  const auto entry = tensors_.find(name);
  return entry == tensors_.end() ? nullptr : &entry->second;
}

const Tensor& Weights::require(std::string_view name, std::span<const std::int64_t> shape) const {
  const Tensor* tensor = find(name);
  if (!tensor)
    fail(Status::bad_file, source_.string(), ": tensor \"", name, "\": expected shape ", shape_text(shape),
         ", found no such tensor among ", tensors_.size());
  return require_shape(*tensor, shape);
}

const Tensor& require_shape(const Tensor& tensor, std::span<const std::int64_t> shape) {
  const std::string where = tensor.file.string() + ": tensor \"" + tensor.name + "\"";
  if (!std::equal(shape.begin(), shape.end(), tensor.shape.begin(), tensor.shape.end()))
    fail(Status::bad_file, where, ": expected shape ", shape_text(shape), ", found ", shape_text(tensor.shape));
  if (tensor.dtype == Dtype::other)
    fail(Status::unsupported, where, ": expected F32, F16 or BF16, found ", tensor.stored_dtype);
  return tensor;
}

void read_floats(const Tensor& tensor, std::span<float> out) {
  const std::string where = tensor.file.string() + ": tensor \"" + tensor.name + "\"";
  if (tensor.dtype == Dtype::other)
    fail(Status::unsupported, where, ": expected F32, F16 or BF16, found ", tensor.stored_dtype);
  if (std::ssize(out) != tensor.n_elements())
    fail(Status::bad_argument, where, ": expected room for ", tensor.n_elements(), " elements, found ", out.size());
  const std::byte* from = tensor.bytes.data();
  switch (tensor.dtype) {
    case Dtype::f32:
      if (!out.empty()) std::memcpy(out.data(), from, out.size_bytes());
      break;
    case Dtype::f16:
      for (std::size_t i = 0; i < out.size(); ++i) out[i] = float16_to_float32(load<std::uint16_t>(from + 2 * i));
      break;
    case Dtype::bf16:
      for (std::size_t i = 0; i < out.size(); ++i) out[i] = impl::of_bfloat16(load<std::uint16_t>(from + 2 * i));
      break;
    case Dtype::other: break;
  }
}

std::vector<float> read_floats(const Tensor& tensor) {
  std::vector<float> values;
  if (tensor.dtype != Dtype::other) values.resize(tensor.bytes.size() / dtype_size(tensor.dtype));
  read_floats(tensor, values);
  return values;
}

}  // namespace anabranch::hf
