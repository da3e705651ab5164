// Decoder: drafts: what is fed before it is sampled, and what becomes of it.
//
// A round gives each branch of a request one token. A pass without drafts brings one round; with drafts it may bring
// more, and each of them is gone through as if it had had a pass of its own: the rows of drafts are rejected first, and
// taken back one by one, once the tokens before them were accepted and nothing but the draft is left to be fed. So what
// a round decides (limits, positions, stops, forks, events) cannot depend on drafts.
#pragma once

#include <algorithm>

#include <anabranch/decode/decoder.hpp>

namespace anabranch {

/// One branch at a time is what answers are compared with: one sampled token a pass.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
bool Decoder<M, Text, S, Cache>::may_draft(const Request& request) const noexcept {
  return may_draft() && request.options->max_parallel_branches > 1;
}

/// Adds the drafts that are worth a row, behind all rows that the pass needs. False: none.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
bool Decoder<M, Text, S, Cache>::add_drafts(impl::StepBuilder<State, Cache>& builder) {
  const auto places = builder.places();
  pass_.n_keys = 0;
  if (places.empty()) return false;
  offers_.assign(places.size(), {});
  std::int64_t n_keys = 0;
  for (std::size_t first = 0, end = 0; first < places.size(); first = end) {
    while (end < places.size() && places[end].request == places[first].request) ++end;
    const bool proposes = may_draft(*places[first].request) && std::cmp_less_equal(end - first, kMostDrafting);
    for (std::size_t k = first; k < end; ++k) {
      DraftOffer& offer = offers_[k];
      BranchState& branch = places[k].request->edit(places[k].branch);
      n_keys += cache_->n_tokens(branch.sequence);
      branch.chain = {};
      offer.request = first;
      if (proposes) offer.n_tokens = propose(*places[k].request, branch.index);
      offer.acceptance = branch.draft_records[branch.chain.kind].acceptance(branch.chain.confidence);
      offer.n_rows = draft_source_ == nullptr && end - first == 1 ? offer.n_tokens : 0;
    }
  }
  pass_.n_keys = static_cast<std::int32_t>(n_keys / std::ssize(places));
  if (draft_source_ != nullptr) draft_source_->choose(offers_, builder.n_rows(), pass_.n_keys);
  const std::int32_t n_before = builder.n_rows();
  std::ptrdiff_t n_of_request = 0;
  for (std::size_t k = 0; k < places.size(); ++k) {
    if (k == 0 || places[k].request != places[k - 1].request) n_of_request = 0;
    const std::ptrdiff_t n_left =
        std::min<std::ptrdiff_t>(places[k].n_left - n_of_request, options().max_rows - builder.n_rows());
    const auto n = std::clamp<std::ptrdiff_t>(offers_[k].n_rows, 0, std::max<std::ptrdiff_t>(n_left, 0));
    Request& request = *places[k].request;
    BranchState& branch = request.edit(places[k].branch);
    machine_.check_drafts(request, branch, static_cast<std::int32_t>(std::min<std::ptrdiff_t>(n, offers_[k].n_tokens)));
    builder.add_drafts(branch);
    n_of_request += std::ssize(branch.drafts);
    if (branch.drafts.empty()) continue;
    for (RequestShare& rows : rows_)
      if (rows.request == request.id) rows.n_rows += static_cast<std::int32_t>(branch.drafts.size());
  }
  return builder.n_rows() > n_before;
}

/// Fills in the chain of a branch: the markup's, or the source's where it has none. Returns how many of its tokens can
/// be of use.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
std::int32_t Decoder<M, Text, S, Cache>::propose(Request& request, BranchIndex index) {
  BranchState& branch = request.edit(index);
  const RequestOptions& limits = *request.options;
  WidePosition n_most = std::min(kMostDrafts, limits.max_tokens - request.statistics.n_sampled - request.n_allowed);
  n_most = std::min(n_most, branch.limit - cache_->next_position(branch.sequence) - branch.n_closing - 1);
  if (!branch.is_trunk()) n_most = std::min(n_most, limits.max_branch_tokens - branch.n_sampled - 1);
  if (n_most < 1) return 0;
  const auto n = static_cast<std::int32_t>(n_most);
  if (options().draft) machine_.propose_tags(branch, branch.chain, n);
  if (branch.chain.tokens.empty() && draft_source_ != nullptr) {
    show_levels(request, index);
    draft_source_->propose({levels_, n}, branch.chain);
    if (branch.chain.kind >= DraftChain::kKinds) fail(Status::bad_argument, "a draft of kind ", int{branch.chain.kind});
  }
  return static_cast<std::int32_t>(std::min<std::ptrdiff_t>(n, std::ssize(branch.chain.tokens)));
}

/// Sets levels_ to what a branch sees.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::show_levels(Request& request, BranchIndex index) {
  levels_.clear();
  for (BranchIndex i = index; i != kNone; i = request.branch(i).parent) {
    BranchState& branch = request.edit(i);
    levels_.push_back({branch.seen.all(), &branch.draft_memory});
  }
  levels_.push_back(
      {request.prompt != nullptr ? request.prompt->tokens() : std::span<const TokenId>(), &request.draft_memory});
  std::reverse(levels_.begin(), levels_.end());
}

