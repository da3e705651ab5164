// Sliding windows, capped scores and other scales: who is seen, on every way that positions go, and what it costs.
#include <set>
#include <string>

#include <anabranch/mask/window_starts.hpp>

#include "catch.hpp"
#include "compare.hpp"
#include "pass_tree.hpp"

using namespace anabranch;
using namespace anabranch::test;

namespace {

/// The positions of the keys that the last row sees, told by its result: keys are zero, and the value of a slot counts
/// one more for each of its kind.
class SeenPositions {
 public:
  explicit SeenPositions(std::int32_t n_slots) : position_(static_cast<std::size_t>(n_slots), kNone) {}
  void note(const StepPlan& plan) {
    for (std::size_t row = 0; row < plan.slots.size(); ++row)
      position_[static_cast<std::size_t>(plan.slots[row])] = plan.positions[row];
  }
  std::multiset<Position> operator()(const StepPlan& plan, std::int32_t window) const {
    const Pass pass(plan);
    const auto n = static_cast<std::int32_t>(position_.size());
    const HeadShape shape{1, 1, n};
    Layer layer(shape, Element::float32, KvLayout::slot_major, n);
    std::vector<float> keys(position_.size() * position_.size(), 0.0f), values = keys;
    for (std::size_t slot = 0; slot < position_.size(); ++slot) values[slot * position_.size() + slot] = 1.0f;
    layer.fill(keys, values);
    const std::vector<float> queries(static_cast<std::size_t>(pass.n_rows() * n), 1.0f);
    const Result result = attend(pass, queries, layer, shape, {}, {.window = window});
    std::multiset<Position> seen;
    for (std::size_t slot = 0; slot < position_.size(); ++slot)
      if (result.out[result.out.size() - position_.size() + slot] > 0) seen.insert(position_[slot]);
    return seen;
  }

 private:
  std::vector<Position> position_;
};

using Seen = std::multiset<Position>;

/// A trunk of 4 tokens, branches of 4 and of 2, joined, and one more token of the trunk: what that one sees.
Seen seen_after_join(Positions policy, std::int32_t window) {
  KvCache cache({.n_pages = 8, .page_size = 4});
  SeenPositions seen(cache.n_slots());
  const SequenceId trunk = cache.create_sequence();
  const std::vector<Position> starts = {20, 2};
  Step first = cache.begin_step();
  first.append_unknown(trunk, 4);
  ForkOptions options{.positions = policy};
  if (policy.is_given()) options.starts = starts;
  const auto kids = first.fork(trunk, 2, options);
  first.append_unknown(kids[0], 4);
  first.append_unknown(kids[1], 2);
  const PlanResult branches = first.plan();
  seen.note(*branches);
  first.commit();
  Step step = cache.begin_step();
  step.join(trunk, kids, {.next = policy.is_given() ? 10 : kNone});
  step.append_unknown(trunk, 1);
  const PlanResult plan = step.plan();
  seen.note(*plan);
  return seen(*plan, window);
}

std::string refusal(std::span<const VisibilityGroup> groups, std::span<const View> views, std::int32_t window) {
  attention::BranchAttention attention({1, 1, 8}, {.window = window});
  try {
    attention.plan(groups, views, 1);
  } catch (const Error& error) {
    CHECK(error.status() == Status::bad_argument);
    return error.what();
  }
  return "taken";
}

}  // namespace

