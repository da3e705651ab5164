// The books of the llama.cpp host: which sequence has which llama.cpp sequence, and what a pass does to the llama.cpp
// sequences.
//
// Plain C++: nothing here calls llama.cpp. `plan_batches` turns a plan into batches, which the host carries out one
// after the other, and changes the books as if they had run; `undo` brings the books back, `settle` makes the change
// final.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include <anabranch/plan/step_plan.hpp>

#include "content.hpp"

namespace anabranch::llama {

/// llama_memory_seq_cp of positions [begin, end).
struct Copy {
  std::int32_t from = 0;
  std::int32_t to = 0;
  Position begin = 0;
  Position end = 0;
};

struct BatchRow {
  RowIndex row = 0;
  std::int32_t seq_id = 0;  ///< of the sequence that brings the row
};

/// What can be decoded together: the copies first, then the rows. Within a llama.cpp sequence positions never decrease.
struct DecodeBatch {
  std::vector<Copy> copies;
  std::vector<BatchRow> rows;
  /// (index into rows, llama.cpp sequence), sorted: the row is seen in that llama.cpp sequence too. A sequence forked
  /// after the row, in the same pass; both llama.cpp sequences then hold the same in llama.cpp, which it insists on.
  std::vector<std::pair<std::int32_t, std::int32_t>> also;
};

/// Positions that a llama.cpp sequence gained since the open pass began; everything below `kept` was there before.
struct Gained {
  std::int32_t seq_id = 0;
  Position kept = 0;
};

/// Tokens that a sequence sees, the open step included, or kNone when it is not alive; their slots too if a place is
/// given.
using ReadSequence = std::function<std::int32_t(SequenceId, std::vector<Slot>*)>;

class SeqTable {
 public:
  SeqTable(std::int32_t first, std::int32_t n, ReadSequence read_sequence);

  /// Throws not_exact or limit_reached, with the books as they were.
  const std::vector<DecodeBatch>& plan_batches(const StepPlan& plan);
  /// What is to be removed from llama.cpp so that it is as before `plan_batches`.
  const std::vector<Gained>& gained() const noexcept { return gained_; }
  void undo() noexcept;
  /// Makes the pass final. Returns the llama.cpp sequences that are to be emptied: nobody has them any more.
  const std::vector<std::int32_t>& settle() noexcept;
  /// The same for sequences that ended in steps of which the host was not told, the open one excepted.
  const std::vector<std::int32_t>& sweep(const StepPlan& open) noexcept;
  const std::vector<std::int32_t>& sweep() noexcept;

  std::int32_t n() const noexcept { return static_cast<std::int32_t>(entries_.size()); }
  std::int32_t n_used() const noexcept;
  /// kNone: the sequence has no tokens there.
  std::int32_t seq_id_of(SequenceId sequence) const noexcept;
  std::int32_t first() const noexcept { return first_; }

 private:
  friend class BatchPlanner;
  struct Sequence {
    SequenceId id;
    std::int32_t seq_id = kNone;  ///< none before its first token
    Position fork_end = 0;        ///< next position of the parent at the fork: what a join takes lies at or after it
  };
  struct Entry {
    bool used = false;
    // of the open pass:
    bool gained = false;             ///< noted in gained_
    bool fresh = false;              ///< taken in it
    Position kept = 0;               ///< if gained
    std::int32_t batch = 0;          ///< in which its next row runs
    std::vector<std::int32_t> rows;  ///< of that batch, by index, that it holds
    Content content;
  };

  /// REQUIRES: an id of this host.
  Entry& entry(std::int32_t seq_id) noexcept { return entries_[static_cast<std::size_t>(seq_id - first_)]; }
  std::int32_t n_tokens(SequenceId sequence) const { return read_sequence_(sequence, nullptr); }
  const Sequence* find(SequenceId sequence) const noexcept;
  Sequence* find(SequenceId sequence) noexcept { return const_cast<Sequence*>(std::as_const(*this).find(sequence)); }
  Sequence& find_or_add(SequenceId sequence);
  std::int32_t take();
  void touch(std::int32_t seq_id);
  void forget_pass() noexcept;
  const std::vector<std::int32_t>& release_unowned() noexcept;

  std::int32_t first_;
  ReadSequence read_sequence_;
  SlotMarks marks_;
  std::vector<Entry> entries_;
  std::vector<Sequence> sequences_;
  std::vector<Sequence> sequences_before_;
  std::vector<Gained> gained_;
  std::vector<std::int32_t> released_;
  std::vector<DecodeBatch> batches_;
};

}  // namespace anabranch::llama
