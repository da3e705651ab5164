// The fuzz target for tokenizer.json, and what its inputs reached.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

namespace fuzz {

struct TokenizerTally {
  std::size_t n_inputs = 0;
  std::size_t n_accepted = 0;
  std::map<std::string, std::size_t> refused;  ///< by the text of the refusal, without names and numbers
  std::size_t most_memory = 0;                 ///< bytes allocated for one byte of a file of at least 512
};
TokenizerTally& tokenizer_tally();

}  // namespace fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t n);
