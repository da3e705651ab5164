// The choice of the instruction set: limits, their names, and the environment variable.
#include <cstdlib>
#include <string>

#include <anabranch/error.hpp>
#include <anabranch/simd.hpp>

#include "catch.hpp"

using namespace anabranch;

// First in the file: the environment is read once per process.
TEST_CASE("an instruction set that nobody knows is refused with its name, until the environment is set right") {
  setenv("ANABRANCH_SIMD", "mmx", 1);
  for (int i = 0; i < 2; ++i) {
    try {
      simd::prepare();
      FAIL("no error");
    } catch (const Error& error) {
      CHECK(error.status() == Status::bad_argument);
      CHECK(std::string(error.what()).find("'mmx'") != std::string::npos);
    }
  }
  setenv("ANABRANCH_SIMD", "scalar", 1);
  simd::prepare();
  CHECK(simd::in_use() == "SCALAR");
  CHECK_FALSE(simd::allows(simd::Extra::avx512_vnni));
  simd::limit(simd::Level::best);
}

TEST_CASE("each level of this CPU is taken when it is the limit, and named") {
  const auto levels = simd::levels();
  REQUIRE(levels.size() > 1);
  CHECK(levels.front() == simd::Level::scalar);
  std::string before;
  for (const simd::Level level : levels) {
    simd::limit(level);
    INFO(simd::name(level));
    CHECK(std::string(simd::in_use()) != before);
    before = simd::in_use();
    if (level < simd::Level::avx512) CHECK_FALSE(simd::allows(simd::Extra::avx512_bf16));
  }
  simd::limit(simd::Level::best);
  CHECK(simd::in_use() == before);  // the last level is all that the CPU has
}
