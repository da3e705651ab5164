// Conversions between float32 and the 16-bit elements, and the marks of infinity and NaN.
#include <cmath>

#include "catch.hpp"
#include "half.hpp"

using namespace anabranch::cuda;

namespace {

/// Value of 16 bits by the definition of the format.
double exact(std::uint32_t bits, int n_fraction, int bias) {
  const int n_exponent = 15 - n_fraction;
  const auto fraction = static_cast<double>(bits & ((1u << n_fraction) - 1));
  const auto exponent = static_cast<int>((bits >> n_fraction) & ((1u << n_exponent) - 1));
  const double sign = (bits & 0x8000u) != 0 ? -1 : 1;
  const double one = std::ldexp(1.0, n_fraction);
  return exponent == 0 ? sign * std::ldexp(fraction / one, 1 - bias)
                       : sign * std::ldexp(1 + fraction / one, exponent - bias);
}

template <class E>
void check_element(int n_fraction, int bias) {
  int n_wrong = 0;
  for (std::uint32_t bits = 0; bits < 0x10000u; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float wide = E::widen(half);
    const bool finite = (bits & E::kExponents & 0xffffu) != (E::kExponents & 0xffffu);
    if (finite != std::isfinite(wide) || finite != (non_finite<E>(bits) == 0)) ++n_wrong;
    if (finite && static_cast<double>(wide) != exact(bits, n_fraction, bias)) ++n_wrong;
    if (!std::isnan(wide) && E::narrow(wide) != half) ++n_wrong;
    if (std::isnan(wide) && !std::isnan(E::widen(E::narrow(wide)))) ++n_wrong;
    if (!finite) continue;
    // Half way to the next number goes to the even one, a little less and a little more to the nearer one.
    const auto next = static_cast<std::uint16_t>(bits + 1);
    if (!std::isfinite(E::widen(next))) continue;
    const auto middle = static_cast<float>((static_cast<double>(wide) + static_cast<double>(E::widen(next))) / 2);
    if (E::narrow(middle) != (bits % 2 == 0 ? half : next)) ++n_wrong;
    if (middle == 0) continue;
    if (E::narrow(std::nextafter(middle, wide)) != half) ++n_wrong;
    if (E::narrow(std::nextafter(middle, E::widen(next))) != next) ++n_wrong;
  }
  CHECK(n_wrong == 0);
}

}  // namespace

TEST_CASE("float16 holds what its definition says and rounds to nearest even") {
  check_element<Float16>(10, 15);
  CHECK(Float16::narrow(65519.0f) == 0x7bff);
  CHECK(Float16::narrow(65520.0f) == 0x7c00);
  CHECK(Float16::narrow(-1e30f) == 0xfc00);
  CHECK(Float16::narrow(1e-30f) == 0);
}

TEST_CASE("bfloat16 holds what its definition says and rounds to nearest even") {
  check_element<Bfloat16>(7, 127);
  CHECK(Bfloat16::narrow(3.4e38f) == 0x7f80);
}

TEST_CASE("infinite and NaN elements of a word are marked and removed one by one") {
  CHECK(non_finite<Float16>(0x7c003c00u) == 0x80000000u);
  CHECK(non_finite<Float16>(0x7bff7bffu) == 0u);
  CHECK(only_finite<Float16>(0x3c00fe00u) == 0x3c000000u);
  CHECK(only_finite<Bfloat16>(0xff803f80u) == 0x00003f80u);
  CHECK(only_finite<Bfloat16>(0x7fff7f80u) == 0u);
}
