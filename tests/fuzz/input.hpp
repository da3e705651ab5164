// The fuzzer's bytes, read as decisions. At the end of the input every byte is 0, and 0 always means the ordinary case.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace fuzz {

class Input {
 public:
  Input(const std::uint8_t* bytes, std::size_t n) : bytes_(bytes), n_(n) {}
  bool left() const { return at_ < n_; }
  std::uint8_t byte() { return at_ < n_ ? bytes_[at_++] : std::uint8_t{0}; }
  /// [0, n); n up to 256.
  std::int32_t below(std::int32_t n) { return byte() % n; }
  /// True for about one byte value in `n`, never for 0.
  bool one_in(int n) { return byte() % n == n - 1; }
  std::uint64_t word() {
    std::uint64_t value = 0;
    for (int i = 0; i < 8; ++i) value = value << 8 | byte();
    return value;
  }
  /// A number that some limit may not like.
  std::int32_t odd_number() {
    static constexpr std::array<std::int32_t, 14> kOdd = {-1,  0,   1,   2,    3,     7,          64,
                                                          255, 256, 257, 4096, 65536, 0x7fffffff, -0x7fffffff - 1};
    const std::uint8_t b = byte();
    if (b < kOdd.size()) return kOdd[b];
    return b < 128 ? b - 64 : static_cast<std::int32_t>(static_cast<std::uint32_t>(word()));
  }
  /// Usually in [least, least + n), now and then an odd one.
  std::int32_t number(std::int32_t least, std::int32_t n) { return one_in(32) ? odd_number() : least + below(n); }

 private:
  const std::uint8_t* bytes_;
  std::size_t n_;
  std::size_t at_ = 0;
};

}  // namespace fuzz
