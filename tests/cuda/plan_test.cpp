// DevicePlan: its tasks, its sizes, and the plans that it refuses.
#include <cstring>
#include <memory>
#include <string>

#include "attention_case.hpp"
#include "catch.hpp"
#include "plan_layout.hpp"
#include "random_steps.hpp"
#include "reference.hpp"

using namespace anabranch;
using namespace anabranch::test;
using cuda::DevicePlan;
using cuda::PlanSizes;

namespace {

/// A step plan by hand. Views are given with one run of slots from `first` on.
class HandPlan {
 public:
  HandPlan(std::int32_t n_rows, std::int32_t n_slots) {
    tokens_.assign(static_cast<std::size_t>(n_rows), 1);
    plan_.n_slots = n_slots;
  }
  HandPlan& group(RowIndex row_begin, RowIndex row_end, Visibility visibility = Visibility::full) {
    const auto at = static_cast<std::int32_t>(views_.size());
    groups_.push_back({row_begin, row_end, at, at, 0, visibility});
    return *this;
  }
  HandPlan& view(std::uint64_t segment, std::int32_t begin, std::int32_t end, Slot first) {
    runs_.push_back(std::make_unique<SlotRun>(SlotRun{first, end - begin, begin}));
    views_.push_back({runs_.back().get(), 1, begin, end, 0, segment});
    groups_.back().n_keys += end - begin;
    ++groups_.back().view_end;
    return *this;
  }
  std::vector<View>& views() { return views_; }
  std::vector<VisibilityGroup>& groups() { return groups_; }
  const StepPlan& plan() {
    plan_.tokens = tokens_;
    plan_.groups = groups_;
    plan_.views = views_;
    return plan_;
  }

 private:
  StepPlan plan_;
  std::vector<TokenId> tokens_;
  std::vector<std::unique_ptr<SlotRun>> runs_;
  std::vector<View> views_;
  std::vector<VisibilityGroup> groups_;
};

/// The packed arrays, copied out.
struct Unpacked {
  std::vector<cuda::Task> tasks;
  std::vector<cuda::Entry> entries;
  std::vector<cuda::Run> runs;
  std::vector<std::int32_t> row_states;
  explicit Unpacked(const DevicePlan& plan) {
    std::vector<std::byte> bytes(plan.bytes().begin(), plan.bytes().end());
    const cuda::PackedPlan packed = cuda::packed_plan(bytes.data(), plan.bucket());
    CHECK(*packed.counts == plan.sizes());
    CHECK(packed.n_bytes == bytes.size());
    tasks.assign(packed.tasks, packed.tasks + plan.sizes().n_tasks);
    entries.assign(packed.entries, packed.entries + plan.sizes().n_states);
    runs.assign(packed.runs, packed.runs + plan.sizes().n_runs);
    row_states.assign(packed.row_states, packed.row_states + plan.sizes().n_rows + 1);
  }
};

const HeadShape kShape{7, 1, 64};

std::string refusal(DevicePlan& plan, HandPlan& hand, Status status) {
  try {
    plan.build(hand.plan());
  } catch (const Error& error) {
    CHECK(error.status() == status);
    return error.what();
  }
  FAIL("the plan was taken");
  return {};
}

}  // namespace

TEST_CASE("rows that see parts of one segment share a task, each with its own end") {
  // Row 0 sees [0, 50); rows 1 and 2 see on to 100 and are themselves tokens 100 and 101.
  HandPlan hand(3, 1000);
  hand.group(0, 3).view(9, 0, 50, 10).group(1, 3).view(9, 50, 100, 60);
  hand.group(1, 3, Visibility::causal).view(9, 100, 102, 400);
  DevicePlan plan(kShape, kTestLimits);
  plan.build(hand.plan());
  const Unpacked out(plan);
  CHECK(plan.sizes() == PlanSizes{3, 1, 3, 2});
  CHECK(plan.bucket() == PlanSizes{16, 16, 16, 16});
  CHECK(out.tasks[0].key_begin == 0);
  CHECK(out.tasks[0].key_end == 102);
  CHECK(out.tasks[0].n_entries == 3);
  CHECK(out.entries[0].end == 50);
  CHECK(out.entries[1].end == 101);
  CHECK(out.entries[2].end == 102);
  CHECK(out.runs[0].first == 10);
  CHECK(out.runs[1].first == 400);
  CHECK(out.runs[1].offset == 100);
  CHECK(out.row_states == std::vector<std::int32_t>{0, 1, 2, 3});
}

TEST_CASE("chunks begin at multiples of 256 inside a segment, and a run may serve two of them") {
  HandPlan hand(1, 5000);
  hand.group(0, 1).view(3, 0, 300, 1000).view(3, 300, 600, 2000).view(5, 0, 1, 7);
  DevicePlan plan(kShape, kTestLimits);
  plan.build(hand.plan());
  const Unpacked out(plan);
  REQUIRE(out.tasks.size() == 4);
  for (std::size_t i = 0; i < 3; ++i) CHECK(out.tasks[i].chunk_begin == 256 * static_cast<int>(i));
  CHECK(out.tasks[2].key_end == 600);
  const auto runs_of = [&](std::size_t i) { return std::pair(out.tasks[i].run_begin, out.tasks[i].run_end); };
  CHECK(runs_of(0) == std::pair(0, 1));
  CHECK(runs_of(1) == std::pair(0, 2));
  CHECK(runs_of(2) == std::pair(1, 2));
  CHECK(runs_of(3) == std::pair(2, 3));
  for (std::size_t i = 0; i < 4; ++i) CHECK(out.entries[i].state == static_cast<int>(i));
}

