// An immutable copy of a cache's structure: what is where, and whether it is as it must be.
//
// Taken between steps. `check()` is one list of every invariant; tests ask it after each operation. `save` and `load`
// carry the structure (ids, histories, slots; not K/V bytes) to another process, whose cache then goes on from there.
// Bytes may come from anybody: what `load` accepts, and what a cache is made from, is sound.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <anabranch/pool/page_pool.hpp>
#include <anabranch/tree/positions.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

struct Snapshot {
  struct PageEntry {
    std::int32_t used = 0;
    std::int32_t fill = 0;
    std::int32_t writer = kNone;
    friend bool operator==(const PageEntry&, const PageEntry&) = default;
  };
  struct SegmentEntry {
    std::int32_t index = 0;
    std::uint64_t ordinal = 0;
    Position first = 0;
    std::int32_t length = 0;
    std::int32_t refs = 0;
    std::int32_t writer = kNone;
    std::vector<SlotRun> runs;
  };
  struct NodeEntry {
    std::int32_t index = 0;
    std::uint64_t ordinal = 0;
    NextRule rule;
    std::int32_t parent = kNone;
    std::int32_t segment = kNone;
    std::int32_t end = 0;
    std::int32_t n_tokens = 0;
    Position next_before = 0;
    std::int32_t refs = 0;
  };
  struct SequenceEntry {
    std::int32_t index = 0;
    std::uint32_t generation = 0;
    bool alive = false;  ///< a free index only keeps its generation
    std::int32_t parent = kNone;
    std::int32_t head = kNone;
    std::int32_t open = kNone;
    Position next = 0;
    Position start = 0;
    std::int32_t fork_node = kNone;
    std::int32_t fork_tokens = 0;
    Position limit = kUnlimited;
    std::int32_t hold = 0;
    std::uint64_t reserved_ordinal = 0;
    bool has_rejected = false;
    std::vector<std::byte> policy;
    std::vector<std::int32_t> children;
    std::vector<std::int32_t> tails;  ///< pages it may write, first choice first
  };

  std::int32_t n_pages = 0;
  std::int32_t n_free_pages = 0;
  std::int32_t page_size = 0;
  std::int32_t max_sequences = 0;
  std::int32_t max_depth = 0;
  Position max_position = 0;
  std::uint32_t first_generation = 0;
  bool share_tails = true;
  bool keep_tokens = false;
  std::uint64_t ordinal = 0;
  std::vector<PageEntry> pages;  // [n_pages]
  // Entry i has index i; segments and nodes are numbered anew in each snapshot, sequences keep the index of their id.
  std::vector<SegmentEntry> segments;
  std::vector<NodeEntry> nodes;
  std::vector<SequenceEntry> sequences;
  std::vector<TokenId> tokens;  ///< of slots [0, size), where the cache keeps them

  // Templates, as the classes behind them are, only so that a program without snapshots does not compile them.

  /// The violated invariants, in words with value and limit; empty when all hold. Those that only make sense once
  /// others hold are not looked at before. O(n log n) for n entries, in time and memory, whatever the numbers in them
  /// are.
  template <class = void>
  std::vector<std::string> check() const;
  /// Bytes that `load` reads back, on this and every other machine (little endian, versioned, checksummed).
  template <class = void>
  std::vector<std::byte> save() const;
  /// Throws bad_snapshot for bytes that are damaged, of another version, or that break an invariant. Takes no more
  /// memory than a small multiple of the bytes.
  template <class = void>
  static Snapshot load(std::span<const std::byte> bytes);
};

}  // namespace anabranch
