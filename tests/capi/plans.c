/* The plan as C sees it: its arrays, its outcomes, its exports, and the order in which calls may come. */
#include "phases.h"

#include <string.h>

/* Two tokens for everybody, then two branches of one and two tokens: five rows, three outputs. */
static world planned_world(anb_plan* plan) {
  static const anb_token kTokens[] = {21, 22, 23};
  world w = empty_world(8);
  w.n_sequences = 3;
  OK(anb_step_begin(w.cache, &w.step));
  OK(anb_step_create_sequence(w.step, 10, &w.sequences[0]));
  OK(anb_step_append(w.step, w.sequences[0], kTokens, 2, ANB_LOGITS_NONE));
  OK(anb_step_fork(w.step, w.sequences[0], 2, ANB_POSITIONS_LONGEST, &w.sequences[1]));
  OK(anb_step_append(w.step, w.sequences[1], &kTokens[2], 1, ANB_LOGITS_LAST));
  OK(anb_step_append_unknown(w.step, w.sequences[2], 2, ANB_LOGITS_ALL));
  OK(anb_step_plan(w.step, plan));
  return w;
}

static void rows_and_outputs(void) {
  static const anb_token kTokens[] = {21, 22, 23, ANB_UNKNOWN_TOKEN, ANB_UNKNOWN_TOKEN};
  static const anb_position kPositions[] = {10, 11, 12, 12, 13};
  static const int32_t kOwners[] = {0, 0, 1, 2, 2};
  anb_plan plan = ANB_PLAN_INIT;
  world w = planned_world(&plan);
  int32_t i, n;
  anb_slot slots[4];
  CHECK_SAME(plan.n_rows, 5);
  CHECK_SAME(plan.n_outputs, 3);
  CHECK_SAME(plan.n_slots, 32);
  CHECK_SAME(plan.page_size, 4);
  CHECK(plan.n_pages_short == 0 && plan.n_pages_free == 0);
  for (i = 0; i < 5; ++i) {
    CHECK_SAME(plan.tokens[i], kTokens[i]);
    CHECK_SAME(plan.positions[i], kPositions[i]);
    CHECK(plan.sequences[i] == w.sequences[kOwners[i]]);
    CHECK(plan.slots[i] >= 0 && plan.slots[i] < 32);
  }
  for (i = 0; i < 3; ++i) {
    CHECK_SAME(plan.outputs[i].row, 2 + i);
    CHECK(plan.outputs[i].sequence == w.sequences[i == 0 ? 1 : 2]);
  }
  OK(anb_sequence_tokens(w.cache, w.sequences[2], 4, slots, NULL, &n));
  CHECK(n == 4 && slots[0] == plan.slots[0] && slots[1] == plan.slots[1] && slots[3] == plan.slots[4]);
  end_world(&w);
}

/* The slots of a group, in order, from its views' runs, as the header says. */
static int32_t keys_of(const anb_plan* plan, const anb_group* group, anb_slot* slots) {
  int32_t n = 0, v, r, slot;
  for (v = group->view_begin; v < group->view_end; ++v) {
    const anb_view* view = &plan->views[v];
    for (r = 0; r < view->n_runs; ++r) {
      const anb_slot_run* run = &view->runs[r];
      const int32_t from = view->begin > run->offset ? view->begin - run->offset : 0;
      const int32_t left = view->end - run->offset;
      const int32_t to = run->count < left ? run->count : left;
      for (slot = from; slot < to; ++slot) slots[n++] = run->first + slot;
    }
  }
  return n;
}

