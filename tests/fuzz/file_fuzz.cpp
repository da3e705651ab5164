// The target for libFuzzer. ANABRANCH_FUZZ_FILE names the kind of file.
#include <cstdlib>
#include <memory>

#include "check.hpp"
#include "file_kinds.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t n) {
  static const std::unique_ptr<fuzz::FileReader> reader = [] {
    const char* wanted = std::getenv("ANABRANCH_FUZZ_FILE");
    for (const fuzz::FileKind& kind : fuzz::file_kinds())
      if (wanted != nullptr && kind.name == wanted) return std::make_unique<fuzz::FileReader>(kind);
    FUZZ_CHECK(false, "ANABRANCH_FUZZ_FILE: expected a kind of file, found %s", wanted == nullptr ? "nothing" : wanted);
    return std::unique_ptr<fuzz::FileReader>();
  }();
  reader->read(bytes, n);
  return 0;
}
