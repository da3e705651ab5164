// Hundreds of sequences: forks, appends in random orders, large joins and drops against lists of slots.
#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <vector>

#include <anabranch/anabranch.hpp>

#include "catch.hpp"

using namespace anabranch;

namespace {

using Slots = std::vector<Slot>;

/// What every sequence must see, as slots in history order. New tokens are negative until the plan gives them a slot.
class ManySequences {
 public:
  explicit ManySequences(std::uint32_t seed)
      : random_(seed), cache_({.n_pages = 4096, .page_size = 4, .max_sequences = 4096}) {
    trunk_ = cache_.create_sequence();
    seen_[trunk_] = {};
  }

  void step() {
    Step step = cache_.begin_step();
    std::map<SequenceId, Slots> seen = seen_;
    std::vector<SequenceId> rows_of;  // who appended the token -1 - i
    const auto append = [&](SequenceId sequence) {
      const auto n = static_cast<std::size_t>(1 + below(2));
      step.append(sequence, std::vector<TokenId>(n, 7), Logits::last);
      for (std::size_t i = 0; i < n; ++i) {
        rows_of.push_back(sequence);
        seen[sequence].push_back(-static_cast<Slot>(rows_of.size()));
      }
    };
    if (kids_.size() < 400 && below(3) > 0)
      for (const SequenceId kid : step.fork(trunk_, 1 + below(300))) {
        kids_.push_back(kid);
        seen[kid] = seen[trunk_];
        n_shared_[kid] = seen[trunk_].size();
      }
    std::shuffle(kids_.begin(), kids_.end(), random_);
    for (const SequenceId kid : kids_)
      if (below(4) > 0) append(kid);
    if (below(3) == 0) join(step, seen, below(static_cast<std::int32_t>(kids_.size()) + 1));
    if (below(3) == 0) append(trunk_);
    if (below(3) == 0) drop(step, seen, below(static_cast<std::int32_t>(kids_.size()) / 4 + 1));
    const PlanResult plan = step.plan();
    REQUIRE(plan);
    give_slots(*plan, rows_of, seen);
    check_rows(*plan, seen);
    if (below(8) == 0) {
      step.abort();
      kids_.clear();
      for (const SequenceId kid : cache_.children(trunk_)) kids_.push_back(kid);
    } else {
      step.commit();
      seen_ = seen;
    }
    check_sequences();
  }
  std::size_t largest_join() const noexcept { return largest_join_; }

 private:
  std::int32_t below(std::int32_t n) { return static_cast<std::int32_t>(random_() % static_cast<std::uint32_t>(n)); }

  void join(Step& step, std::map<SequenceId, Slots>& seen, std::int32_t n) {
    const std::vector<SequenceId> joined(kids_.begin(), kids_.begin() + n);
    step.join(trunk_, joined);
    for (const SequenceId kid : joined) {
      const Slots& own = seen[kid];
      seen[trunk_].insert(seen[trunk_].end(), own.begin() + static_cast<std::ptrdiff_t>(n_shared_[kid]), own.end());
      seen.erase(kid);
    }
    kids_.erase(kids_.begin(), kids_.begin() + n);
    largest_join_ = std::max(largest_join_, joined.size());
  }
  void drop(Step& step, std::map<SequenceId, Slots>& seen, std::int32_t n) {
    for (std::int32_t i = 0; i < n; ++i, kids_.pop_back()) {
      step.drop(kids_.back());
      seen.erase(kids_.back());
    }
  }

  /// Replaces negative tokens by their slots: the rows of one sequence come in the order in which it appended them.
  void give_slots(const StepPlan& plan, const std::vector<SequenceId>& rows_of, std::map<SequenceId, Slots>& seen) {
    std::map<SequenceId, Slots> slots;
    for (std::size_t r = 0; r < plan.slots.size(); ++r) slots[plan.sequences[r]].push_back(plan.slots[r]);
    std::map<SequenceId, std::size_t> next;
    std::vector<Slot> slot_of;
    for (const SequenceId sequence : rows_of) {
      const Slots& own = slots[sequence];
      const std::size_t i = next[sequence]++;
      slot_of.push_back(i < own.size() ? own[i] : kNoSlot);  // none: nobody sees the row
    }
    for (auto& [sequence, list] : seen)
      for (Slot& slot : list)
        if (slot < 0) slot = slot_of[static_cast<std::size_t>(-1 - slot)];
  }

  /// Every row's groups list what its sequence sees, up to the row.
  void check_rows(const StepPlan& plan, const std::map<SequenceId, Slots>& seen) {
    for (int i = 0; i < 20 && plan.n_rows() > 0; ++i) {
      const RowIndex row = below(plan.n_rows());
      Slots visible;
      for (const VisibilityGroup& group : plan.groups) {
        if (row < group.row_begin || row >= group.row_end) continue;
        Slots keys;
        for_each_run(group, plan.views, [&](Slot first, std::int32_t count) {
          for (std::int32_t k = 0; k < count; ++k) keys.push_back(first + k);
        });
        const std::int32_t hidden = group.visibility == Visibility::causal ? group.row_end - 1 - row : 0;
        visible.insert(visible.end(), keys.begin(), keys.end() - hidden);
      }
      REQUIRE(!visible.empty());
      CHECK(visible.back() == plan.slots[static_cast<std::size_t>(row)]);
      const auto found = seen.find(plan.sequences[static_cast<std::size_t>(row)]);
      if (found == seen.end()) continue;  // joined: the trunk has its rows elsewhere
      CHECK(std::equal(visible.begin(), visible.end(), found->second.begin()));
    }
  }

  void check_sequences() {
    CHECK(cache_.slots_of(trunk_) == seen_[trunk_]);
    for (int i = 0; i < 20 && !kids_.empty(); ++i) {
      const SequenceId kid = kids_[static_cast<std::size_t>(below(static_cast<std::int32_t>(kids_.size())))];
      CHECK(cache_.slots_of(kid) == seen_[kid]);
    }
    CHECK(cache_.snapshot().check() == std::vector<std::string>{});
  }

  std::mt19937 random_;
  KvCache cache_;
  SequenceId trunk_;
  std::vector<SequenceId> kids_;
  std::map<SequenceId, Slots> seen_;
  std::map<SequenceId, std::size_t> n_shared_;
  std::size_t largest_join_ = 0;
};

}  // namespace

TEST_CASE("hundreds of sequences in random orders see what they must") {
  std::size_t largest_join = 0;
  for (std::uint32_t seed = 0; seed < 6; ++seed) {
    ManySequences world(seed);
    INFO("seed " << seed);
    for (int i = 0; i < 40; ++i) world.step();
    largest_join = std::max(largest_join, world.largest_join());
  }
  CHECK(largest_join > 200);
}
