// Decoder: prompts with blocks, histories, and what requests share through a prefix cache.
//
// A request that may share waits, without rows, while another computes more of its prompt than can be shared already.
// Else it takes what there is, announces its own prompt, and lends its trunk to others once that is computed. All of
// it happens in `plan`, before the step, and in sweeps: between two passes.
#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include <anabranch/decode/decoder.hpp>
#include <anabranch/decode/impl/reading_order.hpp>
#include <anabranch/decode/impl/structured_rows.hpp>

namespace anabranch {
namespace impl {

/// Appends what a request's trunk wrote, with its blocks. Without recursion, however deep they are nested.
template <class State>
void append_answer(const RequestState<State>& request, const Positions& positions, StructuredPrompt& out) {
  struct Place {
    BranchIndex branch;
    std::size_t stretch;
  };
  std::vector<Place> places = {{kTrunk, 0}};
  while (!places.empty()) {
    const Place place = places.back();
    const BranchState<State>& branch = request.branch(place.branch);
    out.append(stretch(branch, place.stretch).tokens);
    if (place.stretch < branch.blocks.size()) {
      const Block& block = request.block(branch.blocks[place.stretch].block);
      ++places.back().stretch;
      out.begin_block(positions, block.n);
      out.begin_branch();
      places.push_back({block.first, 0});
      continue;
    }
    places.pop_back();
    if (branch.is_trunk()) return;
    out.end_branch();
    if (place.branch + 1 == request.block(branch.own_block).end()) {
      out.end_block();
    } else {
      out.begin_branch();
      places.push_back({place.branch + 1, 0});
    }
  }
}

}  // namespace impl

template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
RequestId Decoder<M, Text, S, Cache>::submit(const StructuredPrompt& prompt, const RequestOptions& options) {
  if (!prompt.complete()) fail(Status::bad_request, "the prompt has a block that is not joined");
  if (options.prefix != kNoSequence || options.after != kNoRequest)
    fail(Status::bad_request, "a prompt with blocks is whole: it takes neither `prefix` nor `after`");
  const std::int32_t n = prompt.n_structured();
  if (n == prompt.n_tokens())
    fail(Status::bad_request, "the prompt ends with a block, or is empty; behind it 1 token or more is needed");
  const impl::PromptShape shape = impl::shape_of(prompt);
  if (shape.depth > cache_->options().max_depth)
    fail(Status::limit_reached, "the prompt's blocks are nested ", shape.depth, " deep; the cache's limit is ",
         cache_->options().max_depth);
  for (const StructuredPrompt::Item& item : prompt.items())
    if (item.position > cache_->options().max_position - item.n_tokens)
      fail(Status::bad_request, "tokens of the prompt end at position ", WidePosition{item.position} + item.n_tokens,
           "; the limit is ", cache_->options().max_position);
  return submit(prompt.tokens().subspan(static_cast<std::size_t>(n)), options, &prompt);
}

/// Notes what comes before the request's answer, and whether a prefix cache is to be asked for it.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::note_prompt(Request& request, const Request* before, std::span<const TokenId> prompt,
                                             const StructuredPrompt* structured) const {
  using Phase = impl::PrefixUse::Phase;
  if (before != nullptr) {
    if (before->prompt == nullptr) return;
    StructuredPrompt all = history_of(*before);
    all.append(prompt);
    request.prompt = std::make_shared<const StructuredPrompt>(std::move(all));
    request.prefix_use = before->prefix_use;
    request.n_structured = before->n_structured;
    request.n_transient = before->n_transient;
    if (before->has_trunk) return;
    request.statistics.n_reused = before->statistics.n_reused;
    return;
  }
  if (request.options->prefix != kNoSequence) return;
  if (structured != nullptr) {
    request.prompt = std::make_shared<const StructuredPrompt>(*structured);
    request.n_structured = structured->n_structured();
    request.n_transient = impl::shape_of(*structured).n_open;
    request.edit(kTrunk).start = structured->items().back().position;
  } else {
    request.prompt = std::make_shared<const StructuredPrompt>(prompt);
  }
  if (prefixes_ != nullptr && request.options->reuse_prefix) request.prefix_use.phase = Phase::waiting;
}

template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
StructuredPrompt Decoder<M, Text, S, Cache>::history(RequestId id) const {
  const Request& request = find(id);
  if (request.prompt == nullptr)
    fail(Status::bad_request, "request ", static_cast<std::uint64_t>(id),
         " began with a prefix, whose tokens the decoder does not know");
  if (request.trunk().block != impl::BlockIndex{})
    fail(Status::wrong_state, "request ", static_cast<std::uint64_t>(id), " has a block that is not joined yet");
  return history_of(request);
}

