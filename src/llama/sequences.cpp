#include "sequences.hpp"

#include <algorithm>
#include <string>

#include <anabranch/error.hpp>

#include "lay_out.hpp"

namespace anabranch::llama {

Sequences::Sequences(std::int32_t first, std::int32_t n, ReadLine read_line)
    : first_(first), read_line_(std::move(read_line)), entries_(static_cast<std::size_t>(n)) {
  lines_.reserve(entries_.size());
  lines_before_.reserve(entries_.size());
  gained_.reserve(entries_.size());
  released_.reserve(entries_.size());
}

const std::vector<Wave>& Sequences::lay_out(const StepPlan& plan) {
  waves_.clear();
  lines_before_ = lines_;
  try {
    LayOut(*this, plan).run();
  } catch (...) {
    undo();
    throw;
  }
  return waves_;
}

void Sequences::undo() noexcept {
  for (const Gained& gain : gained_) {
    Entry& e = entry(gain.sequence);
    e.content.cut(gain.kept);
    if (e.fresh) e.used = false;
  }
  std::swap(lines_, lines_before_);
  marks_.undo();
  forget_pass();
}

const std::vector<std::int32_t>& Sequences::settle() noexcept {
  marks_.settle();
  forget_pass();
  return sweep();
}

const std::vector<std::int32_t>& Sequences::sweep() noexcept {
  std::erase_if(lines_, [&](const Line& line) { return n_tokens(line.id) == kNone; });
  return release_unowned();
}

const std::vector<std::int32_t>& Sequences::sweep(const StepPlan& open) noexcept {
  const auto ends_here = [&](LineId line) {
    const auto names = [&](const SequenceOp& op) { return op.line == line || op.source == line; };
    return std::any_of(open.ops_before.begin(), open.ops_before.end(), names) ||
           std::any_of(open.ops_after_commit.begin(), open.ops_after_commit.end(), names);
  };
  std::erase_if(lines_, [&](const Line& line) { return n_tokens(line.id) == kNone && !ends_here(line.id); });
  return release_unowned();
}

const std::vector<std::int32_t>& Sequences::release_unowned() noexcept {
  released_.clear();
  for (std::int32_t s = first_; s < first_ + n(); ++s) {
    Entry& e = entry(s);
    const auto owns = [s](const Line& line) { return line.sequence == s; };
    if (!e.used || std::any_of(lines_.begin(), lines_.end(), owns)) continue;
    e.used = false;
    e.content.cut(0);
    released_.push_back(s);
  }
  return released_;
}

std::int32_t Sequences::n_used() const noexcept {
  return static_cast<std::int32_t>(
      std::count_if(entries_.begin(), entries_.end(), [](const Entry& e) { return e.used; }));
}

const Sequences::Line* Sequences::find(LineId line) const noexcept {
  const auto it = std::find_if(lines_.begin(), lines_.end(), [&](const Line& l) { return l.id == line; });
  return it == lines_.end() ? nullptr : &*it;
}

std::int32_t Sequences::sequence_of(LineId line) const noexcept {
  const Line* known = find(line);
  return known != nullptr ? known->sequence : kNone;
}

Sequences::Line& Sequences::find_or_add(LineId line) {
  if (Line* known = find(line)) return *known;
  lines_.push_back({line, kNone, 0});
  return lines_.back();
}

/// A sequence that nobody has.
std::int32_t Sequences::take() {
  const auto it = std::find_if(entries_.begin(), entries_.end(), [](const Entry& e) { return !e.used; });
  if (it == entries_.end())
    fail(Status::limit_reached, "the plan needs one more sequence id of llama.cpp; all " + std::to_string(n()) +
                                    " are in use (n_seq_max of the context, or n_sequences of the host)");
  const auto sequence = first_ + static_cast<std::int32_t>(it - entries_.begin());
  touch(sequence);
  it->used = it->fresh = true;
  return sequence;
}

/// Notes that the open pass adds to the sequence.
void Sequences::touch(std::int32_t sequence) {
  Entry& e = entry(sequence);
  if (e.gained) return;
  e.kept = e.content.empty() ? 0 : e.content.next();
  gained_.push_back({sequence, e.kept});
  e.gained = true;
}

void Sequences::forget_pass() noexcept {
  for (Entry& e : entries_) {
    e.gained = e.fresh = false;
    e.wave = 0;
    e.rows.clear();
  }
  gained_.clear();
}

}  // namespace anabranch::llama
