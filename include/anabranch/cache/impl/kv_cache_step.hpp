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
  if (planned_)
    fail(Status::wrong_state,
         std::string(call) + " after a successful plan; only leave_out, commit or abort may follow it");
}

/// Makes room for the payloads of `n` new lines, so that creating them cannot fail halfway.
template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
void BasicKvCache<Payload, Policy, PageSize>::reserve_payloads(std::int32_t n) {
  const auto needed = static_cast<std::size_t>(tree_.lines().size() + n);
  if (payloads_.size() < needed) payloads_.resize(std::max(needed, 2 * payloads_.size()));
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
void BasicKvCache<Payload, Policy, PageSize>::reset_payload(LineId line) {
  payloads_[static_cast<std::size_t>(line.index)] = Payload{};
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
LineId BasicKvCache<Payload, Policy, PageSize>::add_line(Position first) {
  need_unplanned("create_line");
  reserve_payloads(1);
  const LineId line = tree_.create_line(first);
  reset_payload(line);
  return line;
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
LineId BasicKvCache<Payload, Policy, PageSize>::step_create_line(Position first) {
  return add_line(first);
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
void BasicKvCache<Payload, Policy, PageSize>::step_append(LineId line, std::span<const TokenId> tokens,
                                                          std::int32_t n_unknown, Logits logits) {
  need_unplanned("append");
  tree_.append(line, tokens, n_unknown, logits);
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
void BasicKvCache<Payload, Policy, PageSize>::step_request_logits(LineId line) {
  need_unplanned("request_logits");
  tree_.request_logits(line);
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
void BasicKvCache<Payload, Policy, PageSize>::check_new_lines(LineId parent, std::int32_t n) const {
  need_unplanned("fork");
  tree_.check_limits(tree_.find(parent), n);
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
void BasicKvCache<Payload, Policy, PageSize>::step_fork(LineId parent, std::span<LineId> children,
                                                        const ForkOptions& options) {
  check_new_lines(parent, static_cast<std::int32_t>(children.size()));
  reserve_payloads(static_cast<std::int32_t>(children.size()));
  tree_.fork(parent, children, options.positions, options.starts);
  for (const LineId child : children) reset_payload(child);
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
void BasicKvCache<Payload, Policy, PageSize>::step_join(LineId parent, std::span<const LineId> children,
                                                        const JoinOptions& options) {
  need_unplanned("join");
  tree_.join(parent, children, options.next);
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
void BasicKvCache<Payload, Policy, PageSize>::step_rewind(LineId line, std::int32_t n_tokens) {
  need_unplanned("rewind");
  tree_.rewind(line, n_tokens);
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
void BasicKvCache<Payload, Policy, PageSize>::step_adopt(LineId parent, LineId child) {
  need_unplanned("adopt");
  tree_.adopt(parent, child);
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
void BasicKvCache<Payload, Policy, PageSize>::step_drop(LineId line) {
  need_unplanned("drop");
  tree_.drop(line);
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
void BasicKvCache<Payload, Policy, PageSize>::step_detach(LineId line) {
  need_unplanned("detach");
  tree_.detach(line);
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
void BasicKvCache<Payload, Policy, PageSize>::step_hold(LineId line, std::int32_t n_slots) {
  need_unplanned("hold");
  tree_.hold(line, n_slots);
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
PlanResult BasicKvCache<Payload, Policy, PageSize>::step_plan() {
  need_unplanned("plan");
  const PlanResult result = planner_.plan(tree_);
  planned_ = static_cast<bool>(result);
  return result;
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
void BasicKvCache<Payload, Policy, PageSize>::step_leave_out(LineId line, std::int32_t n) {
  if (!planned_) fail(Status::wrong_state, "leave_out in a step that has no plan; call plan first");
  tree_.leave_out(line, n);
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