TEST_CASE("a window goes by positions, whatever the position policy") {
  // sequential: trunk 0..3, branches 4..7 and 4..5, then 10
  CHECK(seen_after_join(Positions::sequential, 0) == Seen{0, 1, 2, 3, 4, 5, 6, 7, 4, 5, 10});
  CHECK(seen_after_join(Positions::sequential, 1) == Seen{10});
  CHECK(seen_after_join(Positions::sequential, 3) == Seen{10});
  CHECK(seen_after_join(Positions::sequential, 4) == Seen{7, 10});
  CHECK(seen_after_join(Positions::sequential, 6) == Seen{5, 6, 7, 5, 10});
  CHECK(seen_after_join(Positions::sequential, 8) == Seen{3, 4, 5, 6, 7, 4, 5, 10});
  // longest: the trunk goes on at 8
  CHECK(seen_after_join(Positions::longest, 2) == Seen{7, 8});
  CHECK(seen_after_join(Positions::longest, 4) == Seen{5, 6, 7, 5, 8});
  // reserved(6): branches 4..7 and 10..11, then 16
  CHECK(seen_after_join(Positions::reserved(6), 6) == Seen{11, 16});
  CHECK(seen_after_join(Positions::reserved(6), 10) == Seen{7, 10, 11, 16});
  // given: branches 20..23 and 2..3, then 10: keys behind the row's own position stay seen
  CHECK(seen_after_join(Positions::given, 1) == Seen{20, 21, 22, 23, 10});
  CHECK(seen_after_join(Positions::given, 8) == Seen{3, 20, 21, 22, 23, 3, 10});
  CHECK(seen_after_join(Positions::given, 100) == Seen{0, 1, 2, 3, 20, 21, 22, 23, 2, 3, 10});
}

TEST_CASE("every view of a plan says the positions at which its tokens were planned") {
  for (std::uint32_t seed = 1; seed <= 12; ++seed) {
    INFO("seed " << seed);
    PassTree tree(seed * 7919);
    tree.grow(14);
    const Pass pass = tree.pass_of_all();
    REQUIRE(pass.n_rows() > 0);
    for (const View& view : pass.views) {
      Position position = view.first_position + view.begin;
      for_each_run(view, [&](Slot first, std::int32_t count) {
        for (Slot slot = first; slot < first + count; ++slot)
          CHECK(pass.position_of_slot[static_cast<std::size_t>(slot)] == position++);
      });
    }
  }
}

TEST_CASE("windows of 1 to 100, capped scores and scales agree with the definition on random trees") {
  const EachLevel each_level;
  std::uint32_t seed = 4040;
  each_level([&](simd::Level level) {
    for (const Element element : {Element::float32, Element::bfloat16, Element::float16, Element::int8})
      for (const HeadShape& shape : {HeadShape{3, 1, 64}, HeadShape{8, 2, 96}, HeadShape{7, 1, 128},
                                     HeadShape{4, 1, 256}, HeadShape{6, 2, 40}, HeadShape{70, 1, 8}}) {
        if (level == simd::Level::scalar && shape.head_dim > 100) continue;  // only slow there
        ++seed;
        INFO("seed " << seed);
        PassTree tree(seed);
        tree.grow(10);
        const Pass pass = tree.pass_of_all();
        REQUIRE(pass.n_rows() > 0);
        const ScoreOptions options{.scale = seed % 2 == 0 ? 0.0f : 0.07f,
                                   .softcap = seed % 3 == 0 ? 0.0f : 0.5f + static_cast<float>(tree.below(40)),
                                   .window = 1 + tree.below(seed % 5 == 0 ? 4 : 100)};
        compare(pass, shape, element, seed % 2 == 0 ? KvLayout::slot_major : KvLayout::head_major, tree.random(),
                options);
      }
  });
}

TEST_CASE("a long prompt in one pass agrees with the definition under windows shorter and longer than a chunk") {
  KvCache cache({.n_pages = 200});
  const SequenceId sequence = cache.create_sequence();
  Step step = cache.begin_step();
  step.append_unknown(sequence, 1500);
  const PlanResult plan = step.plan();
  REQUIRE(plan);
  Pass pass(*plan);
  pass.position_of_slot.assign(static_cast<std::size_t>(pass.n_slots), kNone);
  for (std::size_t row = 0; row < pass.slots.size(); ++row)
    pass.position_of_slot[static_cast<std::size_t>(pass.slots[row])] = pass.positions[row];
  std::mt19937 random(6);
  for (const std::int32_t window : {1, 97, 700})
    compare(pass, {3, 1, 64}, window == 97 ? Element::bfloat16 : Element::float32, KvLayout::head_major, random,
            {.window = window});
}

