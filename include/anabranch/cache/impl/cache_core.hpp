// CacheCore: the parts of a cache, and the state of its step. A cache owns one; its open step refers to it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory_resource>

#include <anabranch/cache/options.hpp>
#include <anabranch/error.hpp>
#include <anabranch/plan/planner.hpp>
#include <anabranch/pool/indexed_vector.hpp>
#include <anabranch/pool/page_pool.hpp>
#include <anabranch/tree/branch_tree.hpp>

namespace anabranch::impl {

inline std::pmr::memory_resource* memory_of(const CacheOptions& options) noexcept {
  return options.memory != nullptr ? options.memory : std::pmr::get_default_resource();
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
struct CacheCore {
  explicit CacheCore(const CacheOptions& o)
      : pool(o.n_pages, PageSize(RuntimePageSize{o.page_size}), memory_of(o)),
        tree(pool, {o.max_sequences, o.max_depth, o.max_position, o.first_generation}, memory_of(o)),
        planner(pool, o.share_tail, memory_of(o)),
        payloads(memory_of(o)),
        tokens(memory_of(o)),
        keep_tokens(o.keep_tokens) {}

  /// Throws wrong_state when the open step, if any, has a plan: `call` would change what was planned.
  void need_unplanned(const char* call) const {
    if (planned)
      fail(Status::wrong_state, call, " after a successful plan; only reject, commit or abort may follow it");
  }
  SequenceId create_sequence(Position first) {
    need_unplanned("create_sequence");
    reserve_payloads(1);
    const SequenceId sequence = tree.create_sequence(first);
    reset_payload(sequence);
    return sequence;
  }
  /// Makes room for the payloads of `n` new sequences, so that creating them cannot fail halfway.
  void reserve_payloads(std::int32_t n) {
    const std::int32_t needed = tree.sequences().size() + n;
    if (payloads.size() < needed) payloads.grow(std::max(needed, 2 * payloads.size()), Payload{});
  }
  /// Of the open step. A slot that the plan writes is seen by no committed sequence, so its token is noted at once.
  PlanResult plan() {
    need_unplanned("plan");
    const PlanResult result = planner.plan(tree);
    if (keep_tokens && result) {
      try {
        note_tokens(*result);
      } catch (...) {
        planner.undo(tree);
        throw;
      }
    }
    planned = static_cast<bool>(result);
    return result;
  }
  void note_tokens(const StepPlan& plan) {
    if (plan.slots.empty()) return;
    tokens.grow(*std::max_element(plan.slots.begin(), plan.slots.end()) + 1, kUnknownToken);
    for (std::size_t row = 0; row < plan.slots.size(); ++row) tokens[plan.slots[row]] = plan.tokens[row];
  }
  void reset_payload(SequenceId sequence) { payloads[tree.sequences().cell_of(sequence)] = Payload{}; }

  PagePool<PageSize> pool;
  BranchTree<Policy, PageSize> tree;
  Planner<Policy, PageSize> planner;
  IndexedVector<Payload, SequenceIndex> payloads;
  IndexedVector<TokenId, Slot> tokens;  ///< with keep_tokens: the token of each slot that was written
  bool keep_tokens = false;
  bool in_step = false;
  bool planned = false;
};

}  // namespace anabranch::impl
