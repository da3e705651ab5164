// Engine: requests come, go on, and go.
#pragma once

#include <anabranch/decode/impl/engine.hpp>

namespace anabranch::impl {

inline void check_count(std::int32_t value, std::int32_t least, const char* name) {
  if (value < least)
    fail(Status::bad_request,
         std::string(name) + " is " + std::to_string(value) + "; at least " + std::to_string(least) + " is needed");
}

template <class Cache, Markup M, TokensToText Text, SamplerLike S>
Engine<Cache, M, Text, S>::Engine(Cache& cache, M markup, Text text, DecoderOptions options, S sampler)
    : cache_(&cache),
      growth_(cache, std::move(markup), std::move(text), std::move(options), [this] { return n_lines_due(); }),
      sampler_(std::move(sampler)) {
  const DecoderOptions& o = growth_.options();
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

template <class Cache, Markup M, TokensToText Text, SamplerLike S>
Engine<Cache, M, Text, S>::~Engine() {
  abort();
  for (auto& r : requests_) r->history_kept = false;
  try {
    drop_abandoned();
  } catch (...) {  // the lines stay in the cache, which is all that can be done here
  }
}

template <class Cache, Markup M, TokensToText Text, SamplerLike S>
void Engine<Cache, M, Text, S>::check(std::span<const TokenId> prompt, const RequestOptions& options) const {
  anabranch::check(options.sampling());
  for (const TokenId token : prompt)
    if (token < 0) fail(Status::bad_request, "prompt token " + std::to_string(token) + " is negative");
  if (options.max_tokens != kNone) check_count(options.max_tokens, 1, "max_tokens");
  if (options.max_branch_tokens != kNone) check_count(options.max_branch_tokens, 1, "max_branch_tokens");
  if (options.branches_at_once != kNone) check_count(options.branches_at_once, 1, "branches_at_once");
  check_count(options.no_repeat, 0, "no_repeat");
  if (options.n_log_probabilities != kNone) check_count(options.n_log_probabilities, 0, "n_log_probabilities");
  for (const std::string& stop : options.stop)
    if (stop.empty()) fail(Status::bad_request, "a stop string is empty");
}

/// The finished request whose history another one takes.
template <class Cache, Markup M, TokensToText Text, SamplerLike S>
typename Engine<Cache, M, Text, S>::RequestT* Engine<Cache, M, Text, S>::history_of(RequestId after) {
  if (after == kNoRequest) return nullptr;
  RequestT& before = *requests_[index_of(after)];
  const std::string name = "request " + std::to_string(static_cast<std::uint64_t>(after));
  if (before.active) fail(Status::bad_request, name + " is still running; it cannot be continued yet");
  if (!before.history_kept)
    fail(Status::bad_request, name + " has no history any more: it was cancelled, or another request goes on with it");
  return &before;
}

template <class Cache, Markup M, TokensToText Text, SamplerLike S>
RequestId Engine<Cache, M, Text, S>::submit(std::span<const TokenId> prompt, const RequestOptions& options) {
  check(prompt, options);
  RequestT* before = history_of(options.after);
  std::unique_ptr<RequestT> made = make(options, before);
  RequestT& r = *made;
  TrackT& trunk = r.edit(kTrunk);
  for (const TokenId token : prompt) feed(trunk, token);
  if (trunk.operations.empty() || trunk.operations.back().kind != Operation::Kind::feed)
    fail(Status::bad_request, "the prompt is empty, and no earlier answer waits to go on");
  r.last_prompt_token = trunk.operations.back().tokens.back();
  r.statistics.n_prompt = static_cast<std::int32_t>(prompt.size());
  const WidePosition end = growth_.reserve().end_of(r, trunk);
  if (end > trunk.limit)
    fail(Status::bad_request, "a prompt of " + std::to_string(prompt.size()) + " tokens ends at position " +
                                  std::to_string(end) + "; the limit is " + std::to_string(trunk.limit));
  if (!prompt.empty()) trunk.state = growth_.markup().start();
  reserve_more(requests_, 1);
  r.id = RequestId{last_id_ + 1};
  TrialT trial = begin_trial();
  prompt.empty() ? growth_.resume_trunk(r) : growth_.open(r);
  growth_.place(r);
  trial.keep();
  ++last_id_;
  requests_.push_back(std::move(made));
  if (before != nullptr) before->give_up_lines();
  return r.id;
}

template <class Cache, Markup M, TokensToText Text, SamplerLike S>
std::unique_ptr<typename Engine<Cache, M, Text, S>::RequestT> Engine<Cache, M, Text, S>::make(
    const RequestOptions& options, RequestT* before) const {
  auto r = std::make_unique<RequestT>();
  auto own = std::make_shared<RequestOptions>(options);
  if (options.max_tokens == kNone) own->max_tokens = growth_.options().max_tokens;
  if (options.max_branch_tokens == kNone) own->max_branch_tokens = growth_.options().max_branch_tokens;
  if (options.branches_at_once == kNone) own->branches_at_once = growth_.options().max_branches;
  r->options = std::move(own);
  if (before != nullptr) {
    continue_history(*r, *before);
  } else {
    r->tracks.push_back(std::make_shared<TrackT>(growth_.markup().start()));
    r->edit(kTrunk).limit = cache_->options().max_position;
  }
  r->edit(kTrunk).stream = trunk_stream(options.seed);
  return r;
}

/// Takes over the trunk, and the branches that are closed but not joined in the cache yet.
template <class Cache, Markup M, TokensToText Text, SamplerLike S>
void Engine<Cache, M, Text, S>::continue_history(RequestT& r, const RequestT& before) const {
  const TrackT& from = before.trunk();
  const bool block_left =
      from.forked_block != kNone || std::any_of(from.operations.begin(), from.operations.end(),
                                                [](const Operation& op) { return op.kind == Operation::Kind::fork; });
  const std::size_t n = block_left ? before.tracks.size() : 1;
  for (std::size_t i = 0; i < n; ++i) {
    const TrackT& old = *before.tracks[i];
    TrackT t(old.state);
    t.index = old.index;
    t.parent = old.parent;
    t.path = old.path;
    t.line = old.line;
    t.phase = Phase::ended;
    t.reason = old.reason;
    t.operations = old.operations;
    t.forked_block = old.forked_block;
    t.start = old.start;
    t.limit = old.limit;
    t.title = old.title;
    r.tracks.push_back(std::make_shared<TrackT>(std::move(t)));
  }
  if (block_left) r.blocks = before.blocks;
  r.edit(kTrunk).phase = Phase::running;
  r.edit(kTrunk).reason = EndReason::none;
}

template <class Cache, Markup M, TokensToText Text, SamplerLike S>
std::size_t Engine<Cache, M, Text, S>::index_of(RequestId id) const {
  const auto it = std::lower_bound(requests_.begin(), requests_.end(), id,
                                   [](const auto& r, RequestId wanted) { return r->id < wanted; });
  if (it == requests_.end() || (*it)->id != id || (*it)->released)
    fail(Status::stale_request, "request " + std::to_string(static_cast<std::uint64_t>(id)) +
                                    " is not known: it was released, or never submitted here");
  return static_cast<std::size_t>(it - requests_.begin());
}

template <class Cache, Markup M, TokensToText Text, SamplerLike S>
const typename Engine<Cache, M, Text, S>::RequestT& Engine<Cache, M, Text, S>::find(RequestId id) const {
  return *requests_[index_of(id)];
}

template <class Cache, Markup M, TokensToText Text, SamplerLike S>
typename Engine<Cache, M, Text, S>::Line Engine<Cache, M, Text, S>::branch(RequestId id, BranchIndex branch) const {
  const RequestT& r = find(id);
  if (branch < 0 || branch >= static_cast<BranchIndex>(r.tracks.size()))
    fail(Status::bad_argument,
         "branch " + std::to_string(branch) + " of a request with lines 0 to " + std::to_string(r.tracks.size() - 1));
  const TrackT& t = r.track(branch);
  Line line{t.path, t.title, {}, t.reason, cache_->alive(t.line) ? t.line : kNoLine};
  append_text(r, branch, line.text);
  return line;
}

template <class Cache, Markup M, TokensToText Text, SamplerLike S>
bool Engine<Cache, M, Text, S>::has_work() const noexcept {
  return std::any_of(requests_.begin(), requests_.end(), [](const auto& r) { return r->active; });
}

template <class Cache, Markup M, TokensToText Text, SamplerLike S>
void Engine<Cache, M, Text, S>::cancel(RequestId id) {
  end_by_caller(index_of(id));
  try_sweep();
}

template <class Cache, Markup M, TokensToText Text, SamplerLike S>
void Engine<Cache, M, Text, S>::release(RequestId id) {
  const std::size_t i = index_of(id);
  end_by_caller(i);
  requests_[i]->history_kept = false;
  requests_[i]->released = true;
  try_sweep();
}

/// What the open plan's outputs borrow from the request stays where it is.
template <class Cache, Markup M, TokensToText Text, SamplerLike S>
void Engine<Cache, M, Text, S>::end_by_caller(std::size_t request) {
  if (!requests_[request]->active) return;
  TrialT trial = begin_trial();
  growth_.abandon(trial.change(request), EndReason::cancelled);
  trial.keep();
  if (plan_ == nullptr) retired_.clear();
}

/// Lines that the next passes will create.
template <class Cache, Markup M, TokensToText Text, SamplerLike S>
std::int32_t Engine<Cache, M, Text, S>::n_lines_due() const {
  std::int32_t n = 0;
  for (const auto& r : requests_) {
    if (!r->active) continue;
    if (!cache_->alive(r->trunk().line)) ++n;
    for (const auto& t : r->tracks)
      for (const Operation& op : t->operations)
        if (op.kind == Operation::Kind::fork) n += r->block(op.count).n;
  }
  return n;
}

/// Carries out what had to wait for the open plan: lines are dropped, released requests forgotten.
template <class Cache, Markup M, TokensToText Text, SamplerLike S>
void Engine<Cache, M, Text, S>::sweep() {
  if (plan_ != nullptr) return;
  drop_abandoned();
  std::erase_if(requests_, [&](const auto& r) { return r->released && !cache_->alive(r->trunk().line); });
}

/// For calls that are complete already: what cannot be dropped now is dropped by the next plan.
template <class Cache, Markup M, TokensToText Text, SamplerLike S>
void Engine<Cache, M, Text, S>::try_sweep() noexcept {
  try {
    sweep();
  } catch (...) {
  }
}

template <class Cache, Markup M, TokensToText Text, SamplerLike S>
void Engine<Cache, M, Text, S>::drop_abandoned() {
  std::vector<LineId> lines;
  for (const auto& r : requests_)
    if (!r->history_kept && cache_->alive(r->trunk().line)) lines.push_back(r->trunk().line);
  if (lines.empty()) return;
  try {
    Step step = cache_->begin_step();
    for (const LineId line : lines) step.drop(line);
    if (step.plan()) step.commit();
  } catch (const Error& error) {
    if (error.status() != Status::wrong_state) throw;  // the caller has a step open: the next sweep does it
  }
}

template <class Cache, Markup M, TokensToText Text, SamplerLike S>
std::vector<Event> Engine<Cache, M, Text, S>::take_events() {
  return std::exchange(growth_.events(), {});
}

}  // namespace anabranch::impl
