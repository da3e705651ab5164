// Decoder: the table of requests, and how they come, continue, end and go.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include <anabranch/decode/decoder.hpp>
#include <anabranch/decode/impl/reading_order.hpp>
#include <anabranch/decode/impl/structured_rows.hpp>

namespace anabranch {

namespace impl {

inline void check_count(std::int32_t value, std::int32_t least, const char* name) {
  if (value < least) fail(Status::bad_request, name, " is ", value, "; at least ", least, " is needed");
}
/// The same for an option that may be kNone.
inline void check_optional(std::int32_t value, std::int32_t least, const char* name) {
  if (value != kNone) check_count(value, least, name);
}

}  // namespace impl

template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
Decoder<M, Text, S, Cache>::Decoder(Cache& cache, M markup, Text text, DecoderOptions options, S sampler)
    : cache_(&cache),
      machine_(cache, std::move(markup), std::move(text), std::move(options)),
      sampler_(std::move(sampler)) {
  const DecoderOptions& o = machine_.options();
  impl::check_count(o.max_branches, 1, "max_branches");
  impl::check_count(o.max_tokens, 1, "max_tokens");
  impl::check_count(o.max_branch_tokens, 1, "max_branch_tokens");
  impl::check_count(o.max_depth, 0, "max_depth");
  impl::check_count(o.max_rows, 1, "max_rows");
  if (!o.positions.valid() || o.positions.is_given())
    fail(Status::bad_request, "the decoder forks with sequential, longest or reserved positions, not with ",
         o.positions.is_given() ? std::string("given ones") : impl::text_of(o.positions));
}

template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
Decoder<M, Text, S, Cache>::~Decoder() {
  abort();
  try {
    for (const auto& request : requests_) {
      impl::reserve_more(abandoned_, 2);
      end_prefix_use(request->prefix_use);
      if (request->history_kept) abandoned_.push_back(request->trunk().sequence);
    }
    for (Released& released : released_) {
      impl::reserve_more(abandoned_, 2);
      end_prefix_use(released.prefix_use);
      abandoned_.push_back(released.sequence);
    }
    drop_abandoned();
  } catch (...) {  // the sequences stay in the cache, which is all that can be done here
  }
}

template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::check(std::span<const TokenId> prompt, const RequestOptions& options) const {
  anabranch::check(options.sampling.or_else());
  anabranch::check(options.logit_bias);
  for (const TokenId token : prompt)
    if (token < 0) fail(Status::bad_request, "prompt token ", token, " is negative");
  impl::check_optional(options.max_tokens, 1, "max_tokens");
  impl::check_optional(options.max_branch_tokens, 1, "max_branch_tokens");
  impl::check_optional(options.max_parallel_branches, 1, "max_parallel_branches");
  impl::check_optional(options.no_repeat_ngram, 0, "no_repeat_ngram");
  impl::check_optional(options.n_log_probabilities, 0, "n_log_probabilities");
  if (options.prefix != kNoSequence) {
    if (options.after != kNoRequest)
      fail(Status::bad_request, "a request starts from a prefix or goes on after another request, not both");
    if (prompt.empty()) fail(Status::bad_request, "the prompt is empty; behind a prefix 1 token or more is needed");
    if (!cache_->alive(options.prefix))
      fail(Status::stale_sequence, "prefix: sequence ", options.prefix.index, " is not alive in the cache");
    std::int32_t depth = 0;
    for (SequenceId up = cache_->parent(options.prefix); up != kNoSequence; up = cache_->parent(up)) ++depth;
    if (depth >= cache_->options().max_depth)
      fail(Status::limit_reached, "prefix: sequence ", options.prefix.index, " is at depth ", depth,
           ", from which nothing can be forked; the cache's limit is ", cache_->options().max_depth, " levels");
  }
  for (const std::string& stop : options.stop)
    if (stop.empty()) fail(Status::bad_request, "a stop string is empty");
  for (const TokenId token : options.stop_tokens)
    if (token < 0) fail(Status::bad_request, "stop token ", token, " is negative");
}

template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
RequestId Decoder<M, Text, S, Cache>::submit(std::span<const TokenId> prompt, const RequestOptions& options) {
  return submit(prompt, options, nullptr);
}

/// `structured` is null, or the whole prompt of which `prompt` is what follows the last block.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
RequestId Decoder<M, Text, S, Cache>::submit(std::span<const TokenId> prompt, const RequestOptions& options,
                                             const StructuredPrompt* structured) {
  check(prompt, options);
  Request* before = history_of(options.after);
  std::unique_ptr<Request> added = new_request(options, before);
  Request& request = *added;
  note_prompt(request, before, prompt, structured);
  BranchState& trunk = request.edit(kTrunk);
  for (const TokenId token : prompt.first(std::min<std::size_t>(prompt.size(), 1))) feed(trunk, token);
  // An operation that cuts a segment has a pass of its own, so that the prompt's parts make no difference.
  const bool cuts = request.keeps_log && impl::cuts_segment(request, trunk.operations);
  if (cuts && prompt.size() > 1) trunk.operations.emplace_back(impl::Operation::Kind::pause);
  for (const TokenId token : prompt.subspan(std::min<std::size_t>(prompt.size(), 1))) feed(trunk, token);
  if (trunk.operations.empty() || trunk.operations.back().kind != impl::Operation::Kind::feed)
    fail(Status::bad_request,
         "the prompt is empty, and no earlier answer waits to go on: only one that was cut has a "
         "token to go on from, not one that ended with an end-of-text token");
  request.last_prompt_token = trunk.operations.back().tokens.back();
  request.statistics.n_prompt =
      (request.has_trunk ? 0 : request.n_structured) + static_cast<std::int32_t>(prompt.size());
  const WidePosition end = machine_.budget().end_of(request, trunk);
  if (end > trunk.limit)
    fail(Status::bad_request, "a prompt of ", prompt.size(), " tokens ends at position ", end, "; the limit is ",
         trunk.limit);
  if (!prompt.empty()) {
    trunk.state = machine_.markup().start();
    trunk.beginning = {};
  }
  if (options.prefill_only) trunk.phase = impl::Phase::ended;
  impl::reserve_more(requests_, 1);
  impl::reserve_more(running_, 1);
  impl::reserve_more(announced_, 1);
  request.id = RequestId{last_id_ + 1};
  Transaction transaction = begin_transaction();
  count_sequences_due(request);
  if (!options.prefill_only) {
    prompt.empty() ? machine_.resume_trunk(request) : machine_.open(request);
    machine_.admit_branches(request);
  }
  transaction.keep();
  ++last_id_;
  running_.push_back(requests_.size());
  requests_.push_back(std::move(added));
  if (request.prefix_use.running != kNoIndex) announced_.push_back(request.id);
  if (before != nullptr) {
    before->release_sequences();
    before->prefix_use = {};  // the new request's now
  }
  return request.id;
}

/// Throws limit_reached when the cache has no room for the sequences that the request is due.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::count_sequences_due(Request& request) {
  request.n_sequences_due = request.has_trunk ? 0 : 1 + request.n_transient;
  impl::for_each_in_cache(request, [&](BranchIndex i) {
    for (const impl::Operation& op : request.branch(i).operations)
      if (op.kind == impl::Operation::Kind::fork) request.n_sequences_due += request.block(op.block).n;
  });
  free_sequences(request.n_sequences_due);
  const std::int64_t n_left = machine_.n_sequences_left();
  if (request.n_sequences_due > std::max<std::int64_t>(n_left, 0))
    fail(Status::limit_reached, "the request needs ", request.n_sequences_due, " new sequences in the cache; of its ",
         cache_->options().max_sequences, " at most, ", std::max<std::int64_t>(n_left, 0),
         " are neither alive nor due to the requests before: end one of those, or drop sequences");
  machine_.sequences_due().n += request.n_sequences_due;
}

