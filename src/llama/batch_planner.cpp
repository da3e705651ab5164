#include "batch_planner.hpp"

#include <algorithm>
#include <span>
#include <utility>

#include <anabranch/error.hpp>

namespace anabranch::llama {

void BatchPlanner::run() {
  read_pasts();
  sort_rows();
  for (const HostOp& op : plan_.ops_before) {
    switch (op.kind) {
      case HostOp::Kind::share: share(op); break;
      case HostOp::Kind::restart: restart(op); break;
      case HostOp::Kind::become: become(op); break;
      case HostOp::Kind::remove: break;  // SeqTable::sweep finds the sequences that are gone
    }
  }
  for (std::size_t r = 0; r < by_sequence_.size();) {
    const std::span<const PlanRow> rows = rows_of(sequence_of(by_sequence_[r]));
    place_remaining(rows);
    r += rows.size();
  }
  for (const HostOp& op : plan_.ops_before) check_tokens(op.sequence);
  check_rows();
  for (DecodeBatch& batch : table_.batches_) std::sort(batch.also.begin(), batch.also.end());
}

TokenSet BatchPlanner::keys_of(const VisibilityGroup& group) const {
  TokenSet keys;
  for_each_run(group, plan_.views, [&](Slot first, std::int32_t count) {
    for (Slot slot = first; slot < first + count; ++slot) keys += table_.marks_.at(slot);
  });
  return keys;
}

/// Groups are intervals of rows, so one pass over the rows is enough: it adds a group's keys where the interval begins
/// and subtracts them where it ends.
void BatchPlanner::read_pasts() {
  placed_.assign(plan_.n_rows(), 0);
  past_.assign(plan_.n_rows(), TokenSet{});
  for (const Slot slot : plan_.slots) table_.marks_.write(slot);
  Table<TokenSet, PlanRow> change;
  change.assign(plan_.n_rows() + 1, TokenSet{});
  for (const VisibilityGroup& group : plan_.groups) {
    TokenSet keys = keys_of(group);
    const PlanRow begin(group.row_begin), end(group.row_end);
    if (group.visibility == Visibility::causal) {
      for (PlanRow r = begin; r < end; ++r) keys -= token_of(r);
      TokenSet rows;
      for (PlanRow r = begin; r < end; ++r) past_[r] += (rows += token_of(r));
    }
    change[begin] += keys;
    change[end] -= keys;
  }
  TokenSet seen;
  for (PlanRow r(0); r < past_.end_index(); ++r) {
    seen += change[r];
    past_[r] += seen;
    past_[r] -= token_of(r);  // itself
  }
}

void BatchPlanner::sort_rows() {
  by_sequence_.reserve(plan_.sequences.size());
  for (PlanRow r(0); r < past_.end_index(); ++r) by_sequence_.push_back(r);
  std::stable_sort(by_sequence_.begin(), by_sequence_.end(),
                   [&](PlanRow a, PlanRow b) { return sequence_of(a) < sequence_of(b); });
}

// ---- rows

/// True when the row is still to be placed, sees exactly what its sequence's seq_id holds, and continues its positions.
bool BatchPlanner::fits(PlanRow row, const Sequence& sequence) {
  if (placed_[row] != 0) return false;
  if (sequence.seq_id == kNone) return past_[row] == TokenSet{};
  const Content& held = table_.entry(sequence.seq_id).content;
  return past_[row] == held.all() && (held.empty() || position_of(row) == held.next());
}

std::span<const PlanRow> BatchPlanner::rows_of(SequenceId sequence) const {
  const auto first = std::lower_bound(by_sequence_.begin(), by_sequence_.end(), sequence,
                                      [&](PlanRow r, SequenceId l) { return sequence_of(r) < l; });
  auto last = first;
  while (last != by_sequence_.end() && sequence_of(*last) == sequence) ++last;
  return {first, last};
}

/// Sets stays_ to the slots of all that the sequence sees when the step ends. False: it is not alive then.
bool BatchPlanner::read_stays(SequenceId id) {
  if (table_.read_sequence_(id, &stays_) == kNone) return false;
  std::sort(stays_.begin(), stays_.end());
  return true;
}

/// Places the sequence's rows that come before `op`, as long as they see what its seq_id holds and their position is
/// below `end`.
///
/// Where a later operation takes the sequence back, it may have rows of one position, which see the same, before and
/// after that: those that it still sees when the step ends came after. (An adopt gives it the child's rows too.)
void BatchPlanner::place_rows(SequenceId id, Position end, const HostOp& op) {
  Sequence& sequence = table_.find_or_add(id);
  const std::span<const PlanRow> rows = rows_of(id);
  if (rows.empty()) return;
  const Position taken_back = taken_back_from(op, id);
  const bool knows_later = taken_back < end && read_stays(id);
  const auto comes_later = [&](PlanRow row) {
    if (position_of(row) < taken_back) return false;
    return !knows_later || stays(row);
  };
  for (bool placed = true; placed;) {  // rows are nearly always in order: the second round then finds none
    placed = false;
    for (const PlanRow row : rows) {
      if (position_of(row) >= end || comes_later(row) || !fits(row, sequence)) continue;
      place(row, sequence);
      placed = true;
    }
  }
}

/// Places the rows that come after the last operation. A row that a rewind took back may still be in the plan, though
/// no sequence sees it: it is placed only if its sequence has that many tokens, and never instead of a row that came
/// later.
void BatchPlanner::place_remaining(std::span<const PlanRow> rows) {
  const SequenceId id = sequence_of(rows.front());
  const auto not_later = [&](PlanRow a, PlanRow b) { return position_of(b) <= position_of(a); };
  const bool doubled = std::adjacent_find(rows.begin(), rows.end(), not_later) != rows.end();
  Sequence& sequence = table_.find_or_add(id);
  const std::int32_t n_tokens = table_.n_tokens(id);
  for (bool placed = true; placed;) {
    placed = false;
    for (const PlanRow row : rows) {
      if (n_tokens != kNone && n_held(sequence) >= n_tokens) return;
      if (!fits(row, sequence)) continue;
      const auto here = [&](PlanRow r) { return fits(r, sequence); };
      place(doubled ? *std::find_if(rows.rbegin(), rows.rend(), here) : row, sequence);
      placed = true;
    }
  }
}

void BatchPlanner::place(PlanRow row, Sequence& sequence) {
  if (sequence.seq_id == kNone) sequence.seq_id = table_.take();
  table_.touch(sequence.seq_id);
  Entry& e = table_.entry(sequence.seq_id);
  DecodeBatch& to = batch(e.batch);
  e.rows.push_back(to.rows.size());
  to.rows.push_back({row.value, sequence.seq_id});
  e.content.add(position_of(row), token_of(row));
  placed_[row] = 1;
}

// ---- refusing

/// A sequence that an operation changed must see exactly what its seq_id holds; sequences that share its tokens then
/// do so too.
void BatchPlanner::check_tokens(SequenceId id) {
  const std::int32_t n_tokens = table_.read_sequence_(id, &slots_);
  if (n_tokens == kNone) return;
  TokenSet seen;
  for (const Slot slot : slots_) seen += table_.marks_.at(slot);
  Sequence& sequence = table_.find_or_add(id);
  if (seen == (sequence.seq_id == kNone ? TokenSet{} : table_.entry(sequence.seq_id).content.all())) return;
  for (const PlanRow row : by_sequence_) check_jump(row);
  fail(Status::not_exact, "sequence ", id.index, " has ", n_tokens, " tokens after this step; its seq_id would hold ",
       n_held(sequence), " and not the same ones (a rewind into a join, or an earlier step that the host did not run)");
}

/// Every row must be in a batch, except rows that a rewind took back and that no output names.
void BatchPlanner::check_rows() {
  const auto changed = [&](SequenceId id) {
    const auto names = [&](const HostOp& op) { return op.sequence == id; };
    return table_.n_tokens(id) == kNone || std::any_of(plan_.ops_before.begin(), plan_.ops_before.end(), names);
  };
  for (PlanRow row(0); row < past_.end_index(); ++row) {
    if (placed_[row] != 0) continue;
    const auto here = [&](const Output& output) { return output.row == row.value; };
    if (changed(sequence_of(row)) && std::none_of(plan_.outputs.begin(), plan_.outputs.end(), here)) continue;
    check_jump(row);
    fail(Status::not_exact, name_of(row), " sees ", past_[row].n,
         " tokens, which no seq_id holds (a rewind into a join, or an earlier step that the host did not run)");
  }
}

/// Refuses a row whose position does not continue what its seq_id holds: the likeliest cause, so it is named first.
void BatchPlanner::check_jump(PlanRow row) {
  const Sequence& sequence = table_.find_or_add(sequence_of(row));
  if (placed_[row] != 0 || sequence.seq_id == kNone) return;
  const Content& held = table_.entry(sequence.seq_id).content;
  if (held.empty() || position_of(row) == held.next()) return;
  fail(Status::not_exact, name_of(row), ": its seq_id goes on at position ", held.next(),
       ", and llama.cpp takes no jumps; of the position policies only `longest` makes none");
}

std::string BatchPlanner::name_of(PlanRow row) const {
  return "row " + std::to_string(row.value) + " of sequence " + std::to_string(sequence_of(row).index) +
         " at position " + std::to_string(position_of(row));
}

std::int64_t BatchPlanner::n_held(const Sequence& sequence) const noexcept {
  return sequence.seq_id == kNone ? 0 : table_.entry(sequence.seq_id).content.all().n;
}

// ---- operations

/// The first operation that names a forked sequence is its fork; a later one is a join.
void BatchPlanner::share(const HostOp& op) {
  const bool is_fork = table_.find(op.sequence) == nullptr;
  if (!is_fork) place_rows(op.sequence, kUnlimited, op);
  place_rows(op.source, op.end, op);
  Sequence& to = table_.find_or_add(op.sequence);
  const Sequence& source = *table_.find(op.source);
  if (is_fork) to.fork_end = op.end;
  if (source.seq_id == kNone || table_.entry(source.seq_id).content.count(op.begin, op.end) == 0) return;
  to.seq_id == kNone ? start(to, source.seq_id, op) : join(op, to, source);
}

/// The position to which a rewind or adopt behind `op` in this step takes the sequence back.
Position BatchPlanner::taken_back_from(const HostOp& op, SequenceId id) const {
  Position first = kUnlimited;
  for (const HostOp* later = &op; later != plan_.ops_before.data() + plan_.ops_before.size(); ++later) {
    if (later->sequence != id) continue;
    if (later->kind == HostOp::Kind::restart) first = std::min(first, later->end);
    if (later->kind == HostOp::Kind::become) first = std::min(first, forked_at(later->source));
  }
  return first;
}

Position BatchPlanner::forked_at(SequenceId id) const {
  const Sequence* sequence = std::as_const(table_).find(id);
  const auto forks = [&](const HostOp& op) { return op.kind == HostOp::Kind::share && op.sequence == id; };
  const auto fork = std::find_if(plan_.ops_before.begin(), plan_.ops_before.end(), forks);
  return sequence != nullptr ? sequence->fork_end : fork != plan_.ops_before.end() ? fork->end : kUnlimited;
}

/// Gives a sequence without tokens what `from` holds at the operation's positions. Rows of this pass get its seq_id in
/// their own batch, tokens of earlier passes are copied.
void BatchPlanner::start(Sequence& sequence, std::int32_t from, const HostOp& op) {
  sequence.seq_id = table_.take();
  Entry& e = table_.entry(sequence.seq_id);
  const Entry& s = table_.entry(from);
  DecodeBatch& source = batch(s.batch);
  e.batch = s.batch;
  for (const std::size_t row : s.rows) {
    const Position position = position_of(PlanRow(source.rows[row].row));
    if (position < op.begin || position >= op.end) continue;
    e.rows.push_back(row);
    source.also.emplace_back(row, sequence.seq_id);
  }
  if (e.content.add(s.content, op.begin, op.end) > static_cast<std::int64_t>(e.rows.size()))
    source.copies.push_back({from, sequence.seq_id, op.begin, op.end});
}

void BatchPlanner::join(const HostOp& op, Sequence& parent, const Sequence& branch) {
  if (op.begin < branch.fork_end)
    fail(Status::not_exact, "sequence ", op.source.index, " starts at position ", op.begin, ", before position ",
         branch.fork_end, " where it was forked: llama.cpp cannot tell the two apart");
  const Entry& b = table_.entry(branch.seq_id);
  const auto after_rows = [](const Entry& e) { return e.rows.empty() ? e.batch : BatchIndex(e.batch.value + 1); };
  const BatchIndex at = std::max(after_rows(b), after_rows(table_.entry(parent.seq_id)));
  table_.touch(parent.seq_id);
  if (const Entry& old = table_.entry(parent.seq_id); !old.fresh && op.begin < old.kept) {
    // The parent's own tokens lie among the branch's, so a copy takes the join: in place it could not be undone.
    const std::int32_t copy = table_.take();
    add(copy, at, {parent.seq_id, copy, old.content.first(), old.content.next()});
    parent.seq_id = copy;
  }
  add(parent.seq_id, at, {branch.seq_id, parent.seq_id, op.begin, op.end});
}

void BatchPlanner::restart(const HostOp& op) {
  Sequence& sequence = table_.find_or_add(op.sequence);
  if (sequence.seq_id == kNone || table_.entry(sequence.seq_id).content.next() <= op.end)
    return;  // llama.cpp holds nothing that is taken back
  const std::int32_t old = std::exchange(sequence.seq_id, kNone);
  if (table_.entry(old).content.count(0, op.end) > 0) start(sequence, old, op);
}

void BatchPlanner::become(const HostOp& op) {
  place_rows(op.source, kUnlimited, op);
  Sequence& sequence = table_.find_or_add(op.sequence);
  sequence.seq_id = table_.find(op.source)->seq_id;
}

// ---- batches

DecodeBatch& BatchPlanner::batch(BatchIndex index) {
  std::vector<DecodeBatch>& batches = table_.batches_;
  if (batches.size() <= index.offset()) batches.resize(index.offset() + 1);
  return batches[index.offset()];
}

/// Puts the copy at the start of batch `at`, where the next rows of the seq_id then run.
void BatchPlanner::add(std::int32_t seq_id, BatchIndex at, const Copy& copy) {
  Entry& e = table_.entry(seq_id);
  if (e.batch != at) e.rows.clear();
  e.batch = at;
  batch(at).copies.push_back(copy);
  e.content.add(table_.entry(copy.from).content, copy.begin, copy.end);
}

}  // namespace anabranch::llama
