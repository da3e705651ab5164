#include "checks.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static int g_n_failed = 0;

int n_failed_checks(void) { return g_n_failed; }

void check_true(const char* file, int line, const char* what, int condition) {
  if (condition) return;
  ++g_n_failed;
  printf("%s:%d: %s: does not hold\n", file, line, what);
}

void check_near(const char* file, int line, const char* what, double value, double expected, double bound) {
  if (fabs(value - expected) <= bound) return;
  ++g_n_failed;
  printf("%s:%d: %s: is %.9g, not %.9g within %.3g\n", file, line, what, value, expected, bound);
}

void check_status(const char* file, int line, const char* what, anb_status status, anb_status expected,
                  const char* text) {
  if (status == expected && (expected == ANB_OK || strstr(anb_attention_last_error(), text) != NULL)) return;
  ++g_n_failed;
  printf("%s:%d: %s: gave status %d, not %d; the last error: %s (expected: %s)\n", file, line, what, (int)status,
         (int)expected, anb_attention_last_error(), text);
}

static anb_view view_of(const anb_slot_run* run, uint64_t segment) {
  anb_view view = {0};
  view.runs = run;
  view.n_runs = 1;
  view.end = run->count;
  view.segment = segment;
  return view;
}

static anb_group group_of(int32_t row_begin, int32_t row_end, int32_t view, int32_t n_keys, int32_t visibility) {
  anb_group group;
  group.row_begin = row_begin;
  group.row_end = row_end;
  group.view_begin = view;
  group.view_end = view + 1;
  group.n_keys = n_keys;
  group.visibility = visibility;
  return group;
}

static void describe_plan(small* s) {
  static const anb_slot_run trunk = {0, 2, 0}, first = {2, 1, 0}, second = {3, 1, 0};
  s->trunk_run = trunk;
  s->own_runs[0] = first;
  s->own_runs[1] = second;
  s->views[0] = view_of(&s->trunk_run, 1);
  s->views[1] = view_of(&s->own_runs[0], 2);
  s->views[2] = view_of(&s->own_runs[1], 3);
  s->groups[0] = group_of(0, 2, 0, 2, ANB_VISIBILITY_FULL);
  s->groups[1] = group_of(0, 1, 1, 1, ANB_VISIBILITY_CAUSAL);
  s->groups[2] = group_of(1, 2, 2, 1, ANB_VISIBILITY_CAUSAL);
}

static void fill_kv(small* s) {
  static const float values[] = {4, 0, 8, 4, 1, 1, 0, 2};
  static const anb_slot slots[] = {0, 1, 2, 3};
  float keys[8] = {0};
  anb_attention_new_rows rows = ANB_ATTENTION_NEW_ROWS_INIT;
  keys[2] = (float)log(3.0);
  keys[4] = (float)log(4.0);
  keys[6] = (float)log(2.0);
  rows.n_rows = 4;
  rows.keys = keys;
  rows.values = values;
  rows.slots = slots;
  OK(anb_attention_store(s->attention, &rows, &s->kv));
}

void make_small(small* s, int32_t element) {
  static const anb_attention_kv kv = ANB_ATTENTION_KV_INIT;
  static const anb_attention_rows rows = ANB_ATTENTION_ROWS_INIT;
  anb_attention_options options = ANB_ATTENTION_OPTIONS_INIT;
  memset(s, 0, sizeof(*s));
  options.query_heads = options.kv_heads = 1;
  options.head_dim = 2;
  options.scale = 1.0f;
  OK(anb_attention_create(&options, &s->attention));
  describe_plan(s);
  s->kv = kv;
  s->kv.element = element;
  s->kv.n_slots = 4;
  s->kv.keys = s->keys;
  s->kv.values = s->values;
  s->kv.key_scales = s->key_scales;
  s->kv.value_scales = s->value_scales;
  fill_kv(s);
  s->queries[0] = 1.0f;
  s->rows = rows;
  s->rows.queries = s->queries;
  s->rows.out = s->out;
  s->rows.lse = s->lse;
}

void destroy_small(small* s) {
  anb_attention_destroy(s->attention);
  s->attention = NULL;
}

anb_status plan_small(small* s) { return anb_attention_plan(s->attention, s->groups, 3, s->views, 3, 2); }

anb_status run_small(small* s, const anb_attention_threads* threads) {
  return anb_attention_run(s->attention, &s->rows, &s->kv, threads, s->workspace, sizeof(s->workspace));
}

int main(void) {
  CHECK(strcmp(anb_attention_last_error(), "") == 0);
  test_results();
  test_plan_of_the_cache();
  test_refusals();
  printf("%d checks failed\n", n_failed_checks());
  return n_failed_checks() == 0 ? 0 : 1;
}
