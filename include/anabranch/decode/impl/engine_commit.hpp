// Engine: the commit of a pass, what was sampled in it, and its abort.
#pragma once

#include <anabranch/decode/impl/engine.hpp>

namespace anabranch::impl {

template <class Cache, Markup M, TokensToText Text, SamplerLike S>
void Engine<Cache, M, Text, S>::need_plan(const char* call) const {
  if (plan_ == nullptr) fail(Status::wrong_state, std::string(call) + " without an open plan");
}

template <class Cache, Markup M, TokensToText Text, SamplerLike S>
std::span<const Event> Engine<Cache, M, Text, S>::commit(const LogitsView& logits) {
  need_plan("commit");
  const auto n = static_cast<std::int32_t>(owners_.size());
  if (logits.n_outputs != n || (n > 0 && (logits.values == nullptr || logits.vocabulary < 1)))
    fail(Status::bad_logits, "logits of shape [" + std::to_string(logits.n_outputs) + ", " +
                                 std::to_string(logits.vocabulary) +
                                 (logits.values == nullptr ? "] without values" : "]") + "; the plan has " +
                                 std::to_string(n) + " outputs");
  std::vector<Drawn> drawn(owners_.size());
  for (std::size_t i = 0; i < drawn.size(); ++i)
    if (counts(i, drawn)) drawn[i] = draw(i, logits.row(static_cast<std::int32_t>(i)));
  return accept(drawn);
}

/// Is the output's token wanted? Not behind a wrong guess.
template <class Cache, Markup M, TokensToText Text, SamplerLike S>
bool Engine<Cache, M, Text, S>::counts(std::size_t output, const std::vector<Drawn>& drawn) const {
  const RequestT& r = owner(output);
  const std::size_t n = owners_[output].n_guesses;
  const auto& guesses = r.track(owners_[output].branch).guesses;
  for (std::size_t k = 0; r.active && k < n; ++k)
    if (drawn[output - n + k].token != guesses[k].token) return false;
  return r.active;
}

template <class Cache, Markup M, TokensToText Text, SamplerLike S>
Drawn Engine<Cache, M, Text, S>::draw(std::size_t output, std::span<const float> logits) {
  const RequestT& r = owner(output);
  const OutputSettings& settings = settings_[output];
  if (r.options->hook) {
    scratch_.assign(logits.begin(), logits.end());
    r.options->hook({r.id, settings.branch, r.track(settings.branch).path, settings.index, settings.seen}, scratch_);
    logits = scratch_;
  }
  Drawn drawn;
  drawn.token = sampler_(logits, settings);
  if (drawn.token < 0 || static_cast<std::size_t>(drawn.token) >= logits.size())
    fail(Status::bad_logits,
         "the sampler chose token " + std::to_string(drawn.token) + " of " + std::to_string(logits.size()));
  if (r.options->n_log_probabilities == kNone) return drawn;
  auto [own, top] = log_probabilities<float>(logits, drawn.token, r.options->n_log_probabilities);
  drawn.log_probability = own;
  drawn.top = std::move(top);
  return drawn;
}

template <class Cache, Markup M, TokensToText Text, SamplerLike S>
std::span<const Event> Engine<Cache, M, Text, S>::commit_sampled(std::span<const TokenId> tokens) {
  need_plan("commit_sampled");
  if (tokens.size() != owners_.size())
    fail(Status::bad_argument, std::to_string(tokens.size()) + " sampled tokens; the plan has " +
                                   std::to_string(owners_.size()) + " outputs");
  std::vector<Drawn> drawn(tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    drawn[i].token = tokens[i];
    if (!counts(i, drawn)) continue;
    const OutputSettings& s = settings_[i];
    const auto holds = [&](std::span<const TokenId> list) {
      return std::find(list.begin(), list.end(), tokens[i]) != list.end();
    };
    if (tokens[i] < 0 || (!s.allowed.empty() && !holds(s.allowed)) || holds(s.forbidden))
      fail(Status::bad_argument, "sampled token " + std::to_string(tokens[i]) + " of output " + std::to_string(i) +
                                     (tokens[i] < 0 ? " is negative" : " is not allowed there"));
  }
  return accept(drawn);
}

/// Copies of the requests strike off what the step does, and every line takes its token; then step and copies become
/// final together. While the step is open the cache reads as it will after it.
template <class Cache, Markup M, TokensToText Text, SamplerLike S>
std::span<const Event> Engine<Cache, M, Text, S>::accept(const std::vector<Drawn>& drawn) {
  TrialT trial = begin_trial();
  for (std::size_t i = 0; i < requests_.size(); ++i) {
    if (!requests_[i]->in_pass || !requests_[i]->active) continue;
    RequestT& r = trial.change(i);
    count_pass(r);
    settle(r);
  }
  try {
    leave_out_wrong_guesses(drawn);
    accept_each(drawn);
  } catch (...) {
    take_in_guesses();  // the plan stays open as it was
    throw;
  }
  step_->commit();
  trial.keep();  // nothing can fail from here on
  for (auto& r : requests_)
    if (r->in_pass) count_pass(*r);  // cancelled since
  end_plan();
  try_sweep();
  return delivered_ = take_events();
}

template <class Cache, Markup M, TokensToText Text, SamplerLike S>
void Engine<Cache, M, Text, S>::leave_out_wrong_guesses(const std::vector<Drawn>& drawn) {
  for (std::size_t i = owners_.size(); i-- > 0;) {  // from a line's last guess to the first that is wrong
    if (!owner(i).active || counts(i, drawn)) continue;
    const TrackT& t = owner(i).track(owners_[i].branch);
    step_->leave_out(t.line, static_cast<std::int32_t>(t.guesses.size() + 1 - owners_[i].n_guesses));
  }
}

template <class Cache, Markup M, TokensToText Text, SamplerLike S>
void Engine<Cache, M, Text, S>::take_in_guesses() {
  for (std::size_t i = 0; i < owners_.size(); ++i)
    if (owners_[i].n_guesses > 0 && owner(i).active) step_->leave_out(owner(i).track(owners_[i].branch).line, 0);
}

/// Within a request in the order of its branches, so that what they share does not depend on the batch.
template <class Cache, Markup M, TokensToText Text, SamplerLike S>
void Engine<Cache, M, Text, S>::accept_each(const std::vector<Drawn>& drawn) {
  std::vector<std::size_t> order(drawn.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const OutputOwner &x = owners_[a], &y = owners_[b];
    return std::tuple(x.request, x.branch, a) < std::tuple(y.request, y.branch, b);
  });
  for (std::size_t k = 0; k < order.size();) {
    const OutputOwner& owner = owners_[order[k]];
    const std::span<const Drawn> own(&drawn[order[k]], n_outputs_of_line(order[k]));
    k += own.size();
    RequestT& r = *requests_[owner.request];
    if (r.active) growth_.accept(r, r.edit(owner.branch), own);
    const bool last = k == order.size() || owners_[order[k]].request != owner.request;
    if (last) growth_.place(r);
  }
}

