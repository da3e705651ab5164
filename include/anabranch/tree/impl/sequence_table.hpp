// SequenceTable: bodies.
#pragma once

#include <anabranch/tree/sequence_table.hpp>

namespace anabranch {

template <PositionPolicy Policy>
bool SequenceTable<Policy>::alive(SequenceId sequence) const noexcept {
  const SequenceIndex index = cell_of(sequence);
  return records_.in_use(index) && records_[index].generation == sequence.generation && records_[index].state.alive;
}

template <PositionPolicy Policy>
SequenceIndex SequenceTable<Policy>::find(SequenceId sequence) const {
  if (sequence == kNoSequence) fail(Status::stale_sequence, "kNoSequence names no sequence");
  if (!alive(sequence))
    fail(Status::stale_sequence, "sequence ", sequence.index, " of generation ", sequence.generation, " is not alive; ",
         n_alive_, " sequences are");
  return cell_of(sequence);
}

template <PositionPolicy Policy>
SequenceId SequenceTable<Policy>::id(SequenceIndex sequence) const noexcept {
  if (sequence == kNoIndex) return kNoSequence;
  return {static_cast<std::uint32_t>(sequence.value), records_[sequence].generation};
}

template <PositionPolicy Policy>
SequenceIndex SequenceTable<Policy>::above(SequenceIndex sequence) const noexcept {
  const SequenceRecord<Policy>& record = records_[sequence];
  return record.state.alive ? record.state.parent : record.tail_recipient;
}

template <PositionPolicy Policy>
SequenceIndex SequenceTable<Policy>::tail_recipient(SequenceIndex sequence) const noexcept {
  while (sequence != kNoIndex && !records_[sequence].state.alive) sequence = records_[sequence].tail_recipient;
  return sequence;
}

template <PositionPolicy Policy>
SequenceIndex SequenceTable<Policy>::settle_recipient(SequenceIndex sequence) noexcept {
  const SequenceIndex recipient = tail_recipient(sequence);
  while (sequence != recipient) {
    SequenceRecord<Policy>& record = records_[sequence];
    sequence = record.tail_recipient;
    record.tail_recipient = recipient;
  }
  return recipient;
}

template <PositionPolicy Policy>
std::int32_t SequenceTable<Policy>::depth(SequenceIndex sequence) const noexcept {
  std::int32_t n = 0;
  for (SequenceIndex up = (*this)[sequence].parent; up != kNoIndex; up = (*this)[up].parent) ++n;
  return n;
}

template <PositionPolicy Policy>
void SequenceTable<Policy>::check_limits(SequenceIndex parent, std::int32_t n_new) const {
  if (n_new > limits_.max_sequences - n_alive_)
    fail(Status::limit_reached, n_new, " new sequences beside ", n_alive_, " pass the limit of ", limits_.max_sequences,
         " sequences");
  if (parent != kNoIndex && depth(parent) >= limits_.max_depth)
    fail(Status::limit_reached, "a fork at depth ", depth(parent), " passes the limit of ", limits_.max_depth,
         " levels");
}

template <PositionPolicy Policy>
SequenceIndex SequenceTable<Policy>::check_child(SequenceIndex parent, SequenceId child, const char* call) const {
  const SequenceIndex index = find(child);
  if ((*this)[index].parent != parent)
    fail(Status::not_a_child, call, ": sequence ", child.index, " is not an open child of sequence ", parent.value);
  return index;
}

template <PositionPolicy Policy>
SequenceIndex SequenceTable<Policy>::create() {
  const SequenceIndex fresh(size());
  const SequenceIndex sequence = records_.acquire();
  SequenceRecord<Policy>& record = records_[sequence];
  if (sequence == fresh) record.generation = limits_.first_generation;
  record.state = State{};
  record.state.alive = true;
  record.saved = kNoIndex;
  record.tail_recipient = kNoIndex;
  ++n_alive_;
  return sequence;
}

template <PositionPolicy Policy>
void SequenceTable<Policy>::end(SequenceIndex sequence, SequenceIndex recipient, bool hand_on) noexcept {
  unlink_child(sequence);
  records_[sequence].state.alive = false;
  records_[sequence].tail_recipient = recipient;
  records_[sequence].handed_on = hand_on;
  --n_alive_;
}

template <PositionPolicy Policy>
void SequenceTable<Policy>::free(SequenceIndex sequence) noexcept {
  ++records_[sequence].generation;
  records_.release(sequence);
}

template <PositionPolicy Policy>
void SequenceTable<Policy>::set_state(SequenceIndex sequence, const State& state) noexcept {
  State& s = records_[sequence].state;
  n_alive_ += (state.alive ? 1 : 0) - (s.alive ? 1 : 0);
  s = state;
}

template <PositionPolicy Policy>
void SequenceTable<Policy>::link_child(SequenceIndex parent, SequenceIndex child) noexcept {
  State& p = (*this)[parent];
  State& c = (*this)[child];
  c.parent = parent;
  c.previous_sibling = p.last_child;
  c.next_sibling = kNoIndex;
  (p.last_child == kNoIndex ? p.first_child : (*this)[p.last_child].next_sibling) = child;
  p.last_child = child;
}

template <PositionPolicy Policy>
void SequenceTable<Policy>::unlink_child(SequenceIndex child) noexcept {
  State& c = (*this)[child];
  if (c.parent == kNoIndex) return;
  State& p = (*this)[c.parent];
  (c.previous_sibling == kNoIndex ? p.first_child : (*this)[c.previous_sibling].next_sibling) = c.next_sibling;
  (c.next_sibling == kNoIndex ? p.last_child : (*this)[c.next_sibling].previous_sibling) = c.previous_sibling;
  c.parent = kNoIndex;
  c.previous_sibling = c.next_sibling = kNoIndex;
}

}  // namespace anabranch
