// PrefixFile: bodies.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <anabranch/cache/impl/prefix_file_layout.hpp>
#include <anabranch/cache/prefix_file.hpp>

namespace anabranch {
namespace impl {

/// Throws bad_snapshot when the file ends first.
inline void read_exactly(const ByteSource& source, std::span<std::byte> bytes) {
  if (const std::size_t n = source(bytes); n < bytes.size())
    fail(Status::bad_snapshot, "the prefix file ends ", bytes.size() - n, " bytes too early");
}

}  // namespace impl

/// All of the file but K and V.
template <class Cache>
struct PrefixFile<Cache>::Structure {
  std::vector<impl::SavedNode> nodes;
  std::vector<impl::SavedHistory> histories;
  std::vector<SequenceId> sequences;  ///< [histories] of a cache that is saved
};

/// The sequences that a restore has made so far, until all of the file is known to be sound.
template <class Cache>
struct PrefixFile<Cache>::Restored {
  std::vector<PrefixIndex> nodes;     ///< [nodes], each used once
  std::vector<SequenceId> sequences;  ///< [histories] kNoSequence: skipped
};

template <class Cache>
PrefixFile<Cache>::PrefixFile(PrefixCache<Cache>& prefixes, const KvBytes& bytes)
    : prefixes_(&prefixes), bytes_(&bytes) {
  if (bytes.bytes_per_slot < 1)
    fail(Status::bad_argument, "bytes_per_slot is ", bytes.bytes_per_slot, "; at least 1 is needed");
}

// Saving.

template <class Cache>
PrefixFileCounts PrefixFile<Cache>::save(const ByteSink& sink, std::int64_t max_tokens) const {
  PrefixFileCounts counts;
  const Structure structure = structure_to_save(max_tokens, counts);
  impl::ByteWriter body;
  body(static_cast<std::uint64_t>(bytes_->model.size()));
  for (const char c : bytes_->model) body(static_cast<std::byte>(c));
  body(bytes_->bytes_per_slot);
  body(structure.nodes);
  body(structure.histories);
  impl::ByteWriter header;
  header(impl::kPrefixMagic);
  header(impl::kPrefixVersion);
  header(static_cast<std::uint64_t>(body.bytes.size()));
  header(impl::fnv1a(body.bytes));
  sink(header.bytes);
  sink(body.bytes);
  save_kv(structure, sink);
  return counts;
}

template <class Cache>
typename PrefixFile<Cache>::Structure PrefixFile<Cache>::structure_to_save(std::int64_t max_tokens,
                                                                           PrefixFileCounts& counts) const {
  const PrefixTree& tree = prefixes_->tree();
  Structure out;
  impl::SavedPlaces places(tree);
  std::vector<std::int32_t> history(impl::offset_of(tree.n_indices()), kNone);  // the first one that begins with a node
  prefixes_->for_each_history([&](SequenceId sequence, PrefixIndex node) {
    PrefixIndex known = node;
    while (known != PrefixTree::root() && history[known.offset()] == kNone) known = tree[known].parent;
    const std::int32_t n_new = tree[node].n_tokens - tree[known].n_tokens;
    if (n_new > max_tokens || !prefixes_->cache().alive(sequence)) {
      ++counts.n_skipped;
      return;
    }
    max_tokens -= n_new;
    const std::int32_t place = places.add(node, out.nodes);
    const auto index = static_cast<std::int32_t>(out.histories.size());
    out.histories.push_back({place, history[known.offset()], tree[known].n_tokens});
    out.sequences.push_back(sequence);
    for (PrefixIndex i = node; i != known; i = tree[i].parent) history[i.offset()] = index;
    ++counts.n_histories;
    counts.n_tokens += n_new;
  });
  return out;
}

/// Calls visit(Slot first, std::int32_t count) for the slots of a sequence's tokens from `n_shared` on, in the order of
/// its history, up to 64 that stand together at a time.
template <class Cache>
template <class Visit>
void PrefixFile<Cache>::for_each_slot_run(SequenceId sequence, std::int32_t n_shared, Visit&& visit) const {
  const std::vector<Slot> slots = prefixes_->cache().slots_of(sequence);
  for (std::size_t i = impl::offset_of(n_shared); i < slots.size();) {
    std::size_t n = 1;
    while (n < 64 && i + n < slots.size() && slots[i + n] == slots[i + n - 1] + 1) ++n;
    visit(slots[i], static_cast<std::int32_t>(n));
    i += n;
  }
}

template <class Cache>
void PrefixFile<Cache>::save_kv(const Structure& structure, const ByteSink& sink) const {
  impl::StreamChecksum checksum;
  std::vector<std::byte> buffer;
  for (std::size_t h = 0; h < structure.histories.size(); ++h)
    for_each_slot_run(structure.sequences[h], structure.histories[h].n_shared, [&](Slot first, std::int32_t count) {
      buffer.resize(impl::offset_of(count) * static_cast<std::size_t>(bytes_->bytes_per_slot));
      bytes_->read(first, count, buffer);
      for (std::int32_t i = 0; i < count; ++i) checksum.add(bytes_of(buffer, i));
      sink(buffer);
    });
  impl::ByteWriter end;
  end(checksum.value());
  sink(end.bytes);
}

// Restoring.

template <class Cache>
typename PrefixFile<Cache>::Structure PrefixFile<Cache>::read_structure(const ByteSource& source) const {
  std::vector<std::byte> bytes(28);
  impl::read_exactly(source, bytes);
  impl::ByteReader header(bytes);
  std::uint64_t magic = 0, length = 0, checksum = 0;
  std::uint32_t version = 0;
  header(magic), header(version), header(length), header(checksum);
  if (magic != impl::kPrefixMagic) fail(Status::bad_snapshot, "these bytes are not a prefix file");
  if (version != impl::kPrefixVersion)
    fail(Status::bad_snapshot, "prefix file of version ", version, "; this library reads version ",
         impl::kPrefixVersion);
  bytes.clear();
  while (bytes.size() < length) {  // part by part: a damaged length takes no more memory than the file has bytes
    const std::size_t n_before = bytes.size();
    bytes.resize(n_before + static_cast<std::size_t>(std::min<std::uint64_t>(length - n_before, 1 << 20)));
    impl::read_exactly(source, std::span(bytes).subspan(n_before));
  }
  if (impl::fnv1a(bytes) != checksum) fail(Status::bad_snapshot, "the prefix file is damaged: its checksum differs");
  impl::ByteReader body(bytes);
  std::vector<std::byte> model;
  std::int64_t bytes_per_slot = 0;
  Structure structure;
  body(model), body(bytes_per_slot);
  const std::string name(reinterpret_cast<const char*>(model.data()), model.size());
  if (name != bytes_->model)
    fail(Status::bad_snapshot, "the prefix file is of model \"", name, "\"; this one is \"", bytes_->model, "\"");
  if (bytes_per_slot != bytes_->bytes_per_slot)
    fail(Status::bad_snapshot, "the prefix file has ", bytes_per_slot, " bytes per slot; this model has ",
         bytes_->bytes_per_slot);
  body(structure.nodes), body(structure.histories);
  if (body.left() != 0) fail(Status::bad_snapshot, "the prefix file has ", body.left(), " bytes left over");
  return structure;
}

/// Throws bad_snapshot for nodes that cannot be.
template <class Cache>
void PrefixFile<Cache>::insert_nodes(const Structure& structure, Restored& restored) {
  PrefixTree& tree = prefixes_->tree_;
  restored.nodes.reserve(structure.nodes.size());
  const auto known = [&](std::int32_t place) {
    if (place < kNone || place >= std::ssize(restored.nodes))
      fail(Status::bad_snapshot, "node ", restored.nodes.size(), " of the prefix file names node ", place,
           ", which does not come before it");
    return place == kNone ? PrefixTree::root() : restored.nodes.begin()[place];
  };
  const auto need = [&](bool holds, const char* what) {
    if (!holds) fail(Status::bad_snapshot, "node ", restored.nodes.size(), " of the prefix file ", what);
  };
  for (const impl::SavedNode& node : structure.nodes) {
    const PrefixIndex parent = known(node.parent);
    if (node.is_join) {
      const PrefixIndex fork = known(node.fork), branch = known(node.branch);
      PrefixIndex up = branch;
      while (up != fork && up != PrefixTree::root()) up = tree[up].parent;
      need(up == fork, "joins a branch that does not begin with its fork");
      const std::int64_t n = std::int64_t{tree[parent].n_tokens} + tree[branch].n_tokens - tree[fork].n_tokens;
      need(n <= kUnlimited, "has more tokens than can be counted");
      restored.nodes.push_back(tree.insert_join(parent, fork, branch));
      continue;
    }
    need(!node.tokens.empty(), "has no tokens");
    need(std::all_of(node.tokens.begin(), node.tokens.end(), [](TokenId t) { return t >= 0; }), "has a negative token");
    need(node.first >= 0 && std::ssize(node.tokens) <= kUnlimited - node.first, "has a position that cannot be");
    need(std::ssize(node.tokens) <= kUnlimited - tree[parent].n_tokens, "has more tokens than can be counted");
    restored.nodes.push_back(tree.insert_run(parent, node.tokens, node.first));
  }
}

/// Whether the node's list can be in the cache at all, beside what is there.
template <class Cache>
bool PrefixFile<Cache>::fits(PrefixIndex node) const {
  const Cache& cache = prefixes_->cache();
  if (prefixes_->tree_[node].n_tokens > cache.n_slots() || cache.options().max_depth < 1 ||
      prefixes_->n_sequences_left() < 2)
    return false;
  bool fits = true;
  prefixes_->tree_.for_each_run(node, [&](std::span<const TokenId> tokens, Position first) {
    fits = fits && first <= cache.options().max_position - std::ssize(tokens);
  });
  return fits;
}

/// Appends the node's tokens from `n_done` on, at their positions. What they see is no matter: K and V are not
/// computed.
template <class Cache>
void PrefixFile<Cache>::append_runs(typename Cache::Step& step, SequenceId sequence, PrefixIndex node,
                                    std::int32_t n_done) {
  const Cache& cache = prefixes_->cache();
  std::int32_t n = 0;
  prefixes_->tree_.for_each_run(node, [&](std::span<const TokenId> tokens, Position first) {
    const auto n_skipped = std::clamp(n_done - n, 0, static_cast<std::int32_t>(tokens.size()));
    n += static_cast<std::int32_t>(tokens.size());
    tokens = tokens.subspan(impl::offset_of(n_skipped));
    first += n_skipped;
    if (tokens.empty()) return;
    if (cache.next_position(sequence) == first) return step.append(sequence, tokens);
    const SequenceId moved = step.fork(sequence, 1, {.positions = Positions::given, .starts = {&first, 1}}).front();
    step.append(moved, tokens);
    step.join(sequence, {moved}, {.next = cache.next_position(moved)});
  });
}

/// A sequence with the node's tokens, of which `shared` has the first; kNoSequence when there is no room for it.
template <class Cache>
SequenceId PrefixFile<Cache>::compute(PrefixIndex node, SequenceId shared, std::int32_t n_shared) {
  Cache& cache = prefixes_->cache();
  auto step = cache.begin_step();
  SequenceId sequence;
  if (shared == kNoSequence) {
    sequence = step.create_sequence();
  } else {
    sequence = step.fork(shared, 1).front();
    step.detach(sequence);
    step.rewind(sequence, n_shared);
  }
  append_runs(step, sequence, node, n_shared);
  if (!step.plan()) return kNoSequence;
  step.commit();
  return sequence;
}

/// Undoes an unfinished restore.
template <class Cache>
void PrefixFile<Cache>::give_back(Restored& restored) noexcept {
  for (const PrefixIndex node : restored.nodes) prefixes_->tree_.release(node);
  try {
    auto step = prefixes_->cache().begin_step();
    for (const SequenceId sequence : restored.sequences)
      if (prefixes_->cache().alive(sequence)) step.drop(sequence);
    if (step.plan()) step.commit();
  } catch (...) {  // they stay in the cache, which is all that can be done here
  }
}

template <class Cache>
PrefixFileCounts PrefixFile<Cache>::restore(const ByteSource& source) {
  { const auto none_open = prefixes_->cache().begin_step(); }
  const Structure structure = read_structure(source);
  Restored restored;
  PrefixFileCounts counts;
  try {
    insert_nodes(structure, restored);
    restore_kv(structure, source, restored, counts);
    for (std::size_t h = restored.sequences.size(); h-- > 0;) {  // the one used last becomes that again
      const SequenceId sequence = std::exchange(restored.sequences[h], kNoSequence);
      if (sequence == kNoSequence) continue;
      const PrefixIndex node = restored.nodes.begin()[structure.histories[h].node];
      prefixes_->tree_.use(node);
      prefixes_->keep_at(node, sequence);
    }
  } catch (...) {
    give_back(restored);
    throw;
  }
  give_back(restored);
  return counts;
}

/// Makes the sequences of the file's histories, and fills in their K and V.
template <class Cache>
void PrefixFile<Cache>::restore_kv(const Structure& structure, const ByteSource& source, Restored& restored,
                                   PrefixFileCounts& counts) {
  impl::StreamChecksum checksum;
  std::vector<std::byte> buffer;
  const auto read = [&](std::int32_t count) {
    buffer.resize(impl::offset_of(count) * static_cast<std::size_t>(bytes_->bytes_per_slot));
    impl::read_exactly(source, buffer);
    for (std::int32_t i = 0; i < count; ++i) checksum.add(bytes_of(buffer, i));
  };
  for (const impl::SavedHistory& history : structure.histories) {
    const PrefixIndex node = checked_node(history, structure, restored);
    const bool shares = history.shared_with != kNone;
    const SequenceId shared = shares ? restored.sequences.begin()[history.shared_with] : kNoSequence;
    const bool can_be = fits(node) && (!shares || shared != kNoSequence);
    const SequenceId sequence = can_be ? compute(node, shared, history.n_shared) : kNoSequence;
    restored.sequences.push_back(sequence);
    const std::int32_t n_new = prefixes_->tree_[node].n_tokens - history.n_shared;
    if (sequence == kNoSequence) {
      for (std::int32_t i = 0; i < n_new; ++i) read(1);
      ++counts.n_skipped;
      continue;
    }
    for_each_slot_run(sequence, history.n_shared, [&](Slot first, std::int32_t count) {
      read(count);
      bytes_->write(first, count, buffer);
    });
    ++counts.n_histories;
    counts.n_tokens += n_new;
  }
  std::vector<std::byte> end(8);
  impl::read_exactly(source, end);
  std::uint64_t expected = 0;
  impl::ByteReader{end}(expected);
  if (expected != checksum.value())
    fail(Status::bad_snapshot, "K and V of the prefix file are damaged: their checksum differs");
}

/// Throws bad_snapshot for a history that cannot be.
template <class Cache>
PrefixIndex PrefixFile<Cache>::checked_node(const impl::SavedHistory& history, const Structure& structure,
                                            const Restored& restored) const {
  const PrefixTree& tree = prefixes_->tree_;
  const auto need = [&](bool holds, const char* what) {
    if (!holds) fail(Status::bad_snapshot, "history ", restored.sequences.size(), " of the prefix file ", what);
  };
  need(history.node >= 0 && history.node < std::ssize(restored.nodes), "names a node that is not there");
  need(history.shared_with >= kNone && history.shared_with < std::ssize(restored.sequences),
       "shares with a history that does not come before it");
  const PrefixIndex node = restored.nodes.begin()[history.node];
  if (history.shared_with == kNone) {
    need(history.n_shared == 0, "shares tokens with no history");
    return node;
  }
  const auto path = [&](PrefixIndex last) {
    std::vector<PrefixIndex> nodes;
    for (; last != kNoIndex; last = tree[last].parent) nodes.push_back(last);
    return nodes;
  };
  const std::vector<PrefixIndex> own = path(node);
  const std::vector<PrefixIndex> other =
      path(restored.nodes.begin()[structure.histories.begin()[history.shared_with].node]);
  const auto common = std::mismatch(own.rbegin(), own.rend(), other.rbegin(), other.rend()).first - 1;
  need(history.n_shared >= 0 && history.n_shared <= tree[*common].n_tokens, "shares more tokens than both begin with");
  return node;
}

}  // namespace anabranch
