// BasicKvCache: the calls of a step, guarded by its state.
#pragma once

#include <anabranch/cache/kv_cache.hpp>

namespace anabranch {

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
typename BasicKvCache<Payload, Policy, PageSize>::Step BasicKvCache<Payload, Policy, PageSize>::begin_step() {
  if (in_step_) fail(Status::wrong_state, "a step is already open; a cache has one at a time");
  in_step_ = true;
  planned_ = false;
  tree_.begin();
  return Step(*this);
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
void BasicKvCache<Payload, Policy, PageSize>::need_unplanned(const char* call) const {
  if (planned_) fail(Status::wrong_state, call, " after a successful plan; only reject, commit or abort may follow it");
}

/// Makes room for the payloads of `n` new sequences, so that creating them cannot fail halfway.
template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
void BasicKvCache<Payload, Policy, PageSize>::reserve_payloads(std::int32_t n) {
  const auto needed = static_cast<std::size_t>(tree_.sequences().size() + n);
  if (payloads_.size() < needed) payloads_.resize(std::max(needed, 2 * payloads_.size()));
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
void BasicKvCache<Payload, Policy, PageSize>::reset_payload(SequenceId sequence) {
  payloads_[static_cast<std::size_t>(sequence.index)] = Payload{};
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
SequenceId BasicKvCache<Payload, Policy, PageSize>::add_sequence(Position first) {
  need_unplanned("create_sequence");
  reserve_payloads(1);
  const SequenceId sequence = tree_.create_sequence(first);
  reset_payload(sequence);
  return sequence;
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
SequenceId BasicKvCache<Payload, Policy, PageSize>::step_create_sequence(Position first) {
  return add_sequence(first);
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
void BasicKvCache<Payload, Policy, PageSize>::step_append(SequenceId sequence, std::span<const TokenId> tokens,
                                                          std::int32_t n_unknown, Logits logits) {
  need_unplanned("append");
  tree_.append(sequence, tokens, n_unknown, logits);
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
void BasicKvCache<Payload, Policy, PageSize>::step_request_logits(SequenceId sequence) {
  need_unplanned("request_logits");
  tree_.request_logits(sequence);
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
void BasicKvCache<Payload, Policy, PageSize>::check_new_sequences(SequenceId parent, std::int32_t n) const {
  need_unplanned("fork");
  tree_.check_limits(tree_.find(parent), n);
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
void BasicKvCache<Payload, Policy, PageSize>::step_fork(SequenceId parent, std::span<SequenceId> children,
                                                        const ForkOptions& options) {
  check_new_sequences(parent, static_cast<std::int32_t>(children.size()));
  reserve_payloads(static_cast<std::int32_t>(children.size()));
  tree_.fork(parent, children, options.positions, options.starts);
  for (const SequenceId child : children) reset_payload(child);
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
void BasicKvCache<Payload, Policy, PageSize>::step_join(SequenceId parent, std::span<const SequenceId> children,
                                                        const JoinOptions& options) {
  need_unplanned("join");
  tree_.join(parent, children, options.next);
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
void BasicKvCache<Payload, Policy, PageSize>::step_rewind(SequenceId sequence, std::int32_t n_tokens) {
  need_unplanned("rewind");
  tree_.rewind(sequence, n_tokens);
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
void BasicKvCache<Payload, Policy, PageSize>::step_adopt(SequenceId parent, SequenceId child) {
  need_unplanned("adopt");
  tree_.adopt(parent, child);
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
void BasicKvCache<Payload, Policy, PageSize>::step_drop(SequenceId sequence) {
  need_unplanned("drop");
  tree_.drop(sequence);
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
void BasicKvCache<Payload, Policy, PageSize>::step_detach(SequenceId sequence) {
  need_unplanned("detach");
  tree_.detach(sequence);
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
void BasicKvCache<Payload, Policy, PageSize>::step_hold(SequenceId sequence, std::int32_t n_slots) {
  need_unplanned("hold");
  tree_.hold(sequence, n_slots);
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
PlanResult BasicKvCache<Payload, Policy, PageSize>::step_plan() {
  need_unplanned("plan");
  const PlanResult result = planner_.plan(tree_);
  planned_ = static_cast<bool>(result);
  return result;
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
void BasicKvCache<Payload, Policy, PageSize>::step_reject(SequenceId sequence, std::int32_t n) {
  if (!planned_) fail(Status::wrong_state, "reject in a step that has no plan; call plan first");
  tree_.reject(sequence, n);
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
void BasicKvCache<Payload, Policy, PageSize>::step_commit() {
  if (!planned_) fail(Status::wrong_state, "commit of a step that has no plan; call plan first");
  tree_.commit();
  planner_.commit();
  in_step_ = planned_ = false;
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
void BasicKvCache<Payload, Policy, PageSize>::step_abort() noexcept {
  tree_.abort();
  planner_.abort();
  in_step_ = planned_ = false;
}

}  // namespace anabranch
