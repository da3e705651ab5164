// PrefixCache: bodies.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include <anabranch/cache/prefix_cache.hpp>

namespace anabranch {

template <class Cache>
PrefixCache<Cache>::PrefixCache(Cache& cache, const PrefixCacheOptions& options)
    : cache_(&cache),
      options_(options),
      tree_(impl::memory_of(cache.options())),
      running_(impl::memory_of(cache.options())),
      kept_(impl::memory_of(cache.options())),
      sharing_(impl::memory_of(cache.options())),
      order_(impl::memory_of(cache.options())) {
  if (options.max_histories < 1)
    fail(Status::bad_argument, "max_histories is ", options.max_histories, "; at least 1 is needed");
  if (options.min_tokens < 1)
    fail(Status::bad_argument, "min_tokens is ", options.min_tokens, "; at least 1 is needed");
  options_.max_histories = std::min(options.max_histories, std::max(1, cache.options().max_sequences / 2));
}

template <class Cache>
PrefixCache<Cache>::~PrefixCache() {
  try {
    Step step = cache_->begin_step();
    for (const SequenceId sequence : kept_)
      if (cache_->alive(sequence)) step.drop(sequence);
    if (step.plan()) step.commit();
  } catch (...) {  // the sequences stay in the cache, which is all that can be done here
  }
}

// Finding and taking.

template <class Cache>
PrefixMatch PrefixCache<Cache>::find(const StructuredPrompt& prompt, std::int32_t n_most) const {
  return tree_.find(prompt, n_most);
}

template <class Cache>
PrefixHit PrefixCache<Cache>::take(const StructuredPrompt& prompt, std::int32_t n_most) {
  const PrefixMatch match = tree_.find(prompt, n_most);
  PrefixHit hit;
  if (match.n_tokens >= options_.min_tokens && cache_->options().max_depth > 0 && n_sequences_left() >= 2) {
    const PrefixIndex node = tree_.split_at(match.node, match.offset);
    try {
      reserve_nodes();
      hit.sequence = copy_of(holder_below(node), match.n_tokens, match.next);
    } catch (...) {
      tree_.release(node);
      throw;
    }
    if (hit) {
      hit.n_tokens = match.n_tokens;
      hit.pin = node;
      tree_.add_pin(node, 1);
      order_.remove(node);
      touch(node);
    } else {
      tree_.release(node);
    }
  }
  ++statistics_.n_lookups;
  statistics_.n_hits += hit ? 1 : 0;
  statistics_.n_tokens_asked += prompt.n_tokens();
  statistics_.n_tokens_hit += hit.n_tokens;
  return hit;
}

template <class Cache>
void PrefixCache<Cache>::unpin(PrefixIndex pin) noexcept {
  if (pin == kNoIndex) return;
  tree_.add_pin(pin, -1);
  if (tree_[pin].n_pins == 0 && kept_[pin] != kNoSequence) order_.set(pin, tree_[pin].last_used);
  tree_.release(pin);
}

/// A sequence that begins with the node's list; kNoSequence when others have dropped it. O(nodes below).
template <class Cache>
SequenceId PrefixCache<Cache>::holder_below(PrefixIndex node) const {
  const std::int32_t n_tokens = tree_[node].n_tokens;
  const auto sees_it = [&](SequenceId sequence) {
    return cache_->alive(sequence) && cache_->n_tokens(sequence) >= n_tokens;
  };
  for (; node != kNoIndex; node = tree_[node].first_held) {
    if (sees_it(kept_[node])) return kept_[node];
    for (RunningPrefixIndex i = sharing_[node]; i != kNoIndex; i = running_[i].next)
      if (sees_it(running_[i].sequence)) return running_[i].sequence;
  }
  return kNoSequence;
}

/// A new root that sees the first `n_tokens` of what `sequence` sees, and goes on at position `next`. A rewind restores
/// the position that the sequence itself had there; inside what was once a branch another prompt may go on elsewhere,
/// and is forked again with a given start.
template <class Cache>
SequenceId PrefixCache<Cache>::copy_of(SequenceId sequence, std::int32_t n_tokens, Position next) {
  if (sequence == kNoSequence) return kNoSequence;
  Step step = cache_->begin_step();
  SequenceId copy = step.fork(sequence, 1).front();
  step.detach(copy);
  if (n_tokens < cache_->n_tokens(copy)) step.rewind(copy, n_tokens);
  if (cache_->next_position(copy) != next) {
    const SequenceId moved = step.fork(copy, 1, {.positions = Positions::given, .starts = {&next, 1}}).front();
    step.detach(moved);
    step.drop(std::exchange(copy, moved));
  }
  if (!step.plan()) return kNoSequence;
  step.commit();
  return copy;
}

// Requests that run.

template <class Cache>
RunningPrefixIndex PrefixCache<Cache>::announce(const StructuredPrompt& prompt) {
  check_complete(prompt);
  const PrefixIndex node = tree_.insert(prompt);
  try {
    reserve_nodes();
    running_.reserve(1);
  } catch (...) {
    tree_.release(node);
    throw;
  }
  const RunningPrefixIndex index = running_.acquire();
  running_[index] = Holder(nullptr);
  running_[index].node = node;
  tree_.add_pending(node, 1);
  return index;
}

template <class Cache>
void PrefixCache<Cache>::share(RunningPrefixIndex running, SequenceId sequence) noexcept {
  Holder& holder = running_[running];
  if (holder.sequence != kNoSequence) return;
  holder.sequence = sequence;
  holder.next = std::exchange(sharing_[holder.node], running);
  tree_.add_pending(holder.node, -1);
  tree_.add_running(holder.node, 1);
  ++version_;
}

template <class Cache>
void PrefixCache<Cache>::withdraw(RunningPrefixIndex running) noexcept {
  if (running == kNoIndex) return;
  const Holder holder = running_[running];
  if (holder.sequence == kNoSequence) {
    tree_.add_pending(holder.node, -1);
  } else {
    RunningPrefixIndex* link = &sharing_[holder.node];
    while (*link != running) link = &running_[*link].next;
    *link = holder.next;
    tree_.add_running(holder.node, -1);
  }
  running_.release(running);
  tree_.release(holder.node);
  ++version_;
}

// Keeping.

template <class Cache>
void PrefixCache<Cache>::check_complete(const StructuredPrompt& prompt) {
  if (!prompt.complete()) fail(Status::bad_argument, "the prompt has a block that is not joined");
}

/// Throws unless `sequence` is a root that begins with `history`.
template <class Cache>
void PrefixCache<Cache>::check(SequenceId sequence, const StructuredPrompt& history) const {
  check_complete(history);
  if (cache_->parent(sequence) != kNoSequence)
    fail(Status::bad_argument, "sequence ", sequence.index, " is a branch; only a root can be kept, detach it first");
  const std::int32_t n = history.n_tokens();
  if (cache_->n_tokens(sequence) < n)
    fail(Status::bad_argument, "sequence ", sequence.index, " sees ", cache_->n_tokens(sequence),
         " tokens; its history is said to have ", n);
  const std::vector<Position> positions = cache_->positions_of(sequence);
  for (const StructuredPrompt::Item& item : history.items())
    for (std::int32_t i = 0; i < item.n_tokens; ++i)
      if (const Position at = positions.begin()[item.first_token + i]; at != item.position + i)
        fail(Status::bad_argument, "token ", item.first_token + i, " of sequence ", sequence.index, " has position ",
             at, "; its history says ", item.position + i);
  if (!cache_->options().keep_tokens) return;
  const std::vector<TokenId> tokens = cache_->tokens_of(sequence);
  for (std::int32_t i = 0; i < n; ++i)
    if (const TokenId token = tokens.begin()[i]; token != kUnknownToken && token != history.tokens().begin()[i])
      fail(Status::bad_argument, "token ", i, " of sequence ", sequence.index, " is ", token, "; its history says ",
           history.tokens().begin()[i]);
}

template <class Cache>
void PrefixCache<Cache>::keep(SequenceId sequence, const StructuredPrompt& history) {
  check(sequence, history);
  if (history.n_tokens() < options_.min_tokens) return drop(sequence);
  keep_at(tree_.insert(history), sequence);
}

/// Takes over the sequence, which sees what the node says, and a use of the node; gives both back when it throws.
template <class Cache>
void PrefixCache<Cache>::keep_at(PrefixIndex node, SequenceId sequence) {
  try {
    reserve_nodes();
    if (try_keep_at(node, sequence)) return;
    drop(sequence);
  } catch (...) {
    tree_.release(node);
    throw;
  }
  touch(node);
  tree_.release(node);
}

/// False: the history is kept already, or there is no room for it.
template <class Cache>
bool PrefixCache<Cache>::try_keep_at(PrefixIndex node, SequenceId sequence) {
  if (tree_[node].n_kept > 0) {
    ++statistics_.n_known;
    return false;
  }
  PrefixIndex shorter = tree_[node].parent;  // a history that this one goes on from
  while (shorter != kNoIndex && kept_[shorter] == kNoSequence) shorter = tree_[shorter].parent;
  if (shorter == kNoIndex && n_histories() >= options_.max_histories) {
    if (order_.empty()) return false;
    drop_history(order_.top());
  }
  Step step = cache_->begin_step();
  std::vector<SequenceId> unneeded = cache_->children(sequence);
  if (shorter != kNoIndex && cache_->alive(kept_[shorter])) unneeded.push_back(kept_[shorter]);
  for (const SequenceId other : unneeded) step.drop(other);
  step.hold(sequence, 0);
  if (cache_->n_tokens(sequence) > tree_[node].n_tokens) step.rewind(sequence, tree_[node].n_tokens);
  if (!step.plan()) fail(Status::internal, "a step without tokens has no room");
  step.commit();
  if (shorter != kNoIndex) leave(shorter);
  enter(node, sequence);
  touch(node);
  ++statistics_.n_kept;
  ++version_;
  return true;
}

/// The history that ends with the node is kept in `sequence`. Takes over a use of the node.
template <class Cache>
void PrefixCache<Cache>::enter(PrefixIndex node, SequenceId sequence) noexcept {
  kept_[node] = sequence;
  tree_.add_kept(node, 1);
  if (tree_[node].n_pins == 0) order_.set(node, tree_[node].last_used);
}

template <class Cache>
void PrefixCache<Cache>::leave(PrefixIndex node) noexcept {
  kept_[node] = kNoSequence;
  order_.remove(node);
  tree_.add_kept(node, -1);
  tree_.release(node);
}

template <class Cache>
void PrefixCache<Cache>::touch(PrefixIndex node) noexcept {
  tree_.touch(node, ++time_);
  if (order_.has(node)) order_.set(node, time_);
}

template <class Cache>
void PrefixCache<Cache>::reserve_nodes() {
  const std::int32_t n = tree_.n_indices();
  kept_.grow(n, kNoSequence);
  sharing_.grow(n, {});
  order_.reserve(n);
}

// Evicting.

template <class Cache>
void PrefixCache<Cache>::drop(SequenceId sequence) {
  if (!cache_->alive(sequence)) return;
  Step step = cache_->begin_step();
  step.drop(sequence);
  if (!step.plan()) fail(Status::internal, "a step without tokens has no room");
  step.commit();
}

template <class Cache>
void PrefixCache<Cache>::rewind(SequenceId sequence, std::int32_t n_tokens) {
  if (!cache_->alive(sequence)) return;
  Step step = cache_->begin_step();
  step.rewind(sequence, n_tokens);
  if (!step.plan()) fail(Status::internal, "a step without tokens has no room");
  step.commit();
}

template <class Cache>
void PrefixCache<Cache>::drop_history(PrefixIndex node) {
  drop(kept_[node]);
  ++statistics_.n_evicted;
  statistics_.n_tokens_evicted += tree_[node].n_tokens;
  leave(node);
  ++version_;
}

/// Shortens the history that ends with the node, which is in order_, by `n_tokens` or by all that was used as long ago
/// and is part of no other. O(log n + what goes).
template <class Cache>
void PrefixCache<Cache>::evict(PrefixIndex node, std::int32_t n_tokens) {
  if (tree_[node].n_uses == 1 && n_tokens < std::ssize(tree_[node].tokens)) {
    rewind(kept_[node], tree_[node].n_tokens - n_tokens);
    tree_.shorten(node, n_tokens);
    ++statistics_.n_evicted;
    statistics_.n_tokens_evicted += n_tokens;
    ++version_;
    return;
  }
  PrefixIndex rest = tree_[node].parent;
  while (rest != PrefixTree::root() && tree_[rest].n_kept == 1 && tree_[rest].n_pins == 0 &&
         tree_[rest].last_used == tree_[node].last_used)
    rest = tree_[rest].parent;
  if (rest == PrefixTree::root()) return drop_history(node);
  const SequenceId sequence = kept_[node];
  const std::int32_t n_gone = tree_[node].n_tokens - tree_[rest].n_tokens;
  const bool is_rest_kept = tree_[rest].n_kept > 1;
  is_rest_kept ? drop(sequence) : rewind(sequence, tree_[rest].n_tokens);
  ++statistics_.n_evicted;
  statistics_.n_tokens_evicted += n_gone;
  tree_.use(rest);
  leave(node);
  is_rest_kept ? tree_.release(rest) : enter(rest, sequence);
  ++version_;
}

template <class Cache>
std::int32_t PrefixCache<Cache>::make_room(std::int32_t n_pages) {
  const std::int32_t n_before = cache_->n_free_pages();
  while (cache_->n_free_pages() < n_pages && !order_.empty()) {
    const std::int64_t n_short = n_pages - cache_->n_free_pages();
    const std::int64_t n_tokens = (n_short + 1) * cache_->page_size();  // the last page may be full in part only
    evict(order_.top(), static_cast<std::int32_t>(std::min<std::int64_t>(n_tokens, kUnlimited)));
  }
  return cache_->n_free_pages() - n_before;
}

template <class Cache>
std::int32_t PrefixCache<Cache>::make_sequences(std::int32_t n_sequences) {
  const std::int32_t n_before = n_sequences_left();
  while (n_sequences_left() < n_sequences && !order_.empty()) drop_history(order_.top());
  return n_sequences_left() - n_before;
}

template <class Cache>
void PrefixCache<Cache>::clear() {
  while (!order_.empty()) drop_history(order_.top());
}

// Reading.

template <class Cache>
std::int32_t PrefixCache<Cache>::n_pages() const {
  std::vector<std::int32_t> pages;
  for (const SequenceId sequence : kept_)
    if (cache_->alive(sequence)) cache_->for_each_own_page(sequence, [&](std::int32_t page) { pages.push_back(page); });
  std::sort(pages.begin(), pages.end());
  return static_cast<std::int32_t>(std::unique(pages.begin(), pages.end()) - pages.begin());
}

template <class Cache>
template <class Visit>
void PrefixCache<Cache>::for_each_history(Visit&& visit) const {
  std::vector<std::pair<std::uint64_t, PrefixIndex>> last_first;
  for (PrefixIndex i{0}; i < kept_.end_index(); ++i)
    if (kept_[i] != kNoSequence) last_first.push_back({~tree_[i].last_used, i});
  std::sort(last_first.begin(), last_first.end());
  for (const auto& [time, node] : last_first) visit(kept_[node], node);
}

}  // namespace anabranch