TEST_CASE("a window leaves out chunks and runs that no row sees, and each row begins where its window does") {
  // A trunk of 1000 tokens in two runs; row 0 is its token 1000, row 1 of a branch that began at position 700.
  HandPlan hand(2, 5000);
  hand.group(0, 2).view(3, 0, 500, 1000).view(3, 500, 1000, 2000);
  hand.group(0, 1).view(3, 1000, 1001, 40).group(1, 2).view(5, 0, 1, 41);
  hand.views().back().first_position = 700;
  DevicePlan plan(kShape, kTestLimits, 100);
  plan.build(hand.plan());
  const Unpacked out(plan);
  CHECK(plan.window() == 100);
  CHECK(plan.sizes() == PlanSizes{2, 3, 4, 3});
  REQUIRE(out.tasks.size() == 3);
  CHECK(out.tasks[0].chunk_begin == 512);
  CHECK(out.tasks[0].key_begin == 601);
  CHECK(out.tasks[0].n_entries == 1);
  CHECK(out.tasks[1].chunk_begin == 768);
  CHECK(out.tasks[1].key_begin == 768);
  CHECK(out.tasks[1].n_entries == 2);
  CHECK(out.tasks[1].key_end == 1001);
  CHECK(out.entries[1].begin == 901);
  CHECK(out.entries[1].end == 1001);
  CHECK(out.entries[2].begin == 768);
  CHECK(out.entries[2].end == 1000);
  CHECK(out.runs[0].first == 2000);
  CHECK(out.row_states == std::vector<std::int32_t>{0, 1, 4});
  CHECK_THROWS_AS(DevicePlan(kShape, kTestLimits, -1), Error);
}

TEST_CASE("a task takes as many rows as have room among 64 query vectors") {
  HandPlan hand(20, 100);
  hand.group(0, 20).view(1, 0, 30, 0);
  for (const auto& [shape, n_tasks] :
       {std::pair(HeadShape{7, 1, 64}, 3), std::pair(HeadShape{64, 1, 64}, 20), std::pair(HeadShape{4, 4, 64}, 1)}) {
    DevicePlan plan(shape, kTestLimits);
    plan.build(hand.plan());
    CHECK(plan.sizes().n_tasks == n_tasks);
    CHECK(plan.sizes().n_states == 20);
  }
}

TEST_CASE("the bucket is the next power of two, at least what is asked for, at most the limit") {
  HandPlan hand(17, 100);
  hand.group(0, 17).view(1, 0, 30, 0);
  DevicePlan plan(kShape, {40, 16, 20, 16});
  plan.build(hand.plan());
  CHECK(plan.bucket() == PlanSizes{32, 16, 20, 16});
  plan.build(hand.plan(), {40, 1, 1, 1});
  CHECK(plan.bucket() == PlanSizes{40, 16, 20, 16});
  CHECK(plan.bytes().size() == 16 + 32 * 16 + 16 * 20 + 8 * 16 + 4 * 41);
  CHECK(cuda::workspace_bytes({7, 1, 64}, plan.bucket()) == 4u * 20 * 7 * 66);
}

TEST_CASE("what does not fit the limits is refused with size and limit, and the plan before stays") {
  HandPlan small(1, 5000), large(3, 5000);
  small.group(0, 1).view(1, 0, 5, 0);
  large.group(0, 3).view(1, 0, 600, 0).group(0, 3, Visibility::causal).view(2, 0, 3, 4000);
  for (const auto& [limits, text] : {std::pair(PlanSizes{2, 99, 99, 99}, "the plan needs 3 rows, the limit is 2"),
                                     std::pair(PlanSizes{99, 3, 99, 99}, "the plan needs 4 tasks, the limit is 3"),
                                     std::pair(PlanSizes{99, 99, 11, 99}, "the plan needs 12 states, the limit is 11"),
                                     std::pair(PlanSizes{99, 99, 99, 1}, "the plan needs 2 runs, the limit is 1")}) {
    DevicePlan plan(kShape, limits);
    plan.build(small.plan());
    const std::vector<std::byte> before(plan.bytes().begin(), plan.bytes().end());
    CHECK(refusal(plan, large, Status::limit_reached) == text);
    CHECK(plan.sizes() == PlanSizes{1, 1, 1, 1});
    CHECK(std::memcmp(before.data(), plan.bytes().data(), before.size()) == 0);
  }
  DevicePlan plan(kShape, {8, 8, 8, 8});
  try {
    plan.build(small.plan(), {9, 1, 1, 1});
    FAIL("a bucket above the limit was taken");
  } catch (const Error& error) {
    CHECK(std::string(error.what()) == "the plan needs 9 rows, the limit is 8");
  }
}