template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
StructuredPrompt Decoder<M, Text, S, Cache>::history_of(const Request& request) const {
  StructuredPrompt history = *request.prompt;
  impl::append_answer(request, options().positions, history);
  return history;
}

/// How many tokens of its history the trunk has in the cache: operations that wait may feed more, or take some back.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
std::int32_t Decoder<M, Text, S, Cache>::n_history_in_cache(const Request& request) const {
  std::int64_t n = cache_->n_tokens(request.trunk().sequence);
  std::int64_t least = n;
  for (const impl::Operation& op : request.trunk().operations) {
    if (op.kind == impl::Operation::Kind::feed) n += std::ssize(op.to_feed());
    if (op.kind == impl::Operation::Kind::rewind) n -= op.count;
    least = std::min(least, n);
  }
  return static_cast<std::int32_t>(std::max<std::int64_t>(least, 0));
}

/// Makes the prefix cache give up sequences, if that is what a new request lacks.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::free_sequences(std::int32_t n_due) {
  if (prefixes_ == nullptr || plan_ != nullptr || n_due <= machine_.n_sequences_left()) return;
  const std::int64_t n_in_cache = cache_->options().max_sequences - cache_->n_sequences();
  const std::int64_t n_needed = n_due - machine_.n_sequences_left() + n_in_cache;
  prefixes_->make_sequences(static_cast<std::int32_t>(std::min<std::int64_t>(n_needed, kUnlimited)));
}

/// Before a plan: prompts that have been computed are shared, and those that wait are looked up.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::look_up_prefixes() {
  if (prefixes_ == nullptr) return;
  share_prompts();
  for (const std::size_t i : planned_)
    if (requests_[i]->active && waits_for_prefix(*requests_[i])) look_up(*requests_[i]);
}

template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::share_prompts() {
  impl::reserve_more(abandoned_, 2 * announced_.size());
  for (std::size_t k = 0; k < announced_.size();) {
    const auto it = std::lower_bound(requests_.begin(), requests_.end(), announced_[k],
                                     [](const auto& request, RequestId wanted) { return request->id < wanted; });
    if (it != requests_.end() && (*it)->id == announced_[k] && share_prompt(**it)) {
      ++k;
    } else {
      announced_[k] = announced_.back();
      announced_.pop_back();
    }
  }
}

/// Shares what the request has computed: its prompt, and once it has ended its history. False: that was all.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
bool Decoder<M, Text, S, Cache>::share_prompt(Request& request) {
  using Phase = impl::PrefixUse::Phase;
  impl::PrefixUse& use = request.prefix_use;
  if (use.phase != Phase::announced && use.phase != Phase::shared) return false;
  if (request.prefilling && request.active) return true;
  if (!request.has_trunk || !request.history_kept || request.prefilling) {
    end_prefix_use(use);  // nobody computes it any more
    return false;
  }
  if (use.phase == Phase::announced) {
    prefixes_->share(use.running, request.trunk().sequence);
    use.phase = Phase::shared;
    if (use.sequence != kNoSequence) abandoned_.push_back(std::exchange(use.sequence, kNoSequence));
  }
  if (request.active) return true;
  if (!cache_->alive(request.trunk().sequence)) return false;
  const RunningPrefixIndex whole = prefixes_->announce(history_of(request).first(n_history_in_cache(request)));
  prefixes_->share(whole, request.trunk().sequence);
  prefixes_->withdraw(std::exchange(use.running, whole));
  return false;
}

/// Takes what there is of the prompt, unless more of it is being computed.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::look_up(Request& request) {
  impl::PrefixUse& use = request.prefix_use;
  if (use.version == prefixes_->version()) return;
  const std::size_t n_in_front = request.trunk().operations.front().to_feed().size();
  const std::int32_t n_most =
      std::min(request.prompt->n_tokens(), request.n_structured + static_cast<std::int32_t>(n_in_front)) - 1;
  const PrefixMatch match = prefixes_->find(*request.prompt, n_most);
  if (match.n_pending - match.n_tokens >= cache_->options().page_size) {
    use.version = prefixes_->version();
    return;
  }
  impl::reserve_more(announced_, 1);
  take_prefix(request, n_most);
  use.running = prefixes_->announce(*request.prompt);
  use.phase = impl::PrefixUse::Phase::announced;
  announced_.push_back(request.id);
}

