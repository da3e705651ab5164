// The cache that users hold: branch trees over one pool of pages.
//
// It keeps the books of a K/V cache, not its bytes: which slot holds which token of which sequence. One thread at a
// time; distinct caches are independent. Not movable: steps and models refer to it.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory_resource>
#include <string>
#include <vector>

#include <anabranch/cache/options.hpp>
#include <anabranch/cache/snapshot.hpp>
#include <anabranch/cache/step.hpp>
#include <anabranch/plan/planner.hpp>
#include <anabranch/pool/page_pool.hpp>
#include <anabranch/tree/branch_tree.hpp>

namespace anabranch {

/// `Payload` is what the caller keeps per sequence: default for a new sequence, neither copied nor rolled back.
/// `PageSize` is RuntimePageSize or FixedPageSize<N>.
template <class Payload = NoPayload, PositionPolicy Policy = Positions, PageSizeChoice PageSize = RuntimePageSize>
class BasicKvCache {
 public:
  using ForkOptions = BasicForkOptions<Policy>;
  using Step = BasicStep<BasicKvCache>;

  /// Throws bad_argument. O(pages).
  explicit BasicKvCache(const CacheOptions& options = {});
  /// A cache as it was when the snapshot was taken (structure and ids, not K/V bytes). Throws bad_snapshot.
  /// A template only so that `KvCache({.n_pages = 64})` means options.
  template <std::same_as<Snapshot> S>
  explicit BasicKvCache(const S& snapshot, std::pmr::memory_resource* memory = nullptr);
  BasicKvCache(const BasicKvCache&) = delete;
  BasicKvCache& operator=(const BasicKvCache&) = delete;

  /// A new root sequence; part of the open step if there is one.
  SequenceId create_sequence(Position first = 0) { return add_sequence(first); }
  /// Throws wrong_state while another step is open.
  Step begin_step();

  bool alive(SequenceId sequence) const noexcept { return tree_.alive(sequence); }
  std::int32_t n_sequences() const noexcept { return tree_.n_sequences(); }
  /// Tokens that the sequence sees, the shared prefix included.
  std::int32_t n_tokens(SequenceId sequence) const { return tree_.n_tokens(tree_.find(sequence)); }
  Position next_position(SequenceId sequence) const { return tree_.state(tree_.find(sequence)).next; }
  /// First position that the sequence refuses.
  Position position_limit(SequenceId sequence) const { return tree_.state(tree_.find(sequence)).limit; }
  SequenceId parent(SequenceId sequence) const { return tree_.id(tree_.state(tree_.find(sequence)).parent); }
  std::vector<SequenceId> children(SequenceId sequence) const;
  /// Tokens that the parent had when the sequence was forked; 0 for a root.
  std::int32_t fork_tokens(SequenceId sequence) const { return tree_.state(tree_.find(sequence)).fork_tokens; }
  Position start_position(SequenceId sequence) const { return tree_.state(tree_.find(sequence)).start; }
  Payload& payload(SequenceId sequence) { return payloads_[static_cast<std::size_t>(tree_.find(sequence))]; }
  const Payload& payload(SequenceId sequence) const {
    return payloads_[static_cast<std::size_t>(tree_.find(sequence))];
  }

  /// Calls visit(View, first position) for everything committed that the sequence sees, in history order.
  template <class Visit>
  void for_each_view(SequenceId sequence, Visit&& visit) const;
  std::vector<Slot> slots_of(SequenceId sequence) const;
  std::vector<Position> positions_of(SequenceId sequence) const;

  std::int32_t n_pages() const noexcept { return pool_.n_pages(); }
  std::int32_t n_free_pages() const noexcept { return pool_.n_free(); }
  std::int32_t page_size() const noexcept { return pool_.page_size(); }
  std::int32_t n_slots() const noexcept { return pool_.n_pages() * pool_.page_size(); }
  std::uint64_t epoch() const noexcept { return tree_.epoch(); }
  const CacheOptions& options() const noexcept { return options_; }
  /// A copy of the whole structure. Throws wrong_state while a step is open. O(everything).
  Snapshot snapshot() const;

 private:
  friend Step;
  SequenceId add_sequence(Position first);
  void reset_payload(SequenceId sequence);
  void reserve_payloads(std::int32_t n);
  void need_unplanned(const char* call) const;

  SequenceId step_create_sequence(Position first);
  void step_append(SequenceId sequence, std::span<const TokenId> tokens, std::int32_t n_unknown, Logits logits);
  void step_request_logits(SequenceId sequence);
  void check_new_sequences(SequenceId parent, std::int32_t n) const;
  void step_fork(SequenceId parent, std::span<SequenceId> children, const ForkOptions& options);
  void step_join(SequenceId parent, std::span<const SequenceId> children, const JoinOptions& options);
  void step_rewind(SequenceId sequence, std::int32_t n_tokens);
  void step_adopt(SequenceId parent, SequenceId child);
  void step_drop(SequenceId sequence);
  void step_detach(SequenceId sequence);
  void step_hold(SequenceId sequence, std::int32_t n_slots);
  PlanResult step_plan();
  void step_reject(SequenceId sequence, std::int32_t n);
  void step_commit();
  void step_abort() noexcept;
  bool step_planned() const noexcept { return planned_; }

  CacheOptions options_;
  PagePool<PageSize> pool_;
  BranchTree<Policy, PageSize> tree_;
  Planner<Policy, PageSize> planner_;
  std::pmr::vector<Payload> payloads_;
  bool in_step_ = false;
  bool planned_ = false;
};

using KvCache = BasicKvCache<>;
using Step = KvCache::Step;

}  // namespace anabranch

#include <anabranch/cache/impl/kv_cache.hpp>
#include <anabranch/cache/impl/kv_cache_step.hpp>