/* Which slots a row sees, by its groups; `seen` has n_slots numbers. */
static void seen_by(const anb_plan* plan, int32_t row, int32_t* seen) {
  int32_t g, k;
  memset(seen, 0, sizeof seen[0] * (size_t)plan->n_slots);
  for (g = 0; g < plan->n_groups; ++g) {
    const anb_group* group = &plan->groups[g];
    anb_slot keys[64];
    const int32_t n = keys_of(plan, group, keys);
    int32_t n_visible = n;
    CHECK_SAME(group->n_keys, n);
    if (row < group->row_begin || row >= group->row_end) continue;
    if (group->visibility == ANB_VISIBILITY_CAUSAL) n_visible = n - (group->row_end - 1 - row);
    for (k = 0; k < n_visible; ++k) ++seen[keys[k]];
  }
}

static void groups_say_what_rows_see(void) {
  static const int32_t kSees[5][5] = {
      {1, 0, 0, 0, 0}, {1, 1, 0, 0, 0}, {1, 1, 1, 0, 0}, {1, 1, 0, 1, 0}, {1, 1, 0, 1, 1}};
  anb_plan plan = ANB_PLAN_INIT;
  world w = planned_world(&plan);
  int32_t row, key, seen[32], n_seen, slot;
  for (row = 0; row < 5; ++row) {
    seen_by(&plan, row, seen);
    n_seen = 0;
    for (slot = 0; slot < 32; ++slot) n_seen += seen[slot];
    for (key = 0; key < 5; ++key) {
      CHECK_SAME(seen[plan.slots[key]], kSees[row][key]);
      n_seen -= kSees[row][key];
    }
    CHECK_SAME(n_seen, 0);
  }
  end_world(&w);
}

static void a_mask_says_the_same(void) {
  anb_plan plan = ANB_PLAN_INIT;
  world w = planned_world(&plan);
  anb_mask_options o = ANB_MASK_OPTIONS_INIT;
  float mask[5 * 32], narrow[5 * 5];
  int32_t columns[32], row, i, seen[32];
  OK(anb_cache_mask(w.cache, NULL, 5 * 32, mask));
  for (i = 0; i < 32; ++i) columns[i] = ANB_NONE;
  for (i = 0; i < 5; ++i) columns[plan.slots[i]] = 4 - i; /* in the opposite order */
  o.n_columns = 5;
  o.columns = columns;
  o.visible = 1.0f;
  o.hidden = -2.0f;
  OK(anb_cache_mask(w.cache, &o, 5 * 5, narrow));
  for (row = 0; row < 5; ++row) {
    seen_by(&plan, row, seen);
    for (i = 0; i < 32; ++i) CHECK(mask[row * 32 + i] == (seen[i] ? 0.0f : -3.40282347e+38f));
    for (i = 0; i < 5; ++i) CHECK(narrow[row * 5 + 4 - i] == (seen[plan.slots[i]] ? 1.0f : -2.0f));
  }
  end_world(&w);
}

static void masks_refuse(void) {
  anb_plan plan = ANB_PLAN_INIT;
  world w = planned_world(&plan);
  anb_mask_options o = ANB_MASK_OPTIONS_INIT;
  float mask[160];
  int32_t columns[32], i;
  for (i = 0; i < 160; ++i) mask[i] = 7;
  for (i = 0; i < 32; ++i) columns[i] = i;
  REFUSED(&w, anb_cache_mask(w.cache, NULL, 159, mask), ANB_BAD_ARGUMENT, "5 x 32 into 159");
  REFUSED(&w, anb_cache_mask(w.cache, NULL, 0, mask), ANB_BAD_ARGUMENT, "5 x 32 into 0");
  REFUSED(&w, anb_cache_mask(w.cache, NULL, 160, NULL), ANB_BAD_ARGUMENT, "mask is NULL");
  REFUSED(&w, anb_cache_mask(w.cache, NULL, 0, NULL), ANB_BAD_ARGUMENT, "into 0");
  REFUSED(&w, anb_cache_mask(w.cache, NULL, SIZE_MAX, mask), ANB_BAD_ARGUMENT, "18446744073709551615");
  o.n_columns = -1;
  REFUSED(&w, anb_cache_mask(w.cache, &o, 160, mask), ANB_BAD_ARGUMENT, "5 x -1");
  o.n_columns = 32;
  o.columns = columns;
  columns[plan.slots[1]] = ANB_NONE;
  REFUSED(&w, anb_cache_mask(w.cache, &o, 160, mask), ANB_BAD_ARGUMENT, "has column -1 of 32");
  columns[plan.slots[1]] = 32;
  REFUSED(&w, anb_cache_mask(w.cache, &o, 160, mask), ANB_BAD_ARGUMENT, "has column 32 of 32");
  for (i = 0; i < 160; ++i) CHECK(mask[i] == 7);
  end_world(&w);
}

