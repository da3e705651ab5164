// What the snapshot fuzzer's inputs reached.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

namespace fuzz {

struct SnapshotTally {
  std::size_t n_inputs = 0;
  std::size_t n_accepted = 0;                  ///< of changed snapshots that differ from the real one
  std::size_t n_steps = 0;                     ///< on caches restored from these
  std::map<std::string, std::size_t> refused;  ///< by text, numbers left out
};
SnapshotTally& snapshot_tally();

}  // namespace fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t n);
