// Steps: begin, plan, read the plan, commit, abort.
#include <algorithm>
#include <vector>

#include "check.hpp"
#include "world.hpp"

namespace fuzz {

namespace {

constexpr std::int32_t kMostSlots = 4096;  // of a map from slots to columns

/// The status of a call with a bad step handle: only a step that is over may be told apart, unless memory for the text
/// was refused.
void expect_no_step(anb_status status) {
  FUZZ_CHECK(status == ANB_BAD_HANDLE || status == ANB_WRONG_STATE || status == ANB_OUT_OF_MEMORY,
             "a bad step handle gave %s", anb_status_name(status));
}

void read_mask(World& world, anb_cache* cache, Group* about) {
  Input& input = world.input();
  const Group& g = world.group();
  const std::int32_t n_slots = about != nullptr && g.plan_open() ? g.plan.n_slots : 16;
  std::vector<std::int32_t> columns(static_cast<std::size_t>(std::min(n_slots, kMostSlots)));
  for (std::int32_t& column : columns) column = input.number(-1, 40);
  anb_mask_options o = ANB_MASK_OPTIONS_INIT;
  o.n_columns = input.number(1, 200);
  o.columns = input.one_in(2) && n_slots <= kMostSlots ? columns.data() : nullptr;
  const InStruct<anb_mask_options> in(input, o);
  const std::int64_t n = g.plan_open() ? std::int64_t{g.plan.n_rows} * std::max(o.n_columns, 0) : 64;
  const OutArray<float> mask(static_cast<std::size_t>(std::min<std::int64_t>(n, 65536)));
  const anb_status status = world.make(
      function::kMask, about, [&] { return anb_cache_mask(cache, in.pointer(), mask.size(), mask.pointer()); });
  mask.check(status == ANB_OK ? mask.size() : 0);
  FUZZ_CHECK(status != ANB_OK || (about != nullptr && g.plan_open() && !in.broken()), "a mask without a plan");
}

void read_pages(World& world, anb_cache* cache, Group* about) {
  const OutStruct<anb_paged> paged(world.input());
  const std::int32_t kind = world.input().number(0, 2);
  const anb_status status =
      world.make(function::kPaged, about, [&] { return anb_cache_paged(cache, kind, paged.pointer()); });
  paged.check(status == ANB_OK);
  FUZZ_CHECK(status != ANB_OK || (about != nullptr && world.group().plan_open()), "page tables without a plan");
}

}  // namespace

void World::step_call() {
  Group& g = group();
  const std::int32_t what = input_.below(8);
  if (what < 2 || (g.step == nullptr && what < 6)) {
    anb_cache* cache = some_cache();
    Group* about = cache == g.cache && cache != nullptr ? &g : nullptr;
    const OutArray<anb_step*> step(1);
    anb_step** to = input_.one_in(64) ? nullptr : step.pointer();
    const bool open = g.step != nullptr || g.planner() != nullptr;
    const anb_status status = make(function::kBegin, about, [&] { return anb_step_begin(cache, to); });
    step.check(status == ANB_OK ? 1 : 0);
    if (about == nullptr) FUZZ_CHECK(status == ANB_BAD_HANDLE, "a bad handle gave %s", anb_status_name(status));
    if (status != ANB_OK) return;
    FUZZ_CHECK(!open && !known(step[0]), "a second step");
    g.step = step[0];
    return;
  }
  anb_step* step = some_step();
  const bool good = step == g.step && step != nullptr;
  if (what < 6) {
    const bool planned = g.planned;
    const anb_status status = make(function::kCommit, good ? &g : nullptr, [&] { return anb_step_commit(step); });
    if (!good) return expect_no_step(status);
    FUZZ_CHECK((status == ANB_OK) == planned, "commit gave %s", anb_status_name(status));
    if (status == ANB_OK) step_over(g);
  } else {
    const anb_status status = make(function::kAbort, good ? &g : nullptr, [&] { return anb_step_abort(step); });
    if (!good) {
      if (step != nullptr) expect_no_step(status);
      return;
    }
    FUZZ_CHECK(status == ANB_OK, "abort gave %s", anb_status_name(status));
    step_over(g);
  }
  check_cache(g);
}

/// Plan and commit, or abort when there is no room.
void World::finish_step() {
  Group& g = group();
  if (g.step == nullptr) return;
  if (!g.planned) {
    const OutStruct<anb_plan> plan;
    const anb_status status = make(function::kPlan, &g, [&] { return anb_step_plan(g.step, plan.pointer()); });
    plan.check(status == ANB_OK || status == ANB_NO_ROOM);
    if (status == ANB_OK) {
      g.planned = true;
      plan_opened(g, plan.value());
    }
  }
  const bool aborts = !g.planned || input_.one_in(16);
  const anb_status status = aborts ? make(function::kAbort, &g, [&] { return anb_step_abort(g.step); })
                                   : make(function::kCommit, &g, [&] { return anb_step_commit(g.step); });
  FUZZ_CHECK(status == ANB_OK, "a step that cannot end: %s", anb_last_error());
  step_over(g);
  check_cache(g);
}

void World::plan_call() {
  Group& g = group();
  const std::int32_t what = input_.below(4);
  if (what < 2) {
    anb_cache* cache = some_cache();
    Group* about = cache == g.cache && cache != nullptr ? &g : nullptr;
    return what == 0 ? read_mask(*this, cache, about) : read_pages(*this, cache, about);
  }
  anb_step* step = some_step();
  const bool good = step == g.step && step != nullptr;
  const bool planned = g.planned;
  const OutStruct<anb_plan> plan(input_);
  const anb_status status =
      make(function::kPlan, good ? &g : nullptr, [&] { return anb_step_plan(step, plan.pointer()); });
  plan.check(status == ANB_OK || status == ANB_NO_ROOM);
  if (!good) return expect_no_step(status);
  if (status == ANB_NO_ROOM)
    FUZZ_CHECK(plan.value().n_rows == 0 && plan.value().n_pages_short > 0, "no room, %d pages short",
               plan.value().n_pages_short);
  if (status != ANB_OK) return;
  FUZZ_CHECK(!planned, "a second plan");
  g.planned = true;
  plan_opened(g, plan.value());
}

}  // namespace fuzz
