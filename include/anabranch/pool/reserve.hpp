// Room in a vector ahead of a change that must not fail halfway.
#pragma once

#include <concepts>
#include <cstddef>

#include <anabranch/version.hpp>

namespace anabranch::impl {

/// Makes the next `n` push_backs free of allocation; grows by doubling, so repeated calls stay linear.
template <class Vector>
void reserve_more(Vector& vector, std::integral auto n) {
  const std::size_t needed = vector.size() + static_cast<std::size_t>(n);
  if (needed > vector.capacity()) vector.reserve(needed > 2 * vector.capacity() ? needed : 2 * vector.capacity());
}

}  // namespace anabranch::impl