/// Lets the request begin with what the prefix cache has of the first `n_most` tokens of its prompt.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::take_prefix(Request& request, std::int32_t n_most) {
  impl::PrefixUse& use = request.prefix_use;
  if (use.sequence != kNoSequence || machine_.n_sequences_left() < 2) return;
  BranchState& trunk = request.edit(kTrunk);
  const PrefixHit hit = prefixes_->take(*request.prompt, n_most);
  if (!hit) return;
  use.sequence = hit.sequence;
  use.pin = hit.pin;
  request.n_prefix = hit.n_tokens;
  request.statistics.n_reused = hit.n_tokens;
  if (hit.n_tokens < request.n_structured) return;  // the blocks that follow are computed, and then all of the rest
  trunk.operations.front().n_fed = static_cast<std::size_t>(hit.n_tokens - request.n_structured);
  trunk.start = cache_->next_position(hit.sequence);
}

/// A request that has not begun gives its hit and its announcement back, so that neither pages nor other requests
/// depend on it; it is looked up again when it takes part in a pass.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::give_prefix_back(Request& request) {
  if (request.prefix_use.phase != impl::PrefixUse::Phase::announced) return;
  impl::reserve_more(abandoned_, 1);
  BranchState& trunk = request.edit(kTrunk);
  impl::forget_hit(request, trunk);
  trunk.operations.front().n_fed = 0;
  end_prefix_use(request.prefix_use);
  request.prefix_use.phase = impl::PrefixUse::Phase::waiting;
}

/// False: there was nothing to evict.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
bool Decoder<M, Text, S, Cache>::evict_prefixes(const Shortage& shortage) {
  if (prefixes_ == nullptr) return false;
  const std::int64_t n_needed = std::int64_t{cache_->n_free_pages()} + shortage.n_pages;
  return prefixes_->make_room(static_cast<std::int32_t>(std::min<std::int64_t>(n_needed, cache_->n_pages()))) > 0;
}

/// Notes that the request's history is to be kept. False: it is not. When it throws, nothing has changed.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
bool Decoder<M, Text, S, Cache>::leave_to_prefixes(Request& request) {
  const bool keeps = prefixes_ != nullptr && request.prompt != nullptr && !request.active && request.history_kept &&
                     request.has_trunk && request.options->reuse_prefix &&
                     request.prefix_use.phase != impl::PrefixUse::Phase::none &&
                     cache_->alive(request.trunk().sequence);
  if (!keeps) return false;
  impl::reserve_more(released_, 1);
  StructuredPrompt history = history_of(request).first(n_history_in_cache(request));
  released_.push_back({request.trunk().sequence, std::move(history), std::exchange(request.prefix_use, {})});
  return true;
}

template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::keep_released() {
  while (!released_.empty()) {  // the last one first: of a chat, the turn that has the others in it
    Released& released = released_.back();
    impl::reserve_more(abandoned_, 2);
    try {
      if (cache_->alive(released.sequence)) prefixes_->keep(released.sequence, released.history);
    } catch (const Error& error) {
      if (error.status() == Status::wrong_state) return;  // the caller has a step open: the next sweep does it
      abandoned_.push_back(released.sequence);
    }
    end_prefix_use(released.prefix_use);
    released_.pop_back();
  }
}

template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::use(PrefixSource* prefixes) {
  impl::reserve_more(abandoned_, 2 * released_.size());
  for (const auto& request : requests_) leave_prefixes(request->prefix_use);
  for (Released& released : released_) {
    end_prefix_use(released.prefix_use);
    abandoned_.push_back(released.sequence);
  }
  released_.clear();
  announced_.clear();
  prefixes_ = prefixes;
}

/// The request shares nothing more; what it has begun with, it keeps.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::leave_prefixes(impl::PrefixUse& use) noexcept {
  if (prefixes_ != nullptr) {
    prefixes_->withdraw(use.running);
    prefixes_->unpin(use.pin);
  }
  const SequenceId sequence = use.sequence;
  use = {};
  use.sequence = sequence;
}

/// The same at the end of a request. REQUIRES: room for one more in abandoned_.
template <Markup M, Detokenizer Text, SamplerLike S, DecoderCache Cache>
void Decoder<M, Text, S, Cache>::end_prefix_use(impl::PrefixUse& use) noexcept {
  leave_prefixes(use);
  if (use.sequence != kNoSequence) abandoned_.push_back(std::exchange(use.sequence, kNoSequence));
}

}  // namespace anabranch
