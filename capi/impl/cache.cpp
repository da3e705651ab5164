// Caches and the reading of sequences.
#include <algorithm>
#include <atomic>
#include <new>

#include "cache_object.hpp"
#include "structs.hpp"

namespace anabranch::capi {
namespace {

/// Far apart for neighbours, so that a sequence of one cache names none of another (Weyl sequence of the golden ratio).
std::uint32_t next_generation() noexcept {
  static std::atomic<std::uint32_t> n_caches{0};
  return 0x9e3779b9u * (n_caches.fetch_add(1, std::memory_order_relaxed) + 1);
}

CacheOptions checked(const anb_cache_options& o) {
  if (o.share_tail != ANB_SHARE_TAIL_SPARE && o.share_tail != ANB_SHARE_TAIL_NEVER)
    fail(Status::bad_argument, "share_tail is ", o.share_tail, "; it must be 0 or 1");
  if (o.keep_tokens != 0 && o.keep_tokens != 1)
    fail(Status::bad_argument, "keep_tokens is ", o.keep_tokens, "; it must be 0 or 1");
  CacheOptions options;
  options.keep_tokens = o.keep_tokens == 1;
  options.n_pages = o.n_pages;
  options.page_size = o.page_size;
  options.max_sequences = o.max_sequences;
  options.max_depth = o.max_depth;
  options.max_position = o.max_position;
  options.share_tail = o.share_tail == ANB_SHARE_TAIL_NEVER ? ShareTail::never : ShareTail::spare;
  options.first_generation = next_generation();
  return options;
}

/// Writes sequences to the caller's array, as many as fit, and counts them all.
struct List {
  const char* name;
  anb_sequence* sequences;
  std::int32_t capacity;
  std::int32_t n = 0;
  void operator()(SequenceId sequence) noexcept {
    if (n < capacity) sequences[n] = to_c(sequence);
    ++n;
  }
};

/// `for_each(cache, list)` gives the list its sequences.
template <class ForEach>
anb_status list_sequences(const anb_cache* cache, List list, std::int32_t* n, ForEach&& for_each) noexcept {
  return with_cache(cache, [&](const CacheObject& object) {
    need_array(list.sequences, list.capacity, list.name);
    need(n, "n");
    for_each(object.cache, list);
    *n = list.n;
    return Status::ok;
  });
}

anb_allocator read_allocator(const anb_allocator* from) {
  const anb_allocator allocator = read_struct(from, anb_allocator ANB_ALLOCATOR_INIT, "allocator");
  if ((allocator.allocate == nullptr) != (allocator.release == nullptr))
    fail(Status::bad_argument, "allocator: one of allocate and release is NULL; both are needed, or none");
  return allocator;
}

}  // namespace

CacheObject::CacheObject(const CallerMemory& memory, CacheOptions options)
    : memory_(memory), cache((options.memory = &memory_, options)) {}

CacheObject* CacheObject::create(const anb_allocator& allocator, CacheOptions options) {
  CallerMemory memory(allocator);
  void* place = memory.allocate(sizeof(CacheObject), alignof(CacheObject));
  try {
    return new (place) CacheObject(memory, options);
  } catch (...) {
    memory.deallocate(place, sizeof(CacheObject), alignof(CacheObject));
    throw;
  }
}

void CacheObject::let_go() noexcept {
  if (--n_owners_ > 0) return;
  CallerMemory memory = memory_;
  this->~CacheObject();
  memory.deallocate(this, sizeof(CacheObject), alignof(CacheObject));
}

/// A step's serial: low bits of its cache's, and a count, so that it is another one than the steps before.
const anb_step* CacheObject::next_step_handle() noexcept {
  const HandleParts cache_parts = unpack(handle);
  n_steps_ = n_steps_ % 0xffffff + 1;
  const std::uint64_t serial = (cache_parts.serial & kStepSerialMask) << 24 | n_steps_;
  return static_cast<const anb_step*>(pack({cache_parts.index, HandleKind::step, serial}));
}

CacheObject* cache_of_step(const anb_step* handle) noexcept {
  const HandleParts parts = unpack(handle);
  if (parts.kind != HandleKind::step) return nullptr;
  return static_cast<CacheObject*>(find_cache(parts.index, parts.serial >> 24));
}

}  // namespace anabranch::capi

using namespace anabranch;
using namespace anabranch::capi;

anb_status anb_cache_create(const anb_cache_options* options, anb_cache** cache) {
  return guard([&] {
    need(cache, "cache");
    const auto o = read_struct(options, anb_cache_options ANB_CACHE_OPTIONS_INIT, "anb_cache_options");
    CacheObject* object = CacheObject::create(read_allocator(o.allocator), checked(o));
    void* handle = make_handle(HandleKind::cache, object);
    if (handle == nullptr) {
      object->let_go();
      fail_no_handle();
    }
    object->handle = static_cast<const anb_cache*>(handle);
    *cache = static_cast<anb_cache*>(handle);
    return Status::ok;
  });
}

