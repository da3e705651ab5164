// BranchTree: bodies.
#pragma once

#include <algorithm>

#include <anabranch/tree/branch_tree.hpp>

namespace anabranch {

template <PositionPolicy Policy, PageSizeChoice PageSize>
BranchTree<Policy, PageSize>::BranchTree(PagePool<PageSize>& pool, TreeLimits limits, std::pmr::memory_resource* memory)
    : pool_(&pool),
      history_(pool, memory),
      sequences_(limits, memory),
      staged_(memory),
      host_ops_(memory),
      undo_(sequences_, history_, memory),
      writer_(sequences_, history_, staged_),
      avoided_pages_(memory),
      views_(memory),
      sorted_(memory) {}

template <PositionPolicy Policy, PageSizeChoice PageSize>
std::int32_t BranchTree<Policy, PageSize>::n_tokens(SequenceIndex sequence) const noexcept {
  const State& s = sequences_[sequence];
  return history_.n_tokens(s.head) + (s.open == kNoIndex ? 0 : history_.segment(s.open).length);
}

// Sequences come, grow and go.

template <PositionPolicy Policy, PageSizeChoice PageSize>
SequenceId BranchTree<Policy, PageSize>::create_sequence(Position first) {
  const Position limit = sequences_.limits().max_position;
  if (first < 0 || first >= limit) fail(Status::out_of_range, "first position ", first, " is outside [0, ", limit, ")");
  sequences_.check_limits(kNoIndex, 1);
  reserve_sequences(1);
  const SequenceIndex sequence = new_sequence();
  State& s = sequences_[sequence];
  s.next = s.start = first;
  s.limit = limit;
  changed();
  return sequences_.id(sequence);
}

/// Makes the next `n` calls of new_sequence free of allocation.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::reserve_sequences(std::int32_t n) {
  sequences_.reserve(n);
  pool_->reserve_writers(sequences_.size() + n);
  undo_.reserve(n);
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
SequenceIndex BranchTree<Policy, PageSize>::new_sequence() {
  const SequenceIndex sequence = sequences_.create();
  undo_.note_created(sequence);
  return sequence;
}

/// The sequence is gone from the tree; the log keeps what it was until the step is over.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::end_sequence(SequenceIndex sequence, SequenceIndex recipient,
                                                bool hand_on) noexcept {
  sequences_.end(sequence, recipient, hand_on);
  writer_.close(sequence);
  State& s = sequences_[sequence];
  history_.release_node(s.head, kNoIndex);
  s.head = kNoIndex;
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::append(SequenceId id, std::span<const TokenId> tokens, std::int32_t n_unknown,
                                          Logits logits) {
  const SequenceIndex sequence = sequences_.find(id);
  const State& s = sequences_[sequence];
  const auto n = tokens.empty() ? n_unknown : static_cast<std::int32_t>(tokens.size());
  if (n < 0) fail(Status::bad_argument, "append of ", n, " tokens; 0 or more are needed");
  if (n == 0) return;
  if (n > s.limit - s.next)
    fail(Status::out_of_range, "appending ", n, " tokens at position ", s.next, " passes the sequence's limit of ",
         s.limit);
  for (const TokenId token : tokens)
    if (token < 0) fail(Status::bad_argument, "token ", token, " is negative");
  if (n > kUnlimited - n_tokens(sequence))
    fail(Status::out_of_range, "appending ", n, " tokens to the ", n_tokens(sequence), " that sequence ", id.index,
         " sees passes the limit of ", kUnlimited);
  undo_.touch(sequence);
  staged_.reserve_piece(tokens.size());
  reserve_restart(sequence);
  if (writer_.open(sequence)) changed();
  restart(sequence);
  writer_.append(sequence, tokens, n, logits);
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::request_logits(SequenceId id) {
  const SequenceIndex sequence = sequences_.find(id);
  const State& s = sequences_[sequence];
  SegmentIndex segment = s.open;
  std::int32_t end = segment == kNoIndex ? 0 : history_.segment(segment).length;
  if (end == 0 && s.head != kNoIndex) {
    segment = history_.node(s.head).segment;
    end = history_.node(s.head).end;
  }
  if (segment == kNoIndex || end <= history_.segment(segment).committed)
    fail(Status::bad_argument, "logits of sequence ", sequence.value, ": its last token is not a row of this step");
  staged_.add_output(history_.segment(segment).staged, {sequence, segment, history_.segment(segment).ordinal, end - 1});
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::hold(SequenceId id, std::int32_t n_slots) {
  const SequenceIndex sequence = sequences_.find(id);
  if (n_slots < 0 || n_slots > pool_->n_slots())
    fail(Status::bad_argument, "hold of ", n_slots, " slots; 0 to the pool's ", pool_->n_slots(), " can be held");
  undo_.touch(sequence);
  sequences_[sequence].hold = n_slots;
}

// Fork.

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::fork(SequenceId parent_id, std::span<SequenceId> children,
                                        const BasicForkOptions<Policy>& options) {
  const auto& [policy, starts] = options;
  const SequenceIndex parent = sequences_.find(parent_id);
  const auto n = static_cast<std::int32_t>(children.size());
  impl::check_fork(sequences_, parent, n, options);
  undo_.touch(parent);
  if (const SequenceIndex last = sequences_[parent].last_child; last != kNoIndex) undo_.touch(last);
  history_.reserve_nodes(1);
  reserve_sequences(n);
  host_ops_.reserve(children.size() + 1, 1);

  restart(parent);
  writer_.seal(parent);
  const Position p = sequences_[parent].next;
  for (std::int32_t k = 0; k < n; ++k) {
    const SequenceIndex child = new_sequence();
    const State& from = sequences_[parent];
    State& c = sequences_[child];
    c.head = c.fork_node = from.head;
    history_.retain_node(c.head);
    c.fork_tokens = history_.n_tokens(c.head);
    c.start = c.next = policy.is_given() ? starts.begin()[k] : static_cast<Position>(policy.start(p, k));
    c.limit = static_cast<Position>(std::min<WidePosition>(from.limit, policy.end(p, k)));
    c.policy = policy;
    c.reserved_ordinal = history_.next_ordinal();
    sequences_.link_child(parent, child);
    children.begin()[k] = sequences_.id(child);
    host_ops_.share(children.begin()[k], parent_id, 0, p);
  }
  State& s = sequences_[parent];
  s.next = static_cast<Position>(policy.after_fork(p, n));
  s.reserved_ordinal = 0;  // its next segment comes after its children
  changed();
}

// Join.

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::join(SequenceId parent_id, std::span<const SequenceId> children,
                                        const JoinOptions& options) {
  const SequenceIndex parent = sequences_.find(parent_id);
  const bool given = impl::check_children(sequences_, parent, children);
  impl::check_distinct(children, sorted_);
  check_sum(parent, children);
  impl::check_given(given, options.next, sequences_.limits().max_position);
  undo_.touch(parent);
  std::size_t n_nodes = 1;
  for (const SequenceId child : children) {
    const SequenceIndex c = sequences_.cell_of(child);
    undo_.touch(c);
    undo_.touch_relatives(c);
    collect_views(c);
    n_nodes += views_.size() + 2;  // sealed, an open segment is a node here and there
    impl::reserve_more(views_, 1);
  }
  history_.reserve_nodes(static_cast<std::int32_t>(n_nodes));
  host_ops_.reserve(children.size() + 1, children.size() + 1);

  restart(parent);
  writer_.seal(parent);
  for (const SequenceId child : children) {
    const SequenceIndex c = sequences_.cell_of(child);
    const State& s = sequences_[c];
    host_ops_.share(parent_id, child, s.start, s.next);
    host_ops_.remove(child, 0, 0);
    join_one(parent, c, impl::join_rule(sequences_[parent].next, s));
  }
  if (given) sequences_[parent].next = options.next;
  changed();
}

/// Throws out_of_range when the parent would see more tokens than can be counted.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::check_sum(SequenceIndex parent, std::span<const SequenceId> children) const {
  std::int64_t n = n_tokens(parent);
  for (const SequenceId child : children) {
    const SequenceIndex c = sequences_.cell_of(child);
    n += n_tokens(c) - sequences_[c].fork_tokens;
  }
  if (n > kUnlimited) fail(Status::out_of_range, "join leads to ", n, " tokens, past the limit of ", kUnlimited);
}

/// Appends the child's own views to the parent's history and ends the child. REQUIRES: room for the nodes.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::join_one(SequenceIndex parent, SequenceIndex child, const NextRule& outer) {
  writer_.seal(child);
  collect_views(child);
  State& p = sequences_[parent];
  for (const NodeIndex index : views_) {
    const HistoryNode& own = history_.node(index);
    p.head = history_.add_node(p.head, own.segment, own.end);
    HistoryNode& joined = history_.node(p.head);
    joined.ordinal = history_.next_ordinal();
    joined.rule = own.rule.then(outer);
    joined.next_before = joined.rule.at(0);
  }
  p.next = static_cast<Position>(outer(sequences_[child].next));
  end_sequence(child, parent, true);
}

/// Sets views_ to the nodes that `child` has beyond its fork, oldest first.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::collect_views(SequenceIndex child) {
  views_.clear();
  const State& c = sequences_[child];
  for (NodeIndex node = c.head; node != c.fork_node; node = history_.node(node).parent) views_.push_back(node);
  std::reverse(views_.begin(), views_.end());
}

