#include "gguf_file.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include <anabranch/error.hpp>
#include <anabranch/hf/safetensors.hpp>
#include <anabranch/types.hpp>
#include <anabranch/utf8.hpp>

#include "utf8.hpp"

namespace anabranch::hf::impl {
namespace {

static_assert(std::endian::native == std::endian::little, "the file format is little-endian");

constexpr std::uint64_t kDefaultAlignment = 32;
constexpr std::uint32_t kMostDimensions = 4;
constexpr std::array<const char*, 13> kTypeNames{"uint8",   "int8", "uint16", "int16",  "uint32", "int32",  "float32",
                                                 "boolean", "text", "array",  "uint64", "int64",  "float64"};
constexpr std::array<std::uint64_t, 13> kTypeSizes{1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

std::size_t place_of(GgufType type) noexcept { return static_cast<std::size_t>(type); }

template <class Number>
Number number_at(const std::byte* from) noexcept {
  Number value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

std::string quoted(std::string_view key) { return "'" + std::string(key) + "'"; }

/// Walks over the header. What it is asked for and the file has no longer is `bad_file`.
class HeaderReader {
 public:
  HeaderReader(std::span<const std::byte> bytes, const std::string& where) : bytes_(bytes), where_(where) {}

  std::uint64_t offset() const noexcept { return at_; }
  std::uint64_t left() const noexcept { return bytes_.size() - at_; }

  std::span<const std::byte> take(std::uint64_t n, const std::string& what) {
    if (n > left())
      fail(Status::bad_file, where_, ": truncated: expected ", n, " bytes of ", what, " at byte ", at_, ", found ",
           left());
    const auto part = bytes_.subspan(at_, n);
    at_ += n;
    return part;
  }
  template <class Number>
  Number number(const std::string& what) {
    return number_at<Number>(take(sizeof(Number), what).data());
  }
  std::string_view text(const std::string& what) {
    const auto length = number<std::uint64_t>(what);
    const auto bytes = take(length, what);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  /// A number of things that take at least `least` bytes each.
  std::uint64_t count(std::uint64_t least, const std::string& what) {
    const auto n = number<std::uint64_t>(what);
    if (n > left() / least)
      fail(Status::bad_file, where_, ": truncated: expected ", n, " ", what, " of at least ", least,
           " bytes each at byte ", at_, ", found ", left(), " bytes");
    return n;
  }

 private:
  std::span<const std::byte> bytes_;
  const std::string& where_;
  std::uint64_t at_ = 0;
};

std::string_view read_name(HeaderReader& in, const std::string& where, const char* what) {
  const std::string_view name = in.text(what);
  if (name.empty() || name.find('\0') != name.npos || first_bad_utf8(name) != name.size())
    fail(Status::bad_file, where, ": ", what, " before byte ", in.offset(), ": expected UTF-8 text without zero bytes");
  return name;
}

GgufType read_type(HeaderReader& in, const std::string& where, std::string_view key) {
  const auto type = in.number<std::uint32_t>(quoted(key));
  if (type >= kTypeNames.size())
    fail(Status::bad_file, where, ": ", quoted(key), ": expected a type of metadata from 0 to ", kTypeNames.size() - 1,
         ", found ", type);
  return static_cast<GgufType>(type);
}

GgufValue read_value(HeaderReader& in, const std::string& where, std::string_view key) {
  GgufValue value;
  value.type = read_type(in, where, key);
  value.is_array = value.type == GgufType::array;
  if (value.is_array) {
    value.type = read_type(in, where, key);
    if (value.type == GgufType::array) fail(Status::unsupported, where, ": ", quoted(key), ": an array of arrays");
    value.n = in.count(std::max<std::uint64_t>(1, kTypeSizes[place_of(value.type)]), "elements of " + quoted(key));
  }
  if (value.type != GgufType::text) {
    value.bytes = in.take(value.n * kTypeSizes[place_of(value.type)], quoted(key));
    return value;
  }
  HeaderReader begin = in;
  const std::uint64_t from = in.offset();
  for (std::uint64_t i = 0; i < value.n; ++i) in.text(quoted(key));
  value.bytes = begin.take(in.offset() - from, quoted(key));
  return value;
}

std::uint64_t alignment_of(const GgufFile& file) {
  constexpr const char* kKey = "general.alignment";
  const std::int32_t alignment = file.integer(kKey).value_or(kDefaultAlignment);
  if (alignment <= 0 || !std::has_single_bit(static_cast<std::uint32_t>(alignment)))
    file.wrong(kKey, "a power of two", std::to_string(alignment));
  return static_cast<std::uint64_t>(alignment);
}

/// A tensor's entry, before its bytes are looked at.
struct Entry {
  GgufTensor tensor;
  std::uint64_t offset = 0, n_bytes = 0;
};

Entry read_entry(HeaderReader& in, const std::string& file) {
  Entry entry;
  entry.tensor.name = read_name(in, file, "name of a tensor");
  const std::string where = file + ": tensor \"" + std::string(entry.tensor.name) + "\"";
  const auto n_dimensions = in.number<std::uint32_t>("a tensor's entry");
  if (n_dimensions < 1 || n_dimensions > kMostDimensions)
    fail(Status::bad_file, where, ": expected 1 to ", kMostDimensions, " dimensions, found ", n_dimensions);
  for (std::uint32_t i = 0; i < n_dimensions; ++i) {
    const auto size = in.number<std::uint64_t>("a tensor's entry");
    if (size < 1 || size > static_cast<std::uint64_t>(kUnlimited))
      fail(Status::bad_file, where, ": expected sizes from 1 to ", kUnlimited, ", found ", size);
    entry.tensor.shape.insert(entry.tensor.shape.begin(), static_cast<std::int64_t>(size));
  }
  const auto id = in.number<std::uint32_t>("a tensor's entry");
  entry.tensor.type = find_ggml_type(id);
  const GgmlType* type = entry.tensor.type;
  if (type == nullptr || type->read == nullptr)
    fail(Status::unsupported, where, ": ggml type ", id, type != nullptr ? std::string(" (") + type->name + ")" : "",
         " is not supported; supported are ", readable_ggml_types());
  entry.offset = in.number<std::uint64_t>("a tensor's entry");
  const auto row = static_cast<std::uint64_t>(entry.tensor.shape.back());
  if (row % type->values != 0)
    fail(Status::bad_file, where, ": expected rows of whole blocks of ", type->values, " values for ", type->name,
         ", found ", row);
  entry.n_bytes = row / type->values * type->n_bytes;
  for (std::size_t i = 0; i + 1 < entry.tensor.shape.size(); ++i)
    if (__builtin_mul_overflow(entry.n_bytes, static_cast<std::uint64_t>(entry.tensor.shape[i]), &entry.n_bytes))
      fail(Status::bad_file, where, ": expected less than 2^64 bytes, found sizes ", shape_text(entry.tensor.shape));
  return entry;
}

/// Tensors stand one behind the other, each at the next multiple of the alignment.
void place(std::vector<Entry>& entries, std::span<const std::byte> bytes, std::uint64_t alignment,
           const std::string& where) {
  std::uint64_t expected = 0;
  for (Entry& entry : entries) {
    const std::string tensor = where + ": tensor \"" + std::string(entry.tensor.name) + "\"";
    if (entry.offset != expected)
      fail(Status::bad_file, tensor, ": expected its bytes to begin at ", expected, ", found ", entry.offset);
    if (entry.offset > bytes.size() || entry.n_bytes > bytes.size() - entry.offset)
      fail(Status::bad_file, tensor, ": truncated: expected ", entry.n_bytes, " bytes from ", entry.offset,
           " on, found ", bytes.size(), " bytes behind the header");
    entry.tensor.bytes = bytes.subspan(entry.offset, entry.n_bytes);
    expected = (entry.offset + entry.n_bytes + alignment - 1) / alignment * alignment;  // no overflow: inside the file
  }
}

void read_beginning(HeaderReader& in, const std::string& where) {
  const auto magic = in.take(4, "\"GGUF\"");
  if (std::memcmp(magic.data(), "GGUF", 4) != 0)
    fail(Status::bad_file, where, ": expected a file that begins with \"GGUF\"");
  const auto version = in.number<std::uint32_t>("the version");
  if (version == 0 || version > 0xffffu)
    fail(Status::unsupported, where, ": version ", version, ": a big-endian file is not supported");
  if (version != 2 && version != 3)
    fail(Status::unsupported, where, ": version ", version, " is not supported; supported are 2 and 3");
}

std::optional<std::int64_t> signed_number(const GgufValue& value) noexcept {
  const std::byte* from = value.bytes.data();
  switch (value.type) {
    case GgufType::u8: return number_at<std::uint8_t>(from);
    case GgufType::i8: return number_at<std::int8_t>(from);
    case GgufType::u16: return number_at<std::uint16_t>(from);
    case GgufType::i16: return number_at<std::int16_t>(from);
    case GgufType::u32: return number_at<std::uint32_t>(from);
    case GgufType::i32: return number_at<std::int32_t>(from);
    case GgufType::i64: return number_at<std::int64_t>(from);
    case GgufType::u64: {
      const auto number = number_at<std::uint64_t>(from);
      return number > INT64_MAX ? INT64_MAX : static_cast<std::int64_t>(number);
    }
    default: return std::nullopt;
  }
}

std::optional<double> real_number(const GgufValue& value) noexcept {
  if (value.type == GgufType::f64) return number_at<double>(value.bytes.data());
  if (value.type == GgufType::f32) {
    const auto number = number_at<float>(value.bytes.data());
    return std::isfinite(number) ? decimal(number) : static_cast<double>(number);
  }
  if (const auto number = signed_number(value)) return static_cast<double>(*number);
  return std::nullopt;
}

std::string_view text_of(const GgufValue& value) noexcept {
  return {reinterpret_cast<const char*>(value.bytes.data()) + 8, value.bytes.size() - 8};
}

/// One element of an array of numbers.
GgufValue element(const GgufValue& list, std::uint64_t i) noexcept {
  const std::uint64_t size = kTypeSizes[place_of(list.type)];
  return {list.type, false, 1, list.bytes.subspan(i * size, size)};
}

}  // namespace

double decimal(float value) {
  char text[32];
  const auto written = std::to_chars(text, text + sizeof text, value);
  double number = 0;
  std::from_chars(text, written.ptr, number);
  return number;
}

std::string shown(const GgufValue& value) {
  if (value.is_array)
    return "an array of " + std::to_string(value.n) + " elements of type " + kTypeNames[place_of(value.type)];
  if (value.type == GgufType::boolean) return value.bytes[0] == std::byte{0} ? "false" : "true";
  if (value.type == GgufType::text) {
    constexpr std::size_t kLongest = 80;
    std::string text = "\"";
    append_as_text({reinterpret_cast<const char*>(text_of(value).data()), std::min(kLongest, text_of(value).size())},
                   text);
    return text + (text_of(value).size() > kLongest ? "...\"" : "\"");
  }
  if (const auto number = signed_number(value)) return std::to_string(*number);
  return std::to_string(real_number(value).value_or(0));
}

GgufFile::GgufFile(const std::filesystem::path& file)
    : path_(file), mapping_(std::make_shared<const MappedFile>(file)) {
  const std::string name = where();
  HeaderReader in(mapping_->bytes(), name);
  read_beginning(in, name);
  constexpr std::uint64_t kLeastEntry = 32, kLeastMetadata = 13;
  const auto n_tensors = in.number<std::uint64_t>("the number of tensors");
  const auto n_metadata = in.count(kLeastMetadata, "metadata");
  for (std::uint64_t i = 0; i < n_metadata; ++i) {
    const std::string_view key = read_name(in, name, "key of metadata");
    if (!metadata_.emplace(key, read_value(in, name, key)).second)
      fail(Status::bad_file, name, ": ", quoted(key), ": expected it once, found it again");
  }
  if (n_tensors > in.left() / kLeastEntry)
    fail(Status::bad_file, name, ": truncated: expected entries of ", n_tensors, " tensors, found ", in.left(),
         " bytes");
  std::vector<Entry> entries;
  for (std::uint64_t i = 0; i < n_tensors; ++i) entries.push_back(read_entry(in, name));
  const std::uint64_t alignment = alignment_of(*this);
  const std::uint64_t begin = (in.offset() + alignment - 1) / alignment * alignment;
  const auto bytes = mapping_->bytes();
  place(entries, bytes.subspan(std::min<std::uint64_t>(begin, bytes.size())), alignment, name);
  tensors_.reserve(entries.size());
  for (Entry& entry : entries) tensors_.push_back(std::move(entry.tensor));
}

void GgufFile::wrong(std::string_view key, std::string_view expected, std::string_view found) const {
  fail(Status::bad_file, where(), ": ", quoted(key), ": expected ", expected, ", found ", found);
}
void GgufFile::unsupported(std::string_view key, std::string_view text) const {
  fail(Status::unsupported, where(), ": ", quoted(key), ": ", text);
}

const GgufValue* GgufFile::find(std::string_view key) const {
  const auto found = metadata_.find(key);
  return found == metadata_.end() ? nullptr : &found->second;
}
const GgufValue* GgufFile::scalar(std::string_view key, std::string_view expected) const {
  const GgufValue* value = find(key);
  if (value != nullptr && value->is_array) wrong(key, expected, shown(*value));
  return value;
}
const GgufValue* GgufFile::list(std::string_view key, std::string_view expected) const {
  const GgufValue* value = find(key);
  if (value != nullptr && !value->is_array) wrong(key, expected, shown(*value));
  return value;
}

std::optional<std::string_view> GgufFile::text(std::string_view key) const {
  const GgufValue* value = scalar(key, "text");
  if (value == nullptr) return std::nullopt;
  if (value->type != GgufType::text) wrong(key, "text", shown(*value));
  const std::string_view text = text_of(*value);
  if (const std::size_t bad = first_bad_utf8(text); bad != text.size())
    wrong(key, "UTF-8 text", "another byte at " + std::to_string(bad) + " of " + std::to_string(text.size()));
  return text;
}

std::optional<bool> GgufFile::flag(std::string_view key) const {
  const GgufValue* value = scalar(key, "true or false");
  if (value == nullptr) return std::nullopt;
  if (value->type != GgufType::boolean) wrong(key, "true or false", shown(*value));
  return value->bytes[0] != std::byte{0};
}

std::optional<std::int32_t> GgufFile::integer(std::string_view key) const {
  constexpr const char* kExpected = "an integer from 0 to 2147483647";
  const GgufValue* value = scalar(key, kExpected);
  if (value == nullptr) return std::nullopt;
  const auto number = signed_number(*value);
  if (!number || *number < 0 || *number > kUnlimited) wrong(key, kExpected, shown(*value));
  return static_cast<std::int32_t>(*number);
}

std::optional<double> GgufFile::number(std::string_view key) const {
  const GgufValue* value = scalar(key, "a finite number");
  if (value == nullptr) return std::nullopt;
  const auto number = real_number(*value);
  if (!number || !std::isfinite(*number)) wrong(key, "a finite number", shown(*value));
  return number;
}

std::optional<std::vector<std::string_view>> GgufFile::texts(std::string_view key) const {
  const GgufValue* value = list(key, "an array of texts");
  if (value == nullptr) return std::nullopt;
  if (value->type != GgufType::text) wrong(key, "an array of texts", shown(*value));
  std::vector<std::string_view> texts;
  texts.reserve(value->n);
  const std::byte* at = value->bytes.data();
  for (std::uint64_t i = 0; i < value->n; ++i) {
    const auto length = number_at<std::uint64_t>(at);
    texts.emplace_back(reinterpret_cast<const char*>(at) + 8, length);
    at += 8 + length;
  }
  return texts;
}

std::optional<std::vector<double>> GgufFile::numbers(std::string_view key) const {
  const GgufValue* value = list(key, "an array of numbers");
  if (value == nullptr) return std::nullopt;
  std::vector<double> numbers;
  for (std::uint64_t i = 0; value->type != GgufType::text && i < value->n; ++i) {
    const auto number = real_number(element(*value, i));
    if (!number || !std::isfinite(*number)) wrong(key, "an array of finite numbers", shown(*value));
    numbers.push_back(*number);
  }
  if (value->type == GgufType::text) wrong(key, "an array of numbers", shown(*value));
  return numbers;
}

std::optional<std::vector<std::int32_t>> GgufFile::integers(std::string_view key) const {
  const GgufValue* value = list(key, "an array of integers");
  if (value == nullptr) return std::nullopt;
  if (value->type == GgufType::text) wrong(key, "an array of integers", shown(*value));
  std::vector<std::int32_t> integers;
  integers.reserve(value->n);
  for (std::uint64_t i = 0; i < value->n; ++i) {
    const GgufValue one = element(*value, i);
    const auto number =
        one.type == GgufType::boolean ? std::optional<std::int64_t>(one.bytes[0] != std::byte{0}) : signed_number(one);
    if (!number || *number < INT32_MIN || *number > INT32_MAX)
      wrong(key, "an array of integers of 32 bits", shown(*value));
    integers.push_back(static_cast<std::int32_t>(*number));
  }
  return integers;
}

}  // namespace anabranch::hf::impl
