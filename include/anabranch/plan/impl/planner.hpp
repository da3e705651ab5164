// Planner: bodies.
#pragma once

#include <algorithm>

#include <anabranch/plan/planner.hpp>

namespace anabranch {

template <PositionPolicy Policy, PageSizeChoice PageSize>
Planner<Policy, PageSize>::Planner(PagePool<PageSize>& pool, ShareTail share_tail, std::pmr::memory_resource* memory)
    : pool_(&pool),
      slot_writer_(pool, share_tail, memory),
      forest_(memory),
      blocks_(memory),
      entry_of_block_(memory),
      block_of_entry_(memory),
      tokens_(memory),
      positions_(memory),
      slots_(memory),
      sequences_(memory),
      outputs_(memory),
      requested_(memory) {}

template <PositionPolicy Policy, PageSizeChoice PageSize>
PlanResult Planner<Policy, PageSize>::plan(Tree& tree) {
  tree.forget_unseen();
  find_blocks(tree);
  try {
    if (const std::int32_t short_of = n_pages_short(tree); short_of > 0) {
      undo_slots(tree);
      return PlanResult(Shortage{short_of, pool_->n_free()});
    }
    tree.prepare_commit();
    forest_.build(tree.history(), tree.epoch(), blocks_);
    fill_rows(tree);
    publish(tree);
  } catch (...) {
    undo_slots(tree);
    throw;
  }
  return PlanResult(plan_);
}

/// Makes a block of every staged segment of which somebody sees more than was committed.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void Planner<Policy, PageSize>::find_blocks(const Tree& tree) {
  blocks_.clear();
  entry_of_block_.clear();
  block_of_entry_.assign(tree.staged().segments().size(), kNoIndex);
  const auto& staged = tree.staged().segments();
  const History<PageSize>& history = tree.history();
  for (StagedIndex i{0}; i != staged.end_index(); ++i) {
    const StagedSegment& entry = staged[i];
    if (!history.has(entry.segment, entry.ordinal)) continue;
    const Segment& segment = history.segment(entry.segment);
    const std::int32_t end = std::min(segment.length, history.seen(segment));
    if (end <= segment.committed) continue;
    block_of_entry_[i] = blocks_.push_back({entry.segment, entry.base, segment.committed, end, 0});
    entry_of_block_.push_back(i);
  }
}

/// Reserves slots. Pages that are short are counted as if tokens never left a hole for want of a page: with so many
/// more free pages there is room.
template <PositionPolicy Policy, PageSizeChoice PageSize>
std::int32_t Planner<Policy, PageSize>::n_pages_short(Tree& tree) {
  const std::int32_t short_of = reserve_slots(tree);
  if (short_of == 0 || !slot_writer_.left_hole()) return short_of;
  undo_slots(tree);
  slot_writer_.refuse_holes();
  return reserve_slots(tree);
}

