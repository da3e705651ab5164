// libFuzzer's own changes seldom leave JSON: three of four are made by json_changes.hpp.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>

#include "json_changes.hpp"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* bytes, std::size_t n, std::size_t most);

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* bytes, std::size_t n, std::size_t most, unsigned seed) {
  if (seed % 4 == 0) return LLVMFuzzerMutate(bytes, n, most);
  std::mt19937_64 random(seed);
  const std::string changed = fuzz::changed_json({reinterpret_cast<const char*>(bytes), n}, random);
  if (changed.size() > most) return LLVMFuzzerMutate(bytes, n, most);
  std::memcpy(bytes, changed.data(), changed.size());
  return changed.size();
}
