// SegmentWriter: bodies.
#pragma once

#include <anabranch/tree/segment_writer.hpp>

namespace anabranch {

template <PositionPolicy Policy, PageSizeChoice PageSize>
bool SegmentWriter<Policy, PageSize>::open(SequenceIndex sequence) {
  staged_->reserve_segment();
  State& s = (*sequences_)[sequence];
  const bool is_new = s.open == kNoIndex;
  if (is_new) {
    const std::uint64_t ordinal = s.reserved_ordinal != 0 ? s.reserved_ordinal : history_->next_ordinal();
    s.open = history_->add_segment(s.next, ordinal, sequence);
    s.reserved_ordinal = 0;
  }
  Segment& segment = history_->segment(s.open);
  if (segment.staged != kNoIndex) return is_new;
  segment.staged = staged_->add_segment({s.open, segment.ordinal, s.head, sequence});
  history_->retain_node(s.head);
  return is_new;
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void SegmentWriter<Policy, PageSize>::append(SequenceIndex sequence, std::span<const TokenId> tokens, std::int32_t n,
                                             Logits logits) {
  State& s = (*sequences_)[sequence];
  Segment& segment = history_->segment(s.open);
  staged_->add_piece(segment.staged, {segment.length, n, logits}, tokens);
  segment.length += n;
  s.next += n;
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void SegmentWriter<Policy, PageSize>::cut(SequenceIndex sequence, std::int32_t keep) {
  State& s = (*sequences_)[sequence];
  if (keep > 0) s.head = history_->add_node(s.head, s.open, keep);
  close(sequence);
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void SegmentWriter<Policy, PageSize>::shorten(SequenceIndex sequence, std::int32_t keep) {
  State& s = (*sequences_)[sequence];
  Segment& segment = history_->segment(s.open);
  s.next = segment.first + keep;
  if (keep > 0 && keep >= segment.committed) {
    segment.length = keep;  // only this step's own tokens go
    staged_->cut(segment.staged, keep);
  } else {
    cut(sequence, keep);
  }
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
std::int32_t SegmentWriter<Policy, PageSize>::n_rows(SequenceIndex sequence) const noexcept {
  const State& s = (*sequences_)[sequence];
  if (s.open == kNoIndex || history_->segment(s.open).staged == kNoIndex) return 0;
  const Segment& segment = history_->segment(s.open);
  return segment.n_slots() - segment.committed;
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void SegmentWriter<Policy, PageSize>::reject(SequenceIndex sequence, std::int32_t n) noexcept {
  State& s = (*sequences_)[sequence];
  if (s.open == kNoIndex || history_->segment(s.open).staged == kNoIndex) return;
  Segment& segment = history_->segment(s.open);
  segment.length = segment.n_slots() - n;
  s.next = segment.first + segment.length;
  s.has_rejected = n > 0;
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void SegmentWriter<Policy, PageSize>::move(SequenceIndex from, SequenceIndex to) noexcept {
  close(to);
  State& source = (*sequences_)[from];
  const SegmentIndex segment = source.open;
  source.open = kNoIndex;
  set(to, segment);
  if (segment == kNoIndex) return;
  const StagedIndex staged = history_->segment(segment).staged;
  if (staged != kNoIndex) (*staged_)[staged].sequence = to;
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
bool SegmentWriter<Policy, PageSize>::close_if_empty(SequenceIndex sequence) noexcept {
  State& s = (*sequences_)[sequence];
  if (s.open == kNoIndex || history_->segment(s.open).length > 0) return false;
  s.reserved_ordinal = history_->segment(s.open).ordinal;
  close(sequence);
  return true;
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
bool SegmentWriter<Policy, PageSize>::merge(SequenceIndex sequence) noexcept {
  State& s = (*sequences_)[sequence];
  const NodeIndex head = s.head;
  s.head = history_->merge_open(s.head, s.open, s.next);
  if (s.open != kNoIndex) history_->segment(s.open).writer = sequence;
  return s.head != head;
}

/// Closes the open segment and opens `segment`, if any; the reference to that becomes the sequence's.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void SegmentWriter<Policy, PageSize>::set(SequenceIndex sequence, SegmentIndex segment) noexcept {
  State& s = (*sequences_)[sequence];
  if (s.open != kNoIndex) {
    history_->segment(s.open).writer = kNoIndex;
    history_->release_segment(s.open, kNoIndex);
  }
  s.open = segment;
  if (segment != kNoIndex) history_->segment(segment).writer = sequence;
}

}  // namespace anabranch
