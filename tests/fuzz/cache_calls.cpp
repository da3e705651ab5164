// Calls that make, read and destroy caches.
#include <algorithm>

#include "check.hpp"
#include "world.hpp"

namespace fuzz {

namespace {

anb_cache_options some_options(Input& input) {
  anb_cache_options o = ANB_CACHE_OPTIONS_INIT;
  const auto sizes = input.byte();
  o.n_pages = (sizes & 15) == 15 ? 1 + input.byte() : 4 << (sizes & 3);
  o.page_size = 1 + (sizes >> 4 & 7);
  if (input.one_in(4)) o.max_sequences = input.number(1, 24);
  if (input.one_in(4)) o.max_depth = input.number(0, 6);
  if (input.one_in(4)) o.max_position = input.number(1, 80);
  o.share_tail = input.one_in(3) ? ANB_SHARE_TAIL_NEVER : ANB_SHARE_TAIL_SPARE;
  if (!input.one_in(48)) return o;
  switch (input.below(3)) {
    case 0: o.n_pages = input.odd_number(); break;
    case 1: o.page_size = input.odd_number(); break;
    default: o.share_tail = input.odd_number(); break;
  }
  return o;
}

struct CacheCalls {
  World& world;
  Input& input;
  anb_cache* cache;
  Group* about;  ///< null with a bad handle
  bool step_open;

  void expect(anb_status status) const {
    FUZZ_CHECK(about != nullptr || status == ANB_BAD_HANDLE, "a bad handle gave %s", anb_status_name(status));
  }
  void statistics() {
    const OutStruct<anb_cache_statistics> s(input);
    const anb_status status =
        world.make(function::kStatistics, about, [&] { return anb_cache_get_statistics(cache, s.pointer()); });
    s.check(status == ANB_OK);
    expect(status);
  }
  void check() {
    const anb_status status = world.make(function::kCheck, about, [&] { return anb_cache_check(cache); });
    expect(status);
    FUZZ_CHECK(about == nullptr || status == ANB_OUT_OF_MEMORY || (status == ANB_WRONG_STATE) == step_open,
               "check beside %s step gave %s", step_open ? "an open" : "no", anb_status_name(status));
  }
  void sequence_state() {
    const OutStruct<anb_sequence_state> s(input);
    const anb_sequence sequence = world.some_sequence();
    const anb_status status = world.make(function::kSequenceState, about,
                                         [&] { return anb_sequence_get_state(cache, sequence, s.pointer()); });
    s.check(status == ANB_OK);
    expect(status);
  }
  void children() {
    const anb_sequence sequence = world.some_sequence();
    const std::int32_t capacity = input.one_in(32) ? -1 : input.below(8);
    const OutArray<anb_sequence> children(static_cast<std::size_t>(std::max(capacity, 0)));
    const OutArray<std::int32_t> n(1);
    const anb_status status = world.make(function::kChildren, about, [&] {
      return anb_sequence_children(cache, sequence, capacity, children.pointer(), n.pointer());
    });
    children.check(status == ANB_OK ? static_cast<std::size_t>(std::min(capacity, n[0])) : 0);
    n.check(status == ANB_OK ? 1 : 0);
    expect(status);
  }
  void tokens() {
    const anb_sequence sequence = world.some_sequence();
    const std::int32_t capacity = input.one_in(32) ? -1 : input.byte();
    const OutArray<anb_slot> slots(static_cast<std::size_t>(std::max(capacity, 0)));
    const OutArray<anb_position> positions(static_cast<std::size_t>(std::max(capacity, 0)));
    const OutArray<std::int32_t> n(1);
    anb_slot* to_slots = input.one_in(8) ? nullptr : slots.pointer();
    anb_position* to_positions = input.one_in(8) ? nullptr : positions.pointer();
    const anb_status status = world.make(function::kTokens, about, [&] {
      return anb_sequence_tokens(cache, sequence, capacity, to_slots, to_positions, n.pointer());
    });
    const auto n_written = static_cast<std::size_t>(status == ANB_OK ? std::min(capacity, n[0]) : 0);
    slots.check(to_slots != nullptr ? n_written : 0);
    positions.check(to_positions != nullptr ? n_written : 0);
    n.check(status == ANB_OK ? 1 : 0);
    expect(status);
  }
};

}  // namespace

void World::make_cache() {
  auto made = std::make_unique<Group>();
  anb_cache_options o = some_options(input_);
  anb_allocator allocator = ANB_ALLOCATOR_INIT;
  made->own_allocator = !input_.one_in(6);
  if (made->own_allocator) {
    allocator.allocate = allocate;
    allocator.release = release;
    allocator.user = &made->ledger;
  }
  if (input_.one_in(64)) allocator.release = nullptr;
  const InStruct<anb_allocator> in_allocator(input_, allocator);
  o.allocator = in_allocator.pointer();
  const InStruct<anb_cache_options> in(input_, o);
  OutArray<anb_cache*> cache(1);
  const anb_status status =
      make(function::kCacheCreate, nullptr, [&] { return anb_cache_create(in.pointer(), cache.pointer()); });
  cache.check(status == ANB_OK ? 1 : 0);
  FUZZ_CHECK(status != ANB_OK || (!in.broken() && !in_allocator.broken()), "a broken struct was accepted");
  FUZZ_CHECK(status == ANB_OK || made->ledger.n_blocks == 0, "a cache that was not made keeps memory");
  if (status != ANB_OK) return;
  FUZZ_CHECK(!known(cache[0]), "a handle came twice");
  made->cache = cache[0];
  groups_.push_back(std::move(made));
}

void World::cache_call() {
  Group& g = group();
  anb_cache* cache = some_cache();
  Group* about = cache == g.cache && cache != nullptr ? &g : nullptr;
  CacheCalls calls{*this, input_, cache, about, g.step != nullptr || g.planner() != nullptr};
  switch (input_.below(6)) {
    case 0: return calls.statistics();
    case 1: return calls.check();
    case 2: return calls.sequence_state();
    case 3: return calls.children();
    case 4: return calls.tokens();
    default: break;
  }
  if (about != nullptr && !input_.one_in(8)) return;
  anb_cache_destroy(cache);
  if (about == nullptr) return;
  remember(g.cache);
  step_over(g);
  g.cache = nullptr;
  forget_if_gone(g);
}

/// When neither the cache nor a decoder is left, its memory must be back.
void World::forget_if_gone(Group& group) {
  if (group.cache != nullptr || !group.decoders.empty()) return;
  FUZZ_CHECK(group.ledger.n_blocks == 0, "a cache without handles keeps %lld blocks",
             static_cast<long long>(group.ledger.n_blocks));
  std::erase_if(groups_, [&](const auto& g) { return g.get() == &group; });
  chosen_ = 0;
}

}  // namespace fuzz
