// RowForest: bodies.
#pragma once

#include <anabranch/mask/row_forest.hpp>

namespace anabranch {

template <PageSizeChoice PageSize>
void RowForest<PageSize>::build(const History<PageSize>& history, Blocks& blocks) {
  for (const NodeIndex node : touched_) entry_of_node_[node] = kNoIndex;
  touched_.clear();
  entries_.clear();
  order_.clear();
  entries_.push_back(Entry{});
  entry_of_node_.grow(history.nodes().size(), kNoIndex);
  for (BlockIndex i{0}; i != blocks.end_index(); ++i) {
    const RowBlock& block = blocks[i];
    const std::uint64_t ordinal = history.segment(block.segment).ordinal;
    EntryIndex entry = insert_history(history, block.base);
    if (block.begin > 0) entry = insert_view(entry, {ordinal, block.segment, block.begin});
    insert_rows(entry, {ordinal, block.segment, block.end}, block.begin, i);
  }
  number_rows(blocks);
}

/// Inserts the views of the history that ends with `node`. Returns the entry of the last one.
template <PageSizeChoice PageSize>
typename RowForest<PageSize>::EntryIndex RowForest<PageSize>::insert_history(const History<PageSize>& history,
                                                                             NodeIndex node) {
  path_.clear();
  while (node != kNoIndex && entry_of_node_[node] == kNoIndex) {
    path_.push_back(node);
    node = history.node(node).parent;
  }
  EntryIndex entry = node == kNoIndex ? kRoot : entry_of_node_[node];
  for (std::size_t i = path_.size(); i-- > 0;) {
    const HistoryNode& view = history.node(path_[i]);
    entry = insert_view(entry, {view.ordinal, view.segment, view.end});
    touched_.push_back(path_[i]);
    entry_of_node_[path_[i]] = entry;
  }
  return entry;
}

/// Gives the entry below `parent` that ends where `view` ends; entries that reach further are split there.
template <PageSizeChoice PageSize>
typename RowForest<PageSize>::EntryIndex RowForest<PageSize>::insert_view(EntryIndex parent, Tokens view) {
  std::int32_t begin = 0;
  while (true) {
    EntryIndex sibling = entries_[parent].last_child;
    while (sibling != kNoIndex && entries_[sibling].ordinal > view.ordinal) sibling = entries_[sibling].previous;
    if (sibling == kNoIndex || entries_[sibling].ordinal != view.ordinal || entries_[sibling].block != kNoIndex) {
      const EntryIndex entry = add_child(parent, sibling, view);
      entries_[entry].begin = begin;
      return entry;
    }
    const std::int32_t end = entries_[sibling].end;
    if (end == view.end) return sibling;
    if (end > view.end) return split(sibling, view.end);
    parent = sibling;  // go on below it
    begin = end;
  }
}

/// Puts the rows of a block before a view of the same tokens, through which later rows see them.
template <PageSizeChoice PageSize>
void RowForest<PageSize>::insert_rows(EntryIndex parent, Tokens rows, std::int32_t begin, BlockIndex block) {
  EntryIndex sibling = entries_[parent].last_child;
  while (sibling != kNoIndex && entries_[sibling].ordinal >= rows.ordinal) sibling = entries_[sibling].previous;
  const EntryIndex entry = add_child(parent, sibling, rows);
  entries_[entry].begin = begin;
  entries_[entry].block = block;
}

/// The entry keeps the tokens from `end` on, and its children; a new entry, which is returned, takes its place above
/// it.
template <PageSizeChoice PageSize>
typename RowForest<PageSize>::EntryIndex RowForest<PageSize>::split(EntryIndex entry, std::int32_t end) {
  Entry upper = entries_[entry];
  upper.end = end;
  upper.first_child = upper.last_child = entry;
  const EntryIndex index = entries_.push_back(upper);
  Entry& parent = entries_[upper.parent];
  (upper.previous == kNoIndex ? parent.first_child : entries_[upper.previous].next) = index;
  (upper.next == kNoIndex ? parent.last_child : entries_[upper.next].previous) = index;
  Entry& lower = entries_[entry];
  lower.begin = end;
  lower.parent = index;
  lower.next = lower.previous = kNoIndex;
  return index;
}

/// Adds an entry below `parent`, behind the sibling `after` or in front of all.
template <PageSizeChoice PageSize>
typename RowForest<PageSize>::EntryIndex RowForest<PageSize>::add_child(EntryIndex parent, EntryIndex after,
                                                                        Tokens tokens) {
  const EntryIndex index = entries_.end_index();
  Entry& entry = entries_.add();
  entry.ordinal = tokens.ordinal;
  entry.segment = tokens.segment;
  entry.end = tokens.end;
  entry.parent = parent;
  entry.previous = after;
  entry.next = after == kNoIndex ? entries_[parent].first_child : entries_[after].next;
  (after == kNoIndex ? entries_[parent].first_child : entries_[after].next) = index;
  (entry.next == kNoIndex ? entries_[parent].last_child : entries_[entry.next].previous) = index;
  return index;
}

/// Walks the forest depth-first and gives every entry its interval of rows.
template <PageSizeChoice PageSize>
void RowForest<PageSize>::number_rows(Blocks& blocks) {
  RowIndex row = 0;
  EntryIndex entry = kRoot;
  while (true) {
    entries_[entry].row_begin = row;
    if (entries_[entry].block != kNoIndex) {
      RowBlock& block = blocks[entries_[entry].block];
      block.first_row = row;
      row += block.end - block.begin;
      order_.push_back(entries_[entry].block);
    }
    if (entries_[entry].first_child != kNoIndex) {
      entry = entries_[entry].first_child;
      continue;
    }
    entries_[entry].row_end = row;
    while (entry != kRoot && entries_[entry].next == kNoIndex) {
      entry = entries_[entry].parent;
      entries_[entry].row_end = row;
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

namespace impl {
/// Adds `view` as seen by the rows [row_begin, row_end): to the last group when that has the same rows, else to a new
/// one; to its last view when the tokens continue that.
inline void add_view(const View& view, const VisibilityGroup& rows, std::pmr::vector<VisibilityGroup>& groups,
                     std::pmr::vector<View>& views) {
  const auto end = static_cast<std::int32_t>(views.size());
  const bool same_rows = !groups.empty() && groups.back().row_begin == rows.row_begin &&
                         groups.back().row_end == rows.row_end && groups.back().visibility == Visibility::full;
  if (!same_rows) groups.push_back({rows.row_begin, rows.row_end, end, end, 0, rows.visibility});
  VisibilityGroup& group = groups.back();
  if (same_rows && views.back().segment == view.segment && views.back().end == view.begin) {
    View& last = views.back();
    last.n_runs = static_cast<std::int32_t>(view.runs - last.runs) + view.n_runs;
    last.end = view.end;
  } else {
    views.push_back(view);
  }
  group.view_end = static_cast<std::int32_t>(views.size());
  group.n_keys += view.end - view.begin;
  group.visibility = rows.visibility;
}
}  // namespace impl

template <PageSizeChoice PageSize>
void RowForest<PageSize>::groups(const History<PageSize>& history, const Blocks& blocks,
                                 std::pmr::vector<VisibilityGroup>& groups, std::pmr::vector<View>& views) const {
  groups.clear();
  views.clear();
  for (EntryIndex i = entries_.empty() ? EntryIndex{} : next_in_preorder(kRoot); i != kNoIndex;
       i = next_in_preorder(i)) {
    const Entry& entry = entries_[i];
    const auto same_tokens = [&](EntryIndex other) {
      return other != kNoIndex && entries_[other].ordinal == entry.ordinal;
    };
    VisibilityGroup rows;
    rows.row_begin = entry.row_begin;
    rows.row_end = entry.row_end;
    if (entry.block != kNoIndex) {
      // One row sees itself as the rows below see it: it joins their group.
      if (is_one_row(blocks, i) && same_tokens(entry.next)) continue;
      if (!is_one_row(blocks, i)) rows.visibility = Visibility::causal;
    } else if (same_tokens(entry.previous) && is_one_row(blocks, entry.previous)) {
      rows.row_begin = entries_[entry.previous].row_begin;
    }
    impl::add_view(history.segment(entry.segment).view(entry.begin, entry.end), rows, groups, views);
  }
}

}  // namespace anabranch
