// Decoder: the commit of a pass: sampling, and what the samples do to the requests.
#pragma once

#include <algorithm>
#include <utility>

#include <anabranch/decode/decoder.hpp>

namespace anabranch {

template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::need_plan(const char* call) const {
  if (plan_ == nullptr) fail(Status::wrong_state, call, " without an open plan");
}

template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
std::span<const Event> Decoder<M, Text, S, Cache>::commit(const LogitsView& logits) {
  need_plan("commit");
  const auto n = static_cast<std::int32_t>(owners_.size());
  if (logits.n_outputs != n || (n > 0 && (logits.values == nullptr || logits.vocabulary < 1)))
    fail(Status::bad_logits, "logits of shape [", logits.n_outputs, ", ", logits.vocabulary,
         (logits.values == nullptr ? "] without values" : "]"), "; the plan has ", n, " outputs");
  if (logits.row_stride != 0 && logits.row_stride < logits.vocabulary)
    fail(Status::bad_logits, "a row stride of ", logits.row_stride, " for rows of ", logits.vocabulary, " logits");
  std::vector<SampledToken> sampled(owners_.size());
  for (std::size_t i = 0; i < sampled.size(); ++i)
    if (is_wanted(i, sampled)) sampled[i] = sample(i, logits.row(static_cast<std::int32_t>(i), converted_));
  return accept(sampled);
}

template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
std::span<const Event> Decoder<M, Text, S, Cache>::commit_sampled(std::span<const TokenId> tokens) {
  need_plan("commit_sampled");
  if (tokens.size() != owners_.size())
    fail(Status::bad_argument, tokens.size(), " sampled tokens; the plan has ", owners_.size(), " outputs");
  std::vector<SampledToken> sampled(tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    sampled[i].token = tokens[i];
    if (!is_wanted(i, sampled)) continue;
    const OutputSettings& s = settings_[i];
    if (tokens[i] < 0 || (!s.allowed.empty() && !impl::has(s.allowed, tokens[i])) || impl::has(s.forbidden, tokens[i]))
      fail(Status::bad_argument, name_of(i), "sampled token ", tokens[i],
           (tokens[i] < 0 ? " is negative" : " is not allowed there"));
  }
  return accept(sampled);
}

/// Is the output's token used? Not if its row follows a wrong draft. REQUIRES: `sampled` holds the outputs before it.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
bool Decoder<M, Text, S, Cache>::is_wanted(std::size_t output, const std::vector<SampledToken>& sampled) const {
  const Request& request = owner(output);
  const std::size_t n = owners_[output].n_drafts;
  const std::vector<TokenId>& drafts = request.branch(owners_[output].branch).chain.tokens;
  for (std::size_t k = 0; request.active && k < n; ++k)
    if (sampled[output - n + k].token != drafts[k]) return false;
  return request.active;
}

template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
impl::SampledToken Decoder<M, Text, S, Cache>::sample(std::size_t output, std::span<const float> logits) {
  const Request& request = owner(output);
  OutputSettings settings = settings_[output];
  if (request.shows_seen) settings.seen = seen_by(owners_[output], scratch_seen_);
  if (request.options->hook) {
    scratch_.assign(logits.begin(), logits.end());
    const std::span<const PathStep> path = request.branch(settings.branch).path;
    request.options->hook(
        {request.id, settings.branch, path, settings.index, settings.seen, request.options->user_data}, scratch_);
    logits = scratch_;
  }
  try {
    return sample(logits, settings, request.options->n_log_probabilities);
  } catch (const Error& error) {
    if (error.status() != Status::bad_logits) throw;
    fail(Status::bad_logits, name_of(output), error.what());
  }
}

template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
impl::SampledToken Decoder<M, Text, S, Cache>::sample(std::span<const float> logits, const OutputSettings& settings,
                                                      std::int32_t n_log_probabilities) {
  SampledToken sampled;
  sampled.token = sampler_(logits, settings);
  if (sampled.token < 0 || sampled.token >= std::ssize(logits))
    fail(Status::bad_logits, "the sampler chose token ", sampled.token, " of ", logits.size());
  if (n_log_probabilities == kNone) return sampled;
  auto [own, top] = log_probabilities<float>(logits, sampled.token, n_log_probabilities);
  sampled.log_probability = own;
  sampled.top = std::move(top);
  return sampled;
}

/// The beginning of an error's text.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
std::string Decoder<M, Text, S, Cache>::name_of(std::size_t output) const {
  return "output " + std::to_string(output) + " (request " +
         std::to_string(static_cast<std::uint64_t>(owner(output).id)) + ", branch " +
         std::to_string(owners_[output].branch) + "): ";
}

/// Works on copies of the requests: each strikes off the operations of the step, and every branch takes its token once
/// the others of its request have theirs. Then the step and the copies become final together. While the step is open
/// the cache reads as it will after it.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
std::span<const Event> Decoder<M, Text, S, Cache>::accept(std::vector<SampledToken>& sampled) {
  Transaction transaction = begin_transaction();
  machine_.sequences_due().n_in_step = 0;
  std::vector<std::size_t> in_pass;
  for (const std::size_t i : planned_) {
    if (!requests_[i]->in_pass || !requests_[i]->active) continue;
    in_pass.push_back(i);
    Request& request = transaction.change(i);
    count_pass(request);
    machine_.sequences_due().n -= settle(request);
    if (request.options->prefill_only && !request.prefilling) machine_.close(request, EndReason::limit);
  }
  try {
    reject_drafts(true);
    keep_each(sampled);
    for (const std::size_t i : in_pass) accept_rounds(*requests_[i]);
  } catch (...) {
    reject_drafts(false);  // the plan stays open as it was
    throw;
  }
  step_->commit();
  transaction.keep();  // nothing can fail from here on
  for (const std::size_t i : planned_)
    if (requests_[i]->in_pass) count_pass(*requests_[i]);  // cancelled since it was planned
  end_plan();
  try_sweep();
  return delivered_ = take_events();
}

/// Gives each branch its samples: the one behind its last token, and those behind right drafts.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::keep_each(std::vector<SampledToken>& sampled) {
  for (std::size_t i = 0; i < sampled.size(); ++i) {
    Request& request = *requests_[owners_[i].request];
    if (!request.active) continue;
    const std::size_t n_drafts = owners_[i].n_drafts;
    if (n_drafts > 0) ++request.statistics.n_drafted;
    if (!is_wanted(i, sampled)) continue;
    BranchState& branch = request.edit(owners_[i].branch);
    if (n_drafts < branch.chain.tokens.size())
      branch.draft_records[branch.chain.kind].add(branch.chain.tokens[n_drafts] == sampled[i].token);
    branch.sampled.push_back(std::move(sampled[i]));
  }
}