/// The finished request whose history a new one continues; null for none.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
impl::RequestState<typename M::State>* Decoder<M, Text, S, Cache>::history_of(RequestId after) {
  if (after == kNoRequest) return nullptr;
  Request& before = *requests_[index_of(after)];
  const std::string name = "request " + std::to_string(static_cast<std::uint64_t>(after));
  if (before.active) fail(Status::bad_request, name, " is still running; it cannot be continued yet");
  if (!before.history_kept)
    fail(Status::bad_request, name, " has no history any more: it was cancelled, or another request goes on with it");
  if (before.has_trunk && !cache_->alive(before.trunk().sequence))
    fail(Status::bad_request, name, " has no history any more: its sequence was dropped from the cache");
  return &before;
}

template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
std::unique_ptr<impl::RequestState<typename M::State>> Decoder<M, Text, S, Cache>::new_request(
    const RequestOptions& options, const Request* before) const {
  auto request = std::make_unique<Request>();
  auto own = std::make_shared<RequestOptions>(options);
  if (before != nullptr && !before->has_trunk) own->prefix = before->options->prefix;  // it never had a pass
  if (own->max_tokens == kNone) own->max_tokens = this->options().max_tokens;
  if (own->max_branch_tokens == kNone) own->max_branch_tokens = this->options().max_branch_tokens;
  if (own->max_parallel_branches == kNone) own->max_parallel_branches = this->options().max_branches;
  machine_.add_stop_tokens(*own);
  request->sampling = own->sampling.or_else();
  constexpr bool is_own_sampler = !std::is_same_v<S, Sampler>;  // it may look at the tokens without an option
  request->shows_seen = is_own_sampler || impl::penalises(request->sampling) || own->no_repeat_ngram > 0 || own->hook;
  request->keeps_seen = request->shows_seen || draft_source_ != nullptr;
  request->options = std::move(own);
  request->keeps_log = this->options().preemptible;
  if (before != nullptr) {
    continue_history(*request, *before);
    request->has_trunk = before->has_trunk;
    request->n_prefix = before->n_prefix;
  } else {
    request->branches.push_back(std::make_shared<BranchState>(machine_.markup().start()));
    request->edit(kTrunk).limit = cache_->options().max_position;
    if (options.prefix != kNoSequence) {
      request->n_prefix = cache_->n_tokens(options.prefix);
      request->edit(kTrunk).start = cache_->next_position(options.prefix);
    }
  }
  request->edit(kTrunk).stream = trunk_stream(options.sampling.seed, options.sampling.number);
  return request;
}

