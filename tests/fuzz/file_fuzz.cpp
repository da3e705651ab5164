// The target for libFuzzer. ANABRANCH_FUZZ_FILE names the kind of file. libFuzzer's own changes seldom leave JSON or a
// template: three of four are made by file_changes.hpp.
#include <algorithm>
#include <cstdlib>

#include "file_changes.hpp"
#include "file_kinds.hpp"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* bytes, std::size_t n, std::size_t most);

namespace {

const fuzz::FileKind& wanted_kind() {
  static const fuzz::FileKind& kind = fuzz::file_kind(std::getenv("ANABRANCH_FUZZ_FILE"));
  return kind;
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* bytes, std::size_t n, std::size_t most, unsigned seed) {
  if (seed % 4 == 0 || wanted_kind().format == fuzz::Format::bytes) return LLVMFuzzerMutate(bytes, n, most);
  std::mt19937_64 random(seed);
  const std::string input(reinterpret_cast<const char*>(bytes), n);
  const std::string changed = fuzz::changed_file(wanted_kind().format, input, {input}, random);
  if (changed.empty() || changed.size() > most) return LLVMFuzzerMutate(bytes, n, most);
  std::copy(changed.begin(), changed.end(), reinterpret_cast<char*>(bytes));
  return changed.size();
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t n) {
  static fuzz::FileTally tally;
  fuzz::read_file(wanted_kind(), {reinterpret_cast<const char*>(bytes), n}, tally);
  return 0;
}