/* The tokens that a row sees by a paged export, as seen_by. */
static void paged_seen(const anb_paged* paged, int32_t per_page, int32_t row, int32_t* seen) {
  int32_t l, e, i;
  memset(seen, 0, sizeof seen[0] * 32);
  for (l = 0; l < paged->n_levels; ++l) {
    const anb_paged_level* level = &paged->levels[l];
    CHECK_SAME(level->row_indptr[0], 0);
    CHECK_SAME(level->row_indptr[level->n_entries], 5);
    for (e = 0; e < level->n_entries; ++e) {
      const int32_t n_pages = level->indptr[e + 1] - level->indptr[e];
      int32_t n_keys = n_pages == 0 ? 0 : (n_pages - 1) * per_page + level->last_page_len[e];
      if (row < level->row_indptr[e] || row >= level->row_indptr[e + 1]) continue;
      if (level->causal) n_keys -= level->row_indptr[e + 1] - 1 - row;
      for (i = 0; i < n_keys; ++i) ++seen[level->indices[level->indptr[e] + i / per_page] * per_page + i % per_page];
    }
  }
}

static void page_tables_say_the_same(void) {
  anb_plan plan = ANB_PLAN_INIT;
  world w = planned_world(&plan);
  anb_paged paged = ANB_PAGED_INIT;
  int32_t row, seen[32], expected[32];
  OK(anb_cache_paged(w.cache, ANB_PAGED_SLOTS, &paged));
  CHECK(paged.n_levels > 0);
  for (row = 0; row < 5; ++row) {
    seen_by(&plan, row, expected);
    paged_seen(&paged, 1, row, seen);
    CHECK(memcmp(seen, expected, sizeof seen) == 0);
  }
  /* Two tokens before a fork do not fill a page of four. */
  REFUSED(&w, anb_cache_paged(w.cache, ANB_PAGED_PAGES, &paged), ANB_NOT_EXACT, "pages of 4 slots");
  CHECK(paged.n_levels > 0);
  REFUSED(&w, anb_cache_paged(w.cache, 2, &paged), ANB_BAD_ARGUMENT, "kind is 2");
  REFUSED(&w, anb_cache_paged(w.cache, -1, &paged), ANB_BAD_ARGUMENT, "kind is -1");
  end_world(&w);
}

static void whole_pages_are_exact(void) {
  anb_plan plan = ANB_PLAN_INIT;
  anb_paged paged = ANB_PAGED_INIT;
  world w = empty_world(8);
  int32_t row, seen[32], expected[32];
  OK(anb_step_begin(w.cache, &w.step));
  OK(anb_step_create_sequence(w.step, 0, &w.sequences[0]));
  OK(anb_step_append_unknown(w.step, w.sequences[0], 5, ANB_LOGITS_LAST));
  OK(anb_step_plan(w.step, &plan));
  OK(anb_cache_paged(w.cache, ANB_PAGED_PAGES, &paged));
  for (row = 0; row < 5; ++row) {
    seen_by(&plan, row, expected);
    paged_seen(&paged, 4, row, seen);
    CHECK(memcmp(seen, expected, sizeof seen) == 0);
  }
  end_world(&w);
}