/// Takes over the trunk, and the branches that have ended and are not joined in the cache yet.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::continue_history(Request& request, const Request& before) const {
  const BranchState& trunk = before.trunk();
  const auto forks = [](const auto& change) { return change.kind == impl::Operation::Kind::fork; };
  const auto marks = trunk.log.marks.all();
  const bool has_block = trunk.forked_block != kNoIndex || std::any_of(marks.begin(), marks.end(), forks) ||
                         std::any_of(trunk.operations.begin(), trunk.operations.end(), forks);
  for (BranchIndex i = 0; i < (has_block ? before.n_branches() : 1); ++i) {
    const BranchState& old = before.branch(i);
    BranchState branch(old.state);
    branch.index = old.index;
    branch.parent = old.parent;
    branch.path = old.path;
    branch.sequence = old.sequence;
    branch.phase = impl::Phase::ended;
    branch.reason = old.reason;
    branch.operations = old.operations;
    branch.log = old.log;
    branch.forked_block = old.forked_block;
    branch.own_block = old.own_block;
    branch.n_held = branch.n_planned_hold = old.n_held;
    branch.start = old.start;
    branch.limit = old.limit;
    branch.title = old.title;
    branch.beginning = old.beginning;
    request.branches.push_back(std::make_shared<BranchState>(std::move(branch)));
  }
  if (has_block) request.blocks = before.blocks;
  for (BranchIndex i = request.n_branches() - 1; i > kTrunk; --i) machine_.budget().count(request, i);
  request.edit(kTrunk).phase = impl::Phase::running;
  request.edit(kTrunk).reason = EndReason::none;
  request.recomputing = before.recomputing;
}

/// kNoRequestIndex: it is not known.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
std::size_t Decoder<M, Text, S, Cache>::place_of(RequestId id) const noexcept {
  const auto it = std::lower_bound(requests_.begin(), requests_.end(), id,
                                   [](const auto& request, RequestId wanted) { return request->id < wanted; });
  const bool is_known = it != requests_.end() && (*it)->id == id && !(*it)->released;
  return is_known ? static_cast<std::size_t>(it - requests_.begin()) : kNoRequestIndex;
}

template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
std::size_t Decoder<M, Text, S, Cache>::index_of(RequestId id) const {
  const std::size_t index = place_of(id);
  if (index == kNoRequestIndex)
    fail(Status::stale_request, "request ", static_cast<std::uint64_t>(id),
         " is not known: it was released, or never submitted here");
  return index;
}

template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
bool Decoder<M, Text, S, Cache>::knows(RequestId id) const noexcept {
  return place_of(id) != kNoRequestIndex;
}

template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
Branch Decoder<M, Text, S, Cache>::branch(RequestId id, BranchIndex index) const {
  const Request& request = find(id);
  if (index < 0 || index >= request.n_branches())
    fail(Status::bad_argument, "branch ", index, " of a request with branches 0 to ", request.n_branches() - 1);
  const BranchState& state = request.branch(index);
  const bool in_cache = cache_->alive(state.sequence);
  Branch branch;
  branch.path = state.path;
  branch.title = state.title;
  branch.reason = state.reason;
  branch.sequence = in_cache ? state.sequence : kNoSequence;
  impl::append_written(request, index, branch);
  return branch;
}

template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
bool Decoder<M, Text, S, Cache>::has_work() const noexcept {
  return std::any_of(running_.begin(), running_.end(), [&](std::size_t i) { return requests_[i]->active; });
}

template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::cancel(RequestId id) {
  end_by_caller(index_of(id));
  try_sweep();
}

template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::finish(RequestId id) {
  const std::size_t index = index_of(id);
  if (!requests_[index]->active) return;
  if (plan_ != nullptr)
    fail(Status::wrong_state, "finish of request ", static_cast<std::uint64_t>(id),
         " while a plan is open; commit or abort it first, or cancel the request");
  Transaction transaction = begin_transaction();
  machine_.close(transaction.change(index), EndReason::cancelled);
  transaction.keep();
  retired_.clear();
}

