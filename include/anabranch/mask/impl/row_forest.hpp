// RowForest: bodies.
#pragma once

#include <algorithm>

#include <anabranch/mask/row_forest.hpp>

namespace anabranch {

template <PageSizeChoice PageSize>
void RowForest<PageSize>::build(const History<PageSize>& history, std::uint64_t epoch, Blocks& blocks) {
  const bool same_tree = epoch == kept_epoch_ && history.n_moves() == kept_moves_;
  if (!same_tree || !take_over(history, blocks)) {
    kept_epoch_ = 0;
    collect(history, blocks);
    add_entries(blocks);
    link_entries();
    number_blocks();
    find_groups(history, blocks);
    keep(history, epoch, blocks);
  }
  number_rows(blocks);
}

/// Takes over the forest of the last build when the blocks are of the same segments; then only the ends of those have
/// changed. Such segments are still written, so nobody else sees them, and each ends the last group of its rows.
template <PageSizeChoice PageSize>
bool RowForest<PageSize>::take_over(const History<PageSize>& history, Blocks& blocks) {
  if (blocks.size() != kept_.size()) return false;
  for (BlockIndex i{0}; i != blocks.end_index(); ++i) {
    const RowBlock& block = blocks[i];
    const std::int32_t k = block.segment.value < kept_of_segment_.size() ? kept_of_segment_[block.segment] : kNone;
    if (k == kNone || k >= kept_.size() || kept_[k].segment != block.segment) return false;  // noted by an older build
    if (kept_[k].ordinal != history.segment(block.segment).ordinal || kept_[k].base != block.base) return false;
    if (kept_[k].group == kNone) return false;
    order_.begin()[k] = i;
  }
  for (std::int32_t k = 0; k < kept_.size(); ++k) {
    const RowBlock& block = blocks[order_.begin()[k]];
    VisibilityGroup& group = groups_.begin()[kept_[k].group];
    View& own = views_.begin()[group.view_end - 1];
    group.n_keys += block.end - own.end;
    group.visibility = block.end - block.begin > 1 ? Visibility::causal : Visibility::full;
    own = history.segment(block.segment).view(0, block.end);
  }
  return true;
}

/// Sets items_, in the order of their keys.
template <PageSizeChoice PageSize>
void RowForest<PageSize>::collect(const History<PageSize>& history, const Blocks& blocks) {
  for (const NodeIndex node : touched_) entry_of_node_[node] = kNoIndex;
  touched_.clear();
  items_.clear();
  entry_of_node_.grow(history.nodes().size(), kNoIndex);
  for (BlockIndex i{0}; i != blocks.end_index(); ++i) {
    const RowBlock& block = blocks[i];
    const std::uint64_t ordinal = history.segment(block.segment).ordinal;
    collect_history(history, block.base);
    if (block.begin > 0) items_.push_back({ordinal, block.begin, false, block.segment, block.base, {}, {}});
    items_.push_back({ordinal, block.begin, true, block.segment, block.base, {}, i});
  }
  const auto before = [](const Item& a, const Item& b) { return a.key() < b.key(); };
  if (!std::is_sorted(items_.begin(), items_.end(), before)) std::sort(items_.begin(), items_.end(), before);
}

/// Adds the views of the history that ends with `node`, but for those that are there.
template <PageSizeChoice PageSize>
void RowForest<PageSize>::collect_history(const History<PageSize>& history, NodeIndex node) {
  path_.clear();
  for (; node != kNoIndex && entry_of_node_[node] == kNoIndex; node = history.node(node).parent) path_.push_back(node);
  for (std::size_t i = path_.size(); i-- > 0;) {
    const HistoryNode& view = history.node(path_[i]);
    items_.push_back({view.ordinal, view.end, false, view.segment, view.parent, path_[i], {}});
    touched_.push_back(path_[i]);
    entry_of_node_[path_[i]] = kRoot;  // until it has an entry
  }
}

/// Makes an entry of every item; views of the same tokens share one. Chains are linked, other parents are not yet.
template <PageSizeChoice PageSize>
void RowForest<PageSize>::add_entries(const Blocks& blocks) {
  entries_.clear();
  entries_.push_back(Entry{});
  EntryIndex view;  // the last one of the chain
  for (const Item& item : items_) {
    if (view != kNoIndex && entries_[view].ordinal != item.ordinal) view = kNoIndex;
    const std::int32_t begin = view == kNoIndex ? 0 : entries_[view].end;
    if (item.is_rows || begin < item.end) {
      const EntryIndex index = entries_.end_index();
      Entry& entry = entries_.add();
      entry.ordinal = item.ordinal;
      entry.segment = item.segment;
      entry.base = item.base;
      entry.begin = begin;
      entry.end = item.is_rows ? blocks[item.block].end : item.end;
      entry.block = item.block;
      entry.parent = view;
      if (!item.is_rows) view = index;
    }
    if (item.node != kNoIndex) entry_of_node_[item.node] = view;
  }
}

/// Entries become the last children of their parents in the order of their keys.
template <PageSizeChoice PageSize>
void RowForest<PageSize>::link_entries() {
  for (EntryIndex i{1}; i < entries_.end_index(); ++i) {
    Entry& entry = entries_[i];
    if (entry.parent == kNoIndex) entry.parent = entry.base == kNoIndex ? kRoot : entry_of_node_[entry.base];
    Entry& parent = entries_[entry.parent];
    entry.previous = parent.last_child;
    (parent.last_child == kNoIndex ? parent.first_child : entries_[parent.last_child].next) = i;
    parent.last_child = i;
  }
}

/// Walks the forest depth-first: sets order_, and gives every entry its interval of blocks.
template <PageSizeChoice PageSize>
void RowForest<PageSize>::number_blocks() {
  order_.clear();
  const auto n_blocks = [this] { return static_cast<std::int32_t>(order_.size()); };
  EntryIndex entry = kRoot;
  while (true) {
    entries_[entry].first = n_blocks();
    if (entries_[entry].block != kNoIndex) order_.push_back(entries_[entry].block);
    if (entries_[entry].first_child != kNoIndex) {
      entry = entries_[entry].first_child;
      continue;
    }
    entries_[entry].last = n_blocks();
    while (entry != kRoot && entries_[entry].next == kNoIndex) {
      entry = entries_[entry].parent;
      entries_[entry].last = n_blocks();
    }
    if (entry == kRoot) return;
    entry = entries_[entry].next;
  }
}

template <PageSizeChoice PageSize>
typename RowForest<PageSize>::EntryIndex RowForest<PageSize>::next_in_preorder(EntryIndex entry) const noexcept {
  if (entries_[entry].first_child != kNoIndex) return entries_[entry].first_child;
  while (entry != kRoot && entries_[entry].next == kNoIndex) entry = entries_[entry].parent;
  return entry == kRoot ? EntryIndex{} : entries_[entry].next;
}

/// Whether the entry is a block of a single row.
template <PageSizeChoice PageSize>
bool RowForest<PageSize>::is_one_row(const Blocks& blocks, EntryIndex entry) const noexcept {
  const BlockIndex block = entries_[entry].block;
  return block != kNoIndex && blocks[block].end - blocks[block].begin == 1;
}

/// Sets groups_, but for their rows, spans_ and views_.
template <PageSizeChoice PageSize>
void RowForest<PageSize>::find_groups(const History<PageSize>& history, const Blocks& blocks) {
  groups_.clear();
  spans_.clear();
  views_.clear();
  kept_.assign(blocks.size(), Kept{0, {}, {}, kNone});
  for (EntryIndex i = next_in_preorder(kRoot); i != kNoIndex; i = next_in_preorder(i)) {
    const Entry& entry = entries_[i];
    const auto same_tokens = [&](EntryIndex other) {
      return other != kNoIndex && entries_[other].ordinal == entry.ordinal;
    };
    Span rows{entry.first, entry.last};
    Visibility visibility = Visibility::full;
    if (entry.block != kNoIndex) {
      // One row sees itself as the rows below see it: it joins their group.
      if (is_one_row(blocks, i) && same_tokens(entry.next)) continue;
      if (!is_one_row(blocks, i)) visibility = Visibility::causal;
    } else if (same_tokens(entry.previous) && is_one_row(blocks, entry.previous)) {
      rows.first = entries_[entry.previous].first;
    }
    add_view(history.segment(entry.segment).view(entry.begin, entry.end), rows, visibility);
    if (entry.block != kNoIndex) kept_[entry.first].group = static_cast<std::int32_t>(groups_.size()) - 1;
  }
}

/// Adds a view that `rows` see: to the last group when that has the same rows, else to a new one; to its last view when
/// the tokens continue that.
template <PageSizeChoice PageSize>
void RowForest<PageSize>::add_view(const View& view, Span rows, Visibility visibility) {
  const auto end = static_cast<std::int32_t>(views_.size());
  const bool same_rows = !groups_.empty() && spans_.back().first == rows.first && spans_.back().last == rows.last &&
                         groups_.back().visibility == Visibility::full;
  if (!same_rows) {
    groups_.push_back({0, 0, end, end, 0, visibility});
    spans_.push_back(rows);
  }
  VisibilityGroup& group = groups_.back();
  if (same_rows && views_.back().segment == view.segment && views_.back().end == view.begin) {
    View& last = views_.back();
    last.n_runs = static_cast<std::int32_t>(view.runs - last.runs) + view.n_runs;
    last.end = view.end;
  } else {
    views_.push_back(view);
  }
  group.view_end = static_cast<std::int32_t>(views_.size());
  group.n_keys += view.end - view.begin;
  group.visibility = visibility;
}

/// Notes of which blocks the forest is. REQUIRES: find_groups.
template <PageSizeChoice PageSize>
void RowForest<PageSize>::keep(const History<PageSize>& history, std::uint64_t epoch, const Blocks& blocks) {
  kept_of_segment_.grow(history.segments().size(), kNone);
  for (std::int32_t k = 0; k < kept_.size(); ++k) {
    const RowBlock& block = blocks[order_.begin()[k]];
    kept_[k].ordinal = history.segment(block.segment).ordinal;
    kept_[k].segment = block.segment;
    kept_[k].base = block.base;
    kept_of_segment_[block.segment] = k;
  }
  kept_epoch_ = epoch;
  kept_moves_ = history.n_moves();
}

/// Gives blocks and groups their rows.
template <PageSizeChoice PageSize>
void RowForest<PageSize>::number_rows(Blocks& blocks) {
  RowIndex row = 0;
  for (const BlockIndex index : order_) {
    blocks[index].first_row = row;
    row += blocks[index].end - blocks[index].begin;
  }
  const auto n_blocks = static_cast<std::int32_t>(order_.size());
  const auto first_row = [&](std::int32_t k) { return k == n_blocks ? row : blocks[order_.begin()[k]].first_row; };
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    groups_[g].row_begin = first_row(spans_[g].first);
    groups_[g].row_end = first_row(spans_[g].last);
  }
}

}  // namespace anabranch