// Sequences leave their parent, or take its place.

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::detach(SequenceId id) {
  const SequenceIndex sequence = sequences_.find(id);
  State& s = sequences_[sequence];
  if (s.parent == kNoIndex) fail(Status::not_a_child, "detach of sequence ", sequence.value, ", which is a root");
  undo_.touch(sequence);
  undo_.touch_relatives(sequence);
  sequences_.unlink_child(sequence);
  s.fork_node = kNoIndex;
  s.fork_tokens = 0;
  s.limit = sequences_.limits().max_position;
  changed();
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::drop(SequenceId id) {
  const SequenceIndex sequence = sequences_.find(id);
  undo_.touch_subtree(sequence);
  undo_.touch_relatives(sequence);
  host_ops_.reserve(0, undo_.size());
  end_subtree(sequence);
  changed();
}

/// Ends `top` and all below it, leaves first. REQUIRES: they and their relatives are touched, room in host_ops_.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::end_subtree(SequenceIndex top) noexcept {
  SequenceIndex i = top;
  while (true) {  // by the links alone, without recursion
    while (sequences_[i].first_child != kNoIndex) i = sequences_[i].first_child;
    const SequenceIndex parent = sequences_[i].parent;
    host_ops_.remove(sequences_.id(i), 0, kUnlimited);
    end_sequence(i, parent, false);
    if (i == top) return;
    i = parent;
  }
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::adopt(SequenceId parent_id, SequenceId child_id) {
  const SequenceIndex parent = sequences_.find(parent_id);
  const SequenceIndex child = sequences_.check_child(parent, child_id, "adopt");
  undo_.touch_subtree(parent);
  host_ops_.reserve(2, undo_.size() + 2);

  State& p = sequences_[parent];
  State& c = sequences_[child];
  for (SequenceIndex i = p.first_child; i != kNoIndex;) {
    const SequenceIndex next = sequences_[i].next_sibling;
    if (i != child) end_subtree(i);
    i = next;
  }
  restart(child);
  host_ops_.become(parent_id, child_id, c.next);

  writer_.move(child, parent);
  history_.retain_node(c.head);
  history_.release_node(p.head, kNoIndex);
  p.head = c.head;
  p.next = c.next;
  p.reserved_ordinal = c.reserved_ordinal;
  p.has_rejected = false;
  sequences_.unlink_child(child);
  while (c.first_child != kNoIndex) {
    const SequenceIndex grandchild = c.first_child;
    sequences_.unlink_child(grandchild);
    sequences_.link_child(parent, grandchild);
  }
  end_sequence(child, parent, true);
  changed();
}

// Rewind and reject.

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::rewind(SequenceId id, std::int32_t n_keep) {
  const SequenceIndex sequence = sequences_.find(id);
  impl::check_rewind(sequences_, sequence, n_tokens(sequence), n_keep);
  if (n_keep == n_tokens(sequence)) return;
  undo_.touch(sequence);
  history_.reserve_nodes(1);
  host_ops_.reserve(1, 1);
  avoid_last_pages(sequence, n_keep);
  State& s = sequences_[sequence];
  if (s.open != kNoIndex) writer_.shorten(sequence, std::max(0, n_keep - history_.n_tokens(s.head)));
  s.has_rejected = false;  // gone with the rest
  s.head = history_.cut(s.head, n_keep, s.next);
  host_ops_.restart(id, s.next);
  changed();
}

/// Marks the pages whose last slots a rewind to `n_keep` tokens gives up; see Page::avoid.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::avoid_last_pages(SequenceIndex sequence, std::int32_t n_keep) {
  const auto avoid = [&](const Segment& segment, std::int32_t end) {
    end = std::min(end, segment.committed);
    if (end == 0) return;
    impl::reserve_more(avoided_pages_, 1);
    avoided_pages_.push_back(pool_->page_of(segment.slot_of(end - 1)));
    pool_->set_avoid(avoided_pages_.back(), true);
  };
  const State& s = sequences_[sequence];
  if (s.open != kNoIndex) avoid(history_.segment(s.open), history_.segment(s.open).length);
  for (NodeIndex node = s.head; history_.n_tokens(node) > n_keep; node = history_.node(node).parent)
    avoid(history_.segment(history_.node(node).segment), history_.node(node).end);
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::reject(SequenceId id, std::int32_t n) {
  const SequenceIndex sequence = sequences_.find(id);
  const std::int32_t n_rows = writer_.n_rows(sequence);
  if (n < 0 || n > n_rows)
    fail(Status::bad_argument, "rejecting ", n, " rows of sequence ", id.index, "; it wrote ", n_rows,
         " since its last fork or join in this step");
  writer_.reject(sequence, n);
}

/// Makes room for `restart`.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::reserve_restart(SequenceIndex sequence) {
  if (sequences_[sequence].has_rejected) host_ops_.reserve(1, 1);
}

