// A matrix that is stored in 8-bit floats or in 4-bit integers, read as float32.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <anabranch/hf/config.hpp>
#include <anabranch/hf/safetensors.hpp>

#include "stored_rows.hpp"

namespace anabranch::hf::impl {

class QuantisedMatrix final : public StoredRows {
 public:
  /// The matrix of a module; none: the files do not have it in quantised form. Throws bad_file or unsupported where its
  /// parts do not fit each other.
  static std::optional<QuantisedMatrix> find(const Weights& files, const std::string& module,
                                             const StoredQuantisation& how);

  std::span<const std::int64_t> shape() const noexcept override { return shape_; }
  std::int64_t n_bytes() const noexcept { return static_cast<std::int64_t>(values_.bytes.size()); }
  const Tensor& values() const noexcept { return values_; }
  void read(std::int64_t first, std::span<float> rows) const override;

 private:
  QuantisedMatrix(const Tensor& values, const StoredQuantisation& how) : values_(values), how_(how) {}
  void load_fp8(const Tensor* scales);
  void load_integers(const Weights& files, const std::string& module);
  void load_groups(const Tensor* groups, std::int64_t n_groups);
  void read_fp8(std::int64_t first, std::span<float> rows) const;
  void read_integers(std::int64_t first, std::span<float> rows) const;

  Tensor values_;
  StoredQuantisation how_;
  std::array<std::int64_t, 2> shape_{};
  std::vector<float> scales_;                        ///< fp8: [block rows, block columns]; integers: [groups, out]
  std::vector<std::int8_t> zeros_;                   ///< integers: [groups, out]
  std::vector<std::int32_t> groups_;                 ///< integers: of each column
  std::int64_t block_rows_ = 1, block_columns_ = 1;  ///< fp8
};

}  // namespace anabranch::hf::impl
