// Decoder: the plan of a pass: which requests take part, whose the outputs are, and how each output is to be sampled.
#pragma once

#include <algorithm>

#include <anabranch/decode/decoder.hpp>
#include <anabranch/decode/impl/reading_order.hpp>
#include <anabranch/decode/impl/repeated_ngrams.hpp>

namespace anabranch {

template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
DecoderPlan Decoder<M, Text, S, Cache>::plan() {
  need_no_plan();
  sweep();
  strike_ended();
  planned_ = running_;
  for (const std::size_t i : planned_) requests_[i]->share = kNone;
  return plan_shares();
}

/// O(the requests that have a share).
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
DecoderPlan Decoder<M, Text, S, Cache>::plan(std::span<const RequestShare> shares) {
  need_no_plan();
  for (const RequestShare& share : shares) {
    index_of(share.request);
    if (share.n_rows < 1)
      fail(Status::bad_argument, "request ", static_cast<std::uint64_t>(share.request), " with ", share.n_rows,
           " rows; it needs 1 or more, or has no share");
  }
  sweep();
  if (running_.size() > 2 * n_swept_) strike_ended();
  planned_.clear();
  for (const RequestShare& share : shares) {
    const std::size_t i = index_of(share.request);
    requests_[i]->share = share.n_rows;
    if (requests_[i]->active) planned_.push_back(i);
  }
  std::sort(planned_.begin(), planned_.end());
  planned_.erase(std::unique(planned_.begin(), planned_.end()), planned_.end());
  return plan_shares();
}

template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::strike_ended() noexcept {
  std::erase_if(running_, [&](std::size_t i) { return !requests_[i]->active; });
  n_swept_ = running_.size();
}

template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::need_no_plan() const {
  if (plan_ != nullptr) fail(Status::wrong_state, "a plan is open; commit or abort it first");
}

template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
DecoderPlan Decoder<M, Text, S, Cache>::plan_shares() {
  look_up_prefixes();
  Transaction transaction = begin_transaction();
  std::vector<std::size_t> lost;
  end_oversized(transaction);
  Shortage shortage;
  const StepPlan* planned = nullptr;
  next_pages_.clear();
  std::size_t n_checked = 0;
  do {
    shortage = {};
    planned = plan_those_left(shortage, transaction, lost);
  } while (planned == nullptr && shortage.n_pages > 0 &&
           (evict_prefixes(shortage) || end_starved(transaction, n_checked)));
  impl::reserve_more(abandoned_, 2 * lost.size());
  machine_.sequences_due().n_in_step = planned != nullptr ? n_created_ : 0;
  transaction.keep();
  std::swap(pages_, next_pages_);
  for (const std::size_t i : lost) {
    abandoned_.push_back(requests_[i]->trunk().sequence);
    end_prefix_use(requests_[i]->prefix_use);
  }
  retired_.clear();
  plan_ = planned;
  if (planned == nullptr) return DecoderPlan(shortage, pages_);
  return DecoderPlan(*planned, settings_, this,
                     [](void* decoder, std::size_t output) { static_cast<Decoder*>(decoder)->show_seen(output); });
}

/// Plans without the requests that turn out to have lost a sequence, which end and are added to `lost`.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
const StepPlan* Decoder<M, Text, S, Cache>::plan_those_left(Shortage& shortage, Transaction& transaction,
                                                            std::vector<std::size_t>& lost) {
  while (has_share()) {
    in_building_ = kNoRequestIndex;
    try {
      return plan_step(shortage);
    } catch (const Error& error) {
      const bool is_lost = error.status() == Status::stale_sequence || error.status() == Status::not_a_child;
      if (!is_lost || in_building_ == kNoRequestIndex) throw;
    }
    const std::size_t first = in_building_;
    for (const std::size_t i :
         planned_) {  // where one has lost a sequence, others may have: the step is built anew once
      if (!requests_[i]->active || (i != first && !has_lost_sequence(*requests_[i]))) continue;
      lost.push_back(i);
      machine_.abandon(transaction.change(i), EndReason::lost);
    }
  }
  return nullptr;
}

/// Whether a request that is to take part is left.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
bool Decoder<M, Text, S, Cache>::has_share() const noexcept {
  return std::any_of(planned_.begin(), planned_.end(), [&](std::size_t i) { return requests_[i]->active; });
}

/// Whether a sequence of the request was dropped by others, or taken from its parent. O(its sequences).
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
bool Decoder<M, Text, S, Cache>::has_lost_sequence(const Request& request) const {
  bool lost = false;
  impl::for_each_in_cache(request, [&](BranchIndex i) {
    const BranchState& branch = request.branch(i);
    const bool is_made =
        branch.is_trunk() ? request.has_trunk : request.branch(branch.parent).forked_block == branch.own_block;
    if (!is_made) return;  // what a step that came to nothing had made is gone
    lost = lost || !cache_->alive(branch.sequence) ||
           (!branch.is_trunk() && cache_->parent(branch.sequence) != request.branch(branch.parent).sequence);
  });
  return lost;
}

/// Opens a step with everything that is to be done, without drafts where these make it too large. Null, with no step
/// open: a shortage.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
const StepPlan* Decoder<M, Text, S, Cache>::plan_step(Shortage& shortage) {
  bool has_drafts = may_draft();
  const StepPlan* planned = plan_step(shortage, has_drafts);
  if (planned != nullptr || !has_drafts) return planned;
  has_drafts = false;
  return plan_step(shortage, has_drafts);
}

template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
const StepPlan* Decoder<M, Text, S, Cache>::plan_step(Shortage& shortage, bool& has_drafts) {
  try {
    step_.emplace(cache_->begin_step());
    has_drafts = build_step(*step_, has_drafts);
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

/// Rows of decoding come first; prompts, and what is computed again, share the rows that are left, the oldest first;
/// drafts come last. True: it holds some.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
bool Decoder<M, Text, S, Cache>::build_step(Step& step, bool with_drafts) {
  impl::StepBuilder<State, Cache> builder(*cache_, step, options().positions, with_drafts);
  rows_.clear();
  const auto add = [&](Request& request, std::int32_t n_most) {
    const std::int32_t n_before = builder.n_rows();
    builder.add(request, n_most);
    if (builder.n_rows() > n_before) rows_.push_back({request.id, builder.n_rows() - n_before});
  };
  for (const std::size_t i : planned_) {
    Request& request = *requests_[i];
    request.in_pass = request.prefill_in_pass = false;
    in_building_ = i;
    if (!request.active || request.is_filling()) continue;
    add(request, request.share == kNone ? kUnlimited : request.share);
  }
  bool is_oldest = true;
  for (const std::size_t i : planned_) {
    Request& request = *requests_[i];
    if (!request.active || !request.is_filling() || waits_for_prefix(request)) continue;
    std::int32_t n_left = std::max(options().max_rows - builder.n_rows(), is_oldest ? 1 : 0);
    if (request.share != kNone) n_left = request.share;
    is_oldest = false;
    if (n_left == 0) break;
    in_building_ = i;
    add(request, n_left);
    request.prefill_in_pass = request.prefilling;
  }
  in_building_ = kNoRequestIndex;
  n_created_ = builder.n_created();
  plans_drafts_ = with_drafts;
  const bool has_drafts = with_drafts && add_drafts(builder);
  pass_.n_rows = builder.n_rows();
  return has_drafts;
}

/// Finds the branch of each output, and states how it is to be sampled.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::assign_outputs(const StepPlan& plan) {
  std::vector<std::pair<SequenceId, OutputOwner>> running;
  for (const std::size_t i : planned_) {
    const Request& request = *requests_[i];
    if (!request.active || !request.in_pass) continue;
    impl::for_each_in_cache(request, [&](BranchIndex k) {
      const BranchState& branch = request.branch(k);
      if (branch.phase == impl::Phase::running && branch.sampled.empty()) running.push_back({branch.sequence, {i, k}});
    });
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
    constraint = machine_.markup().constrain(owner.n_drafts > 0 ? branch.drafts[owner.n_drafts - 1] : branch.state);
  const std::int32_t n = request.options->no_repeat_ngram;
  if (n > 0 && constraint.allowed.empty()) {
    std::vector<TokenId>& forbidden = array_of(forbidden_, settings_.size());
    forbidden.assign(constraint.forbidden.begin(), constraint.forbidden.end());
    impl::append_ngram_repeats(seen_by(owner, scratch_seen_), n, constraint.spared, forbidden);
    constraint.forbidden = forbidden;
  }
  settings_.push_back({request.id,
                       request.options->user_data,
                       branch.index,
                       request.sampling,
                       branch.stream,
                       branch.n_sampled + std::int64_t(owner.n_drafts),
                       constraint.allowed,
                       constraint.forbidden,
                       {},
                       constraint.spared,
                       request.options->logit_bias});
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
  if (branch.is_trunk() && owner.n_drafts == 0) return branch.seen.all();
  buffer.clear();
  impl::append_seen(request, owner.branch, buffer);
  buffer.insert(buffer.end(), branch.chain.tokens.begin(),
                branch.chain.tokens.begin() + static_cast<std::ptrdiff_t>(owner.n_drafts));
  return buffer;
}

/// Fills in `seen` of an output's settings for a host that reads them.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::show_seen(std::size_t output) {
  if (plan_ == nullptr || output >= owners_.size() || settings_[output].seen.data() != nullptr) return;
  if (!owner(output).shows_seen) return;
  settings_[output].seen = seen_by(owners_[output], array_of(seen_, output));
}

/// Ends the requests whose prompts are longer than the pool.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::end_oversized(Transaction& transaction) {
  using Kind = impl::Operation::Kind;
  for (const std::size_t i : planned_) {
    const Request& request = *requests_[i];
    if (!request.active || !request.prefilling) continue;
    std::int64_t n = cache_->alive(request.trunk().sequence) ? cache_->n_tokens(request.trunk().sequence) : 0;
    for (const impl::Operation& op : request.trunk().operations)
      n += op.kind == Kind::rewind ? -op.count : std::ssize(op.to_feed());
    if (n > cache_->n_slots()) machine_.close(transaction.change(i), EndReason::no_room);
  }
}

/// Ends the first request, from planned_[n_checked] on, that would be short of pages even if all others returned
/// theirs. False: there is none. Notes what each request needs on the way, and sets `n_checked` behind the last: that
/// one has ended takes nothing from what those before it could get.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
bool Decoder<M, Text, S, Cache>::end_starved(Transaction& transaction, std::size_t& n_checked) {
  const std::int32_t n_free = cache_->n_free_pages(), n_in_use = cache_->n_pages() - n_free;
  while (n_checked < planned_.size()) {
    const std::size_t i = planned_[n_checked++];
    if (!requests_[i]->active) continue;
    const RequestPages pages{requests_[i]->id, n_pages_needed_alone(*requests_[i]), n_pages_used(*requests_[i])};
    if (pages.n_needed > n_free && pages.n_needed - n_free > n_in_use - pages.n_used) {
      machine_.close(transaction.change(i), EndReason::no_room);
      return true;
    }
    next_pages_.push_back(pages);
  }
  return false;
}

/// Free pages that the next pass takes if this request is the only one to go on.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
std::int32_t Decoder<M, Text, S, Cache>::n_pages_needed_alone(Request& request) {
  const std::int32_t n_free = cache_->n_free_pages();
  Step step = cache_->begin_step();
  impl::StepBuilder<State, Cache>(*cache_, step, options().positions, false).add(request, options().max_rows);
  const PlanResult result = step.plan();
  return result ? n_free - cache_->n_free_pages() : n_free + result.shortage().n_pages;
}

template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
RequestDemand Decoder<M, Text, S, Cache>::demand(RequestId id) const {
  const Request& request = find(id);
  RequestDemand demand;
  demand.is_filling = request.is_filling();
  demand.is_in_cache = request.has_trunk;
  if (!request.active) return demand;
  if (waits_for_prefix(request) && request.prefix_use.version != 0) {
    demand.waits_for_prefix = true;
    demand.is_filling = false;
    return demand;
  }
  demand.n_keys = cache_->alive(request.trunk().sequence) ? cache_->n_tokens(request.trunk().sequence) : 0;
  std::int64_t n_rows = request.has_trunk ? 0 : impl::n_rows_of_blocks(request);
  impl::for_each_in_cache(request, [&](BranchIndex i) {
    const BranchState& branch = request.branch(i);
    if (branch.phase == impl::Phase::queued) return;
    for (const impl::Operation& op : branch.operations) n_rows += std::ssize(op.to_feed());
    if (branch.phase != impl::Phase::running || !branch.sampled.empty()) return;
    ++demand.n_branches;
  });
  if (may_draft(request) && demand.n_branches <= kMostDrafting) demand.n_drafts = kMostDrafts * demand.n_branches;
  demand.n_rows = static_cast<std::int32_t>(std::min<std::int64_t>(n_rows, kUnlimited));
  return demand;
}

/// Pages that hold the request's tokens or are kept free for it. O(those).
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
std::int32_t Decoder<M, Text, S, Cache>::n_pages_used(const Request& request) const {
  std::vector<std::int32_t> own;
  impl::for_each_in_cache(request, [&](BranchIndex i) {
    const SequenceId sequence = request.branch(i).sequence;
    if (cache_->alive(sequence)) cache_->for_each_own_page(sequence, [&](std::int32_t page) { own.push_back(page); });
  });
  std::sort(own.begin(), own.end());
  return static_cast<std::int32_t>(std::unique(own.begin(), own.end()) - own.begin());
}

}  // namespace anabranch