static void operations_for_hosts_with_a_cache_of_their_own(void) {
  anb_plan plan = ANB_PLAN_INIT;
  world w = grown_world();
  OK(anb_step_begin(w.cache, &w.step));
  OK(anb_step_join(w.step, w.sequences[0], &w.sequences[2], 1));
  OK(anb_step_adopt(w.step, w.sequences[1], w.sequences[3]));
  OK(anb_step_rewind(w.step, w.sequences[1], 7));
  OK(anb_step_plan(w.step, &plan));
  CHECK_SAME(plan.n_ops_before, 3);
  CHECK_SAME(plan.ops_before[0].kind, ANB_HOST_OP_SHARE);
  CHECK(plan.ops_before[0].sequence == w.sequences[0] && plan.ops_before[0].source == w.sequences[2]);
  CHECK(plan.ops_before[0].begin == 5 && plan.ops_before[0].end == 8);
  CHECK_SAME(plan.ops_before[1].kind, ANB_HOST_OP_BECOME);
  CHECK(plan.ops_before[1].sequence == w.sequences[1] && plan.ops_before[1].source == w.sequences[3]);
  CHECK_SAME(plan.ops_before[2].kind, ANB_HOST_OP_RESTART);
  CHECK(plan.ops_before[2].sequence == w.sequences[1] && plan.ops_before[2].end == 7);
  CHECK_SAME(plan.n_ops_after_commit, 3);
  CHECK_SAME(plan.ops_after_commit[0].kind, ANB_HOST_OP_REMOVE);
  CHECK(plan.ops_after_commit[0].sequence == w.sequences[2]);
  end_world(&w);
}

static void a_fork_without_tokens_samples_from_its_parent(void) {
  anb_plan plan = ANB_PLAN_INIT;
  world w = empty_world(4);
  OK(anb_step_begin(w.cache, &w.step));
  OK(anb_step_create_sequence(w.step, 0, &w.sequences[0]));
  OK(anb_step_append_unknown(w.step, w.sequences[0], 3, ANB_LOGITS_NONE));
  OK(anb_step_fork(w.step, w.sequences[0], 2, ANB_POSITIONS_SEQUENTIAL, &w.sequences[1]));
  OK(anb_step_request_logits(w.step, w.sequences[1]));
  OK(anb_step_request_logits(w.step, w.sequences[2]));
  OK(anb_step_plan(w.step, &plan));
  CHECK_SAME(plan.n_outputs, 2);
  CHECK(plan.outputs[0].row == 2 && plan.outputs[1].row == 2);
  CHECK(plan.outputs[0].sequence != plan.outputs[1].sequence);
  end_world(&w);
}

static void no_room_is_an_outcome(void) {
  world w = empty_world(3);
  anb_plan plan = untouched_plan();
  OK(anb_step_begin(w.cache, &w.step));
  OK(anb_step_create_sequence(w.step, 0, &w.sequences[0]));
  OK(anb_step_append_unknown(w.step, w.sequences[0], 17, ANB_LOGITS_NONE));
  w.n_sequences = 1;
  REFUSED(&w, anb_step_plan(w.step, &plan), ANB_NO_ROOM, NULL);
  CHECK_SAME(plan.n_pages_short, 2);
  CHECK_SAME(plan.n_pages_free, 3);
  CHECK(plan.n_rows == 0 && plan.tokens == NULL && plan.n_views == 0);
  CHECK_SAME(plan.struct_size, (int64_t)sizeof plan);
  CHECK_SAME(statistics_of(w.cache).step, 1);
  REFUSED(&w, anb_step_commit(w.step), ANB_WRONG_STATE, "no plan");
  OK(anb_step_rewind(w.step, w.sequences[0], 12)); /* the step may be changed and planned again */
  OK(anb_step_plan(w.step, &plan));
  CHECK(plan.n_rows == 12 && plan.n_pages_short == 0 && plan.n_pages_free == 0);
  OK(anb_step_commit(w.step));
  w.step = NULL;
  CHECK_SAME(statistics_of(w.cache).n_free_pages, 0);
  end_world(&w);
}

