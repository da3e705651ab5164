// Random numbers from names, not from an order: a counter-based generator.
//
// A random number is a function of (seed, number of the request, path of the branch, index of the token in its branch).
// The rest of the batch and the order of the requests cannot change it.
#pragma once

#include <cstdint>

#include <anabranch/version.hpp>

namespace anabranch {

/// Finaliser of SplitMix64 (Steele, Lea, Flood 2014): a bijection that mixes all bits.
constexpr std::uint64_t mix(std::uint64_t x) noexcept {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/// Names the random stream of a branch, or of the trunk.
enum class StreamKey : std::uint64_t {};

/// Stream of the trunk of a request: of the one with this number among those that share a seed.
constexpr StreamKey trunk_stream(std::uint64_t seed, std::uint64_t number = 0) noexcept {
  return StreamKey{number == 0 ? mix(seed) : mix(mix(seed) ^ mix(number ^ 0x8ebc6af09c88c6e3u))};
}
/// Stream of branch `branch` of the parent's block `block`, both counted from 0.
constexpr StreamKey branch_stream(StreamKey parent, std::int32_t block, std::int32_t branch) noexcept {
  const std::uint64_t step =
      (std::uint64_t{static_cast<std::uint32_t>(block)} << 32) | static_cast<std::uint32_t>(branch);
  return StreamKey{mix(static_cast<std::uint64_t>(parent) ^ mix(step ^ 0xa0761d6478bd642fu))};
}
/// Uniform in [0, 1), for the stream's sampled token number `index`.
constexpr double uniform(StreamKey stream, std::int64_t index) noexcept {
  const std::uint64_t bits = mix(static_cast<std::uint64_t>(stream) ^ mix(static_cast<std::uint64_t>(index)));
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

}  // namespace anabranch
