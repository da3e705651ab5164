#include "lay_out.hpp"

#include <algorithm>
#include <utility>

#include <anabranch/error.hpp>

namespace anabranch::llama {
namespace {

SlotSet one(Slot slot) noexcept { return {1, mark_of(slot)}; }

SlotSet keys_of(const StepPlan& plan, const VisibilityGroup& group) {
  SlotSet keys;
  for_each_run(group, plan.views, [&keys](Slot first, std::int32_t count) {
    for (Slot slot = first; slot < first + count; ++slot) keys += one(slot);
  });
  return keys;
}

std::string name_of(LineId line) { return "line " + std::to_string(line.index); }

}  // namespace

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
  for (RowIndex row = 0; row < plan_.n_rows(); ++row) {
    if (placed_[static_cast<std::size_t>(row)] == 0)
      place_rows(plan_.lines[static_cast<std::size_t>(row)], kUnlimited);
    if (placed_[static_cast<std::size_t>(row)] == 0) refuse_row(row);
  }
  for (Wave& w : books_.waves_) std::sort(w.also.begin(), w.also.end());
}

/// Groups are intervals of rows: their keys are added where an interval begins and taken away where it ends.
void LayOut::read_pasts() {
  const auto n = static_cast<std::size_t>(plan_.n_rows());
  placed_.assign(n, 0);
  past_.assign(n, SlotSet{});
  std::vector<SlotSet> change(n + 1);
  for (const VisibilityGroup& group : plan_.groups) {
    SlotSet keys = keys_of(plan_, group);
    const auto begin = static_cast<std::size_t>(group.row_begin), end = static_cast<std::size_t>(group.row_end);
    if (group.visibility == Visibility::causal) {
      for (std::size_t r = begin; r < end; ++r) keys -= one(plan_.slots[r]);
      SlotSet rows;
      for (std::size_t r = begin; r < end; ++r) past_[r] += (rows += one(plan_.slots[r]));
    }
    change[begin] += keys;
    change[end] -= keys;
  }
  SlotSet seen;
  for (std::size_t r = 0; r < n; ++r) {
    seen += change[r];
    past_[r] += seen;
    past_[r] -= one(plan_.slots[r]);  // itself
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
bool LayOut::fits(RowIndex row, const Line* line) {
  const auto r = static_cast<std::size_t>(row);
  if (line == nullptr) return past_[r] == SlotSet{};
  const Content& held = books_.entry(line->sequence).content;
  return past_[r] == held.all() && (held.empty() || plan_.positions[r] == held.next());
}

void LayOut::place_rows(LineId line, Position end) {
  const auto line_of = [&](RowIndex r) { return plan_.lines[static_cast<std::size_t>(r)]; };
  const auto first = std::lower_bound(by_line_.begin(), by_line_.end(), line,
                                      [&](RowIndex r, LineId l) { return line_of(r) < l; });
  const Line* known = books_.find(line);
  bool placed = first != by_line_.end();
  while (placed) {  // nearly always in the plan's order: the second round finds nothing
    placed = false;
    for (auto it = first; it != by_line_.end() && line_of(*it) == line; ++it) {
      const auto r = static_cast<std::size_t>(*it);
      if (placed_[r] != 0 || plan_.positions[r] >= end || !fits(*it, known)) continue;
      if (known == nullptr) {
        books_.lines_.push_back({line, books_.take(), 0});
        known = &books_.lines_.back();
      }
      place(*it, known->sequence);
      placed = true;
    }
  }
}

void LayOut::place(RowIndex row, std::int32_t sequence) {
  const auto r = static_cast<std::size_t>(row);
  books_.touch(sequence);
  Entry& e = books_.entry(sequence);
  Wave& w = wave(e.wave);
  e.rows.push_back(static_cast<std::int32_t>(w.rows.size()));
  w.rows.push_back({row, sequence});
  e.content.add(plan_.positions[r], one(plan_.slots[r]));
  placed_[r] = 1;
}

void LayOut::refuse_row(RowIndex row) {
  const auto r = static_cast<std::size_t>(row);
  const Line* line = books_.find(plan_.lines[r]);
  const Content empty;
  const Content& held = line != nullptr ? books_.entry(line->sequence).content : empty;
  const std::string what = "row " + std::to_string(row) + " of " + name_of(plan_.lines[r]) + " at position " +
                           std::to_string(plan_.positions[r]);
  if (!held.empty() && plan_.positions[r] != held.next())
    fail(Status::not_exact, what + ": its sequence in llama.cpp goes on at position " + std::to_string(held.next()) +
                                ", and llama.cpp takes no jumps; of the position policies only `longest` makes none");
  fail(Status::not_exact, what + " sees " + std::to_string(past_[r].n) + " tokens; its sequence in llama.cpp holds " +
                              std::to_string(held.all().n) +
                              " others (a rewind into a join, or a step that the host was not shown)");
}

// ---- operations

void LayOut::share(const SequenceOp& op) {
  Line* to = books_.find(op.line);
  if (to != nullptr) place_rows(op.line, kUnlimited);
  place_rows(op.source, op.end);
  const Line* source = books_.find(op.source);
  if (source == nullptr || books_.entry(source->sequence).content.empty()) return;  // nothing to share
  if (const Position next = books_.entry(source->sequence).content.next(); next > op.end)
    fail(Status::not_exact, name_of(op.source) + " holds tokens up to position " + std::to_string(next - 1) + ", but " +
                                name_of(op.line) + " takes what lies before position " + std::to_string(op.end) +
                                ": llama.cpp cannot tell them apart");
  to = books_.find(op.line);
  to == nullptr ? fork(op, *source) : join(op, *to, *source);
}

/// Also the join into a parent without tokens.
void LayOut::fork(const SequenceOp& op, const Line& source) {
  const std::int32_t from = source.sequence;
  const std::int32_t to = books_.take();
  books_.lines_.push_back({op.line, to, op.begin == 0 ? op.end : 0});
  Entry& e = books_.entry(to);
  const Entry& s = books_.entry(from);
  e.wave = s.wave;
  const auto n_rows = static_cast<std::int64_t>(s.rows.size());
  if (e.content.add(s.content, op.begin, op.end) > n_rows) copy(from, to, op.begin, op.end);
  Wave& w = wave(e.wave);
  for (const std::int32_t row : s.rows) {
    e.rows.push_back(row);
    w.also.emplace_back(row, to);
  }
}

void LayOut::join(const SequenceOp& op, Line& parent, const Line& branch) {
  if (op.begin < branch.fork_end)
    fail(Status::not_exact, name_of(op.source) + " starts at position " + std::to_string(op.begin) + ", before position " +
                                std::to_string(branch.fork_end) + " where it was forked: llama.cpp cannot tell the two apart");
  const std::int32_t from = branch.sequence;
  const Entry& b = books_.entry(from);
  if (b.content.count(op.begin, op.end) == 0) return;
  const auto after_rows = [](const Entry& e) { return e.rows.empty() ? e.wave : e.wave + 1; };
  const std::int32_t at = std::max(after_rows(b), after_rows(books_.entry(parent.sequence)));
  books_.touch(parent.sequence);
  if (const Entry& p = books_.entry(parent.sequence); !p.fresh && op.begin < p.kept) {
    const std::int32_t old = parent.sequence;  // tokens of its own lie among the branch's: not to be undone in place
    const std::int32_t made = books_.take();
    raise(made, at);
    const Content& held = books_.entry(old).content;
    copy(old, made, held.first(), held.next());
    books_.entry(made).content.add(held, held.first(), held.next());
    parent.sequence = made;
  }
  raise(parent.sequence, at);
  copy(from, parent.sequence, op.begin, op.end);
  books_.entry(parent.sequence).content.add(b.content, op.begin, op.end);
}

void LayOut::restart(const SequenceOp& op) {
  place_rows(op.line, op.end);
  Line* line = books_.find(op.line);
  if (line == nullptr) return;
  const std::int32_t old = line->sequence;
  if (books_.entry(old).content.next() <= op.end) return;  // only what never reached llama.cpp is taken back
  const std::int32_t made = books_.take();
  Entry& e = books_.entry(made);
  const Entry& o = books_.entry(old);
  e.wave = o.wave;
  e.content.add(o.content, 0, op.end);
  line->sequence = made;
  if (!e.content.empty()) copy(old, made, 0, op.end);
  for (const std::int32_t row : o.rows) {
    Wave& w = wave(o.wave);
    if (plan_.positions[static_cast<std::size_t>(w.rows[static_cast<std::size_t>(row)].row)] >= op.end) continue;
    e.rows.push_back(row);
    w.also.emplace_back(row, made);
  }
}

void LayOut::become(const SequenceOp& op) {
  place_rows(op.source, kUnlimited);
  Line* source = books_.find(op.source);
  Line* line = books_.find(op.line);
  if (source == nullptr) {
    std::erase_if(books_.lines_, [&](const Line& l) { return l.id == op.line; });
  } else if (line == nullptr) {
    books_.lines_.push_back({op.line, source->sequence, 0});
  } else {
    line->sequence = source->sequence;
  }
}

// ---- waves

Wave& LayOut::wave(std::int32_t index) {
  if (books_.waves_.size() <= static_cast<std::size_t>(index)) books_.waves_.resize(static_cast<std::size_t>(index) + 1);
  return books_.waves_[static_cast<std::size_t>(index)];
}

/// The sequence's next rows run in `wave`, whose copies may change it.
void LayOut::raise(std::int32_t sequence, std::int32_t wave) {
  Entry& e = books_.entry(sequence);
  if (e.wave == wave) return;
  e.wave = wave;
  e.rows.clear();
}

/// In the wave of `to`.
void LayOut::copy(std::int32_t from, std::int32_t to, Position begin, Position end) {
  wave(books_.entry(to).wave).copies.push_back({from, to, begin, end});
}

}  // namespace anabranch::llama
