// Element types of stored tensors.
#pragma once

#include <cstdint>
#include <string_view>

#include <anabranch/version.hpp>

namespace anabranch::hf {

/// `other` is any type that this library does not turn into floats; its tensors can still be listed and read as bytes.
enum class Dtype : std::uint8_t { f32, f16, bf16, other };

/// Bytes per element; 0 for `other`.
constexpr std::uint32_t dtype_size(Dtype dtype) noexcept {
  switch (dtype) {
    case Dtype::f32: return 4;
    case Dtype::f16: return 2;
    case Dtype::bf16: return 2;
    case Dtype::other: return 0;
  }
  return 0;
}

/// Name as safetensors writes it: "F32", "F16", "BF16".
constexpr std::string_view dtype_name(Dtype dtype) noexcept {
  switch (dtype) {
    case Dtype::f32: return "F32";
    case Dtype::f16: return "F16";
    case Dtype::bf16: return "BF16";
    case Dtype::other: return "other";
  }
  return "other";
}

}  // namespace anabranch::hf
