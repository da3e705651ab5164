// The books of the llama.cpp host: which line has which sequence, and what a pass does to the sequences.
//
// Plain C++: nothing here calls llama.cpp. `lay_out` turns a plan into waves, which the host carries out one after the
// other, and changes the books as if they had run; `undo` brings the books back, `settle` makes the change final.
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

struct WaveRow {
  RowIndex row = 0;
  std::int32_t sequence = 0;  ///< of the line that brings the row
};

/// What can be decoded together: the copies first, then the rows. Within a sequence positions never decrease.
struct Wave {
  std::vector<Copy> copies;
  std::vector<WaveRow> rows;
  /// (index into rows, sequence), sorted: the row is seen in that sequence too. A line forked after the row, in the
  /// same pass; both sequences then hold the same in llama.cpp, which it insists on.
  std::vector<std::pair<std::int32_t, std::int32_t>> also;
};

/// Positions that a sequence gained since the open pass began; everything below `kept` was there before.
struct Gained {
  std::int32_t sequence = 0;
  Position kept = 0;
};

/// Tokens that a line sees, the open step included, or kNone when it is not alive; their slots too if a place is given.
using ReadLine = std::function<std::int32_t(LineId, std::vector<Slot>*)>;

class Sequences {
 public:
  Sequences(std::int32_t first, std::int32_t n, ReadLine read_line);

  /// Throws not_exact or limit_reached, with the books as they were.
  const std::vector<Wave>& lay_out(const StepPlan& plan);
  /// What is to be removed from llama.cpp so that it is as before `lay_out`.
  const std::vector<Gained>& gained() const noexcept { return gained_; }
  void undo() noexcept;
  /// Makes the pass final. Returns the sequences that are to be emptied: nobody has them any more.
  const std::vector<std::int32_t>& settle() noexcept;
  /// The same for lines that ended in steps of which the host was not told, the open one excepted.
  const std::vector<std::int32_t>& sweep(const StepPlan& open) noexcept;
  const std::vector<std::int32_t>& sweep() noexcept;

  std::int32_t n() const noexcept { return static_cast<std::int32_t>(entries_.size()); }
  std::int32_t n_used() const noexcept;
  /// kNone: the line has no tokens there.
  std::int32_t sequence_of(LineId line) const noexcept;
  std::int32_t first() const noexcept { return first_; }

 private:
  friend class LayOut;
  struct Line {
    LineId id;
    std::int32_t sequence = kNone;  ///< none before its first token
    Position fork_end = 0;          ///< next position of the parent at the fork: what a join takes lies at or after it
  };
  struct Entry {
    bool used = false;
    // of the open pass:
    bool gained = false;             ///< noted in gained_
    bool fresh = false;              ///< taken in it
    Position kept = 0;               ///< if gained
    std::int32_t wave = 0;           ///< in which its next row runs
    std::vector<std::int32_t> rows;  ///< of that wave, by index, that it holds
    Content content;
  };

  /// REQUIRES: an id of this host.
  Entry& entry(std::int32_t sequence) noexcept { return entries_[static_cast<std::size_t>(sequence - first_)]; }
  std::int32_t n_tokens(LineId line) const { return read_line_(line, nullptr); }
  const Line* find(LineId line) const noexcept;
  Line* find(LineId line) noexcept { return const_cast<Line*>(std::as_const(*this).find(line)); }
  Line& find_or_add(LineId line);
  std::int32_t take();
  void touch(std::int32_t sequence);
  void forget_pass() noexcept;
  const std::vector<std::int32_t>& release_unowned() noexcept;

  std::int32_t first_;
  ReadLine read_line_;
  SlotMarks marks_;
  std::vector<Entry> entries_;
  std::vector<Line> lines_;
  std::vector<Line> lines_before_;
  std::vector<Gained> gained_;
  std::vector<std::int32_t> released_;
  std::vector<Wave> waves_;
};

}  // namespace anabranch::llama