/// Once the cache holds all that is due, and every branch that samples has its token: in the order of the branches, so
/// that what they share depends neither on the batch nor on how many passes it took. False: something is missing, or
/// the request is over.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
bool Decoder<M, Text, S, Cache>::accept_round(Request& request) {
  std::vector<BranchIndex> round;
  bool is_complete = true;
  impl::for_each_in_cache(request, [&](BranchIndex i) {
    const BranchState& branch = request.branch(i);
    if (branch.phase == impl::Phase::queued) return;
    for (const impl::Operation& op : branch.operations)
      is_complete = is_complete && op.kind == impl::Operation::Kind::pause;
    if (branch.phase != impl::Phase::running) return;
    is_complete = is_complete && !branch.sampled.empty();
    round.push_back(i);
  });
  if (!is_complete || !request.active) return false;
  std::sort(round.begin(), round.end());
  request.recomputing = false;
  for (const BranchIndex i : round) {
    if (!request.active) break;
    BranchState& branch = request.edit(i);
    const SampledToken sampled = std::move(branch.sampled.front());
    branch.sampled.erase(branch.sampled.begin());
    machine_.accept(request, branch, sampled);
  }
  machine_.admit_branches(request);
  return true;
}

template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::count_pass(Request& request) noexcept {
  ++request.statistics.n_passes;
  if (request.prefill_in_pass) ++request.statistics.n_prefill;
  request.in_pass = false;
}

/// Ends what was borrowed for the plan.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::end_plan() noexcept {
  step_.reset();
  plan_ = nullptr;
  planned_.clear();
  machine_.sequences_due().n_in_step = 0;
  owners_.clear();
  settings_.clear();
  retired_.clear();
}

template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::abort() noexcept {
  end_plan();
  try_sweep();
}

}  // namespace anabranch
