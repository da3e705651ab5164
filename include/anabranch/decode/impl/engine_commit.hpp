// Engine: the commit of a pass, what was sampled in it, and its abort.
#pragma once

#include <anabranch/decode/impl/engine.hpp>

namespace anabranch::impl {

template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
void Engine<Cache, M, Text, S>::need_plan(const char* call) const {
  if (plan_ == nullptr) fail(Status::wrong_state, call, " without an open plan");
}

template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
std::span<const Event> Engine<Cache, M, Text, S>::commit(const LogitsView& logits) {
  need_plan("commit");
  const auto n = static_cast<std::int32_t>(owners_.size());
  if (logits.n_outputs != n || (n > 0 && (logits.values == nullptr || logits.vocabulary < 1)))
    fail(Status::bad_logits, "logits of shape [", logits.n_outputs, ", ", logits.vocabulary,
         (logits.values == nullptr ? "] without values" : "]"), "; the plan has ", n, " outputs");
  std::vector<SampledToken> sampled(owners_.size());
  for (std::size_t i = 0; i < sampled.size(); ++i)
    if (counts(i, sampled)) sampled[i] = draw(i, logits.row(static_cast<std::int32_t>(i)));
  return accept(sampled);
}

/// Is the output's token wanted? Not behind a wrong draft.
template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
bool Engine<Cache, M, Text, S>::counts(std::size_t output, const std::vector<SampledToken>& sampled) const {
  const RequestT& r = owner(output);
  const std::size_t n = owners_[output].n_drafts;
  const auto& drafts = r.branch(owners_[output].branch).drafts;
  for (std::size_t k = 0; r.active && k < n; ++k)
    if (sampled[output - n + k].token != drafts[k].token) return false;
  return r.active;
}

template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
SampledToken Engine<Cache, M, Text, S>::draw(std::size_t output, std::span<const float> logits) {
  const RequestT& r = owner(output);
  const OutputSettings& settings = settings_[output];
  if (r.options->hook) {
    scratch_.assign(logits.begin(), logits.end());
    r.options->hook({r.id, settings.branch, r.branch(settings.branch).path, settings.index, settings.seen}, scratch_);
    logits = scratch_;
  }
  SampledToken sampled;
  sampled.token = sampler_(logits, settings);
  if (sampled.token < 0 || static_cast<std::size_t>(sampled.token) >= logits.size())
    fail(Status::bad_logits, "the sampler chose token ", sampled.token, " of ", logits.size());
  if (r.options->n_log_probabilities == kNone) return sampled;
  auto [own, top] = log_probabilities<float>(logits, sampled.token, r.options->n_log_probabilities);
  sampled.log_probability = own;
  sampled.top = std::move(top);
  return sampled;
}

template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
std::span<const Event> Engine<Cache, M, Text, S>::commit_sampled(std::span<const TokenId> tokens) {
  need_plan("commit_sampled");
  if (tokens.size() != owners_.size())
    fail(Status::bad_argument, tokens.size(), " sampled tokens; the plan has ", owners_.size(), " outputs");
  std::vector<SampledToken> sampled(tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    sampled[i].token = tokens[i];
    if (!counts(i, sampled)) continue;
    const OutputSettings& s = settings_[i];
    const auto holds = [&](std::span<const TokenId> list) {
      return std::find(list.begin(), list.end(), tokens[i]) != list.end();
    };
    if (tokens[i] < 0 || (!s.allowed.empty() && !holds(s.allowed)) || holds(s.forbidden))
      fail(Status::bad_argument, "sampled token ", tokens[i], " of output ", i,
           (tokens[i] < 0 ? " is negative" : " is not allowed there"));
  }
  return accept(sampled);
}

/// Copies of the requests strike off what the step does, and every sequence takes its token; then step and copies
/// become final together. While the step is open the cache reads as it will after it.
template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
std::span<const Event> Engine<Cache, M, Text, S>::accept(const std::vector<SampledToken>& sampled) {
  TransactionT transaction = begin_transaction();
  for (std::size_t i = 0; i < requests_.size(); ++i) {
    if (!requests_[i]->in_pass || !requests_[i]->active) continue;
    RequestT& r = transaction.change(i);
    count_pass(r);
    settle(r);
  }
  try {
    reject_wrong_drafts(sampled);
    accept_each(sampled);
  } catch (...) {
    keep_all_drafts();  // the plan stays open as it was
    throw;
  }
  step_->commit();
  transaction.keep();  // nothing can fail from here on
  for (auto& r : requests_)
    if (r->in_pass) count_pass(*r);  // cancelled since
  end_plan();
  try_sweep();
  return delivered_ = take_events();
}

template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
void Engine<Cache, M, Text, S>::reject_wrong_drafts(const std::vector<SampledToken>& sampled) {
  for (std::size_t i = owners_.size(); i-- > 0;) {  // from a sequence's last draft to the first that is wrong
    if (!owner(i).active || counts(i, sampled)) continue;
    const BranchT& t = owner(i).branch(owners_[i].branch);
    step_->reject(t.sequence, static_cast<std::int32_t>(t.drafts.size() + 1 - owners_[i].n_drafts));
  }
}

template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
void Engine<Cache, M, Text, S>::keep_all_drafts() {
  for (std::size_t i = 0; i < owners_.size(); ++i)
    if (owners_[i].n_drafts > 0 && owner(i).active) step_->reject(owner(i).branch(owners_[i].branch).sequence, 0);
}

/// Within a request in the order of its branches, so that what they share does not depend on the batch.
template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
void Engine<Cache, M, Text, S>::accept_each(const std::vector<SampledToken>& sampled) {
  std::vector<std::size_t> order(sampled.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const OutputOwner &x = owners_[a], &y = owners_[b];
    return std::tuple(x.request, x.branch, a) < std::tuple(y.request, y.branch, b);
  });
  for (std::size_t k = 0; k < order.size();) {
    const OutputOwner& owner = owners_[order[k]];
    const std::span<const SampledToken> own(&sampled[order[k]], n_outputs_of_sequence(order[k]));
    k += own.size();
    RequestT& r = *requests_[owner.request];
    if (r.active) machine_.accept(r, r.edit(owner.branch), own);
    const bool last = k == order.size() || owners_[order[k]].request != owner.request;
    if (last) machine_.place(r);
  }
}

/// Of a sequence whose own output is `first`: that one, and one behind each of its drafts.
template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
std::size_t Engine<Cache, M, Text, S>::n_outputs_of_sequence(std::size_t first) const noexcept {
  std::size_t n = 1;
  while (first + n < owners_.size() && owners_[first + n].n_drafts == n) ++n;
  return n;
}

template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
void Engine<Cache, M, Text, S>::count_pass(RequestT& r) noexcept {
  ++r.statistics.n_passes;
  if (r.prefill_in_pass) ++r.statistics.n_prefill;
  r.in_pass = false;
}

/// What was borrowed for the plan is valid no longer.
template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
void Engine<Cache, M, Text, S>::end_plan() noexcept {
  step_.reset();
  plan_ = nullptr;
  owners_.clear();
  settings_.clear();
  retired_.clear();
}

template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
void Engine<Cache, M, Text, S>::abort() noexcept {
  end_plan();
  for (auto& r : requests_) r->in_pass = false;
  try_sweep();
}

}  // namespace anabranch::impl
