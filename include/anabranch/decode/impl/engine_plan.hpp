// Engine: the plan of a pass, and who gets its outputs.
#pragma once

#include <anabranch/decode/impl/engine.hpp>

namespace anabranch::impl {

template <class Cache, Markup M, TokensToText Text, SamplerLike S>
const StepPlan* Engine<Cache, M, Text, S>::plan(Shortage& shortage) {
  if (plan_ != nullptr) fail(Status::wrong_state, "a plan is open; commit or abort it first");
  sweep();
  TrialT trial = begin_trial();
  const StepPlan* planned = nullptr;
  end_hopeless(trial);
  do {
    shortage = {};
    planned = has_work() ? plan_step(shortage) : nullptr;
  } while (planned == nullptr && end_starved(trial));
  trial.keep();
  retired_.clear();
  return plan_ = planned;
}

/// Opens a step with everything that is to be done, without guesses where these make it too large. Null, and no step
/// open: a shortage.
template <class Cache, Markup M, TokensToText Text, SamplerLike S>
const StepPlan* Engine<Cache, M, Text, S>::plan_step(Shortage& shortage) {
  bool guessed = false;
  const StepPlan* const planned = plan_step(shortage, true, guessed);
  return planned == nullptr && guessed ? plan_step(shortage, false, guessed) : planned;
}

template <class Cache, Markup M, TokensToText Text, SamplerLike S>
const StepPlan* Engine<Cache, M, Text, S>::plan_step(Shortage& shortage, bool guess, bool& guessed) {
  try {
    step_.emplace(cache_->begin_step());
    guessed = stage_all(*step_, guess);
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

/// Rows of decoding first; prompts share what is left of the pass, the oldest first. Are there guesses?
template <class Cache, Markup M, TokensToText Text, SamplerLike S>
bool Engine<Cache, M, Text, S>::stage_all(Step& step, bool guess) {
  Stage<Cache, State> stage(*cache_, step, growth_.options().positions, guess);
  for (auto& r : requests_) {
    r->in_pass = r->prefill_in_pass = false;
    if (r->active && !r->prefilling) stage.put(*r, 0);
  }
  bool first = true;
  for (auto& r : requests_) {
    if (!r->active || !r->prefilling) continue;
    const std::int32_t room = std::max(growth_.options().max_rows - stage.n_rows(), first ? 1 : 0);
    first = false;
    if (room == 0) break;
    stage.put(*r, room);
    r->prefill_in_pass = true;
  }
  return stage.has_guesses();
}

/// Who gets which output, and how it is to be sampled.
template <class Cache, Markup M, TokensToText Text, SamplerLike S>
void Engine<Cache, M, Text, S>::start_settings(const StepPlan& plan) {
  std::vector<std::pair<LineId, OutputOwner>> lines;
  for (std::size_t i = 0; i < requests_.size(); ++i) {
    if (!requests_[i]->active || !requests_[i]->in_pass) continue;
    for (const auto& t : requests_[i]->tracks)
      if (t->phase == Phase::running) lines.push_back({t->line, {i, t->index}});
  }
  const auto by_line = [](const auto& a, const auto& b) { return a.first < b.first; };
  std::sort(lines.begin(), lines.end(), by_line);
  owners_.clear();
  settings_.clear();
  for (const Output& output : plan.outputs) {
    const auto it = std::lower_bound(lines.begin(), lines.end(), std::pair{output.line, OutputOwner{}}, by_line);
    ANABRANCH_ASSERT(it != lines.end() && it->first == output.line);
    OutputOwner owner = it->second;
    if (!owners_.empty() && owners_.back().request == owner.request && owners_.back().branch == owner.branch)
      owner.n_guesses = owners_.back().n_guesses + 1;
    owners_.push_back(owner);
    add_settings(owner);
  }
}

template <class Cache, Markup M, TokensToText Text, SamplerLike S>
void Engine<Cache, M, Text, S>::add_settings(const OutputOwner& owner) {
  const RequestT& r = *requests_[owner.request];
  const TrackT& t = r.track(owner.branch);
  const std::size_t output = settings_.size();
  const auto kept = [output](std::vector<std::vector<TokenId>>& arrays) -> std::vector<TokenId>& {
    if (arrays.size() <= output) arrays.resize(output + 1);  // borrowed arrays stay
    return arrays[output];
  };
  std::span<const TokenId> seen = t.seen.all();
  if (owner.n_guesses > 0) {
    std::vector<TokenId>& more = kept(seen_behind_guesses_);
    more.assign(seen.begin(), seen.end());
    for (std::size_t k = 0; k < owner.n_guesses; ++k) more.push_back(t.guesses[k].token);
    seen = more;
  }
  markup::Constraint constraint;
  if constexpr (MarkupWithConstraint<M>)
    constraint = growth_.markup().constrain(owner.n_guesses > 0 ? t.guesses[owner.n_guesses - 1].after : t.state);
  const auto n = static_cast<std::size_t>(r.options->no_repeat);
  if (n > 0 && constraint.allowed.empty()) {
    std::vector<TokenId>& forbidden = kept(forbidden_);
    forbidden.assign(constraint.forbidden.begin(), constraint.forbidden.end());
    append_repeats(seen, n, constraint.spared, forbidden);
    constraint.forbidden = forbidden;
  }
  settings_.push_back({r.id, t.index, r.options->sampling(), t.stream,
                       t.n_sampled + static_cast<std::int64_t>(owner.n_guesses), constraint.allowed,
                       constraint.forbidden, seen, constraint.spared});
}

/// Ends the requests whose tokens are more than the pool has slots.
template <class Cache, Markup M, TokensToText Text, SamplerLike S>
void Engine<Cache, M, Text, S>::end_hopeless(TrialT& trial) {
  for (std::size_t i = 0; i < requests_.size(); ++i) {
    const RequestT& r = *requests_[i];
    if (!r.active || !r.prefilling) continue;
    std::int64_t n = cache_->alive(r.trunk().line) ? cache_->n_tokens(r.trunk().line) : 0;
    for (const Operation& op : r.trunk().operations)
      n += op.kind == Operation::Kind::rewind ? -op.count : static_cast<std::int64_t>(op.tokens.size());
    if (n > cache_->n_slots()) growth_.close(trial.change(i), EndReason::no_room);
  }
}

/// Ends the first request that would be short of pages even if all others gave back theirs. False: there is none.
template <class Cache, Markup M, TokensToText Text, SamplerLike S>
bool Engine<Cache, M, Text, S>::end_starved(TrialT& trial) {
  for (std::size_t i = 0; i < requests_.size(); ++i) {
    if (!requests_[i]->active) continue;
    const std::int32_t n_short = short_alone(*requests_[i]);
    if (n_short == 0 || n_short <= n_pages_of_others(*requests_[i])) continue;
    growth_.close(trial.change(i), EndReason::no_room);
    return true;
  }
  return false;
}

/// Pages that are short even if this request were the only one to go on.
template <class Cache, Markup M, TokensToText Text, SamplerLike S>
std::int32_t Engine<Cache, M, Text, S>::short_alone(RequestT& r) {
  Step step = cache_->begin_step();
  Stage<Cache, State>(*cache_, step, growth_.options().positions, false).put(r, growth_.options().max_rows);
  const PlanResult result = step.plan();
  return result ? 0 : result.shortage().n_pages;
}

/// Pages in use that hold none of the request's tokens and are not kept free for it: what others could give back.
template <class Cache, Markup M, TokensToText Text, SamplerLike S>
std::int32_t Engine<Cache, M, Text, S>::n_pages_of_others(const RequestT& r) const {
  const auto snapshot = cache_->snapshot();
  std::vector<std::int32_t> own;
  for (const auto& t : r.tracks) {
    if (!cache_->alive(t->line)) continue;
    for (const Slot slot : cache_->slots_of(t->line)) own.push_back(slot / cache_->page_size());
    for (const std::int32_t page : snapshot.lines[t->line.index].tails) own.push_back(page);
  }
  std::sort(own.begin(), own.end());
  own.erase(std::unique(own.begin(), own.end()), own.end());
  return cache_->n_pages() - cache_->n_free_pages() - static_cast<std::int32_t>(own.size());
}

}  // namespace anabranch::impl