static void after_a_plan_only_commit_or_abort(void) {
  static const anb_position kStart[] = {1};
  anb_plan plan = ANB_PLAN_INIT, second = untouched_plan();
  world w = open_world();
  anb_sequence sequence = 9;
  OK(anb_step_append_unknown(w.step, w.sequences[0], 1, ANB_LOGITS_LAST));
  OK(anb_step_plan(w.step, &plan));
  REFUSED(&w, anb_step_create_sequence(w.step, 0, &sequence), ANB_WRONG_STATE,
          "create_sequence after a successful plan");
  REFUSED(&w, anb_step_append_unknown(w.step, w.sequences[0], 1, 0), ANB_WRONG_STATE, "append_unknown after");
  REFUSED(&w, anb_step_request_logits(w.step, w.sequences[0]), ANB_WRONG_STATE, "request_logits after");
  REFUSED(&w, anb_step_fork(w.step, w.sequences[0], 1, 0, &sequence), ANB_WRONG_STATE, "fork after");
  REFUSED(&w, anb_step_fork_given(w.step, w.sequences[0], 1, kStart, &sequence), ANB_WRONG_STATE, "fork after");
  REFUSED(&w, anb_step_join(w.step, w.sequences[0], &w.sequences[2], 1), ANB_WRONG_STATE, "join after");
  REFUSED(&w, anb_step_join_given(w.step, w.sequences[0], &w.sequences[2], 1, 9), ANB_WRONG_STATE, "join after");
  REFUSED(&w, anb_step_rewind(w.step, w.sequences[2], 6), ANB_WRONG_STATE, "rewind after");
  REFUSED(&w, anb_step_adopt(w.step, w.sequences[0], w.sequences[2]), ANB_WRONG_STATE, "adopt after");
  REFUSED(&w, anb_step_drop(w.step, w.sequences[2]), ANB_WRONG_STATE, "drop after");
  REFUSED(&w, anb_step_detach(w.step, w.sequences[2]), ANB_WRONG_STATE, "detach after");
  REFUSED(&w, anb_step_hold(w.step, w.sequences[2], 1), ANB_WRONG_STATE, "hold after");
  REFUSED(&w, anb_step_plan(w.step, &second), ANB_WRONG_STATE, "plan after");
  CHECK(sequence == 9 && untouched(&second));
  OK(anb_step_commit(w.step));
  w.step = NULL;
  end_world(&w);
}

static void rejected_rows_are_not_committed(void) {
  anb_plan plan = ANB_PLAN_INIT;
  anb_sequence_state state = ANB_SEQUENCE_STATE_INIT;
  world w = open_world();
  REFUSED(&w, anb_step_reject(w.step, w.sequences[0], 0), ANB_WRONG_STATE, "reject in a step that has no plan");
  OK(anb_sequence_get_state(w.cache, w.sequences[0], &state));
  OK(anb_step_append_unknown(w.step, w.sequences[0], 4, ANB_LOGITS_ALL));
  OK(anb_step_plan(w.step, &plan));
  CHECK_SAME(plan.n_rows, 4);
  REFUSED(&w, anb_step_reject(w.step, w.sequences[0], 5), ANB_BAD_ARGUMENT, "rejecting 5 rows");
  REFUSED(&w, anb_step_reject(w.step, w.sequences[0], -1), ANB_BAD_ARGUMENT, "rejecting -1 rows");
  REFUSED(&w, anb_step_reject(w.step, w.sequences[2], 1), ANB_BAD_ARGUMENT, "it wrote 0 since its last fork or join");
  REFUSED(&w, anb_step_reject(w.step, 7, 1), ANB_STALE_SEQUENCE, "sequence 7");
  OK(anb_step_reject(w.step, w.sequences[0], 4));
  OK(anb_step_reject(w.step, w.sequences[0], 3));
  CHECK(plan.n_rows == 4 && plan.n_outputs == 4);
  OK(anb_step_commit(w.step));
  {
    anb_sequence_state after = ANB_SEQUENCE_STATE_INIT;
    OK(anb_sequence_get_state(w.cache, w.sequences[0], &after));
    CHECK_SAME(after.n_tokens, state.n_tokens + 1);
  }
  OK(anb_step_begin(w.cache, &w.step));
  OK(anb_step_append_unknown(w.step, w.sequences[0], 1, ANB_LOGITS_LAST));
  OK(anb_step_plan(w.step, &plan));
  CHECK_SAME(plan.n_ops_before, 1);
  CHECK(plan.ops_before[0].kind == ANB_HOST_OP_RESTART && plan.ops_before[0].sequence == w.sequences[0]);
  CHECK(plan.ops_before[0].begin == 0 && plan.ops_before[0].end == plan.positions[0]);
  end_world(&w);
}

