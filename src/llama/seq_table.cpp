#include "seq_table.hpp"

#include <algorithm>
#include <string>

#include <anabranch/error.hpp>

#include "batch_planner.hpp"

namespace anabranch::llama {

SeqTable::SeqTable(std::int32_t first, std::int32_t n, ReadSequence read_sequence)
    : first_(first), read_sequence_(std::move(read_sequence)) {
  entries_.assign(n, Entry{});
  const std::size_t n_entries = entries_.end_index().offset();
  sequences_.reserve(n_entries);
  sequences_before_.reserve(n_entries);
  gained_.reserve(n_entries);
  released_.reserve(n_entries);
}

const std::vector<DecodeBatch>& SeqTable::plan_batches(const StepPlan& plan) {
  batches_.clear();
  sequences_before_ = sequences_;
  try {
    BatchPlanner(*this, plan).run();
  } catch (...) {
    undo();
    throw;
  }
  return batches_;
}

void SeqTable::undo() noexcept {
  for (const Gained& gain : gained_) {
    Entry& e = entry(gain.seq_id);
    e.content.cut(gain.kept);
    if (e.fresh) e.used = false;
  }
  std::swap(sequences_, sequences_before_);
  marks_.undo();
  forget_pass();
}

const std::vector<std::int32_t>& SeqTable::settle() noexcept {
  marks_.settle();
  forget_pass();
  return sweep();
}

const std::vector<std::int32_t>& SeqTable::sweep() noexcept {
  std::erase_if(sequences_, [&](const Sequence& sequence) { return n_tokens(sequence.id) == kNone; });
  return release_unowned();
}

const std::vector<std::int32_t>& SeqTable::sweep(const StepPlan& open) noexcept {
  const auto ends_here = [&](SequenceId sequence) {
    const auto names = [&](const HostOp& op) { return op.sequence == sequence || op.source == sequence; };
    return std::any_of(open.ops_before.begin(), open.ops_before.end(), names) ||
           std::any_of(open.ops_after_commit.begin(), open.ops_after_commit.end(), names);
  };
  std::erase_if(sequences_,
                [&](const Sequence& sequence) { return n_tokens(sequence.id) == kNone && !ends_here(sequence.id); });
  return release_unowned();
}

const std::vector<std::int32_t>& SeqTable::release_unowned() noexcept {
  released_.clear();
  for (std::int32_t s = first_; s < first_ + n(); ++s) {
    Entry& e = entry(s);
    const auto owns = [s](const Sequence& sequence) { return sequence.seq_id == s; };
    if (!e.used || std::any_of(sequences_.begin(), sequences_.end(), owns)) continue;
    e.used = false;
    e.content.cut(0);
    released_.push_back(s);
  }
  return released_;
}

std::int32_t SeqTable::n_used() const noexcept {
  return static_cast<std::int32_t>(
      std::count_if(entries_.begin(), entries_.end(), [](const Entry& e) { return e.used; }));
}

const SeqTable::Sequence* SeqTable::find(SequenceId sequence) const noexcept {
  const auto it =
      std::find_if(sequences_.begin(), sequences_.end(), [&](const Sequence& known) { return known.id == sequence; });
  return it == sequences_.end() ? nullptr : &*it;
}

std::int32_t SeqTable::seq_id_of(SequenceId sequence) const noexcept {
  const Sequence* known = find(sequence);
  return known != nullptr ? known->seq_id : kNone;
}

SeqTable::Sequence& SeqTable::find_or_add(SequenceId sequence) {
  if (Sequence* known = find(sequence)) return *known;
  sequences_.push_back({sequence, kNone, 0});
  return sequences_.back();
}

/// Takes a free seq_id into use.
std::int32_t SeqTable::take() {
  const auto it = std::find_if(entries_.begin(), entries_.end(), [](const Entry& e) { return !e.used; });
  if (it == entries_.end())
    fail(Status::limit_reached, "the plan needs one more seq_id of llama.cpp; all ", n(),
         " are in use (n_seq_max of the context, or n_seq_ids of the host)");
  const auto seq_id = first_ + static_cast<std::int32_t>(it - entries_.begin());
  touch(seq_id);
  it->used = it->fresh = true;
  return seq_id;
}

/// Records that the open pass adds tokens to the seq_id.
void SeqTable::touch(std::int32_t seq_id) {
  Entry& e = entry(seq_id);
  if (e.gained) return;
  e.kept = e.content.empty() ? 0 : e.content.next();
  gained_.push_back({seq_id, e.kept});
  e.gained = true;
}

void SeqTable::forget_pass() noexcept {
  for (Entry& e : entries_) {
    e.gained = e.fresh = false;
    e.batch = BatchIndex(0);
    e.rows.clear();
  }
  gained_.clear();
}

}  // namespace anabranch::llama
