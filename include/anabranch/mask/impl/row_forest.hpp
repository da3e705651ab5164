// RowForest: bodies.
#pragma once

#include <algorithm>

#include <anabranch/mask/row_forest.hpp>

namespace anabranch {

/// Adds `entry` below `parent` behind the sibling `after` (kNone: in front).
template <PageSizeChoice PageSize>
std::int32_t RowForest<PageSize>::add_child(std::int32_t parent, std::int32_t after, Entry entry) {
  const auto index = static_cast<std::int32_t>(entries_.size());
  entry.parent = parent;
  entry.previous = after;
  entry.next = after == kNone ? at(parent).first_child : at(after).next;
  entries_.push_back(entry);
  (after == kNone ? at(parent).first_child : at(after).next) = index;
  (entry.next == kNone ? at(parent).last_child : at(entry.next).previous) = index;
  return index;
}

/// The entry below `parent` that ends at token `end` of the segment; entries that reach further are split there.
template <PageSizeChoice PageSize>
std::int32_t RowForest<PageSize>::insert_view(std::int32_t parent, std::uint64_t ordinal, std::int32_t segment,
                                              std::int32_t end) {
  std::int32_t begin = 0;
  while (true) {
    std::int32_t sibling = at(parent).last_child;
    while (sibling != kNone && at(sibling).ordinal > ordinal) sibling = at(sibling).previous;
    if (sibling == kNone || at(sibling).ordinal != ordinal || at(sibling).block != kNone) {
      Entry entry;
      entry.ordinal = ordinal;
      entry.segment = segment;
      entry.begin = begin;
      entry.end = end;
      return add_child(parent, sibling, entry);
    }
    if (at(sibling).end == end) return sibling;
    if (at(sibling).end < end) {  // go on below it
      parent = sibling;
      begin = at(sibling).end;
      continue;
    }
    // Split: `sibling` keeps the tokens from `end` on and its children; a new entry takes its place above it.
    Entry upper = at(sibling);
    upper.end = end;
    upper.first_child = upper.last_child = sibling;
    const auto index = static_cast<std::int32_t>(entries_.size());
    entries_.push_back(upper);
    (upper.previous == kNone ? at(parent).first_child : at(upper.previous).next) = index;
    (upper.next == kNone ? at(parent).last_child : at(upper.next).previous) = index;
    Entry& lower = at(sibling);
    lower.begin = end;
    lower.parent = index;
    lower.next = lower.previous = kNone;
    return index;
  }
}

template <PageSizeChoice PageSize>
std::int32_t RowForest<PageSize>::insert_history(const History<PageSize>& history, std::int32_t node) {
  path_.clear();
  while (node != kNone && entry_of_node_[static_cast<std::size_t>(node)] == kNone) {
    path_.push_back(node);
    node = history.node(node).parent;
  }
  std::int32_t entry = node == kNone ? 0 : entry_of_node_[static_cast<std::size_t>(node)];
  for (std::size_t i = path_.size(); i-- > 0;) {
    const HistoryNode& view = history.node(path_[i]);
    entry = insert_view(entry, view.ordinal, view.segment, view.end);
    touched_.push_back(path_[i]);
    entry_of_node_[static_cast<std::size_t>(path_[i])] = entry;
  }
  return entry;
}

template <PageSizeChoice PageSize>
void RowForest<PageSize>::build(const History<PageSize>& history, Blocks& blocks) {
  for (const std::int32_t node : touched_) entry_of_node_[static_cast<std::size_t>(node)] = kNone;
  touched_.clear();
  entries_.clear();
  order_.clear();
  entries_.emplace_back();
  const auto n_nodes = static_cast<std::size_t>(history.nodes().size());
  if (entry_of_node_.size() < n_nodes) entry_of_node_.resize(n_nodes, kNone);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const RowBlock& block = blocks[i];
    const std::uint64_t ordinal = history.segment(block.segment).ordinal;
    std::int32_t entry = insert_history(history, block.base);
    if (block.begin > 0) entry = insert_view(entry, ordinal, block.segment, block.begin);
    std::int32_t sibling = at(entry).last_child;
    while (sibling != kNone && at(sibling).ordinal >= ordinal) sibling = at(sibling).previous;
    Entry rows;
    rows.ordinal = ordinal;
    rows.segment = block.segment;
    rows.begin = block.begin;
    rows.end = block.end;
    rows.block = static_cast<std::int32_t>(i);
    add_child(entry, sibling, rows);  // before a view of the same tokens, through which later rows see them
  }
  number_rows(blocks);
}

