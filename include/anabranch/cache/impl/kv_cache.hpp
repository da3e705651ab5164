// BasicKvCache: construction and reading.
#pragma once

#include <anabranch/cache/impl/snapshot_access.hpp>
#include <anabranch/cache/kv_cache.hpp>

namespace anabranch {
namespace impl {

/// Throws bad_argument for options that make no cache.
inline const CacheOptions& checked(const CacheOptions& options) {
  const auto positive = [](std::int32_t value, const char* name) {
    if (value < 1) fail(Status::bad_argument, name, " is ", value, "; at least 1 is needed");
  };
  positive(options.n_pages, "n_pages");
  positive(options.page_size, "page_size");
  positive(options.max_sequences, "max_sequences");
  positive(options.max_position, "max_position");
  if (options.max_depth < 0) fail(Status::bad_argument, "max_depth is ", options.max_depth, "; at least 0 is needed");
  if (std::int64_t{options.n_pages} * options.page_size > kUnlimited)
    fail(Status::bad_argument, options.n_pages, " pages of ", options.page_size, " slots are more than ", kUnlimited,
         " slots");
  return options;
}

template <PageSizeChoice PageSize, std::same_as<Snapshot> S>
CacheOptions options_of(const S& s, std::pmr::memory_resource* memory) {
  if (const std::vector<std::string> violated = s.check(); !violated.empty())
    fail(Status::bad_snapshot, "snapshot breaks an invariant: ", violated.front());
  if (constexpr std::uint64_t most = std::uint64_t{1} << 62; s.ordinal > most)  // the cache is to go on from there
    fail(Status::bad_snapshot, "snapshot with last ordinal ", s.ordinal, "; a cache goes on from ", most, " at most");
  if (const std::int32_t size = PageSize(RuntimePageSize{s.page_size}).get(); size != s.page_size)
    fail(Status::bad_snapshot, "snapshot with pages of ", s.page_size, " slots, for a cache made for pages of ", size);
  CacheOptions options;
  options.n_pages = s.n_pages;
  options.page_size = s.page_size;
  options.max_sequences = s.max_sequences;
  options.max_depth = s.max_depth;
  options.max_position = s.max_position;
  options.share_tail = s.share_tails ? ShareTail::spare : ShareTail::never;
  options.first_generation = s.first_generation;
  options.keep_tokens = s.keep_tokens;
  options.memory = memory;
  return options;
}

}  // namespace impl

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
BasicKvCache<Payload, Policy, PageSize>::BasicKvCache(const CacheOptions& options)
    : options_(impl::checked(options)), core_(options) {
  if (page_size() != options.page_size)
    fail(Status::bad_argument, "page_size ", options.page_size, " in a cache made for pages of ", page_size());
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
template <std::same_as<Snapshot> S>
BasicKvCache<Payload, Policy, PageSize>::BasicKvCache(const S& snapshot, std::pmr::memory_resource* memory)
    : BasicKvCache(impl::options_of<PageSize>(snapshot, memory)) {
  core_.payloads.grow(static_cast<std::int32_t>(snapshot.sequences.size()), Payload{});
  for (const TokenId token : snapshot.tokens) core_.tokens.push_back(token);
  SnapshotAccess<Policy, PageSize>::restore(snapshot, core_.tree, core_.pool);
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
typename BasicKvCache<Payload, Policy, PageSize>::Step BasicKvCache<Payload, Policy, PageSize>::begin_step() {
  if (core_.in_step) fail(Status::wrong_state, "a step is already open; a cache has one at a time");
  core_.in_step = true;
  core_.tree.begin();
  return Step(core_);
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
Snapshot BasicKvCache<Payload, Policy, PageSize>::snapshot() const {
  if (core_.in_step) fail(Status::wrong_state, "a snapshot is taken between steps; one is open");
  Snapshot s = SnapshotAccess<Policy, PageSize>::take(core_.tree, core_.pool);
  s.share_tails = options_.share_tail == ShareTail::spare;
  s.keep_tokens = options_.keep_tokens;
  s.tokens.assign(core_.tokens.begin(), core_.tokens.end());
  return s;
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
std::vector<SequenceId> BasicKvCache<Payload, Policy, PageSize>::children(SequenceId sequence) const {
  std::vector<SequenceId> result;
  for_each_child(sequence, [&](SequenceId child) { result.push_back(child); });
  return result;
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
template <class Visit>
void BasicKvCache<Payload, Policy, PageSize>::for_each_child(SequenceId sequence, Visit&& visit) const {
  for (SequenceIndex c = state(sequence).first_child; c != kNoIndex; c = table()[c].next_sibling) visit(table().id(c));
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
template <class Visit>
void BasicKvCache<Payload, Policy, PageSize>::for_each_root(Visit&& visit) const {
  table().for_each([&](SequenceIndex sequence) {
    if (table()[sequence].parent == kNoIndex) visit(table().id(sequence));
  });
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
std::vector<SequenceId> BasicKvCache<Payload, Policy, PageSize>::sequences() const {
  std::vector<SequenceId> result;
  for_each_sequence([&](SequenceId sequence) { result.push_back(sequence); });
  return result;
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
std::vector<SequenceId> BasicKvCache<Payload, Policy, PageSize>::roots() const {
  std::vector<SequenceId> result;
  for_each_root([&](SequenceId sequence) { result.push_back(sequence); });
  return result;
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
template <class Visit>
void BasicKvCache<Payload, Policy, PageSize>::for_each_view(SequenceId sequence, Visit&& visit) const {
  const SequenceState<Policy>& s = state(sequence);
  const History<PageSize>& history = core_.tree.history();
  std::vector<NodeIndex> path;
  for (NodeIndex n = s.head; n != kNoIndex; n = history.node(n).parent) path.push_back(n);
  const auto show = [&](SegmentIndex index, std::int32_t end) {
    const Segment& segment = history.segment(index);
    if (const std::int32_t n = std::min(end, segment.n_slots()); n > 0) visit(segment.view(0, n), segment.first);
  };
  for (std::size_t i = path.size(); i-- > 0;) show(history.node(path[i]).segment, history.node(path[i]).end);
  if (s.open != kNoIndex) show(s.open, history.segment(s.open).length);
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
template <class Visit>
void BasicKvCache<Payload, Policy, PageSize>::for_each_own_page(SequenceId sequence, Visit&& visit) const {
  const SequenceState<Policy>& s = state(sequence);
  const History<PageSize>& history = core_.tree.history();
  const auto show = [&](SegmentIndex index, std::int32_t end) {
    for (const SlotRun& run : history.segment(index).runs) {
      if (run.offset >= end) return;
      const PageIndex last = core_.pool.page_of(run.first + std::min(run.count, end - run.offset) - 1);
      for (std::int32_t page = core_.pool.page_of(run.first).value; page <= last.value; ++page) visit(page);
    }
  };
  for (NodeIndex n = s.head; n != s.fork_node && n != kNoIndex; n = history.node(n).parent)
    show(history.node(n).segment, history.node(n).end);
  if (s.open != kNoIndex) show(s.open, history.segment(s.open).length);
  const SequenceIndex own = table().find(sequence);
  for (PageIndex page = core_.pool.tail(own); page != kNoIndex; page = core_.pool[page].next) visit(page.value);
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
std::vector<Slot> BasicKvCache<Payload, Policy, PageSize>::slots_of(SequenceId sequence) const {
  std::vector<Slot> slots;
  for_each_view(sequence, [&](const View& view, Position) {
    for_each_run(view, [&](Slot first, std::int32_t count) {
      for (std::int32_t i = 0; i < count; ++i) slots.push_back(first + i);
    });
  });
  return slots;
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
std::vector<Position> BasicKvCache<Payload, Policy, PageSize>::positions_of(SequenceId sequence) const {
  std::vector<Position> positions;
  for_each_view(sequence, [&](const View& view, Position first) {
    for (std::int32_t i = view.begin; i < view.end; ++i) positions.push_back(first + i);
  });
  return positions;
}

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
std::vector<TokenId> BasicKvCache<Payload, Policy, PageSize>::tokens_of(SequenceId sequence) const {
  (void)table().find(sequence);
  if (!core_.keep_tokens) fail(Status::wrong_state, "the cache keeps no tokens: its option keep_tokens is off");
  std::vector<TokenId> tokens;
  for (const Slot slot : slots_of(sequence))
    tokens.push_back(slot < core_.tokens.size() ? core_.tokens[slot] : kUnknownToken);
  return tokens;
}

}  // namespace anabranch
