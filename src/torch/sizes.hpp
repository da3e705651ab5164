// The sizes of arrays, from the sizes that the model and the plan state as signed numbers.
#pragma once

#include <concepts>
#include <cstddef>

namespace anabranch::torch {

/// Number of elements of an array with these dimensions. REQUIRES: none is negative.
template <std::integral... Size>
constexpr std::size_t n_elements(Size... dimensions) noexcept {
  return (std::size_t{1} * ... * static_cast<std::size_t>(dimensions));
}

}  // namespace anabranch::torch