static void wrong_order_of_calls(void) {
  anb_plan plan = ANB_PLAN_INIT;
  anb_paged paged = ANB_PAGED_INIT;
  anb_step* second = no_step();
  float mask[32];
  world w = grown_world();
  mask[0] = 7;
  REFUSED(&w, anb_cache_mask(w.cache, NULL, 32, mask), ANB_WRONG_STATE, "no plan is open");
  REFUSED(&w, anb_cache_paged(w.cache, 0, &paged), ANB_WRONG_STATE, "no plan is open");
  OK(anb_step_begin(w.cache, &w.step));
  REFUSED(&w, anb_step_begin(w.cache, &second), ANB_WRONG_STATE, "already open");
  REFUSED(&w, anb_cache_check(w.cache), ANB_WRONG_STATE, "one is open");
  REFUSED(&w, anb_cache_mask(w.cache, NULL, 32, mask), ANB_WRONG_STATE, "no plan is open");
  REFUSED(&w, anb_cache_paged(w.cache, 0, &paged), ANB_WRONG_STATE, "no plan is open");
  REFUSED(&w, anb_step_commit(w.step), ANB_WRONG_STATE, "no plan");
  OK(anb_step_plan(w.step, &plan)); /* a step without rows is legal */
  CHECK(plan.n_rows == 0 && plan.n_groups == 0);
  REFUSED(&w, anb_step_begin(w.cache, &second), ANB_WRONG_STATE, "already open");
  OK(anb_cache_mask(w.cache, NULL, 0, NULL));
  OK(anb_cache_paged(w.cache, 0, &paged));
  OK(anb_step_commit(w.step));
  REFUSED(&w, anb_cache_mask(w.cache, NULL, 0, NULL), ANB_WRONG_STATE, "no plan is open");
  w.step = NULL;
  CHECK(second == no_step() && mask[0] == 7);
  end_world(&w);
}

const phase kPlanPhases[] = {
    {"rows_and_outputs", rows_and_outputs},
    {"groups_say_what_rows_see", groups_say_what_rows_see},
    {"a_mask_says_the_same", a_mask_says_the_same},
    {"masks_refuse", masks_refuse},
    {"page_tables_say_the_same", page_tables_say_the_same},
    {"whole_pages_are_exact", whole_pages_are_exact},
    {"operations_for_hosts_with_a_cache_of_their_own", operations_for_hosts_with_a_cache_of_their_own},
    {"a_fork_without_tokens_samples_from_its_parent", a_fork_without_tokens_samples_from_its_parent},
    {"no_room_is_an_outcome", no_room_is_an_outcome},
    {"after_a_plan_only_commit_or_abort", after_a_plan_only_commit_or_abort},
    {"rejected_rows_are_not_committed", rejected_rows_are_not_committed},
    {"wrong_order_of_calls", wrong_order_of_calls},
    {NULL, NULL}};