TEST_CASE("a plan that cannot be is refused with the bad value and its limit") {
  DevicePlan plan(kShape, kTestLimits);
  const auto text_of = [&](HandPlan& hand) { return refusal(plan, hand, Status::bad_argument); };
  HandPlan rows(2, 100);
  rows.group(0, 3).view(1, 0, 5, 0);
  CHECK(text_of(rows) == "group of rows [0, 3) does not fit a plan of 2 rows");
  HandPlan blind(2, 100);
  blind.group(0, 1).view(1, 0, 5, 0);
  CHECK(text_of(blind) == "row 1 is in no visibility group");
  HandPlan slots(1, 100);
  slots.group(0, 1).view(1, 0, 5, 96);
  CHECK(text_of(slots) == "view 0: a run of 5 slots from 96 on, offset 0; the pool has 100 slots");
  HandPlan keys(1, 100);
  keys.group(0, 1).view(1, 0, 5, 0);
  keys.groups()[0].n_keys = 6;
  CHECK(text_of(keys) == "group of rows [0, 1) says 6 keys and lists 5");
  HandPlan causal(3, 100);
  causal.group(0, 3, Visibility::causal).view(1, 0, 2, 0);
  CHECK(text_of(causal) == "group of rows [0, 3) is causal and has only 2 keys");
  HandPlan unlisted(1, 100);
  unlisted.group(0, 1).view(1, 0, 5, 0);
  unlisted.views()[0].end = 7;
  CHECK(text_of(unlisted) == "view 0: its runs end at token 5, the view at 7");
  HandPlan twice(1, 100);
  twice.group(0, 1).view(1, 0, 5, 0).view(2, 0, 3, 50).view(1, 3, 8, 60);
  CHECK(text_of(twice) == "row 0 sees token 3 of segment 1 twice");
  HandPlan views(1, 100);
  views.group(0, 1).view(1, 0, 5, 0);
  views.groups()[0].view_end = 2;
  CHECK(text_of(views) == "group of rows [0, 1) has views [0, 2) of 1");
}

TEST_CASE("head shapes without a kernel are refused") {
  const auto status_of = [](const HeadShape& shape, const PlanSizes& limits = kTestLimits) {
    try {
      const DevicePlan plan(shape, limits);
    } catch (const Error& error) {
      return error.status();
    }
    return Status::ok;
  };
  CHECK(status_of({28, 4, 128}) == Status::ok);
  CHECK(status_of({28, 4, 112}) == Status::unsupported);
  CHECK(status_of({65, 1, 64}) == Status::unsupported);
  CHECK(status_of({7, 2, 64}) == Status::bad_argument);
  CHECK(status_of({0, 1, 64}) == Status::bad_argument);
  CHECK(status_of({7, 1, 64}, {0, 1, 1, 1}) == Status::bad_argument);
}

TEST_CASE("every row's entries list exactly the slots that it sees, on random trees") {
  const auto seed = GENERATE(range(1u, 9u));
  CAPTURE(seed);
  const std::int32_t window = seed % 4 < 2 ? 0 : 40 * static_cast<std::int32_t>(seed);
  TreeWorld world(seed % 2 == 0 ? Places::together : Places::scattered);
  RandomSteps tree(seed, world, {Positions::sequential, Positions::longest});
  DevicePlan plan(kShape, kTestLimits, window);
  for (int i = 0; i < 40; ++i) {
    tree.step(i % 7 == 0 ? 200 : 5);
    const Pass& pass = world.plan();
    plan.build(*pass.plan);
    const Unpacked out(plan);
    std::map<int, std::vector<int>> tokens_of_state;
    std::map<int, int> row_of_state;
    for (const cuda::Task& task : out.tasks)
      for (int e = task.entry_begin; e < task.entry_begin + task.n_entries; ++e) {
        const cuda::Entry& entry = out.entries[static_cast<std::size_t>(e)];
        CHECK(row_of_state.count(entry.state) == 0);
        row_of_state[entry.state] = entry.row;
        int run = task.run_begin;
        CHECK(task.key_begin <= entry.begin);
        for (int offset = entry.begin; offset < entry.end; ++offset) {
          while (run + 1 < task.run_end && out.runs[static_cast<std::size_t>(run) + 1].offset <= offset) ++run;
          const cuda::Run& r = out.runs[static_cast<std::size_t>(run)];
          tokens_of_state[entry.state].push_back(
              pass.token_of_slot[static_cast<std::size_t>(r.first + offset - r.offset)]);
        }
      }
    for (std::size_t row = 0; row < pass.sees.size(); ++row) {
      std::vector<int> seen;
      for (int state = out.row_states[row]; state < out.row_states[row + 1]; ++state) {
        CHECK(row_of_state.at(state) == static_cast<int>(row));
        seen.insert(seen.end(), tokens_of_state[state].begin(), tokens_of_state[state].end());
      }
      AttentionCase given;
      given.options.window = window;
      CHECK(seen == seen_by(given, pass, row));
    }
    world.commit();
  }
}