template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::preempt(RequestId id) {
  const std::size_t index = index_of(id);
  need_no_plan();
  if (!options().preemptible)
    fail(Status::wrong_state, "preempt of request ", static_cast<std::uint64_t>(id),
         " needs DecoderOptions::preemptible: without it the decoder does not keep what it fed");
  const SequenceId trunk = requests_[index]->trunk().sequence;
  if (!requests_[index]->has_trunk) give_prefix_back(*requests_[index]);
  if (!requests_[index]->history_kept || !requests_[index]->has_trunk || !cache_->alive(trunk)) return;
  impl::reserve_more(abandoned_, 1);
  Transaction transaction = begin_transaction();
  Request& request = transaction.change(index);
  const bool shares = request.prefix_use.phase != impl::PrefixUse::Phase::none;
  Step step = cache_->begin_step();
  if (request.n_prefix > 0 && !shares) {
    if (const impl::BlockIndex block = request.trunk().forked_block; block != kNoIndex)
      for (BranchIndex i = request.block(block).first; i < request.block(block).end(); ++i)
        if (cache_->alive(request.branch(i).sequence)) step.drop(request.branch(i).sequence);
    step.rewind(trunk, request.n_prefix);
  } else {
    step.drop(trunk);
  }
  const std::int32_t n_hit = shares ? std::exchange(request.n_prefix, 0) : 0;
  std::int32_t n_sequences = impl::repeat(request, options().positions, machine_.budget());
  if (!request.has_trunk) n_sequences += request.n_transient;
  request.n_prefix += n_hit;
  if (shares) impl::repeat_hit(request);
  if (request.active) machine_.sequences_due().n += n_sequences - std::exchange(request.n_sequences_due, n_sequences);
  if (!step.plan()) fail(Status::internal, "a step that only gives pages back is short of pages");
  step.commit();
  transaction.keep();
  retired_.clear();
  if (!shares) return;
  end_prefix_use(requests_[index]->prefix_use);
  requests_[index]->prefix_use.phase = impl::PrefixUse::Phase::shared;  // its history is kept in the end
}

template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::release(RequestId id) {
  const std::size_t i = index_of(id);
  impl::reserve_more(abandoned_, 4);
  const bool keeps = leave_to_prefixes(*requests_[i]);
  end_by_caller(i);
  if (requests_[i]->history_kept && !keeps) abandoned_.push_back(requests_[i]->trunk().sequence);
  end_prefix_use(requests_[i]->prefix_use);
  requests_[i]->history_kept = false;
  requests_[i]->released = true;
  ++n_released_;
  try_sweep();
}

/// Leaves in place whatever the open plan's outputs borrow from the request.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::end_by_caller(std::size_t index) {
  if (!requests_[index]->active) return;
  impl::reserve_more(abandoned_, 2);
  Transaction transaction = begin_transaction();
  machine_.abandon(transaction.change(index), EndReason::cancelled);
  transaction.keep();
  end_prefix_use(requests_[index]->prefix_use);
  abandoned_.push_back(requests_[index]->trunk().sequence);
  if (plan_ == nullptr) retired_.clear();
}

/// Does what had to wait for the end of a plan: drops sequences, forgets released requests.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::sweep() {
  if (plan_ != nullptr) return;
  keep_released();
  drop_abandoned();
  if (n_released_ > 0 && 2 * n_released_ >= requests_.size()) forget_released();
}

/// When they are at least half of all, so that each costs O(1).
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::forget_released() noexcept {
  std::erase_if(requests_, [](const auto& request) { return request->released; });
  n_released_ = 0;
  running_.clear();  // it has room for all that run
  for (std::size_t i = 0; i < requests_.size(); ++i)
    if (requests_[i]->active) running_.push_back(i);
}

/// For calls that are complete already: the next plan drops what cannot be dropped now.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::try_sweep() noexcept {
  try {
    sweep();
  } catch (...) {
  }
}

template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::drop_abandoned() {
  if (abandoned_.empty()) return;
  try {
    Step step = cache_->begin_step();  // first: while another is open, nothing is worth looking at
    bool drops = false;
    for (const SequenceId sequence : abandoned_) {
      if (!cache_->alive(sequence)) continue;
      step.drop(sequence);
      drops = true;
    }
    if (drops && step.plan()) step.commit();
    abandoned_.clear();
  } catch (const Error& error) {
    if (error.status() != Status::wrong_state) throw;  // the caller has a step open: the next sweep does it
  }
}

template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
std::vector<Event> Decoder<M, Text, S, Cache>::take_events() {
  return std::exchange(machine_.events(), {});
}

}  // namespace anabranch
