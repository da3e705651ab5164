// PrefixTree: bodies.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include <anabranch/cache/prefix_tree.hpp>

namespace anabranch {

inline PrefixTree::PrefixTree(std::pmr::memory_resource* memory)
    : nodes_(memory), buckets_(memory), created_(memory), memory_(memory) {
  buckets_.assign(16, PrefixIndex{});
  nodes_[nodes_.acquire()].n_uses = 1;  // the root, for ever
  n_nodes_ = 1;
}

// Reading.

inline PrefixTree::Key PrefixTree::key_of(PrefixIndex index) const noexcept {
  const PrefixNode& node = nodes_[index];
  if (node.branch != kNoIndex) return {node.parent, node.fork.value, node.branch.value, true};
  return {node.parent, node.tokens.front(), node.first, false};
}

inline std::int32_t PrefixTree::bucket_of(const Key& key) const noexcept {
  const auto mix = [](std::uint64_t x) {  // the finalizer of splitmix64
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
  };
  const auto bits = [](std::int32_t value) { return std::uint64_t{static_cast<std::uint32_t>(value)}; };
  const std::uint64_t hash =
      mix(mix(bits(key.parent.value) << 1 | (key.is_join ? 1 : 0)) + (bits(key.a) << 32 | bits(key.b)));
  return static_cast<std::int32_t>(hash & (static_cast<std::uint64_t>(buckets_.size()) - 1));
}

inline PrefixIndex PrefixTree::find_child(const Key& key) const noexcept {
  PrefixIndex i = buckets_[bucket_of(key)];
  for (; i != kNoIndex; i = nodes_[i].next_in_bucket) {
    const Key other = key_of(i);
    if (other.parent == key.parent && other.a == key.a && other.b == key.b && other.is_join == key.is_join) break;
  }
  return i;
}

/// The list of a parent once it has taken a branch over; no node when it is not there.
inline PrefixTree::Place PrefixTree::find_joined(const PlaceLevel& level, Place branch) const noexcept {
  if (branch == level.fork) return level.list;  // it wrote nothing
  if (level.list == level.fork) return branch;  // the parent sees exactly what the branch saw
  if (!is_end(level.list) || !is_end(level.fork) || !is_end(branch)) return {};
  return {find_child({level.list.node, level.fork.node.value, branch.node.value, true}), 0};
}

/// Goes on from `place` as far as the tree has these tokens at these positions, and calls note(place, tokens so far,
/// tokens in this node) at the end of each node on the way and at the last place. Returns the number of tokens.
template <class Note>
std::int32_t PrefixTree::advance(Place& place, std::span<const TokenId> tokens, Position first, Note&& note) const {
  const auto n = static_cast<std::int32_t>(tokens.size());
  std::int32_t done = 0;
  while (done < n) {
    if (is_end(place)) {
      const PrefixIndex child = find_child({place.node, tokens.begin()[done], first + done, false});
      if (child == kNoIndex) break;
      place = {child, 0};
    }
    const PrefixNode& node = nodes_[place.node];
    if (node.first + place.offset != first + done) break;
    const auto run = std::span(node.tokens.data(), node.tokens.size()).subspan(static_cast<std::size_t>(place.offset));
    const auto rest = tokens.subspan(static_cast<std::size_t>(done));
    const auto n_equal =
        static_cast<std::int32_t>(std::mismatch(run.begin(), run.end(), rest.begin(), rest.end()).first - run.begin());
    place.offset += n_equal;
    done += n_equal;
    if (n_equal > 0) note(place, done, n_equal);
    if (!is_end(place)) break;
  }
  return done;
}

inline std::int32_t PrefixTree::advance(Place& place, std::span<const TokenId> tokens, Position first) const noexcept {
  return advance(place, tokens, first, [](Place, std::int32_t, std::int32_t) {});
}

inline void PrefixTree::note(PrefixMatch& match, Place place, const Noted& noted) const noexcept {
  const PrefixNode& node = nodes_[place.node];
  const std::int32_t n_here = node.n_tokens - (end_of(place.node).offset - place.offset);
  const std::int32_t n_over = std::max(0, n_here - noted.n_most);
  if (n_over > 0 && n_over >= noted.n_back) return;  // what is left was noted before
  if (node.n_pending + node.n_running > 0) match.n_pending = n_here - n_over;
  if (node.is_held())
    match = {place.node, place.offset - n_over, n_here - n_over, noted.next - n_over, match.n_pending};
}

inline PrefixMatch PrefixTree::find(const StructuredPrompt& prompt, std::int32_t n_most) const {
  using Kind = StructuredPrompt::Item::Kind;
  PrefixMatch match{root(), 0, 0, prompt.items().empty() ? prompt.next_position() : prompt.items().front().position, 0};
  std::vector<PlaceLevel> levels;
  Place place = end_of(root());
  for (const StructuredPrompt::Item& item : prompt.items()) {
    switch (item.kind) {
      case Kind::tokens: {
        const auto tokens = prompt.tokens_of(item);
        const bool counts = levels.empty();
        const auto note_it = [&](Place at, std::int32_t done, std::int32_t n_here) {
          if (counts) note(match, at, {item.position + done, n_here, n_most});
        };
        const std::int32_t n = advance(place, tokens, item.position, note_it);
        if (n < item.n_tokens) return match;
        break;
      }
      case Kind::begin_block: levels.push_back({place, place}); break;
      case Kind::begin_branch: place = levels.back().fork; break;
      case Kind::end_branch:
        place = levels.back().list = find_joined(levels.back(), place);
        if (place.node == kNoIndex) return match;
        break;
      case Kind::end_block:
        place = levels.back().list;
        levels.pop_back();
        if (levels.empty()) note(match, place, {item.position, 0, n_most});
        break;
    }
  }
  return match;
}

template <class Visit>
void PrefixTree::for_each_run(PrefixIndex node, Visit&& visit) const {
  struct Part {
    PrefixIndex node, stop;
  };
  std::vector<Part> parts = {{node, root()}};
  std::vector<PrefixIndex> runs;  // the last one first
  while (!parts.empty()) {
    const Part part = parts.back();
    parts.pop_back();
    if (part.node == part.stop) continue;
    const PrefixNode& n = nodes_[part.node];
    parts.push_back({n.parent, part.stop});
    if (n.branch != kNoIndex) parts.push_back({n.branch, n.fork});
    if (!n.tokens.empty()) runs.push_back(part.node);
  }
  for (std::size_t i = runs.size(); i-- > 0;) {
    const PrefixNode& n = nodes_[runs[i]];
    visit(std::span<const TokenId>(n.tokens.data(), n.tokens.size()), n.first);
  }
}

// Inserting.

/// Whatever `insert` makes goes again when it throws; the node that it returns is used once more.
template <class Insert>
PrefixIndex PrefixTree::insert_with(Insert&& insert) {
  PrefixIndex node;
  try {
    node = insert();
  } catch (...) {
    forget_created();
    throw;
  }
  use(node);
  forget_created();
  return node;
}

inline PrefixIndex PrefixTree::insert(const StructuredPrompt& prompt) {
  return insert_with([&] {
    Place place = end_of(root());
    insert_items(prompt, place);
    return end_here(place);
  });
}

inline PrefixIndex PrefixTree::insert_run(PrefixIndex parent, std::span<const TokenId> tokens, Position first) {
  return insert_with([&] {
    Place place = end_of(parent);
    append(place, tokens, first);
    return end_here(place);
  });
}

inline PrefixIndex PrefixTree::insert_join(PrefixIndex parent, PrefixIndex fork, PrefixIndex branch) {
  return insert_with([&] { return join({fork, parent}, branch); });
}

inline void PrefixTree::insert_items(const StructuredPrompt& prompt, Place& place) {
  using Kind = StructuredPrompt::Item::Kind;
  std::vector<Level> levels;
  for (const StructuredPrompt::Item& item : prompt.items()) {
    switch (item.kind) {
      case Kind::tokens: append(place, prompt.tokens_of(item), item.position); break;
      case Kind::begin_block:
        end_here(place);
        levels.push_back({place.node, place.node});
        break;
      case Kind::begin_branch: place = end_of(levels.back().fork); break;
      case Kind::end_branch: levels.back().list = join(levels.back(), end_here(place)); break;
      case Kind::end_block:
        place = end_of(levels.back().list);
        levels.pop_back();
        break;
    }
  }
}

/// Drops the uses that kept the new nodes until the insertion was over.
inline void PrefixTree::forget_created() noexcept {
  while (!created_.empty()) {
    const PrefixIndex node = created_.back();
    created_.pop_back();
    release(node);
  }
}

inline void PrefixTree::append(Place& place, std::span<const TokenId> tokens, Position first) {
  const std::int32_t done = advance(place, tokens, first);
  if (done == std::ssize(tokens)) return;
  const auto rest = tokens.subspan(static_cast<std::size_t>(done));
  place = end_of(add_node({end_here(place), rest.front(), first + done, false}, rest));
}

inline PrefixIndex PrefixTree::join(const Level& level, PrefixIndex branch) {
  const Place joined = find_joined({end_of(level.fork), end_of(level.list)}, end_of(branch));
  if (joined.node != kNoIndex) return joined.node;
  return add_node({level.list, level.fork.value, branch.value, true}, {});
}

/// Makes the place the end of a node, and returns that.
inline PrefixIndex PrefixTree::end_here(Place& place) {
  if (!is_end(place)) {
    const PrefixIndex node = split_at(place.node, place.offset);
    --nodes_[node].n_uses;  // its second half uses it
    place = end_of(node);
  }
  return place.node;
}

/// A new child, used once for the insertion that runs. REQUIRES: there is none with this key.
inline PrefixIndex PrefixTree::add_node(const Key& key, std::span<const TokenId> tokens) {
  impl::reserve_more(created_, 1);
  grow_buckets();
  impl::MemoryVector<TokenId> own(tokens.begin(), tokens.end(), impl::MemoryAllocator<TokenId>(memory_));
  const PrefixIndex index = nodes_.acquire();
  PrefixNode& node = nodes_[index];
  node = PrefixNode(memory_);
  node.tokens = std::move(own);
  node.parent = key.parent;
  node.n_tokens = nodes_[key.parent].n_tokens + static_cast<std::int32_t>(tokens.size());
  ++nodes_[key.parent].n_uses;
  if (key.is_join) {
    node.fork = PrefixIndex(key.a);
    node.branch = PrefixIndex(key.b);
    node.n_tokens += nodes_[node.branch].n_tokens - nodes_[node.fork].n_tokens;
    ++nodes_[node.branch].n_uses;
  } else {
    node.first = key.b;
  }
  node.n_uses = 1;
  created_.push_back(index);
  link(index);
  ++n_nodes_;
  return index;
}

inline PrefixIndex PrefixTree::split_at(PrefixIndex index, std::int32_t offset) {
  if (offset == end_of(index).offset) {
    use(index);
    return index;
  }
  grow_buckets();
  const impl::MemoryVector<TokenId>& run = nodes_[index].tokens;
  impl::MemoryVector<TokenId> first(run.begin(), run.begin() + offset, impl::MemoryAllocator<TokenId>(memory_));
  const PrefixIndex upper_index = nodes_.acquire();
  PrefixNode& upper = nodes_[upper_index];
  PrefixNode& lower = nodes_[index];
  unlink(index);
  if (lower.is_held()) unlink_held(index);
  upper = PrefixNode(memory_);
  upper.tokens = std::move(first);
  upper.first = lower.first;
  upper.parent = lower.parent;
  upper.n_tokens = lower.n_tokens - (static_cast<std::int32_t>(lower.tokens.size()) - offset);
  upper.n_kept = lower.n_kept;
  upper.n_running = lower.n_running;
  upper.n_pending = lower.n_pending;
  upper.last_used = lower.last_used;
  upper.n_uses = 2;  // the second half, and the caller
  lower.tokens.erase(lower.tokens.begin(), lower.tokens.begin() + offset);
  lower.first += offset;
  lower.parent = upper_index;
  for (const PrefixIndex i : {upper_index, index}) {
    link(i);
    if (nodes_[i].is_held()) link_held(i);
  }
  ++n_nodes_;
  return upper_index;
}

inline void PrefixTree::shorten(PrefixIndex index, std::int32_t n) noexcept {
  PrefixNode& node = nodes_[index];
  node.tokens.erase(node.tokens.end() - n, node.tokens.end());
  node.n_tokens -= n;
}

// Nodes that nobody uses go; without recursion, by the links of their buckets.

inline void PrefixTree::release(PrefixIndex index) noexcept {
  PrefixIndex unused;
  const auto drop = [&](PrefixIndex i) {
    if (i == kNoIndex || --nodes_[i].n_uses > 0) return;
    unlink(i);
    nodes_[i].next_in_bucket = unused;
    unused = i;
  };
  drop(index);
  while (unused != kNoIndex) {
    PrefixNode& node = nodes_[unused];
    const PrefixIndex parent = node.parent, branch = node.branch, gone = unused;
    unused = node.next_in_bucket;
    node.tokens = impl::MemoryVector<TokenId>(impl::MemoryAllocator<TokenId>(memory_));  // gives its memory back
    nodes_.release(gone);
    --n_nodes_;
    drop(parent);
    drop(branch);
  }
}

inline void PrefixTree::link(PrefixIndex index) noexcept {
  PrefixIndex& bucket = buckets_[bucket_of(key_of(index))];
  nodes_[index].next_in_bucket = bucket;
  bucket = index;
}

inline void PrefixTree::unlink(PrefixIndex index) noexcept {
  PrefixIndex* i = &buckets_[bucket_of(key_of(index))];
  while (*i != index) i = &nodes_[*i].next_in_bucket;
  *i = nodes_[index].next_in_bucket;
}

/// Makes room for one more node.
inline void PrefixTree::grow_buckets() {
  if (n_nodes_ < buckets_.size()) return;
  IndexedVector<PrefixIndex, std::int32_t> more(memory_);
  more.assign(2 * buckets_.size(), PrefixIndex{});
  std::swap(buckets_, more);
  for (std::int32_t b = 0; b < more.size(); ++b) {
    for (PrefixIndex i = more[b]; i != kNoIndex;) {
      const PrefixIndex next = nodes_[i].next_in_bucket;
      link(i);
      i = next;
    }
  }
}

// Counts.

inline void PrefixTree::add(PrefixIndex index, std::int32_t n, std::int32_t PrefixNode::*count) noexcept {
  for (; index != kNoIndex; index = nodes_[index].parent) {
    PrefixNode& node = nodes_[index];
    const bool was_held = node.is_held();
    node.*count += n;
    if (was_held != node.is_held()) was_held ? unlink_held(index) : link_held(index);
  }
}

inline void PrefixTree::touch(PrefixIndex index, std::uint64_t time) noexcept {
  for (; index != kNoIndex; index = nodes_[index].parent) nodes_[index].last_used = time;
}

inline void PrefixTree::link_held(PrefixIndex index) noexcept {
  PrefixNode& node = nodes_[index];
  node.next_held = node.previous_held = kNoIndex;
  if (node.parent == kNoIndex) return;
  PrefixIndex& first = nodes_[node.parent].first_held;
  node.next_held = first;
  if (first != kNoIndex) nodes_[first].previous_held = index;
  first = index;
}

inline void PrefixTree::unlink_held(PrefixIndex index) noexcept {
  const PrefixNode& node = nodes_[index];
  if (node.parent == kNoIndex) return;
  if (node.next_held != kNoIndex) nodes_[node.next_held].previous_held = node.previous_held;
  (node.previous_held != kNoIndex ? nodes_[node.previous_held].next_held : nodes_[node.parent].first_held) =
      node.next_held;
}

}  // namespace anabranch
