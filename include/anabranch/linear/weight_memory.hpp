// Memory for the weights of one model, in few large blocks.
//
// A pass reads every weight once. On Linux the blocks ask for huge pages, which save the address translation of a small
// page every 4 KiB: plain reads are a quarter to a third faster with them.
#pragma once

#include <cstddef>
#include <memory_resource>

#include <anabranch/version.hpp>

namespace anabranch::linear {

/// Hands out parts of its blocks, one behind the other. It frees all of them at its end, and nothing before.
class WeightMemory final : public std::pmr::memory_resource {
 public:
  WeightMemory();
  WeightMemory(const WeightMemory&) = delete;
  WeightMemory& operator=(const WeightMemory&) = delete;
  ~WeightMemory() override;

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override;
  void do_deallocate(void* memory, std::size_t bytes, std::size_t alignment) override;
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }

  struct Block;
  Block* blocks_ = nullptr;  ///< newest first
};

}  // namespace anabranch::linear
