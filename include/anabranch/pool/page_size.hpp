// How many slots a page has: a number given when the cache is made, or a constant of the program.
#pragma once

#include <concepts>
#include <cstdint>

#include <anabranch/version.hpp>

namespace anabranch {

/// Slots per page, chosen at run time.
struct RuntimePageSize {
  std::int32_t value = 16;
  constexpr std::int32_t get() const noexcept { return value; }
};

/// Slots per page as a constant, for programs whose kernels are compiled for one page size: a cache that is made with
/// another is refused. It buys no time: fork, join and plan take within 2 % of the same instructions (bench/cache).
template <std::int32_t N>
struct FixedPageSize {
  static_assert(N > 0);
  constexpr FixedPageSize() = default;
  constexpr explicit FixedPageSize(RuntimePageSize) noexcept {}
  static constexpr std::int32_t get() noexcept { return N; }
};

/// Both of the above. A cache is made from options, which give the number; a constant must agree with it.
template <class P>
concept PageSizeChoice = std::constructible_from<P, RuntimePageSize> && requires(const P& p) {
  { p.get() } -> std::convertible_to<std::int32_t>;
};

}  // namespace anabranch
