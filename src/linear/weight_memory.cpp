#include <anabranch/linear/weight_memory.hpp>

#include <algorithm>
#include <memory>
#include <new>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace anabranch::linear {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kBlockBytes = std::size_t{32} << 20;

std::size_t rounded_up(std::size_t bytes) noexcept { return (bytes + kHugePage - 1) / kHugePage * kHugePage; }

}  // namespace

struct WeightMemory::Block {
  Block* before = nullptr;
  std::byte* memory = nullptr;
  std::size_t bytes = 0, used = 0;
};

WeightMemory::WeightMemory() = default;

WeightMemory::~WeightMemory() {
  while (blocks_ != nullptr) {
    const std::unique_ptr<Block> block(std::exchange(blocks_, blocks_->before));
    ::operator delete (block->memory, std::align_val_t{kHugePage});
  }
}

void* WeightMemory::do_allocate(std::size_t bytes, std::size_t alignment) {
  if (alignment > kHugePage) throw std::bad_alloc();
  const auto place = [alignment](const Block& block) { return (block.used + alignment - 1) / alignment * alignment; };
  if (blocks_ == nullptr || place(*blocks_) + bytes > blocks_->bytes) {
    auto block = std::make_unique<Block>();
    block->bytes = rounded_up(std::max(bytes, kBlockBytes));
    block->memory = static_cast<std::byte*>(::operator new (block->bytes, std::align_val_t{kHugePage}));
#if defined(__linux__)
    madvise(block->memory, block->bytes, MADV_HUGEPAGE);  // a wish: nothing depends on it
#endif
    block->before = blocks_;
    blocks_ = block.release();
  }
  const std::size_t begin = place(*blocks_);
  blocks_->used = begin + bytes;
  return blocks_->memory + begin;
}

void WeightMemory::do_deallocate(void*, std::size_t, std::size_t) {}

}  // namespace anabranch::linear
