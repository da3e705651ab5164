// Engine: the plan of a pass, and who gets its outputs.
#pragma once

#include <anabranch/decode/impl/engine.hpp>

namespace anabranch::impl {

template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
const StepPlan* Engine<Cache, M, Text, S>::plan(Shortage& shortage) {
  if (plan_ != nullptr) fail(Status::wrong_state, "a plan is open; commit or abort it first");
  sweep();
  TransactionT transaction = begin_transaction();
  const StepPlan* planned = nullptr;
  end_hopeless(transaction);
  do {
    shortage = {};
    planned = has_work() ? plan_step(shortage) : nullptr;
  } while (planned == nullptr && end_starved(transaction));
  transaction.keep();
  retired_.clear();
  return plan_ = planned;
}

/// Opens a step with everything that is to be done, without drafts where these make it too large. Null, and no step
/// open: a shortage.
template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
const StepPlan* Engine<Cache, M, Text, S>::plan_step(Shortage& shortage) {
  bool drafted = false;
  const StepPlan* const planned = plan_step(shortage, true, drafted);
  return planned == nullptr && drafted ? plan_step(shortage, false, drafted) : planned;
}

template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
const StepPlan* Engine<Cache, M, Text, S>::plan_step(Shortage& shortage, bool draft, bool& drafted) {
  try {
    step_.emplace(cache_->begin_step());
    drafted = build_step(*step_, draft);
    const PlanResult result = step_->plan();
    if (result) {
      start_settings(*result);
      return &*result;
    }
    shortage = result.shortage();
  } catch (...) {
    step_.reset();
    throw;
  }
  step_.reset();
  return nullptr;
}

/// Rows of decoding first; prompts share what is left of the pass, the oldest first. Are there drafts?
template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
bool Engine<Cache, M, Text, S>::build_step(Step& step, bool draft) {
  StepBuilder<Cache, State> builder(*cache_, step, machine_.options().positions, draft);
  for (auto& r : requests_) {
    r->in_pass = r->prefill_in_pass = false;
    if (r->active && !r->prefilling) builder.put(*r, 0);
  }
  bool first = true;
  for (auto& r : requests_) {
    if (!r->active || !r->prefilling) continue;
    const std::int32_t room = std::max(machine_.options().max_rows - builder.n_rows(), first ? 1 : 0);
    first = false;
    if (room == 0) break;
    builder.put(*r, room);
    r->prefill_in_pass = true;
  }
  return builder.has_drafts();
}

/// Who gets which output, and how it is to be sampled.
template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
void Engine<Cache, M, Text, S>::start_settings(const StepPlan& plan) {
  std::vector<std::pair<SequenceId, OutputOwner>> sequences;
  for (std::size_t i = 0; i < requests_.size(); ++i) {
    if (!requests_[i]->active || !requests_[i]->in_pass) continue;
    for (const auto& t : requests_[i]->branches)
      if (t->phase == Phase::running) sequences.push_back({t->sequence, {i, t->index}});
  }
  const auto by_sequence = [](const auto& a, const auto& b) { return a.first < b.first; };
  std::sort(sequences.begin(), sequences.end(), by_sequence);
  owners_.clear();
  settings_.clear();
  for (const Output& output : plan.outputs) {
    const auto it =
        std::lower_bound(sequences.begin(), sequences.end(), std::pair{output.sequence, OutputOwner{}}, by_sequence);
    ANABRANCH_ASSERT(it != sequences.end() && it->first == output.sequence);
    OutputOwner owner = it->second;
    if (!owners_.empty() && owners_.back().request == owner.request && owners_.back().branch == owner.branch)
      owner.n_drafts = owners_.back().n_drafts + 1;
    owners_.push_back(owner);
    add_settings(owner);
  }
}

template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
void Engine<Cache, M, Text, S>::add_settings(const OutputOwner& owner) {
  const RequestT& r = *requests_[owner.request];
  const BranchT& t = r.branch(owner.branch);
  const std::size_t output = settings_.size();
  const auto kept = [output](std::vector<std::vector<TokenId>>& arrays) -> std::vector<TokenId>& {
    if (arrays.size() <= output) arrays.resize(output + 1);  // borrowed arrays stay
    return arrays[output];
  };
  std::span<const TokenId> seen = t.seen.all();
  if (owner.n_drafts > 0) {
    std::vector<TokenId>& more = kept(seen_behind_drafts_);
    more.assign(seen.begin(), seen.end());
    for (std::size_t k = 0; k < owner.n_drafts; ++k) more.push_back(t.drafts[k].token);
    seen = more;
  }
  markup::Constraint constraint;
  if constexpr (MarkupWithConstraint<M>)
    constraint = machine_.markup().constrain(owner.n_drafts > 0 ? t.drafts[owner.n_drafts - 1].after : t.state);
  const auto n = static_cast<std::size_t>(r.options->no_repeat_ngram);
  if (n > 0 && constraint.allowed.empty()) {
    std::vector<TokenId>& forbidden = kept(forbidden_);
    forbidden.assign(constraint.forbidden.begin(), constraint.forbidden.end());
    append_ngram_repeats(seen, n, constraint.spared, forbidden);
    constraint.forbidden = forbidden;
  }
  settings_.push_back({r.id, t.index, r.options->sampling(), t.stream,
                       t.n_sampled + static_cast<std::int64_t>(owner.n_drafts), constraint.allowed,
                       constraint.forbidden, seen, constraint.spared});
}

/// Ends the requests whose tokens are more than the pool has slots.
template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
void Engine<Cache, M, Text, S>::end_hopeless(TransactionT& transaction) {
  for (std::size_t i = 0; i < requests_.size(); ++i) {
    const RequestT& r = *requests_[i];
    if (!r.active || !r.prefilling) continue;
    std::int64_t n = cache_->alive(r.trunk().sequence) ? cache_->n_tokens(r.trunk().sequence) : 0;
    for (const Operation& op : r.trunk().operations)
      n += op.kind == Operation::Kind::rewind ? -op.count : static_cast<std::int64_t>(op.tokens.size());
    if (n > cache_->n_slots()) machine_.close(transaction.change(i), EndReason::no_room);
  }
}

/// Ends the first request that would be short of pages even if all others gave back theirs. False: there is none.
template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
bool Engine<Cache, M, Text, S>::end_starved(TransactionT& transaction) {
  for (std::size_t i = 0; i < requests_.size(); ++i) {
    if (!requests_[i]->active) continue;
    const std::int32_t n_short = short_alone(*requests_[i]);
    if (n_short == 0 || n_short <= n_pages_of_others(*requests_[i])) continue;
    machine_.close(transaction.change(i), EndReason::no_room);
    return true;
  }
  return false;
}

/// Pages that are short even if this request were the only one to go on.
template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
std::int32_t Engine<Cache, M, Text, S>::short_alone(RequestT& r) {
  Step step = cache_->begin_step();
  StepBuilder<Cache, State>(*cache_, step, machine_.options().positions, false).put(r, machine_.options().max_rows);
  const PlanResult result = step.plan();
  return result ? 0 : result.shortage().n_pages;
}

/// Pages in use that hold none of the request's tokens and are not kept free for it: what others could give back.
template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
std::int32_t Engine<Cache, M, Text, S>::n_pages_of_others(const RequestT& r) const {
  const auto snapshot = cache_->snapshot();
  std::vector<std::int32_t> own;
  for (const auto& t : r.branches) {
    if (!cache_->alive(t->sequence)) continue;
    for (const Slot slot : cache_->slots_of(t->sequence)) own.push_back(slot / cache_->page_size());
    for (const std::int32_t page : snapshot.sequences[t->sequence.index].tails) own.push_back(page);
  }
  std::sort(own.begin(), own.end());
  own.erase(std::unique(own.begin(), own.end()), own.end());
  return cache_->n_pages() - cache_->n_free_pages() - static_cast<std::int32_t>(own.size());
}

}  // namespace anabranch::impl
