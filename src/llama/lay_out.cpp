#include "lay_out.hpp"

#include <algorithm>
#include <span>
#include <utility>

#include <anabranch/error.hpp>

namespace anabranch::llama {

void LayOut::run() {
  read_pasts();
  sort_rows();
  for (const SequenceOp& op : plan_.ops_before) {
    switch (op.kind) {
      case SequenceOp::Kind::share: share(op); break;
      case SequenceOp::Kind::restart: restart(op); break;
      case SequenceOp::Kind::become: become(op); break;
      case SequenceOp::Kind::remove: break;  // the lines that are left tell
    }
  }
  for (std::size_t r = 0; r < by_line_.size();) {
    const std::span<const RowIndex> rows = rows_of(plan_.lines[static_cast<std::size_t>(by_line_[r])]);
    place_the_rest(rows);
    r += rows.size();
  }
  for (const SequenceOp& op : plan_.ops_before) check_tokens(op.line);
  check_rows();
  for (Wave& w : books_.waves_) std::sort(w.also.begin(), w.also.end());
}

TokenSet LayOut::keys_of(const VisibilityGroup& group) const {
  TokenSet keys;
  for_each_run(group, plan_.views, [&](Slot first, std::int32_t count) {
    for (Slot slot = first; slot < first + count; ++slot) keys += books_.marks_.at(slot);
  });
  return keys;
}

/// Groups are intervals of rows: their keys are added where an interval begins and taken away where it ends.
void LayOut::read_pasts() {
  const auto n = static_cast<std::size_t>(plan_.n_rows());
  placed_.assign(n, 0);
  past_.assign(n, TokenSet{});
  for (const Slot slot : plan_.slots) books_.marks_.write(slot);
  const auto own = [&](std::size_t r) { return books_.marks_.at(plan_.slots[r]); };
  std::vector<TokenSet> change(n + 1);
  for (const VisibilityGroup& group : plan_.groups) {
    TokenSet keys = keys_of(group);
    const auto begin = static_cast<std::size_t>(group.row_begin), end = static_cast<std::size_t>(group.row_end);
    if (group.visibility == Visibility::causal) {
      for (std::size_t r = begin; r < end; ++r) keys -= own(r);
      TokenSet rows;
      for (std::size_t r = begin; r < end; ++r) past_[r] += (rows += own(r));
    }
    change[begin] += keys;
    change[end] -= keys;
  }
  TokenSet seen;
  for (std::size_t r = 0; r < n; ++r) {
    seen += change[r];
    past_[r] += seen;
    past_[r] -= own(r);  // itself
  }
}

void LayOut::sort_rows() {
  by_line_.resize(past_.size());
  for (std::size_t r = 0; r < by_line_.size(); ++r) by_line_[r] = static_cast<RowIndex>(r);
  std::stable_sort(by_line_.begin(), by_line_.end(), [&](RowIndex a, RowIndex b) {
    return plan_.lines[static_cast<std::size_t>(a)] < plan_.lines[static_cast<std::size_t>(b)];
  });
}

// ---- rows

/// Does the row continue its line's sequence, and see exactly what that holds?
bool LayOut::fits(RowIndex row, const Line& line) {
  const auto r = static_cast<std::size_t>(row);
  if (placed_[r] != 0) return false;
  if (line.sequence == kNone) return past_[r] == TokenSet{};
  const Content& held = books_.entry(line.sequence).content;
  return past_[r] == held.all() && (held.empty() || plan_.positions[r] == held.next());
}

std::span<const RowIndex> LayOut::rows_of(LineId line) const {
  const auto line_of = [&](RowIndex r) { return plan_.lines[static_cast<std::size_t>(r)]; };
  const auto first =
      std::lower_bound(by_line_.begin(), by_line_.end(), line, [&](RowIndex r, LineId l) { return line_of(r) < l; });
  auto last = first;
  while (last != by_line_.end() && line_of(*last) == line) ++last;
  return {by_line_.data() + (first - by_line_.begin()), static_cast<std::size_t>(last - first)};
}

void LayOut::place_rows(LineId id, Position end) {
  const std::span<const RowIndex> rows = rows_of(id);
  Line& line = books_.find_or_add(id);
  for (bool placed = true; placed;) {  // nearly always in the plan's order: the second round finds nothing
    placed = false;
    for (const RowIndex row : rows) {
      if (plan_.positions[static_cast<std::size_t>(row)] >= end || !fits(row, line)) continue;
      place(row, line);
      placed = true;
    }
  }
}

/// What no operation asked for. A row that was taken back may still be in the plan, though no line sees it: it is
/// placed only if its line has that many tokens, and never in place of one that came after it.
void LayOut::place_the_rest(std::span<const RowIndex> rows) {
  const auto position = [&](RowIndex row) { return plan_.positions[static_cast<std::size_t>(row)]; };
  const LineId id = plan_.lines[static_cast<std::size_t>(rows.front())];
  const auto not_later = [&](RowIndex a, RowIndex b) { return position(b) <= position(a); };
  const bool doubled = std::adjacent_find(rows.begin(), rows.end(), not_later) != rows.end();
  Line& line = books_.find_or_add(id);
  const std::int32_t n_tokens = books_.n_tokens(id);
  for (bool placed = true; placed;) {
    placed = false;
    for (const RowIndex row : rows) {
      if (n_tokens != kNone && n_held(line) >= n_tokens) return;
      if (!fits(row, line)) continue;
      const auto here = [&](RowIndex r) { return fits(r, line); };
      place(doubled ? *std::find_if(rows.rbegin(), rows.rend(), here) : row, line);
      placed = true;
    }
  }
}

void LayOut::place(RowIndex row, Line& line) {
  const auto r = static_cast<std::size_t>(row);
  if (line.sequence == kNone) line.sequence = books_.take();
  books_.touch(line.sequence);
  Entry& e = books_.entry(line.sequence);
  Wave& w = wave(e.wave);
  e.rows.push_back(static_cast<std::int32_t>(w.rows.size()));
  w.rows.push_back({row, line.sequence});
  e.content.add(plan_.positions[r], books_.marks_.at(plan_.slots[r]));
  placed_[r] = 1;
}

// ---- refusing

/// A line that an operation changed must see exactly what its sequence holds. So must any that shares its tokens then.
void LayOut::check_tokens(LineId id) {
  const std::int32_t n_tokens = books_.read_line_(id, &slots_);
  if (n_tokens == kNone) return;
  TokenSet seen;
  for (const Slot slot : slots_) seen += books_.marks_.at(slot);
  Line& line = books_.find_or_add(id);
  if (seen == (line.sequence == kNone ? TokenSet{} : books_.entry(line.sequence).content.all())) return;
  for (const RowIndex row : by_line_) check_jump(row);
  fail(Status::not_exact, "line " + std::to_string(id.index) + " has " + std::to_string(n_tokens) +
                              " tokens after this step; its sequence in llama.cpp would hold " +
                              std::to_string(n_held(line)) +
                              ", not the same (a rewind into a join, or an earlier step that the host was not shown)");
}

/// Every row must have its place, but for those that were taken back and that nobody wants to know about.
void LayOut::check_rows() {
  const auto changed = [&](LineId id) {
    const auto names = [&](const SequenceOp& op) { return op.line == id; };
    return books_.n_tokens(id) == kNone || std::any_of(plan_.ops_before.begin(), plan_.ops_before.end(), names);
  };
  for (RowIndex row = 0; row < plan_.n_rows(); ++row) {
    const auto r = static_cast<std::size_t>(row);
    if (placed_[r] != 0) continue;
    const auto here = [&](const Output& output) { return output.row == row; };
    if (changed(plan_.lines[r]) && std::none_of(plan_.outputs.begin(), plan_.outputs.end(), here)) continue;
    check_jump(row);
    fail(Status::not_exact, name_of(row) + " sees " + std::to_string(past_[r].n) +
                                " tokens, which no sequence of llama.cpp holds (a rewind into a join, or an earlier "
                                "step that the host was not shown)");
  }
}

void LayOut::check_jump(RowIndex row) {
  const auto r = static_cast<std::size_t>(row);
  const Line& line = books_.find_or_add(plan_.lines[r]);
  if (placed_[r] != 0 || line.sequence == kNone) return;
  const Content& held = books_.entry(line.sequence).content;
  if (held.empty() || plan_.positions[r] == held.next()) return;
  fail(Status::not_exact, name_of(row) + ": its sequence in llama.cpp goes on at position " +
                              std::to_string(held.next()) +
                              ", and llama.cpp takes no jumps; of the position policies only `longest` makes none");
}

std::string LayOut::name_of(RowIndex row) const {
  return "row " + std::to_string(row) + " of line " + std::to_string(plan_.lines[static_cast<std::size_t>(row)].index) +
         " at position " + std::to_string(plan_.positions[static_cast<std::size_t>(row)]);
}

std::int64_t LayOut::n_held(const Line& line) const noexcept {
  return line.sequence == kNone ? 0 : books_.entry(line.sequence).content.all().n;
}

// ---- operations

/// The first operation on a line that was forked is its fork.
void LayOut::share(const SequenceOp& op) {
  const bool is_fork = books_.find(op.line) == nullptr;
  if (!is_fork) place_rows(op.line, taken_back_from(op));
  place_rows(op.source, op.end);
  Line& to = books_.find_or_add(op.line);
  const Line& source = *books_.find(op.source);
  if (is_fork) to.fork_end = op.end;
  if (source.sequence == kNone || books_.entry(source.sequence).content.count(op.begin, op.end) == 0) return;
  to.sequence == kNone ? start(to, source.sequence, op) : join(op, to, source);
}

/// Where a later rewind or adopt of this step takes the line back to: its rows from there on come after that.
Position LayOut::taken_back_from(const SequenceOp& op) const {
  Position first = kUnlimited;
  for (const SequenceOp* later = &op; later != plan_.ops_before.data() + plan_.ops_before.size(); ++later) {
    if (later->line != op.line) continue;
    if (later->kind == SequenceOp::Kind::restart) first = std::min(first, later->end);
    if (later->kind == SequenceOp::Kind::become) first = std::min(first, forked_at(later->source));
  }
  return first;
}

Position LayOut::forked_at(LineId id) const {
  const Line* line = std::as_const(books_).find(id);
  const auto forks = [&](const SequenceOp& op) { return op.kind == SequenceOp::Kind::share && op.line == id; };
  const auto fork = std::find_if(plan_.ops_before.begin(), plan_.ops_before.end(), forks);
  return line != nullptr ? line->fork_end : fork != plan_.ops_before.end() ? fork->end : kUnlimited;
}

/// A line without tokens gets what `from` holds at the operation's positions; rows of this pass by a further id.
void LayOut::start(Line& line, std::int32_t from, const SequenceOp& op) {
  line.sequence = books_.take();
  Entry& e = books_.entry(line.sequence);
  const Entry& s = books_.entry(from);
  Wave& w = wave(s.wave);
  e.wave = s.wave;
  for (const std::int32_t row : s.rows) {
    const Position position = plan_.positions[static_cast<std::size_t>(w.rows[static_cast<std::size_t>(row)].row)];
    if (position < op.begin || position >= op.end) continue;
    e.rows.push_back(row);
    w.also.emplace_back(row, line.sequence);
  }
  if (e.content.add(s.content, op.begin, op.end) > static_cast<std::int64_t>(e.rows.size()))
    w.copies.push_back({from, line.sequence, op.begin, op.end});
}

void LayOut::join(const SequenceOp& op, Line& parent, const Line& branch) {
  if (op.begin < branch.fork_end)
    fail(Status::not_exact, "line " + std::to_string(op.source.index) + " starts at position " +
                                std::to_string(op.begin) + ", before position " + std::to_string(branch.fork_end) +
                                " where it was forked: llama.cpp cannot tell the two apart");
  const Entry& b = books_.entry(branch.sequence);
  const auto after_rows = [](const Entry& e) { return e.rows.empty() ? e.wave : e.wave + 1; };
  const std::int32_t at = std::max(after_rows(b), after_rows(books_.entry(parent.sequence)));
  books_.touch(parent.sequence);
  if (const Entry& old = books_.entry(parent.sequence); !old.fresh && op.begin < old.kept) {
    const std::int32_t made = books_.take();  // tokens of its own lie among the branch's: no undoing in place
    add(made, at, {parent.sequence, made, old.content.first(), old.content.next()});
    parent.sequence = made;
  }
  add(parent.sequence, at, {branch.sequence, parent.sequence, op.begin, op.end});
}

void LayOut::restart(const SequenceOp& op) {
  Line& line = books_.find_or_add(op.line);
  if (line.sequence == kNone || books_.entry(line.sequence).content.next() <= op.end)
    return;  // never reached llama.cpp
  const std::int32_t old = std::exchange(line.sequence, kNone);
  if (books_.entry(old).content.count(0, op.end) > 0) start(line, old, op);
}

void LayOut::become(const SequenceOp& op) {
  place_rows(op.source, kUnlimited);
  Line& line = books_.find_or_add(op.line);
  line.sequence = books_.find(op.source)->sequence;
}

// ---- waves

Wave& LayOut::wave(std::int32_t index) {
  if (books_.waves_.size() <= static_cast<std::size_t>(index))
    books_.waves_.resize(static_cast<std::size_t>(index) + 1);
  return books_.waves_[static_cast<std::size_t>(index)];
}

/// The sequence's next rows run in wave `at`, which starts with the copy.
void LayOut::add(std::int32_t sequence, std::int32_t at, const Copy& copy) {
  Entry& e = books_.entry(sequence);
  if (e.wave != at) e.rows.clear();
  e.wave = at;
  wave(at).copies.push_back(copy);
  e.content.add(books_.entry(copy.from).content, copy.begin, copy.end);
}

}  // namespace anabranch::llama
