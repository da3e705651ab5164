// An array with one place for each value of an enumeration.
#pragma once

#include <array>
#include <cstddef>
#include <type_traits>

#include <anabranch/version.hpp>

namespace anabranch {

/// A std::array that is read by the enumeration too. REQUIRES: its values are 0, 1, ..., kSize - 1.
template <class Enum, class T, std::size_t kSize>
struct EnumArray : std::array<T, kSize> {
  static_assert(std::is_enum_v<Enum>);
  using std::array<T, kSize>::operator[];
  constexpr T& operator[](Enum value) noexcept { return (*this)[static_cast<std::size_t>(value)]; }
  constexpr const T& operator[](Enum value) const noexcept { return (*this)[static_cast<std::size_t>(value)]; }
};

}  // namespace anabranch