TEST_CASE("a capped score is at most the cap, and small scores stay nearly what they are") {
  KvCache cache({.n_pages = 1});
  Step step = cache.begin_step();
  step.append_unknown(step.create_sequence(), 1);
  const PlanResult plan = step.plan();
  const Pass pass(*plan);
  const HeadShape shape{2, 1, 4};
  Layer layer(shape, Element::float32, KvLayout::slot_major, pass.n_slots);
  const std::vector<float> ones(static_cast<std::size_t>(pass.n_slots) * 4, 1.0f);
  layer.fill(ones, ones);
  const std::vector<float> queries = {1e30f, 0, 0, 0, 0.5f, 0, 0, 0};
  for (const simd::Level level : simd::levels()) {
    simd::limit(level);
    const Result result = attend(pass, queries, layer, shape, {}, {.scale = 2.0f, .softcap = 30.0f});
    CHECK(result.lse[0] == Approx(30.0));
    CHECK(result.lse[1] == Approx(30.0 * std::tanh(1.0 / 30.0)).epsilon(1e-6));
  }
  simd::limit(simd::Level::best);
}

TEST_CASE("whole chunks before every row's window take no part") {
  KvCache cache({.n_pages = 520});
  const SequenceId sequence = cache.create_sequence();
  Step prompt = cache.begin_step();
  prompt.append_unknown(sequence, 8192);
  REQUIRE(prompt.plan());
  prompt.commit();
  Step step = cache.begin_step();
  for (const SequenceId kid : step.fork(sequence, 4)) step.append_unknown(kid, 1);
  const PlanResult plan = step.plan();
  const auto workspace = [&](std::int32_t window) {
    attention::BranchAttention attention({4, 1, 64}, {.window = window});
    attention.plan(plan->groups, plan->views, plan->n_rows());
    return attention.workspace_bytes(1);
  };
  CHECK(workspace(8193) == workspace(0));
  CHECK(workspace(512) - workspace(1) <= (workspace(0) - workspace(1)) * 2 / 16);  // two of its sixteen chunks
}

TEST_CASE("views of one segment at two positions are refused where a window needs them, and only there") {
  const SlotRun run{0, 4, 0};
  const View views[] = {{&run, 1, 0, 2, 5, 9}, {&run, 1, 2, 4, 6, 9}};
  const VisibilityGroup group{0, 1, 0, 2, 4, Visibility::full};
  CHECK(refusal({&group, 1}, views, 3) ==
        "views of segment 9 differ in first_position, by which the window finds its keys");
  CHECK(refusal({&group, 1}, views, 0) == "taken");
}

TEST_CASE("positions and windows of any size overflow nothing") {
  PieceList list;
  WindowStarts starts;
  const SlotRun runs[] = {{0, 4, 0}, {4, 3, 0}};
  const View views[] = {{&runs[0], 1, 0, 4, kUnlimited - 4, 1}, {&runs[1], 1, 0, 3, -5, 2}};
  const VisibilityGroup group{0, 1, 0, 2, 7, Visibility::full};  // the row is at position -3
  list.build({&group, 1}, views, {1});
  for (const std::int32_t window : {1, 2, 3, kUnlimited}) {
    starts.build(list, window);
    CHECK(starts.starts(list.pieces()[Index<Piece>(0)])[0] == 0);
    CHECK(starts.starts(list.pieces()[Index<Piece>(1)])[0] == std::max(0, 3 - window));
  }
  starts.build(list, 0);
  CHECK(starts.empty());
  CHECK_THROWS_AS(starts.build(list, -1), Error);
}
