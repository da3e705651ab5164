#include "quantised_matrix.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include <anabranch/error.hpp>

namespace anabranch::hf::impl {
namespace {

constexpr std::int64_t kPerWord = 8;  ///< 4-bit numbers of a 32-bit word
/// Column of the n-th number of a word, from the lowest bits on.
constexpr std::array<std::int64_t, 8> kInOrder{0, 1, 2, 3, 4, 5, 6, 7}, kAwqOrder{0, 2, 4, 6, 1, 3, 5, 7};

[[noreturn]] void wrong_shape(const Tensor& tensor, const std::string& expected) {
  fail(Status::bad_file, tensor.file.string(), ": tensor \"", tensor.name, "\": expected ", expected, ", found ",
       tensor.stored_dtype, " ", shape_text(tensor.shape));
}

/// An 8-bit float with four bits of exponent and three of mantissa, without infinities.
float e4m3(unsigned bits) noexcept {
  const int exponent = static_cast<int>(bits >> 3 & 15u);
  const auto mantissa = static_cast<float>(bits & 7u);
  const float sign = bits & 128u ? -1.0f : 1.0f;
  if ((bits & 127u) == 127u) return std::numeric_limits<float>::quiet_NaN();
  return exponent == 0 ? sign * std::ldexp(mantissa, -9) : sign * std::ldexp(8.0f + mantissa, exponent - 10);
}

std::array<float, 256> e4m3_table() {
  std::array<float, 256> table{};
  for (unsigned i = 0; i < table.size(); ++i) table[i] = e4m3(i);
  return table;
}

std::vector<float> read_scales(const Tensor& tensor) {
  if (tensor.stored_dtype != "F8_E8M0") return read_floats(tensor);
  std::vector<float> scales;
  for (const std::byte exponent : tensor.bytes)
    scales.push_back(std::ldexp(1.0f, std::to_integer<int>(exponent) - 127));
  return scales;
}

std::uint32_t word_at(const Tensor& tensor, std::int64_t i) noexcept {
  std::uint32_t word;
  std::memcpy(&word, tensor.bytes.data() + 4 * i, sizeof word);
  return word;
}

const Tensor& require_words(const Tensor* tensor, const Tensor& beside, const char* name, std::int64_t rows,
                            std::int64_t columns) {
  if (tensor == nullptr)
    fail(Status::bad_file, beside.file.string(), ": tensor \"", beside.name, "\": expected ", name,
         " beside it, found no such tensor");
  const std::vector<std::int64_t> shape{rows, columns};
  if (tensor->stored_dtype != "I32" || tensor->shape != shape) wrong_shape(*tensor, "I32 " + shape_text(shape));
  return *tensor;
}

}  // namespace

std::optional<QuantisedMatrix> QuantisedMatrix::find(const Weights& files, const std::string& module,
                                                     const StoredQuantisation& how) {
  const bool fp8 = how.kind == StoredQuantisation::Kind::fp8;
  const Tensor* values = files.find(module + (fp8 ? ".weight" : ".qweight"));
  if (values == nullptr || (fp8 && values->dtype != Dtype::other)) return std::nullopt;
  QuantisedMatrix matrix(*values, how);
  if (fp8)
    matrix.load_fp8(files.find(module + "." + how.scale));
  else
    matrix.load_integers(files, module);
  return matrix;
}

void QuantisedMatrix::load_fp8(const Tensor* scales) {
  if (values_.stored_dtype != "F8_E4M3" || values_.shape.size() != 2)
    fail(Status::unsupported, values_.file.string(), ": tensor \"", values_.name,
         "\": expected a matrix of F32, F16, BF16 or F8_E4M3, found ", values_.stored_dtype, " ",
         shape_text(values_.shape));
  if (scales == nullptr)
    fail(Status::bad_file, values_.file.string(), ": tensor \"", values_.name, "\": expected \"", how_.scale,
         "\" beside it, found no such tensor");
  shape_ = {values_.shape[0], values_.shape[1]};
  scales_ = read_scales(*scales);
  const auto& s = scales->shape;
  const auto blocks = [](std::int64_t size, std::int64_t block) { return (size + block - 1) / block; };
  block_rows_ = std::max<std::int64_t>(1, shape_[0]);
  block_columns_ = std::max<std::int64_t>(1, shape_[1]);
  if (scales->n_elements() == 1) return;  // of the whole matrix
  if (s == std::vector<std::int64_t>{shape_[0], 1}) {
    block_rows_ = 1;
    return;
  }
  if (how_.block_rows == 0) wrong_shape(*scales, "one scale, or one for each row");
  block_rows_ = how_.block_rows;
  block_columns_ = how_.block_columns;
  const std::vector<std::int64_t> expected{blocks(shape_[0], block_rows_), blocks(shape_[1], block_columns_)};
  if (s != expected) wrong_shape(*scales, "shape " + shape_text(expected) + " (blocks of 'weight_block_size')");
}

void QuantisedMatrix::load_integers(const Weights& files, const std::string& module) {
  const bool awq = how_.kind == StoredQuantisation::Kind::awq;
  if (values_.stored_dtype != "I32" || values_.shape.size() != 2)
    wrong_shape(values_, "an I32 matrix of packed numbers");
  shape_ = awq ? std::array{values_.shape[1] * kPerWord, values_.shape[0]}
               : std::array{values_.shape[1], values_.shape[0] * kPerWord};
  const auto [out, in] = shape_;
  const std::int64_t group = how_.group > 0 ? how_.group : std::max<std::int64_t>(1, in);
  const std::int64_t n_groups = (in + group - 1) / group;
  const Tensor* scales = files.find(module + ".scales");
  if (scales == nullptr || scales->shape != std::vector<std::int64_t>{n_groups, out} || out % kPerWord != 0)
    fail(Status::bad_file, values_.file.string(), ": tensor \"", values_.name, "\": expected \"", module,
         ".scales\" of shape ", shape_text(std::array{n_groups, out}), " beside it and outputs that 8 divides, found ",
         (scales == nullptr ? "no such tensor" : shape_text(scales->shape)));
  scales_ = read_floats(*scales);
  const Tensor& zeros = require_words(files.find(module + ".qzeros"), values_, "qzeros", n_groups, out / kPerWord);
  zeros_.resize(scales_.size());
  for (std::int64_t i = 0; i < zeros.n_elements(); ++i)
    for (std::size_t k = 0; k < kPerWord; ++k) {
      const auto zero = static_cast<std::int8_t>(word_at(zeros, i) >> 4 * k & 15u);
      if (how_.zeros_less_one && zero == 15)
        fail(Status::unsupported, zeros.file.string(), ": tensor \"", zeros.name,
             "\": a zero point of 16, which programs read as 16 or as 0, is not supported");
      const std::int64_t place = i * kPerWord + (awq ? kAwqOrder : kInOrder)[k];
      zeros_[static_cast<std::size_t>(place)] = static_cast<std::int8_t>(zero + (how_.zeros_less_one ? 1 : 0));
    }
  for (std::int64_t i = 0; i < in; ++i) groups_.push_back(static_cast<std::int32_t>(i / group));
  if (!awq) load_groups(files.find(module + ".g_idx"), n_groups);
}

/// The group of each column, where columns were sorted before they were grouped.
void QuantisedMatrix::load_groups(const Tensor* groups, std::int64_t n_groups) {
  if (groups == nullptr) return;
  if (groups->stored_dtype != "I32" || groups->shape != std::vector<std::int64_t>{shape_[1]})
    wrong_shape(*groups, "I32 [" + std::to_string(shape_[1]) + "]");
  for (std::int64_t i = 0; i < shape_[1]; ++i) {
    const std::uint32_t group = word_at(*groups, i);
    if (group >= static_cast<std::uint64_t>(n_groups))
      fail(Status::bad_file, groups->file.string(), ": tensor \"", groups->name, "\": expected groups below ", n_groups,
           ", found ", group);
    groups_[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(group);
  }
}

void QuantisedMatrix::read(std::int64_t first, std::span<float> rows) const {
  if (how_.kind == StoredQuantisation::Kind::fp8)
    read_fp8(first, rows);
  else
    read_integers(first, rows);
}

void QuantisedMatrix::read_fp8(std::int64_t first, std::span<float> rows) const {
  static const std::array<float, 256> kTable = e4m3_table();
  const std::int64_t in = shape_[1], per_row = (in + block_columns_ - 1) / block_columns_;
  const std::byte* from = values_.bytes.data() + first * in;
  for (std::int64_t row = first; !rows.empty(); ++row, rows = rows.subspan(static_cast<std::size_t>(in))) {
    const float* scales = scales_.data() + row / block_rows_ * per_row;
    for (std::int64_t i = 0; i < in; ++i)
      rows[static_cast<std::size_t>(i)] = kTable[std::to_integer<std::size_t>(*from++)] * scales[i / block_columns_];
  }
}

void QuantisedMatrix::read_integers(std::int64_t first, std::span<float> rows) const {
  const bool awq = how_.kind == StoredQuantisation::Kind::awq;
  const auto [out, in] = shape_;
  const std::int64_t n = in > 0 ? std::ssize(rows) / in : 0;
  std::array<unsigned, 8> shift_of{};  // of a column in its word
  for (unsigned k = 0; k < kPerWord; ++k) shift_of[static_cast<std::size_t>((awq ? kAwqOrder : kInOrder)[k])] = 4 * k;
  for (std::int64_t i = 0; i < in; ++i) {
    const std::int64_t group = groups_[static_cast<std::size_t>(i)] * out;
    for (std::int64_t r = 0; r < n; ++r) {
      const std::int64_t o = first + r;
      const std::uint32_t word =
          awq ? word_at(values_, i * (out / kPerWord) + o / kPerWord) : word_at(values_, i / kPerWord * out + o);
      const unsigned shift = shift_of[static_cast<std::size_t>((awq ? o : i) % kPerWord)];
      const auto place = static_cast<std::size_t>(group + o);
      rows[static_cast<std::size_t>(r * in + i)] =
          scales_[place] * static_cast<float>(static_cast<int>(word >> shift & 15u) - zeros_[place]);
    }
  }
}

}  // namespace anabranch::hf::impl