/// Before anything is done with a sequence, hosts get rid of the tokens that were rejected. REQUIRES: the sequence is
/// touched, reserve_restart.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::restart_now(SequenceIndex sequence) noexcept {
  State& s = sequences_[sequence];
  host_ops_.restart(sequences_.id(sequence), s.next);
  s.has_rejected = false;
}

// The end of a step.

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::forget_unseen() noexcept {
  for (std::int32_t i = staged_.segments().size();
       i-- > 0;) {  // from the back: histories are staged before what follows
    StagedSegment& entry = staged_[StagedIndex(i)];
    if (history_.has(entry.segment, entry.ordinal)) continue;
    history_.release_node(entry.base, kNoIndex);
    entry.base = kNoIndex;
  }
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::prepare_commit() {
  undo_.for_each([&](SequenceIndex sequence) {
    const State& s = sequences_[sequence];
    if (s.alive) history_.reserve_merge(s.head, s.open);
  });
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::commit() noexcept {
  undo_.for_each([&](SequenceIndex sequence) { sequences_.settle_recipient(sequence); });
  for (const StagedSegment& entry : staged_.segments())
    history_.release_node(entry.base, sequences_.tail_recipient(entry.sequence));
  for (const StagedSegment& entry : staged_.segments())
    if (history_.has(entry.segment, entry.ordinal))
      history_.settle(entry.segment, sequences_.tail_recipient(entry.sequence));
  undo_.release_saved(*pool_);
  undo_.for_each([&](SequenceIndex sequence) { tidy(sequence); });
  undo_.finish_commit();
  end_step();
}

/// Brings a changed sequence into the form that the next step starts from.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::tidy(SequenceIndex sequence) noexcept {
  if (!sequences_[sequence].alive) return;
  pool_->trim(sequence, sequences_[sequence].hold);
  if (writer_.close_if_empty(sequence)) changed();
  if (writer_.merge(sequence)) changed();
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::abort() noexcept {
  for (const StagedSegment& entry : staged_.segments())  // first, so that new slots are not given back twice
    if (history_.has(entry.segment, entry.ordinal)) history_.unsettle(entry.segment);
  undo_.release_current();
  for (const StagedSegment& entry : staged_.segments()) history_.release_node(entry.base, kNoIndex);
  undo_.finish_abort();
  changed();
  end_step();
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::end_step() noexcept {
  for (const PageIndex page : avoided_pages_) pool_->set_avoid(page, false);
  avoided_pages_.clear();
  staged_.clear();
  host_ops_.clear();
}

}  // namespace anabranch
