// A plan's arrays against each other: what a row sees is the same in the visibility groups, the dense mask and the
// page tables.
#include <algorithm>
#include <vector>

#include "check.hpp"
#include "world.hpp"

namespace fuzz {

namespace {

using Slots = std::vector<anb_slot>;

void add_view(const anb_view& view, Slots& keys) {
  for (std::int32_t r = 0; r < view.n_runs; ++r) {
    const anb_slot_run& run = view.runs[r];
    const std::int32_t from = std::max(view.begin - run.offset, 0), to = std::min(run.count, view.end - run.offset);
    for (std::int32_t i = from; i < to; ++i) keys.push_back(run.first + i);
  }
}

/// keys[row], sorted.
std::vector<Slots> from_groups(const anb_plan& plan) {
  std::vector<Slots> seen(static_cast<std::size_t>(plan.n_rows));
  for (std::int32_t i = 0; i < plan.n_groups; ++i) {
    const anb_group& g = plan.groups[i];
    FUZZ_CHECK(0 <= g.row_begin && g.row_begin < g.row_end && g.row_end <= plan.n_rows, "rows [%d, %d) of %d",
               g.row_begin, g.row_end, plan.n_rows);
    FUZZ_CHECK(0 <= g.view_begin && g.view_begin < g.view_end && g.view_end <= plan.n_views, "views [%d, %d) of %d",
               g.view_begin, g.view_end, plan.n_views);
    Slots keys;
    for (std::int32_t v = g.view_begin; v < g.view_end; ++v) add_view(plan.views[v], keys);
    const auto n_keys = static_cast<std::int32_t>(keys.size());
    FUZZ_CHECK(n_keys == g.n_keys, "a group of %d keys says %d", n_keys, g.n_keys);
    for (std::int32_t row = g.row_begin; row < g.row_end; ++row) {
      const std::int32_t hidden = g.visibility == ANB_VISIBILITY_CAUSAL ? g.row_end - 1 - row : 0;
      FUZZ_CHECK(hidden < n_keys || n_keys == 0, "row %d of a causal group sees nothing", row);
      Slots& to = seen[static_cast<std::size_t>(row)];
      to.insert(to.end(), keys.begin(), keys.end() - hidden);
    }
  }
  for (Slots& keys : seen) std::sort(keys.begin(), keys.end());
  return seen;
}

std::vector<Slots> from_mask(anb_cache* cache, const anb_plan& plan) {
  std::vector<float> mask(static_cast<std::size_t>(plan.n_rows) * static_cast<std::size_t>(plan.n_slots));
  const anb_status status = anb_cache_mask(cache, nullptr, mask.size(), mask.data());
  FUZZ_CHECK(status == ANB_OK, "anb_cache_mask: %s", anb_last_error());
  std::vector<Slots> seen(static_cast<std::size_t>(plan.n_rows));
  for (std::size_t row = 0; row < seen.size(); ++row)
    for (std::int32_t slot = 0; slot < plan.n_slots; ++slot)
      if (mask[row * static_cast<std::size_t>(plan.n_slots) + static_cast<std::size_t>(slot)] == 0.0f)
        seen[row].push_back(slot);
  return seen;
}

void add_entry(const anb_paged_level& level, std::int32_t e, std::int32_t page_size, std::vector<Slots>& seen) {
  Slots keys;
  for (std::int32_t i = level.indptr[e]; i < level.indptr[e + 1]; ++i) {
    const std::int32_t n = i + 1 < level.indptr[e + 1] ? page_size : level.last_page_len[e];
    for (std::int32_t k = 0; k < n; ++k) keys.push_back(level.indices[i] * page_size + k);
  }
  const std::int32_t end = level.row_indptr[e + 1];
  for (std::int32_t row = level.row_indptr[e]; row < end; ++row) {
    const std::int32_t hidden = level.causal != 0 ? std::min(end - 1 - row, static_cast<std::int32_t>(keys.size())) : 0;
    Slots& to = seen[static_cast<std::size_t>(row)];
    to.insert(to.end(), keys.begin(), keys.end() - hidden);
  }
}

/// Empty when the export is not exact.
std::vector<Slots> from_pages(anb_cache* cache, const anb_plan& plan, std::int32_t kind) {
  anb_paged paged = ANB_PAGED_INIT;
  const anb_status status = anb_cache_paged(cache, kind, &paged);
  if (status == ANB_NOT_EXACT && kind == ANB_PAGED_PAGES) return {};
  FUZZ_CHECK(status == ANB_OK, "anb_cache_paged: %s", anb_last_error());
  std::vector<Slots> seen(static_cast<std::size_t>(plan.n_rows));
  for (std::int32_t l = 0; l < paged.n_levels; ++l) {
    const anb_paged_level& level = paged.levels[l];
    FUZZ_CHECK(level.row_indptr[0] == 0 && level.row_indptr[level.n_entries] == plan.n_rows, "level %d has %d rows", l,
               level.row_indptr[level.n_entries]);
    for (std::int32_t e = 0; e < level.n_entries; ++e)
      add_entry(level, e, kind == ANB_PAGED_PAGES ? plan.page_size : 1, seen);
  }
  for (Slots& keys : seen) std::sort(keys.begin(), keys.end());
  return seen;
}

void check_rows(const anb_plan& plan, const std::vector<Slots>& seen) {
  Slots written(plan.slots, plan.slots + plan.n_rows);
  std::sort(written.begin(), written.end());
  FUZZ_CHECK(std::adjacent_find(written.begin(), written.end()) == written.end(), "two rows write one slot");
  FUZZ_CHECK(written.empty() || (written.front() >= 0 && written.back() < plan.n_slots), "a slot of no page");
  for (std::int32_t row = 0; row < plan.n_rows; ++row) {
    const Slots& keys = seen[static_cast<std::size_t>(row)];
    FUZZ_CHECK(std::adjacent_find(keys.begin(), keys.end()) == keys.end(), "row %d sees a slot twice", row);
    FUZZ_CHECK(std::binary_search(keys.begin(), keys.end(), plan.slots[row]), "row %d does not see itself", row);
    FUZZ_CHECK(plan.positions[row] >= 0 && plan.tokens[row] >= ANB_UNKNOWN_TOKEN, "row %d has position %d, token %d",
               row, plan.positions[row], plan.tokens[row]);
  }
  for (std::int32_t i = 0; i < plan.n_outputs; ++i)
    FUZZ_CHECK(plan.outputs[i].row >= (i > 0 ? plan.outputs[i - 1].row : 0) && plan.outputs[i].row < plan.n_rows,
               "output %d is of row %d", i, plan.outputs[i].row);
}

}  // namespace

std::uint64_t hash_plan(const anb_plan& plan) {
  std::uint64_t hash = hash_array(plan.tokens, plan.n_rows, plan.epoch);
  hash = hash_array(plan.positions, plan.n_rows, hash);
  hash = hash_array(plan.slots, plan.n_rows, hash);
  hash = hash_array(plan.sequences, plan.n_rows, hash);
  hash = hash_array(plan.outputs, plan.n_outputs, hash);
  hash = hash_array(plan.groups, plan.n_groups, hash);
  hash = hash_array(plan.ops_before, plan.n_ops_before, hash);
  hash = hash_array(plan.ops_after_commit, plan.n_ops_after_commit, hash);
  Slots keys;
  for (std::int32_t i = 0; i < plan.n_views; ++i) add_view(plan.views[i], keys);
  return hash_array(keys.data(), static_cast<std::int32_t>(keys.size()), hash);
}

void check_plan(World& world, Group& group, const anb_plan& plan) {
  FUZZ_CHECK(plan.n_pages_short == 0 && plan.n_pages_free == 0, "a plan with a shortage");
  const std::vector<Slots> seen = from_groups(plan);
  check_rows(plan, seen);
  if (group.cache == nullptr || world.quiet() || std::int64_t{plan.n_rows} * plan.n_slots > 1 << 15) return;
  FUZZ_CHECK(from_mask(group.cache, plan) == seen, "mask and groups differ");
  FUZZ_CHECK(from_pages(group.cache, plan, ANB_PAGED_SLOTS) == seen, "slot lists and groups differ");
  const std::vector<Slots> pages = from_pages(group.cache, plan, ANB_PAGED_PAGES);
  FUZZ_CHECK(pages.empty() || pages == seen, "page tables and groups differ");
}

}  // namespace fuzz
