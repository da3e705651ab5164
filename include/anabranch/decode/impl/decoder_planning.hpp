// Decoder: the plan of a pass: which requests take part, whose the outputs are, and how each output is to be sampled.
#pragma once

#include <algorithm>

#include <anabranch/decode/decoder.hpp>
#include <anabranch/decode/impl/reading_order.hpp>
#include <anabranch/decode/impl/repeated_ngrams.hpp>

namespace anabranch {

template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
DecoderPlan Decoder<M, Text, S, Cache>::plan() {
  if (plan_ != nullptr) fail(Status::wrong_state, "a plan is open; commit or abort it first");
  sweep();
  Transaction transaction = begin_transaction();
  const StepPlan* planned = nullptr;
  Shortage shortage;
  end_oversized(transaction);
  do {
    shortage = {};
    planned = has_work() ? plan_step(shortage) : nullptr;
  } while (planned == nullptr && end_starved(transaction));
  transaction.keep();
  retired_.clear();
  plan_ = planned;
  if (planned == nullptr) return DecoderPlan(shortage);
  return DecoderPlan(*planned, settings_, this,
                     [](void* decoder, std::size_t output) { static_cast<Decoder*>(decoder)->show_seen(output); });
}

/// Opens a step with everything that is to be done, without drafts where these make it too large. Null, with no step
/// open: a shortage.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
const StepPlan* Decoder<M, Text, S, Cache>::plan_step(Shortage& shortage) {
  bool has_drafts = false;
  const StepPlan* const planned = plan_step(shortage, true, has_drafts);
  return planned == nullptr && has_drafts ? plan_step(shortage, false, has_drafts) : planned;
}

template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
const StepPlan* Decoder<M, Text, S, Cache>::plan_step(Shortage& shortage, bool with_drafts, bool& has_drafts) {
  try {
    step_.emplace(cache_->begin_step());
    has_drafts = build_step(*step_, with_drafts);
    const PlanResult result = step_->plan();
    if (result) {
      assign_outputs(*result);
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

/// Rows of decoding come first; prompts share the rows that are left, the oldest first. True: it holds drafts.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
bool Decoder<M, Text, S, Cache>::build_step(Step& step, bool with_drafts) {
  impl::StepBuilder<State, Cache> builder(*cache_, step, options().positions, with_drafts);
  for (auto& request : requests_) {
    request->in_pass = request->prefill_in_pass = false;
    if (request->active && !request->prefilling) builder.add(*request, 0);
  }
  bool is_oldest = true;
  for (auto& request : requests_) {
    if (!request->active || !request->prefilling) continue;
    const std::int32_t n_left = std::max(options().max_rows - builder.n_rows(), is_oldest ? 1 : 0);
    is_oldest = false;
    if (n_left == 0) break;
    builder.add(*request, n_left);
    request->prefill_in_pass = true;
  }
  return builder.has_drafts();
}

/// Finds the branch of each output, and states how it is to be sampled.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::assign_outputs(const StepPlan& plan) {
  std::vector<std::pair<SequenceId, OutputOwner>> running;
  for (std::size_t i = 0; i < requests_.size(); ++i) {
    if (!requests_[i]->active || !requests_[i]->in_pass) continue;
    for (const auto& branch : requests_[i]->branches)
      if (branch->phase == impl::Phase::running) running.push_back({branch->sequence, {i, branch->index}});
  }
  const auto by_sequence = [](const auto& a, const auto& b) { return a.first < b.first; };
  std::sort(running.begin(), running.end(), by_sequence);
  owners_.clear();
  settings_.clear();
  for (const Output& output : plan.outputs) {
    const auto it =
        std::lower_bound(running.begin(), running.end(), std::pair{output.sequence, OutputOwner{}}, by_sequence);
    ANABRANCH_ASSERT(it != running.end() && it->first == output.sequence);
    OutputOwner owner = it->second;
    if (!owners_.empty() && owners_.back().request == owner.request && owners_.back().branch == owner.branch)
      owner.n_drafts = owners_.back().n_drafts + 1;
    owners_.push_back(owner);
    add_settings(owner);
  }
}

template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::add_settings(const OutputOwner& owner) {
  const Request& request = *requests_[owner.request];
  const BranchState& branch = request.branch(owner.branch);
  markup::Constraint constraint;
  if constexpr (MarkupWithConstraint<M>)
    constraint =
        machine_.markup().constrain(owner.n_drafts > 0 ? branch.drafts[owner.n_drafts - 1].after : branch.state);
  const std::int32_t n = request.options->no_repeat_ngram;
  if (n > 0 && constraint.allowed.empty()) {
    std::vector<TokenId>& forbidden = array_of(forbidden_, settings_.size());
    forbidden.assign(constraint.forbidden.begin(), constraint.forbidden.end());
    impl::append_ngram_repeats(seen_by(owner, scratch_seen_), n, constraint.spared, forbidden);
    constraint.forbidden = forbidden;
  }
  settings_.push_back({request.id,
                       branch.index,
                       request.options->sampling,
                       branch.stream,
                       branch.n_sampled + std::int64_t(owner.n_drafts),
                       constraint.allowed,
                       constraint.forbidden,
                       {},
                       constraint.spared});
}

/// The array of an output; the others stay where they are.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
std::vector<TokenId>& Decoder<M, Text, S, Cache>::array_of(std::vector<std::vector<TokenId>>& arrays,
                                                           std::size_t output) {
  if (arrays.size() <= output) arrays.resize(output + 1);
  return arrays[output];
}

/// The answer's tokens that come before an output; in `buffer`, where they do not lie in one piece.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
std::span<const TokenId> Decoder<M, Text, S, Cache>::seen_by(const OutputOwner& owner,
                                                             std::vector<TokenId>& buffer) const {
  const Request& request = *requests_[owner.request];
  const BranchState& branch = request.branch(owner.branch);
  if (branch.is_trunk() && branch.blocks.empty() && owner.n_drafts == 0) return branch.tokens.all();
  buffer.clear();
  impl::append_seen(request, owner.branch, buffer);
  for (std::size_t k = 0; k < owner.n_drafts; ++k) buffer.push_back(branch.drafts[k].token);
  return buffer;
}

/// Fills in `seen` of an output's settings for a host that reads them.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::show_seen(std::size_t output) {
  if (plan_ == nullptr || output >= owners_.size() || settings_[output].seen.data() != nullptr) return;
  const RequestOptions& o = *owner(output).options;
  if (o.sampling.repetition_penalty == 1.0f && o.no_repeat_ngram == 0 && !o.hook) return;
  settings_[output].seen = seen_by(owners_[output], array_of(seen_, output));
}

/// Ends the requests whose prompts are longer than the pool.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::end_oversized(Transaction& transaction) {
  using Kind = impl::Operation::Kind;
  for (std::size_t i = 0; i < requests_.size(); ++i) {
    const Request& request = *requests_[i];
    if (!request.active || !request.prefilling) continue;
    std::int64_t n = cache_->alive(request.trunk().sequence) ? cache_->n_tokens(request.trunk().sequence) : 0;
    for (const impl::Operation& op : request.trunk().operations)
      n += op.kind == Kind::rewind ? -op.count : std::ssize(op.tokens);
    if (n > cache_->n_slots()) machine_.close(transaction.change(i), EndReason::no_room);
  }
}

/// Ends the first request that would be short of pages even if all others returned theirs. False: there is none.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
bool Decoder<M, Text, S, Cache>::end_starved(Transaction& transaction) {
  for (std::size_t i = 0; i < requests_.size(); ++i) {
    if (!requests_[i]->active) continue;
    const std::int32_t n_short = n_pages_short_alone(*requests_[i]);
    if (n_short == 0 || n_short <= n_pages_of_others(*requests_[i])) continue;
    machine_.close(transaction.change(i), EndReason::no_room);
    return true;
  }
  return false;
}

/// Pages that are short even if this request were the only one to go on.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
std::int32_t Decoder<M, Text, S, Cache>::n_pages_short_alone(Request& request) {
  Step step = cache_->begin_step();
  impl::StepBuilder<State, Cache>(*cache_, step, options().positions, false).add(request, options().max_rows);
  const PlanResult result = step.plan();
  return result ? 0 : result.shortage().n_pages;
}

/// Pages in use that hold none of the request's tokens and are not kept free for it: those that others could return.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
std::int32_t Decoder<M, Text, S, Cache>::n_pages_of_others(const Request& request) const {
  const auto snapshot = cache_->snapshot();
  std::vector<std::int32_t> own;
  for (const auto& branch : request.branches) {
    if (!cache_->alive(branch->sequence)) continue;
    for (const Slot slot : cache_->slots_of(branch->sequence)) own.push_back(slot / cache_->page_size());
    for (const std::int32_t page : snapshot.sequences[branch->sequence.index].tails) own.push_back(page);
  }
  std::sort(own.begin(), own.end());
  own.erase(std::unique(own.begin(), own.end()), own.end());
  return cache_->n_pages() - cache_->n_free_pages() - static_cast<std::int32_t>(own.size());
}

}  // namespace anabranch
