// A plan as C sees it: its own arrays, a dense mask, page tables.
#include <cstddef>

#include <anabranch/mask/dense_mask.hpp>

#include "cache_object.hpp"
#include "plan_layout.hpp"
#include "structs.hpp"

namespace anabranch::capi {
namespace {

// The other arrays of a plan (the groups': plan_layout.hpp) cross the border as they are, too:
static_assert(kSameShape<SequenceId, anb_sequence> && offsetof(SequenceId, generation) == 4);
static_assert(kSameShape<Output, anb_output> && offsetof(Output, sequence) == offsetof(anb_output, sequence));
static_assert(kSameShape<HostOp, anb_host_op> && offsetof(HostOp, sequence) == offsetof(anb_host_op, sequence) &&
              offsetof(HostOp, source) == offsetof(anb_host_op, source) &&
              offsetof(HostOp, begin) == offsetof(anb_host_op, begin) &&
              offsetof(HostOp, end) == offsetof(anb_host_op, end));
static_assert(static_cast<std::int32_t>(HostOp::Kind::share) == ANB_HOST_OP_SHARE &&
              static_cast<std::int32_t>(HostOp::Kind::restart) == ANB_HOST_OP_RESTART &&
              static_cast<std::int32_t>(HostOp::Kind::become) == ANB_HOST_OP_BECOME &&
              static_cast<std::int32_t>(HostOp::Kind::remove) == ANB_HOST_OP_REMOVE);

template <class C, class Cpp>
void lend(std::span<const Cpp> from, const C*& array, std::int32_t& n) noexcept {
  array = reinterpret_cast<const C*>(from.data());
  n = static_cast<std::int32_t>(from.size());
}

const StepPlan& open_plan(const CacheObject& object) {
  if (object.plan == nullptr) fail(Status::wrong_state, "no plan is open on this cache");
  return *object.plan;
}

/// `levels` as C sees them, into `result`.
void lend_levels(const std::vector<PagedLevel>& levels, std::vector<anb_paged_level>& result) {
  result.clear();
  for (const PagedLevel& level : levels)
    result.push_back({level.causal ? 1 : 0, static_cast<std::int32_t>(level.last_page_len.size()),
                      level.row_indptr.data(), level.indptr.data(), level.indices.data(), level.last_page_len.data()});
}

}  // namespace

anb_plan to_c(const StepPlan& from) noexcept {
  anb_plan plan = ANB_PLAN_INIT;
  lend(from.tokens, plan.tokens, plan.n_rows);
  lend(from.positions, plan.positions, plan.n_rows);
  lend(from.slots, plan.slots, plan.n_rows);
  lend(from.sequences, plan.sequences, plan.n_rows);
  lend(from.outputs, plan.outputs, plan.n_outputs);
  lend(from.groups, plan.groups, plan.n_groups);
  lend(from.views, plan.views, plan.n_views);
  lend(from.ops_before, plan.ops_before, plan.n_ops_before);
  lend(from.ops_after_commit, plan.ops_after_commit, plan.n_ops_after_commit);
  plan.n_slots = from.n_slots;
  plan.page_size = from.page_size;
  plan.epoch = from.epoch;
  return plan;
}

anb_plan to_c(Shortage shortage) noexcept {
  anb_plan plan = ANB_PLAN_INIT;
  plan.n_pages_short = shortage.n_pages;
  plan.n_pages_free = shortage.n_free;
  return plan;
}

}  // namespace anabranch::capi

using namespace anabranch;
using namespace anabranch::capi;

anb_status anb_cache_mask(const anb_cache* cache, const anb_mask_options* options, size_t n, float* mask) {
  return with_cache(cache, [&](const CacheObject& object) {
    const StepPlan& plan = open_plan(object);
    anb_mask_options o = ANB_MASK_OPTIONS_INIT;
    o.n_columns = plan.n_slots;
    o = read_struct(options, o, "anb_mask_options");
    if (n > 0) need(mask, "mask");
    const std::span<float> out(mask, n);
    const auto write = [&](const auto& columns) {
      dense_mask(plan.groups, plan.views, plan.n_rows(), columns, o.n_columns, out, o.visible, o.hidden);
    };
    if (o.columns == nullptr)
      write(ColumnsBySlot{});
    else
      write(ColumnsByMap{{o.columns, o.columns + plan.n_slots}});
    return Status::ok;
  });
}

anb_status anb_cache_paged(anb_cache* cache, int32_t kind, anb_paged* paged) {
  return with_cache(cache, [&](CacheObject& object) {
    check_out(paged, "anb_paged");
    const StepPlan& plan = open_plan(object);
    if (kind != ANB_PAGED_SLOTS && kind != ANB_PAGED_PAGES)
      fail(Status::bad_argument, "kind is ", kind, "; it must be 0 (slots) or 1 (pages)");
    std::vector<PagedLevel> levels;
    if (kind == ANB_PAGED_SLOTS)
      levels = slot_lists(plan);
    else if (page_tables(plan, levels) != Status::ok)
      fail(Status::not_exact, "the plan's keys do not fill whole pages of ", plan.page_size,
           " slots; slot lists are exact");
    std::vector<anb_paged_level> c_levels;
    lend_levels(levels, c_levels);
    object.levels = std::move(levels);
    object.c_levels = std::move(c_levels);
    anb_paged result = ANB_PAGED_INIT;
    result.n_levels = static_cast<std::int32_t>(object.c_levels.size());
    result.levels = object.c_levels.data();
    write_struct(paged, result);
    return Status::ok;
  });
}
