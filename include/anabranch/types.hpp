// The plain integers of the library and the ids that tell them apart.
//
// Tokens, positions and slots stay bare 32-bit integers, because whole arrays of them are handed to model kernels;
// everything that only names something of ours is a type of its own. Ranges are half-open.
#pragma once

#include <compare>
#include <cstdint>
#include <limits>

#include <anabranch/version.hpp>

namespace anabranch {

/// A token id of the host's vocabulary.
using TokenId = std::int32_t;
/// A position as the model's rotary embedding sees it, from 0.
using Position = std::int32_t;
/// The place of one token's K and V in the cache: page * page_size + offset, in [0, n_pages * page_size).
using Slot = std::int32_t;
/// Index of a row of the current forward pass.
using RowIndex = std::int32_t;

/// A token that the host fills in on its own device (`append_unknown(sequence, n)`).
inline constexpr TokenId kUnknownToken = -1;
inline constexpr Slot kNoSlot = -1;
inline constexpr std::int32_t kNone = -1;
/// "No limit" for positions and counts.
inline constexpr std::int32_t kUnlimited = std::numeric_limits<std::int32_t>::max();

/// Names a sequence. `generation` changes when the index is used again, so that a stale id is detected, never misread.
/// Eight aligned bytes: to C it is one integer.
struct alignas(8) SequenceId {
  std::uint32_t index = 0xffffffffu;
  std::uint32_t generation = 0;
  friend constexpr auto operator<=>(const SequenceId&, const SequenceId&) = default;
};
inline constexpr SequenceId kNoSequence{};

/// Which rows of an append are wanted as outputs.
enum class Logits : std::uint8_t { none, last, all };

/// Consecutive slots that hold consecutive tokens of one segment.
struct SlotRun {
  Slot first = 0;           ///< slot of the run's first token
  std::int32_t count = 0;   ///< tokens in the run, > 0
  std::int32_t offset = 0;  ///< index of the run's first token inside its segment
};

}  // namespace anabranch