/// Rejects all rows of drafts of the requests that run; or takes all back, of whatever a commit that failed has done to
/// them.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::reject_drafts(bool all) {
  for (std::size_t i = 0; i < owners_.size(); ++i) {
    if (owners_[i].n_drafts != 1 || (all && !owner(i).active)) continue;
    const BranchState& branch = owner(i).branch(owners_[i].branch);
    step_->reject(branch.sequence, all ? static_cast<std::int32_t>(branch.drafts.size()) : 0);
  }
}

/// Goes through all rounds that the pass has brought.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::accept_rounds(Request& request) {
  const bool has_round = accept_round(request);
  if (!plans_drafts_) return;
  for (std::size_t n_taken = 0; has_round && take_drafts(request, n_taken); ++n_taken) accept_round(request);
  impl::for_each_in_cache(request, [&](BranchIndex i) {
    const BranchState& branch = request.branch(i);
    if (branch.chain.tokens.empty() && branch.sampled.size() <= (has_round ? 0 : 1)) return;
    BranchState& changed = request.edit(i);
    changed.chain = {};
    changed.drafts.clear();
    changed.sampled.resize(std::min<std::size_t>(changed.sampled.size(), has_round ? 0 : 1));
  });
}

/// Gives every branch of the round behind the next draft, if all of them have that in the cache and nothing else is to
/// be done. False: they have not, and nothing has changed.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
bool Decoder<M, Text, S, Cache>::take_drafts(Request& request, std::size_t n_taken) {
  if (!request.active) return false;
  std::vector<BranchIndex> round;
  bool all = true;
  impl::for_each_in_cache(request, [&](BranchIndex i) {
    const BranchState& branch = request.branch(i);
    if (branch.phase == impl::Phase::running) round.push_back(i);
    if (branch.phase != impl::Phase::queued)
      all = all && (branch.phase == impl::Phase::running ? is_drafted(branch, n_taken) : branch.operations.empty());
  });
  if (!all) return false;
  for (const BranchIndex i : round) {
    BranchState& branch = request.edit(i);
    if (request.keeps_log) branch.log.tokens.append(branch.operations.front().to_feed());
    branch.operations.clear();
    step_->reject(branch.sequence, static_cast<std::int32_t>(branch.drafts.size() - n_taken - 1));
    ++request.statistics.n_accepted;
  }
  ++request.statistics.n_passes_saved;
  return true;
}

/// Whether the pass has fed all that the branch is to feed, which is its next draft, and has sampled behind it.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
bool Decoder<M, Text, S, Cache>::is_drafted(const BranchState& branch, std::size_t n_taken) const noexcept {
  if (branch.sampled.empty() || n_taken >= branch.drafts.size() || branch.operations.size() != 1) return false;
  const std::span<const TokenId> to_feed = branch.operations.front().to_feed();  // none but of a feed
  return to_feed.size() == 1 && to_feed.front() == branch.chain.tokens[n_taken];
}

}  // namespace anabranch
