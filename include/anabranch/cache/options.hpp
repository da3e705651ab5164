// The numbers and choices that a cache is made with.
#pragma once

#include <cstdint>
#include <memory_resource>

#include <anabranch/plan/slot_writer.hpp>
#include <anabranch/tree/options.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

struct CacheOptions {
  std::int32_t n_pages = 1024;
  std::int32_t page_size = 16;         ///< slots per page; n_pages * page_size must fit 31 bits
  std::int32_t max_sequences = 65536;  ///< open at one time
  std::int32_t max_depth = 64;         ///< levels of forks below a root
  Position max_position = kUnlimited;  ///< the model's maximum: positions >= this are refused
  ShareTail share_tail = ShareTail::spare;
  bool keep_tokens = false;            ///< for `tokens_of`; 4 bytes for each slot up to the highest that was written
  std::uint32_t first_generation = 0;  ///< of sequence ids: caches with different ones refuse each other's sequences
  std::pmr::memory_resource* memory = nullptr;  ///< for all bookkeeping; null: the default resource. Not owned
};

/// A sequence without payload.
struct NoPayload {};

}  // namespace anabranch