/// Gives every block its slots and every sequence the slots that it holds. Returns how many pages are short.
template <PositionPolicy Policy, PageSizeChoice PageSize>
std::int32_t Planner<Policy, PageSize>::reserve_slots(Tree& tree) {
  std::int64_t short_of = 0;
  const auto& staged = tree.staged().segments();
  for (BlockIndex i{0}; i != blocks_.end_index(); ++i)
    short_of += slot_writer_.place(tree, blocks_[i], staged[entry_of_block_[i]].sequence);
  return static_cast<std::int32_t>(std::min<std::int64_t>(short_of + slot_writer_.reserve_holds(tree), kUnlimited));
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void Planner<Policy, PageSize>::undo_slots(Tree& tree) noexcept {
  for (const RowBlock& block : blocks_) {
    Segment& segment = tree.history().segment(block.segment);
    segment.forget_slots(segment.committed);
  }
  abort();
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void Planner<Policy, PageSize>::fill_rows(const Tree& tree) {
  tokens_.clear();
  positions_.clear();
  slots_.clear();
  sequences_.clear();
  outputs_.clear();
  for (const BlockIndex block : forest_.order()) fill_block(tree, block);
  if (!tree.staged().outputs().empty()) add_extra_outputs(tree);
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void Planner<Policy, PageSize>::fill_block(const Tree& tree, BlockIndex index) {
  const RowBlock& block = blocks_[index];
  const Staged<PageSize>& staged = tree.staged();
  const StagedSegment& entry = staged.segments()[entry_of_block_[index]];
  for (PieceIndex p = entry.first_piece; p != kNoIndex; p = staged[p].next)
    fill_piece(tree, entry, staged[p], block.end);
  const Segment& segment = tree.history().segment(block.segment);
  for_each_run(segment.view(block.begin, block.end), [&](Slot first, std::int32_t count) {
    for (std::int32_t i = 0; i < count; ++i) slots_.push_back(first + i);
  });
}

/// Adds the rows of a piece, as far as they are before token `end` of the segment.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void Planner<Policy, PageSize>::fill_piece(const Tree& tree, const StagedSegment& entry, const StagedPiece& piece,
                                           std::int32_t end) {
  const SequenceId sequence = tree.sequences().id(entry.sequence);
  const Position first = tree.history().segment(entry.segment).first + piece.offset;
  const TokenId* token = piece.known ? tree.staged().tokens_of(piece).data() : nullptr;
  const std::int32_t count = std::min(piece.count, end - piece.offset);
  for (std::int32_t i = 0; i < count; ++i) {
    if (piece.logits == Logits::all || (piece.logits == Logits::last && i + 1 == piece.count))
      outputs_.push_back({static_cast<RowIndex>(tokens_.size()), sequence});
    tokens_.push_back(token != nullptr ? token[i] : kUnknownToken);
    positions_.push_back(first + i);
    sequences_.push_back(sequence);
  }
}

/// Adds the outputs of sequences that sample from a row which another sequence, or an earlier append, brought. Of one
/// row they come in the order in which they were asked for, each once. O(o log o) for o outputs.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void Planner<Policy, PageSize>::add_extra_outputs(const Tree& tree) {
  requested_.clear();
  const auto request = [this](const Output& output) {
    requested_.push_back({output, static_cast<std::int32_t>(requested_.size())});
  };
  for (const Output& output : outputs_) request(output);
  for (const StagedOutput& wanted : tree.staged().outputs()) {
    const Segment& segment = tree.history().segment(wanted.segment);
    if (!tree.sequences().goes_on(wanted.sequence) || segment.ordinal != wanted.ordinal) continue;
    const BlockIndex index = block_of_entry_[segment.staged];
    if (index == kNoIndex || wanted.offset < blocks_[index].begin || wanted.offset >= blocks_[index].end) continue;
    const RowIndex row = blocks_[index].first_row + (wanted.offset - blocks_[index].begin);
    request({row, tree.sequences().id(wanted.sequence)});
  }
  std::sort(requested_.begin(), requested_.end(),
            [](const auto& a, const auto& b) { return a.by_sequence() < b.by_sequence(); });
  const auto same = [](const auto& a, const auto& b) {
    return a.output.row == b.output.row && a.output.sequence == b.output.sequence;
  };
  requested_.erase(std::unique(requested_.begin(), requested_.end(), same), requested_.end());
  std::sort(requested_.begin(), requested_.end(),
            [](const auto& a, const auto& b) { return a.by_order() < b.by_order(); });
  outputs_.clear();
  for (const RequestedOutput& requested : requested_) outputs_.push_back(requested.output);
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void Planner<Policy, PageSize>::publish(const Tree& tree) {
  plan_.tokens = tokens_;
  plan_.positions = positions_;
  plan_.slots = slots_;
  plan_.sequences = sequences_;
  plan_.outputs = outputs_;
  plan_.groups = forest_.groups();
  plan_.views = forest_.views();
  plan_.ops_before = tree.host_ops().before();
  plan_.ops_after_commit = tree.host_ops().after();
  plan_.epoch = tree.epoch();
  plan_.n_slots = pool_->n_slots();
  plan_.page_size = pool_->page_size();
}

}  // namespace anabranch