template <PageSizeChoice PageSize>
std::int32_t RowForest<PageSize>::next_in_preorder(std::int32_t entry) const noexcept {
  if (at(entry).first_child != kNone) return at(entry).first_child;
  while (entry != 0 && at(entry).next == kNone) entry = at(entry).parent;
  return entry == 0 ? kNone : at(entry).next;
}

template <PageSizeChoice PageSize>
void RowForest<PageSize>::number_rows(Blocks& blocks) {
  RowIndex row = 0;
  std::int32_t entry = 0;
  while (true) {
    at(entry).row_begin = row;
    if (at(entry).block != kNone) {
      RowBlock& block = blocks[static_cast<std::size_t>(at(entry).block)];
      block.first_row = row;
      row += block.end - block.begin;
      order_.push_back(at(entry).block);
    }
    if (at(entry).first_child != kNone) {
      entry = at(entry).first_child;
      continue;
    }
    at(entry).row_end = row;
    while (entry != 0 && at(entry).next == kNone) {
      entry = at(entry).parent;
      at(entry).row_end = row;
    }
    if (entry == 0) return;
    entry = at(entry).next;
  }
}

namespace impl {
/// Tokens [begin, end) of a segment as a view.
inline View make_view(const Segment& segment, std::int32_t begin, std::int32_t end) noexcept {
  const std::int32_t first = run_of(segment.runs, begin);
  const std::int32_t last = run_of(segment.runs, end - 1);
  return {segment.runs.data() + first, last - first + 1, begin, end, segment.ordinal};
}
}  // namespace impl

template <PageSizeChoice PageSize>
void RowForest<PageSize>::groups(const History<PageSize>& history, const Blocks& blocks, Groups& groups,
                                 Views& views) const {
  groups.clear();
  views.clear();
  const std::int32_t first = entries_.empty() ? kNone : next_in_preorder(0);
  for (std::int32_t index = first; index != kNone; index = next_in_preorder(index)) {
    const Entry& entry = at(index);
    RowIndex row_begin = entry.row_begin;
    Visibility visibility = Visibility::full;
    if (entry.block != kNone) {
      const RowBlock& block = blocks[static_cast<std::size_t>(entry.block)];
      const bool also_viewed = entry.next != kNone && at(entry.next).ordinal == entry.ordinal;
      if (block.end - block.begin > 1) {
        visibility = Visibility::causal;
      } else if (also_viewed) {
        continue;  // one row sees itself as the rows below see it: it joins their group
      }
    } else if (entry.previous != kNone && at(entry.previous).ordinal == entry.ordinal) {
      const RowBlock& block = blocks[static_cast<std::size_t>(at(entry.previous).block)];
      if (block.end - block.begin == 1) row_begin = at(entry.previous).row_begin;
    }
    const Segment& segment = history.segment(entry.segment);
    const View view = impl::make_view(segment, entry.begin, entry.end);
    const bool same_rows = !groups.empty() && groups.back().row_begin == row_begin &&
                           groups.back().row_end == entry.row_end && groups.back().visibility == Visibility::full;
    if (!same_rows) {
      const auto at_view = static_cast<std::int32_t>(views.size());
      groups.push_back({row_begin, entry.row_end, at_view, at_view, 0, Visibility::full});
    }
    VisibilityGroup& group = groups.back();
    if (same_rows && views.back().segment == view.segment && views.back().end == view.begin) {
      const View joined = impl::make_view(segment, views.back().begin, view.end);
      views.back() = joined;
    } else {
      views.push_back(view);
    }
    group.view_end = static_cast<std::int32_t>(views.size());
    group.n_keys += view.end - view.begin;
    group.visibility = visibility;
  }
}

}  // namespace anabranch
