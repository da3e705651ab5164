// Planner: rows, outputs and the published plan.
#pragma once

#include <algorithm>

#include <anabranch/plan/planner.hpp>

namespace anabranch {

template <PositionPolicy Policy, PageSizeChoice PageSize>
void Planner<Policy, PageSize>::fill_rows(const Tree& tree) {
  tokens_.clear();
  positions_.clear();
  slots_.clear();
  sequences_.clear();
  outputs_.clear();
  for (const std::int32_t block : forest_.order()) fill_block(tree, block);
  if (!tree.staged().extra_outputs.empty()) add_extra_outputs(tree);
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void Planner<Policy, PageSize>::fill_block(const Tree& tree, std::int32_t index) {
  const RowBlock& block = blocks_[static_cast<std::size_t>(index)];
  const auto& staged = tree.staged();
  const StagedSegment& entry =
      staged.segments[static_cast<std::size_t>(entry_of_block_[static_cast<std::size_t>(index)])];
  const Segment& segment = tree.history().segment(block.segment);
  const SequenceId sequence = tree.id(entry.sequence);
  for (std::int32_t p = entry.first_piece; p != kNone; p = staged.pieces[static_cast<std::size_t>(p)].next) {
    const StagedPiece& piece = staged.pieces[static_cast<std::size_t>(p)];
    const std::int32_t count = std::min(piece.count, block.end - piece.offset);
    for (std::int32_t i = 0; i < count; ++i) {
      if (piece.logits == Logits::all || (piece.logits == Logits::last && i + 1 == piece.count))
        outputs_.push_back({static_cast<RowIndex>(tokens_.size()), sequence});
      const bool known = piece.first_token != kNone;
      tokens_.push_back(known ? staged.tokens[static_cast<std::size_t>(piece.first_token + i)] : kUnknownToken);
      positions_.push_back(segment.first + piece.offset + i);
      sequences_.push_back(sequence);
    }
  }
  for_each_run(impl::make_view(segment, block.begin, block.end), [&](Slot first, std::int32_t count) {
    for (std::int32_t i = 0; i < count; ++i) slots_.push_back(first + i);
  });
}

/// Sequences that sample from a row that another sequence, or an earlier append, brought.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void Planner<Policy, PageSize>::add_extra_outputs(const Tree& tree) {
  for (const StagedOutput& wanted : tree.staged().extra_outputs) {
    if (!tree.state(wanted.sequence).alive || tree.history().segment(wanted.segment).ordinal != wanted.ordinal)
      continue;
    for (const RowBlock& block : blocks_) {
      if (block.segment != wanted.segment || wanted.offset < block.begin || wanted.offset >= block.end) continue;
      const Output output{block.first_row + (wanted.offset - block.begin), tree.id(wanted.sequence)};
      const auto same = [&](const Output& o) { return o.row == output.row && o.sequence == output.sequence; };
      if (std::none_of(outputs_.begin(), outputs_.end(), same)) outputs_.push_back(output);
    }
  }
  // Few outputs, nearly sorted: an insertion sort keeps the order of requests within a row and needs no memory.
  for (std::size_t i = 1; i < outputs_.size(); ++i)
    for (std::size_t j = i; j > 0 && outputs_[j].row < outputs_[j - 1].row; --j)
      std::swap(outputs_[j], outputs_[j - 1]);
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void Planner<Policy, PageSize>::publish(const Tree& tree) {
  plan_.tokens = tokens_;
  plan_.positions = positions_;
  plan_.slots = slots_;
  plan_.sequences = sequences_;
  plan_.outputs = outputs_;
  plan_.groups = groups_;
  plan_.views = views_;
  plan_.ops_before = tree.staged().ops_before;
  plan_.ops_after_commit = tree.staged().ops_after;
  plan_.epoch = tree.epoch();
  plan_.n_slots = pool_->n_pages() * pool_->page_size();
  plan_.page_size = pool_->page_size();
}

}  // namespace anabranch
