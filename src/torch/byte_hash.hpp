// A fast 64-bit hash that tells whether bytes were damaged. It does not hold against somebody who wants equal hashes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace anabranch::torch {

/// Four sums over every fourth word of 8 bytes, so that they do not wait for each other. Each step is a bijection of
/// its sum, so no change of a single word is lost.
class ByteHash {
 public:
  void add(std::span<const std::byte> bytes) noexcept {
    n_bytes_ += bytes.size();
    for (; bytes.size() >= kStripe; bytes = bytes.subspan(kStripe)) add_stripe(bytes.data());
    if (bytes.empty()) return;
    std::array<std::byte, kStripe> rest{};
    std::memcpy(rest.data(), bytes.data(), bytes.size());
    add_stripe(rest.data());
  }
  void add(std::string_view text) noexcept { add(std::as_bytes(std::span(text.data(), text.size()))); }

  /// Depends on how the bytes were divided among the calls, where a part was no multiple of 32 bytes.
  std::uint64_t value() const noexcept {
    std::uint64_t all = n_bytes_;
    for (const std::uint64_t sum : sums_) all = step(all, sum);
    return all;
  }
  /// 16 hexadecimal digits.
  std::string text() const {
    std::string digits;
    for (int shift = 60; shift >= 0; shift -= 4) digits += "0123456789abcdef"[value() >> shift & 15];
    return digits;
  }

 private:
  static constexpr std::size_t kStripe = 32;

  static std::uint64_t step(std::uint64_t sum, std::uint64_t word) noexcept {
    sum = (sum ^ word) * 0x9e3779b97f4a7c15u;  // odd: 2^64 / golden ratio
    return sum ^ sum >> 29;
  }
  void add_stripe(const std::byte* bytes) noexcept {
    std::array<std::uint64_t, 4> words;
    std::memcpy(words.data(), bytes, kStripe);
    for (std::size_t i = 0; i < words.size(); ++i) sums_[i] = step(sums_[i], words[i]);
  }

  std::array<std::uint64_t, 4> sums_{1, 2, 3, 4};
  std::uint64_t n_bytes_ = 0;
};

}  // namespace anabranch::torch
