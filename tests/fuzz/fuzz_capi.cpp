// One input: a sequence of calls of the C ABI.
#include "input.hpp"
#include "world.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t n) {
  fuzz::Input input(bytes, n);
  fuzz::World(input).run();
  return 0;
}
