// Engine: requests come, go on, and go.
#pragma once

#include <anabranch/decode/impl/engine.hpp>

namespace anabranch::impl {

inline void check_count(std::int32_t value, std::int32_t least, const char* name) {
  if (value < least) fail(Status::bad_request, name, " is ", value, "; at least ", least, " is needed");
}

template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
Engine<Cache, M, Text, S>::Engine(Cache& cache, M markup, Text text, DecoderOptions options, S sampler)
    : cache_(&cache),
      machine_(cache, std::move(markup), std::move(text), std::move(options), [this] { return n_sequences_due(); }),
      sampler_(std::move(sampler)) {
  const DecoderOptions& o = machine_.options();
  check_count(o.max_branches, 1, "max_branches");
  check_count(o.max_tokens, 1, "max_tokens");
  check_count(o.max_branch_tokens, 1, "max_branch_tokens");
  check_count(o.max_depth, 0, "max_depth");
  check_count(o.max_rows, 1, "max_rows");
  if (!o.positions.valid() || o.positions.is_given())
    fail(Status::bad_request,
         "the decoder cannot work with this position policy: sequential, longest, or reserved "
         "with an extent of at least 1");
}

template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
Engine<Cache, M, Text, S>::~Engine() {
  abort();
  for (auto& r : requests_) r->history_kept = false;
  try {
    drop_abandoned();
  } catch (...) {  // the sequences stay in the cache, which is all that can be done here
  }
}

template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
void Engine<Cache, M, Text, S>::check(std::span<const TokenId> prompt, const RequestOptions& options) const {
  anabranch::check(options.sampling());
  for (const TokenId token : prompt)
    if (token < 0) fail(Status::bad_request, "prompt token ", token, " is negative");
  if (options.max_tokens != kNone) check_count(options.max_tokens, 1, "max_tokens");
  if (options.max_branch_tokens != kNone) check_count(options.max_branch_tokens, 1, "max_branch_tokens");
  if (options.max_parallel_branches != kNone) check_count(options.max_parallel_branches, 1, "max_parallel_branches");
  check_count(options.no_repeat_ngram, 0, "no_repeat_ngram");
  if (options.n_log_probabilities != kNone) check_count(options.n_log_probabilities, 0, "n_log_probabilities");
  for (const std::string& stop : options.stop)
    if (stop.empty()) fail(Status::bad_request, "a stop string is empty");
}

/// The finished request whose history another one takes.
template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
typename Engine<Cache, M, Text, S>::RequestT* Engine<Cache, M, Text, S>::history_of(RequestId after) {
  if (after == kNoRequest) return nullptr;
  RequestT& before = *requests_[index_of(after)];
  const std::string name = "request " + std::to_string(static_cast<std::uint64_t>(after));
  if (before.active) fail(Status::bad_request, name, " is still running; it cannot be continued yet");
  if (!before.history_kept)
    fail(Status::bad_request, name, " has no history any more: it was cancelled, or another request goes on with it");
  return &before;
}

template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
RequestId Engine<Cache, M, Text, S>::submit(std::span<const TokenId> prompt, const RequestOptions& options) {
  check(prompt, options);
  RequestT* before = history_of(options.after);
  std::unique_ptr<RequestT> made = make(options, before);
  RequestT& r = *made;
  BranchT& trunk = r.edit(kTrunk);
  for (const TokenId token : prompt) feed(trunk, token);
  if (trunk.operations.empty() || trunk.operations.back().kind != Operation::Kind::feed)
    fail(Status::bad_request, "the prompt is empty, and no earlier answer waits to go on");
  r.last_prompt_token = trunk.operations.back().tokens.back();
  r.statistics.n_prompt = static_cast<std::int32_t>(prompt.size());
  const WidePosition end = machine_.reserve().end_of(r, trunk);
  if (end > trunk.limit)
    fail(Status::bad_request, "a prompt of ", prompt.size(), " tokens ends at position ", end, "; the limit is ",
         trunk.limit);
  if (!prompt.empty()) trunk.state = machine_.markup().start();
  reserve_more(requests_, 1);
  r.id = RequestId{last_id_ + 1};
  TransactionT transaction = begin_transaction();
  prompt.empty() ? machine_.resume_trunk(r) : machine_.open(r);
  machine_.place(r);
  transaction.keep();
  ++last_id_;
  requests_.push_back(std::move(made));
  if (before != nullptr) before->release_sequences();
  return r.id;
}

template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
std::unique_ptr<typename Engine<Cache, M, Text, S>::RequestT> Engine<Cache, M, Text, S>::make(
    const RequestOptions& options, RequestT* before) const {
  auto r = std::make_unique<RequestT>();
  auto own = std::make_shared<RequestOptions>(options);
  if (options.max_tokens == kNone) own->max_tokens = machine_.options().max_tokens;
  if (options.max_branch_tokens == kNone) own->max_branch_tokens = machine_.options().max_branch_tokens;
  if (options.max_parallel_branches == kNone) own->max_parallel_branches = machine_.options().max_branches;
  r->options = std::move(own);
  if (before != nullptr) {
    continue_history(*r, *before);
  } else {
    r->branches.push_back(std::make_shared<BranchT>(machine_.markup().start()));
    r->edit(kTrunk).limit = cache_->options().max_position;
  }
  r->edit(kTrunk).stream = trunk_stream(options.seed);
  return r;
}

/// Takes over the trunk, and the branches that are closed but not joined in the cache yet.
template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
void Engine<Cache, M, Text, S>::continue_history(RequestT& r, const RequestT& before) const {
  const BranchT& from = before.trunk();
  const bool block_left =
      from.forked_block != kNone || std::any_of(from.operations.begin(), from.operations.end(),
                                                [](const Operation& op) { return op.kind == Operation::Kind::fork; });
  const std::size_t n = block_left ? before.branches.size() : 1;
  for (std::size_t i = 0; i < n; ++i) {
    const BranchT& old = *before.branches[i];
    BranchT t(old.state);
    t.index = old.index;
    t.parent = old.parent;
    t.path = old.path;
    t.sequence = old.sequence;
    t.phase = Phase::ended;
    t.reason = old.reason;
    t.operations = old.operations;
    t.forked_block = old.forked_block;
    t.start = old.start;
    t.limit = old.limit;
    t.title = old.title;
    r.branches.push_back(std::make_shared<BranchT>(std::move(t)));
  }
  if (block_left) r.blocks = before.blocks;
  r.edit(kTrunk).phase = Phase::running;
  r.edit(kTrunk).reason = EndReason::none;
}

template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
std::size_t Engine<Cache, M, Text, S>::index_of(RequestId id) const {
  const auto it = std::lower_bound(requests_.begin(), requests_.end(), id,
                                   [](const auto& r, RequestId wanted) { return r->id < wanted; });
  if (it == requests_.end() || (*it)->id != id || (*it)->released)
    fail(Status::stale_request, "request ", static_cast<std::uint64_t>(id),
         " is not known: it was released, or never submitted here");
  return static_cast<std::size_t>(it - requests_.begin());
}

template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
const typename Engine<Cache, M, Text, S>::RequestT& Engine<Cache, M, Text, S>::find(RequestId id) const {
  return *requests_[index_of(id)];
}

template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
typename Engine<Cache, M, Text, S>::Sequence Engine<Cache, M, Text, S>::branch(RequestId id, BranchIndex branch) const {
  const RequestT& r = find(id);
  if (branch < 0 || branch >= static_cast<BranchIndex>(r.branches.size()))
    fail(Status::bad_argument, "branch ", branch, " of a request with sequences 0 to ", r.branches.size() - 1);
  const BranchT& t = r.branch(branch);
  Sequence sequence{t.path, t.title, {}, t.reason, cache_->alive(t.sequence) ? t.sequence : kNoSequence};
  append_text(r, branch, sequence.text);
  return sequence;
}

template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
bool Engine<Cache, M, Text, S>::has_work() const noexcept {
  return std::any_of(requests_.begin(), requests_.end(), [](const auto& r) { return r->active; });
}

template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
void Engine<Cache, M, Text, S>::cancel(RequestId id) {
  end_by_caller(index_of(id));
  try_sweep();
}

template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
void Engine<Cache, M, Text, S>::release(RequestId id) {
  const std::size_t i = index_of(id);
  end_by_caller(i);
  requests_[i]->history_kept = false;
  requests_[i]->released = true;
  try_sweep();
}

/// What the open plan's outputs borrow from the request stays where it is.
template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
void Engine<Cache, M, Text, S>::end_by_caller(std::size_t request) {
  if (!requests_[request]->active) return;
  TransactionT transaction = begin_transaction();
  machine_.abandon(transaction.change(request), EndReason::cancelled);
  transaction.keep();
  if (plan_ == nullptr) retired_.clear();
}

/// Sequences that the next passes will create.
template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
std::int32_t Engine<Cache, M, Text, S>::n_sequences_due() const {
  std::int32_t n = 0;
  for (const auto& r : requests_) {
    if (!r->active) continue;
    if (!cache_->alive(r->trunk().sequence)) ++n;
    for (const auto& t : r->branches)
      for (const Operation& op : t->operations)
        if (op.kind == Operation::Kind::fork) n += r->block(op.count).n;
  }
  return n;
}

/// Carries out what had to wait for the open plan: sequences are dropped, released requests forgotten.
template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
void Engine<Cache, M, Text, S>::sweep() {
  if (plan_ != nullptr) return;
  drop_abandoned();
  std::erase_if(requests_, [&](const auto& r) { return r->released && !cache_->alive(r->trunk().sequence); });
}

/// For calls that are complete already: what cannot be dropped now is dropped by the next plan.
template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
void Engine<Cache, M, Text, S>::try_sweep() noexcept {
  try {
    sweep();
  } catch (...) {
  }
}

template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
void Engine<Cache, M, Text, S>::drop_abandoned() {
  std::vector<SequenceId> sequences;
  for (const auto& r : requests_)
    if (!r->history_kept && cache_->alive(r->trunk().sequence)) sequences.push_back(r->trunk().sequence);
  if (sequences.empty()) return;
  try {
    Step step = cache_->begin_step();
    for (const SequenceId sequence : sequences) step.drop(sequence);
    if (step.plan()) step.commit();
  } catch (const Error& error) {
    if (error.status() != Status::wrong_state) throw;  // the caller has a step open: the next sweep does it
  }
}

template <class Cache, Markup M, Detokenizer Text, SamplerLike S>
std::vector<Event> Engine<Cache, M, Text, S>::take_events() {
  return std::exchange(machine_.events(), {});
}

}  // namespace anabranch::impl