/// Of a line whose own output is `first`: that one, and one behind each of its guesses.
template <class Cache, Markup M, TokensToText Text, SamplerLike S>
std::size_t Engine<Cache, M, Text, S>::n_outputs_of_line(std::size_t first) const noexcept {
  std::size_t n = 1;
  while (first + n < owners_.size() && owners_[first + n].n_guesses == n) ++n;
  return n;
}

template <class Cache, Markup M, TokensToText Text, SamplerLike S>
void Engine<Cache, M, Text, S>::count_pass(RequestT& r) noexcept {
  ++r.statistics.n_passes;
  if (r.prefill_in_pass) ++r.statistics.n_prefill;
  r.in_pass = false;
}

/// What was borrowed for the plan is valid no longer.
template <class Cache, Markup M, TokensToText Text, SamplerLike S>
void Engine<Cache, M, Text, S>::end_plan() noexcept {
  step_.reset();
  plan_ = nullptr;
  owners_.clear();
  settings_.clear();
  retired_.clear();
}

template <class Cache, Markup M, TokensToText Text, SamplerLike S>
void Engine<Cache, M, Text, S>::abort() noexcept {
  end_plan();
  for (auto& r : requests_) r->in_pass = false;
  try_sweep();
}

}  // namespace anabranch::impl
