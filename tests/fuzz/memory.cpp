#include "memory.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "check.hpp"
#include "operator_new.hpp"

namespace fuzz {

Refusal g_refusal;

namespace {

constexpr std::size_t kLargest = std::size_t{64} << 20;  // more at once is refused, as a small machine would
constexpr std::uint64_t kMagic = 0x616e616272616e63;

bool g_armed = false;
bool g_refused = false;

bool refuse(bool wanted, std::size_t size) {
  if (!g_armed) return false;
  bool refused = size > kLargest;
  if (!refused && wanted && g_refusal.count > 0) {
    if (g_refusal.after > 0)
      --g_refusal.after;
    else
      --g_refusal.count, refused = true;
  }
  g_refused |= refused;
  return refused;
}

/// In front of every block of the allocator.
struct Front {
  std::uint64_t magic;
  std::size_t size;
  std::size_t alignment;
  void* ledger;
};

std::size_t front_size(std::size_t alignment) { return std::max(alignment, sizeof(Front)); }

bool refuse_new(std::size_t size) { return refuse(g_refusal.of_new, size); }

}  // namespace

Armed::Armed() {
  g_refuse_new = refuse_new;
  g_armed = true;
  g_refused = false;
}
Armed::~Armed() {
  g_refuse_new = nullptr;
  g_armed = false;
  g_refusal = {};
}
bool Armed::refused() const { return g_refused; }
Suspended::Suspended() : before_(g_armed) { g_armed = false; }
Suspended::~Suspended() { g_armed = before_; }

void* allocate(std::size_t size, std::size_t alignment, void* user) {
  FUZZ_CHECK(size > 0 && alignment > 0 && (alignment & (alignment - 1)) == 0, "asked for %zu bytes aligned to %zu",
             size, alignment);
  if (refuse(g_refusal.of_allocator, size)) return nullptr;
  auto* block = static_cast<unsigned char*>(aligned_memory(front_size(alignment) + size, alignment));
  if (block == nullptr) return nullptr;
  unsigned char* memory = block + front_size(alignment);
  const Front front{kMagic, size, alignment, user};
  std::memcpy(memory - sizeof front, &front, sizeof front);
  auto* ledger = static_cast<Ledger*>(user);
  ++ledger->n_blocks;
  ledger->n_bytes += static_cast<std::int64_t>(size);
  return memory;
}

void release(void* memory, std::size_t size, std::size_t alignment, void* user) {
  Front front;
  std::memcpy(&front, static_cast<unsigned char*>(memory) - sizeof front, sizeof front);
  FUZZ_CHECK(front.magic == kMagic && front.ledger == user, "a block that this allocator did not give comes back");
  FUZZ_CHECK(front.size == size && front.alignment == alignment,
             "a block of %zu bytes aligned to %zu comes back as %zu aligned to %zu", front.size, front.alignment, size,
             alignment);
  auto* ledger = static_cast<Ledger*>(user);
  --ledger->n_blocks;
  ledger->n_bytes -= static_cast<std::int64_t>(size);
  std::memset(static_cast<unsigned char*>(memory) - sizeof front, 0, sizeof front);
  std::free(static_cast<unsigned char*>(memory) - front_size(alignment));
}

}  // namespace fuzz
