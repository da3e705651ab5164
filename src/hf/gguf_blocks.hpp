// The types of a GGUF file's tensors. Most keep numbers in blocks: 32 or 256 neighbours of a row in few bits each, with
// their scales.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace anabranch::hf::impl {

struct GgmlType {
  std::uint32_t id = 0;       ///< as the file has it
  const char* name = "";      ///< such as "Q4_K"
  std::uint32_t values = 0;   ///< in a block
  std::uint32_t n_bytes = 0;  ///< of a block
  /// Writes the values of one block, as ggml computes them, bit for bit; null: the type is not read.
  void (*read)(const std::byte* block, float* out) = nullptr;
};

/// nullptr for an id that no type has.
const GgmlType* find_ggml_type(std::uint32_t id) noexcept;
/// The names of those that are read: "F32, F16 and Q8_0".
std::string readable_ggml_types();

/// Reads whole blocks. Requires: `out` has the values of all blocks in `bytes`.
void read_blocks(const GgmlType& type, std::span<const std::byte> bytes, std::span<float> out);

}  // namespace anabranch::hf::impl