void anb_cache_destroy(anb_cache* cache) {
  auto* object = static_cast<CacheObject*>(find_object(HandleKind::cache, cache));
  if (object == nullptr || object->condition.busy) return;
  remove_handle(HandleKind::cache, cache);
  if (object->step) object->end_step();
  object->let_go();
}

anb_status anb_cache_get_statistics(const anb_cache* cache, anb_cache_statistics* statistics) {
  return with_cache(cache, [&](const CacheObject& object) {
    check_out(statistics, "anb_cache_statistics");
    anb_cache_statistics s = ANB_CACHE_STATISTICS_INIT;
    const KvCache& c = object.cache;
    s.n_pages = c.n_pages();
    s.n_free_pages = c.n_free_pages();
    s.page_size = c.page_size();
    s.n_slots = c.n_slots();
    s.n_sequences = c.n_sequences();
    s.step = object.plan != nullptr ? 2 : object.step ? 1 : 0;
    s.epoch = c.epoch();
    write_struct(statistics, s);
    return Status::ok;
  });
}

anb_status anb_cache_check(anb_cache* cache) {
  return with_cache(cache, [](const CacheObject& object) {
    const std::vector<std::string> violated = object.cache.snapshot().check();
    if (!violated.empty()) fail(Status::internal, "broken invariant: ", violated.front());
    return Status::ok;
  });
}

anb_status anb_cache_sequences(const anb_cache* cache, int32_t capacity, anb_sequence* sequences, int32_t* n) {
  return list_sequences(cache, {"sequences", sequences, capacity}, n,
                        [](const KvCache& c, List& list) { c.for_each_sequence(list); });
}

anb_status anb_cache_roots(const anb_cache* cache, int32_t capacity, anb_sequence* roots, int32_t* n) {
  return list_sequences(cache, {"roots", roots, capacity}, n,
                        [](const KvCache& c, List& list) { c.for_each_root(list); });
}

anb_status anb_sequence_get_state(const anb_cache* cache, anb_sequence sequence, anb_sequence_state* state) {
  return with_cache(cache, [&](const CacheObject& object) {
    check_out(state, "anb_sequence_state");
    const KvCache& c = object.cache;
    const SequenceId id = capi::to_cpp(sequence);
    anb_sequence_state s = ANB_SEQUENCE_STATE_INIT;
    s.n_tokens = c.n_tokens(id);
    s.next_position = c.next_position(id);
    s.position_limit = c.position_limit(id);
    s.start_position = c.start_position(id);
    s.fork_tokens = c.fork_tokens(id);
    c.for_each_child(id, [&](SequenceId) { ++s.n_children; });
    s.parent = capi::to_c(c.parent(id));
    write_struct(state, s);
    return Status::ok;
  });
}

anb_status anb_sequence_children(const anb_cache* cache, anb_sequence sequence, int32_t capacity,
                                 anb_sequence* children, int32_t* n) {
  return list_sequences(cache, {"children", children, capacity}, n,
                        [&](const KvCache& c, List& list) { c.for_each_child(capi::to_cpp(sequence), list); });
}

anb_status anb_sequence_token_ids(const anb_cache* cache, anb_sequence sequence, int32_t capacity, anb_token* tokens,
                                  int32_t* n) {
  return with_cache(cache, [&](const CacheObject& object) {
    need_array(tokens, capacity, "tokens");
    need(n, "n");
    const std::vector<TokenId> all = object.cache.tokens_of(capi::to_cpp(sequence));
    std::copy_n(all.begin(), std::min<std::ptrdiff_t>(capacity, std::ssize(all)), tokens);
    *n = static_cast<std::int32_t>(all.size());
    return Status::ok;
  });
}

anb_status anb_sequence_tokens(const anb_cache* cache, anb_sequence sequence, int32_t capacity, anb_slot* slots,
                               anb_position* positions, int32_t* n) {
  return with_cache(cache, [&](const CacheObject& object) {
    if (capacity < 0) fail(Status::bad_argument, "capacity is ", capacity);
    need(n, "n");
    std::int32_t n_all = 0;
    object.cache.for_each_view(capi::to_cpp(sequence), [&](const View& view, Position first) {
      Position position = first + view.begin;
      for_each_run(view, [&](Slot slot, std::int32_t count) {
        for (std::int32_t i = 0; i < count; ++i, ++n_all, ++position) {
          if (n_all >= capacity) continue;
          if (slots != nullptr) slots[n_all] = slot + i;
          if (positions != nullptr) positions[n_all] = position;
        }
      });
    });
    *n = n_all;
    return Status::ok;
  });
}
