// The cache that users hold: branch trees over one pool of pages.
//
// It does the bookkeeping of a K/V cache and never touches its bytes: which slot holds which token of which sequence.
// One thread at a time; distinct caches are independent. Not movable: steps and models refer to it.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory_resource>
#include <string>
#include <vector>

#include <anabranch/cache/impl/cache_core.hpp>
#include <anabranch/cache/options.hpp>
#include <anabranch/cache/snapshot.hpp>
#include <anabranch/cache/step.hpp>

namespace anabranch {

/// The template parameters are types that enter from the caller's side; examples/custom_cache uses all three.
///
///   Payload    kept per sequence and found by its id in constant time, for programs that would otherwise search a list
///              of their own. Default for a new sequence, neither copied by a fork nor rolled back by an abort.
///   Policy     where branches start and their parent goes on, for models trained with positions of their own
///   PageSize   RuntimePageSize, or FixedPageSize<N> for programs whose kernels are compiled for one page size
template <class Payload = NoPayload, PositionPolicy Policy = Positions, PageSizeChoice PageSize = RuntimePageSize>
class BasicKvCache {
 public:
  using ForkOptions = BasicForkOptions<Policy>;
  using Step = BasicStep<Payload, Policy, PageSize>;

  /// Throws bad_argument. O(pages).
  explicit BasicKvCache(const CacheOptions& options = {});
  /// A cache as it was when the snapshot was taken (structure and ids, not K/V bytes). Throws bad_snapshot.
  /// A template only so that `KvCache({.n_pages = 64})` means options.
  template <std::same_as<Snapshot> S>
  explicit BasicKvCache(const S& snapshot, std::pmr::memory_resource* memory = nullptr);
  BasicKvCache(const BasicKvCache&) = delete;
  BasicKvCache& operator=(const BasicKvCache&) = delete;

  /// A new root sequence; part of the open step if there is one.
  SequenceId create_sequence(Position first = 0) { return core_.create_sequence(first); }
  /// Throws wrong_state while another step is open.
  [[nodiscard]] Step begin_step();

  bool alive(SequenceId sequence) const noexcept { return table().alive(sequence); }
  std::int32_t n_sequences() const noexcept { return table().n_alive(); }
  /// Tokens that the sequence sees, the shared prefix included.
  std::int32_t n_tokens(SequenceId sequence) const { return core_.tree.n_tokens(table().find(sequence)); }
  Position next_position(SequenceId sequence) const { return state(sequence).next; }
  /// First position that the sequence refuses.
  Position position_limit(SequenceId sequence) const { return state(sequence).limit; }
  SequenceId parent(SequenceId sequence) const { return table().id(state(sequence).parent); }
  std::vector<SequenceId> children(SequenceId sequence) const;
  /// Calls visit(SequenceId) for each open child, in the order of the forks. Like the next two it allocates nothing;
  /// `visit` must not change the cache.
  template <class Visit>
  void for_each_child(SequenceId sequence, Visit&& visit) const;
  /// Calls visit(SequenceId) for every sequence that is alive. O(sequences that there were at one time).
  template <class Visit>
  void for_each_sequence(Visit&& visit) const {
    table().for_each([&](SequenceIndex sequence) { visit(table().id(sequence)); });
  }
  /// The same for those without a parent.
  template <class Visit>
  void for_each_root(Visit&& visit) const;
  std::vector<SequenceId> sequences() const;
  std::vector<SequenceId> roots() const;
  /// Tokens that the parent had when the sequence was forked; 0 for a root.
  std::int32_t fork_tokens(SequenceId sequence) const { return state(sequence).fork_tokens; }
  Position start_position(SequenceId sequence) const { return state(sequence).start; }
  Payload& payload(SequenceId sequence) { return core_.payloads[table().find(sequence)]; }
  const Payload& payload(SequenceId sequence) const { return core_.payloads[table().find(sequence)]; }

  /// Calls visit(View, first position) for everything that the sequence sees and that has slots, in history order: what
  /// is committed, and from a plan of the open step on its rows too.
  template <class Visit>
  void for_each_view(SequenceId sequence, Visit&& visit) const;
  /// Calls visit(std::int32_t page) for the pages that hold what the sequence has seen since its fork, or may write
  /// next; some come more than once. O(slot runs + pages).
  template <class Visit>
  void for_each_own_page(SequenceId sequence, Visit&& visit) const;
  std::vector<Slot> slots_of(SequenceId sequence) const;
  std::vector<Position> positions_of(SequenceId sequence) const;
  /// Tokens of all that `slots_of` tells, kUnknownToken where the host never said. Throws wrong_state in a cache that
  /// was made without keep_tokens.
  std::vector<TokenId> tokens_of(SequenceId sequence) const;

  std::int32_t n_pages() const noexcept { return core_.pool.n_pages(); }
  std::int32_t n_free_pages() const noexcept { return core_.pool.n_free(); }
  std::int32_t page_size() const noexcept { return core_.pool.page_size(); }
  std::int32_t n_slots() const noexcept { return core_.pool.n_slots(); }
  std::uint64_t epoch() const noexcept { return core_.tree.epoch(); }
  const CacheOptions& options() const noexcept { return options_; }
  /// A copy of the whole structure. Throws wrong_state while a step is open. O(everything).
  Snapshot snapshot() const;

 private:
  const SequenceTable<Policy>& table() const noexcept { return core_.tree.sequences(); }
  const SequenceState<Policy>& state(SequenceId sequence) const { return table()[table().find(sequence)]; }

  CacheOptions options_;
  impl::CacheCore<Payload, Policy, PageSize> core_;
};

using KvCache = BasicKvCache<>;
using Step = BasicStep<NoPayload, Positions, RuntimePageSize>;

}  // namespace anabranch

#include <anabranch/cache/impl/kv_cache.hpp>
