// The table of the llama.cpp host: which sequence has which seq_id, and which tokens each seq_id holds.
//
// Plain C++: nothing here calls llama.cpp. `plan_batches` turns a plan into batches, which the host runs one after the
// other, and changes the table as if they had run; `undo` takes that change back, `settle` makes it final.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include <anabranch/plan/step_plan.hpp>

#include "content.hpp"
#include "indices.hpp"

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

/// The work of one call of llama_decode: first the copies are made, then the rows are decoded. Positions within a
/// seq_id never decrease.
struct DecodeBatch {
  std::vector<Copy> copies;
  std::vector<BatchRow> rows;
  /// Pairs of an index into `rows` and a further seq_id that gets the row, sorted: a sequence was forked after the row
  /// in the same pass. Both seq_ids then hold the same tokens, as llama.cpp requires of a row that has several.
  std::vector<std::pair<std::size_t, std::int32_t>> also;
};

/// The open pass has added positions to a seq_id; those below `kept` were there before.
struct Gained {
  std::int32_t seq_id = 0;
  Position kept = 0;
};

/// Host::ReadSequence.
using ReadSequence = std::function<std::int32_t(SequenceId, std::vector<Slot>*)>;

class SeqTable {
 public:
  /// For seq_ids [first, first + n).
  SeqTable(std::int32_t first, std::int32_t n, ReadSequence read_sequence);

  /// Valid until the next call. Throws not_exact or limit_reached, with the table as it was.
  const std::vector<DecodeBatch>& plan_batches(const StepPlan& plan);
  /// The positions that the host must remove from llama.cpp so that it is as before `plan_batches`.
  const std::vector<Gained>& gained() const noexcept { return gained_; }
  /// Takes the last `plan_batches` back.
  void undo() noexcept;
  /// Makes the pass final. Returns the seq_ids that the host must empty, because no sequence has them any more.
  const std::vector<std::int32_t>& settle() noexcept;
  /// Releases the seq_ids of sequences that ended in steps that did not run through the host, and returns them
  /// likewise. Sequences that the open step's plan names are kept.
  const std::vector<std::int32_t>& sweep(const StepPlan& open) noexcept;
  const std::vector<std::int32_t>& sweep() noexcept;

  std::int32_t n() const noexcept { return entries_.size(); }
  std::int32_t n_used() const noexcept;
  /// kNone while llama.cpp holds no token of the sequence.
  std::int32_t seq_id_of(SequenceId sequence) const noexcept;
  std::int32_t first() const noexcept { return first_; }
  /// Of the tokens that the seq_id holds after the open pass; 0 when it holds none.
  Position first_position(std::int32_t seq_id) const noexcept {
    return entries_[EntryIndex(seq_id - first_)].content.first();
  }

 private:
  friend class BatchPlanner;
  /// A sequence of the cache that the host knows.
  struct Sequence {
    SequenceId id;
    std::int32_t seq_id = kNone;  ///< none before its first token
    Position fork_end = 0;        ///< next position of the parent at the fork; a join takes positions from there on
  };
  /// One seq_id.
  struct Entry {
    bool used = false;
    Content content;
    // Of the open pass:
    bool gained = false;            ///< it is in gained_
    bool fresh = false;             ///< the pass has taken it into use
    Position kept = 0;              ///< Gained::kept, if gained
    BatchIndex batch{0};            ///< in which its next row runs
    std::vector<std::size_t> rows;  ///< the rows of that batch that it holds, by their index there
  };

  /// REQUIRES: a seq_id of this table.
  Entry& entry(std::int32_t seq_id) noexcept { return entries_[EntryIndex(seq_id - first_)]; }
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
  Table<Entry, EntryIndex> entries_;
  std::vector<Sequence> sequences_;
  std::vector<Sequence> sequences_before_;
  std::vector<Gained> gained_;
  std::vector<std::int32_t> released_;
  std::vector<DecodeBatch> batches_;
};

}  // namespace anabranch::llama
