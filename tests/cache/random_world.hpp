// The real cache and the naive model side by side, driven by small random numbers.
//
// The world plays the host: it owns an array with one number per slot, standing for the K and V of one token, and
// writes it when "the model runs". What a sequence holds is then read back through the cache's slots, so that a slot
// which was handed out twice, or freed too early, shows as a wrong number.
//
// Other tests grow their trees with tests/support/random_tree.hpp. This one draws for itself, because RapidCheck owns
// its random numbers: a history that fails is shrunk by taking operations and numbers away, which a generator that runs
// from a seed cannot do. And it draws what the others never do: calls that must be refused, shortages, saved snapshots.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include <anabranch/anabranch.hpp>

#include "naive_model.hpp"

namespace anabranch::test {

/// One random operation: what, and three numbers that choose among what is possible at that moment.
struct RandomOp {
  std::uint32_t kind = 0, a = 0, b = 0, c = 0;
};

struct WorldOptions {
  std::int32_t n_pages = 32;
  std::int32_t page_size = 16;
  ShareTail share_tail = ShareTail::spare;
  Position max_position = kUnlimited;
};

/// A difference between the cache and the naive model.
class Difference : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

inline void require(bool condition, const std::string& text) {
  if (!condition) throw Difference(text);
}

/// How often each thing happened, over all worlds of a run.
struct WorldCounts {
  long operations = 0, plans = 0, shortages = 0, commits = 0, aborts = 0, aborts_after_model = 0, joins = 0,
       truncated_joins = 0, has_rejected = 0, refused = 0, restores = 0, rows = 0;
};

class RandomWorld {
 public:
  RandomWorld(const WorldOptions& options, WorldCounts& counts);
  /// Does one operation and compares.
  void apply(const RandomOp& op);
  /// Closes the open step, drops every sequence, and expects every page to be free.
  void finish();
  /// Calls so far, as C++ text, when tracing.
  std::string trace;
  bool tracing = false;

 private:
  struct Pending {
    SequenceId sequence;  ///< who appended
    bool known = true;    ///< the plan names its token
    Position position = 0;
    std::vector<std::uint64_t> context;  ///< ids that it sees, itself last
  };
  struct Wanted {
    std::uint64_t token = 0;
    SequenceId sequence;
    bool with_append = true;  ///< asked by the append that brought the token, not later
  };
  enum class Phase { closed, open, planned };

  // random_world_ops.cpp: the calls
  void begin();
  void do_outside(const RandomOp& op);
  void do_in_step(const RandomOp& op);
  void do_planned(const RandomOp& op);
  void create_sequence(const RandomOp& op);
  void append(const RandomOp& op);
  void append_to_all(const RandomOp& op);
  void fork(const RandomOp& op);
  void join(const RandomOp& op);
  void truncate_before_join(const std::vector<SequenceId>& kids, std::uint32_t choice);
  void rewind(SequenceId sequence, std::int32_t n);
  void rewind_some(const RandomOp& op);
  void adopt(const RandomOp& op);
  void drop(SequenceId sequence);
  void detach(const RandomOp& op);
  void hold(const RandomOp& op);
  void request_logits(const RandomOp& op);
  void plan(const RandomOp& op);
  void reject(std::uint32_t choice, std::uint32_t number);
  void abort();
  void save_and_restore();
  // random_world_misuse.cpp: calls that must be refused
  void misuse(const RandomOp& op);
  void misuse_stale(const RandomOp& op);
  void misuse_tree(const RandomOp& op);
  void misuse_state(const RandomOp& op);
  void refused(Status status, const std::string& call, const std::function<void()>& f);
  // random_world_checks.cpp: the comparison
  void check_sequences();
  void check_contents();
  void check_shortage(const Shortage& shortage);
  void check_plan(const StepPlan& plan);
  void check_rows(const StepPlan& plan);
  void check_visibility(const StepPlan& plan, RowIndex row);
  void check_groups(const StepPlan& plan);
  void check_intervals(const StepPlan& plan);
  void check_outputs(const StepPlan& plan);
  bool stands_for(SequenceId named, SequenceId sequence) const;

  SequenceId pick(std::uint32_t choice) const;
  std::optional<SequenceId> pick_if(std::uint32_t choice,
                                    const std::function<bool(const NaiveSequence&)>& wanted) const;
  void note(const std::string& call) {
    if (tracing) trace += "  " + call + "\n";
  }

  WorldOptions options_;
  WorldCounts& counts_;
  std::unique_ptr<KvCache> cache_;
  std::optional<Step> step_;
  Phase phase_ = Phase::closed;
  NaiveModel committed_;
  NaiveModel now_;
  std::vector<std::uint64_t> stored_;   ///< [n_slots] what the model wrote
  std::vector<std::uint64_t> overlay_;  ///< stored_ as it will be once the model has run
  std::set<Slot> in_use_;               ///< slots that committed sequences see
  std::map<std::uint64_t, Pending> pending_;
  std::vector<Wanted> wanted_;
  std::map<SequenceId, SequenceId> adopted_by_;    ///< of the open step
  std::map<SequenceId, std::int32_t> n_own_rows_;  ///< of the open step, since the sequence's last fork or join
  NaiveModel planned_;                             ///< now_ when the plan was made
  std::map<RowIndex, std::uint64_t> token_of_row_;
  std::vector<SequenceId> stale_;
  std::set<std::uint64_t> unknown_;  ///< tokens that were appended as unknown
  std::uint64_t last_token_ = 0;
  std::int32_t most_pages_ = 0;  ///< more than the open step can need
  std::int32_t free_before_ = 0;
  std::uint32_t n_steady_ = 0;  ///< steps to come in which every sequence only goes on
  bool crowded_ = false;        ///< a shortage happened: drop something next
};

inline std::string name(SequenceId sequence) {
  return "L" + std::to_string(sequence.index) + "g" + std::to_string(sequence.generation);
}
inline std::string names(const std::vector<SequenceId>& sequences) {
  std::string text = "{";
  for (const SequenceId sequence : sequences) text += (text.size() > 1 ? ", " : "") + name(sequence);
  return text + "}";
}

}  // namespace anabranch::test
