/* Every call that refuses says why, and has changed nothing. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "checks.h"

static void test_create(void) {
  anb_attention_options o = ANB_ATTENTION_OPTIONS_INIT, p;
  anb_attention* attention = NULL;
  unsigned char larger[sizeof(anb_attention_options) + 8] = {0};
  const uint32_t size = sizeof(larger);
  REFUSED(anb_attention_create(NULL, &attention), ANB_BAD_ARGUMENT, "options is NULL");
  REFUSED(anb_attention_create(&o, &attention), ANB_BAD_ARGUMENT, "kv_heads is 0");
  o.query_heads = 4;
  o.kv_heads = 2;
  o.head_dim = 8;
  REFUSED(anb_attention_create(&o, NULL), ANB_BAD_ARGUMENT, "attention is NULL");
  p = o;
  p.struct_size = 4;
  REFUSED(anb_attention_create(&p, &attention), ANB_BAD_ARGUMENT, "struct_size is 4");
  p = o;
  p.query_heads = 3;
  REFUSED(anb_attention_create(&p, &attention), ANB_BAD_ARGUMENT, "query_heads is 3");
  p = o;
  p.head_dim = 1025;
  REFUSED(anb_attention_create(&p, &attention), ANB_BAD_ARGUMENT, "head_dim is 1025");
  p = o;
  p.scale = -1.0f;
  REFUSED(anb_attention_create(&p, &attention), ANB_BAD_ARGUMENT, "scale is -1");
  p = o;
  p.window = -1;
  REFUSED(anb_attention_create(&p, &attention), ANB_BAD_ARGUMENT, "window is -1");
  p = o;
  p.softcap = (float)NAN;
  REFUSED(anb_attention_create(&p, &attention), ANB_BAD_ARGUMENT, "softcap is");
  CHECK(attention == NULL);
  memcpy(larger, &o, sizeof(o));
  memcpy(larger, &size, sizeof(size));
  memcpy(&p, larger, sizeof(p)); /* a struct of a newer header, with zeros behind */
  OK(anb_attention_create((const anb_attention_options*)(const void*)larger, &attention));
  anb_attention_destroy(attention);
  attention = NULL;
  larger[sizeof(o)] = 1;
  REFUSED(anb_attention_create((const anb_attention_options*)(const void*)larger, &attention), ANB_BAD_ARGUMENT,
          "is set");
  CHECK(attention == NULL);
}

static void test_handles(void) {
  static anb_attention* all[70000];
  static small s;
  anb_attention_options o = ANB_ATTENTION_OPTIONS_INIT;
  anb_cache* cache = NULL;
  anb_attention* old;
  size_t n_bytes = 77;
  int n = 0, i;
  make_small(&s, ANB_ELEMENT_FLOAT32);
  OK(plan_small(&s));
  old = s.attention;
  OK(anb_cache_create(NULL, &cache));
  destroy_small(&s);
  anb_attention_destroy(NULL);
  anb_attention_destroy(old);
  for (i = 0; i < 3; ++i) {
    s.attention = i == 0 ? NULL : i == 1 ? old : (anb_attention*)(void*)cache;
    REFUSED(plan_small(&s), ANB_BAD_HANDLE, "no attention");
    REFUSED(run_small(&s, NULL), ANB_BAD_HANDLE, "no attention");
    REFUSED(anb_attention_store(s.attention, NULL, &s.kv), ANB_BAD_HANDLE, "no attention");
    REFUSED(anb_attention_workspace(s.attention, 1, &n_bytes), ANB_BAD_HANDLE, "no attention");
  }
  CHECK(n_bytes == 77);
  anb_cache_destroy(cache);
  o.query_heads = o.kv_heads = o.head_dim = 1;
  while (n < 70000 && anb_attention_create(&o, &all[n]) == ANB_OK) ++n;
  CHECK(n == 65535);
  REFUSED(anb_attention_create(&o, &s.attention), ANB_LIMIT_REACHED, "65535 handles");
  for (i = 0; i < n; ++i) anb_attention_destroy(all[i]);
}

static void test_wrong_state(void) {
  static small s;
  size_t n_bytes = 77;
  make_small(&s, ANB_ELEMENT_FLOAT32);
  REFUSED(run_small(&s, NULL), ANB_WRONG_STATE, "nothing has been planned");
  REFUSED(anb_attention_workspace(s.attention, 1, &n_bytes), ANB_WRONG_STATE, "nothing has been planned");
  s.groups[1].n_keys = 5;
  REFUSED(plan_small(&s), ANB_BAD_ARGUMENT, "says 5 keys and lists 1");
  REFUSED(run_small(&s, NULL), ANB_WRONG_STATE, "nothing has been planned"); /* that plan failed */
  OK(anb_attention_plan(s.attention, NULL, 0, NULL, 0, 0));
  OK(run_small(&s, NULL)); /* no rows, no work */
  CHECK(n_bytes == 77 && s.out[0] == 0.0f);
  destroy_small(&s);
}

/* Changes one number of the small plan, which must then be refused, and puts it back. */
#define BAD_PLAN(field, value, text)                 \
  do {                                               \
    const small kept = s;                            \
    s.field = (value);                               \
    REFUSED(plan_small(&s), ANB_BAD_ARGUMENT, text); \
    s = kept;                                        \
  } while (0)

static void test_plan(void) {
  static small s;
  make_small(&s, ANB_ELEMENT_FLOAT32);
  OK(plan_small(&s));
  BAD_PLAN(groups[0].row_end, 3, "does not fit a plan of 2 rows");
  BAD_PLAN(groups[0].row_begin, -1, "does not fit");
  BAD_PLAN(groups[0].view_end, 9, "has views [0, 9) of 3");
  BAD_PLAN(groups[0].visibility, 2, "visibility is 2");
  BAD_PLAN(groups[0].n_keys, 3, "says 3 keys and lists 2");
  BAD_PLAN(views[0].begin, -1, "view 0: tokens [-1, 2)");
  BAD_PLAN(views[0].end, 3, "view 0: its runs end at token 2, the view at 3");
  BAD_PLAN(views[1].runs, NULL, "the runs of a view is NULL");
  BAD_PLAN(views[1].n_runs, -1, "-1 elements");
  BAD_PLAN(trunk_run.offset, 1, "a run begins at token 1, expected was 0");
  BAD_PLAN(trunk_run.first, -1, "slots from -1 on");
  BAD_PLAN(trunk_run.first, 0x7fffffff, "slots from 2147483647 on");
  BAD_PLAN(trunk_run.count, -1, "a run of -1 slots");
  REFUSED(anb_attention_plan(s.attention, s.groups, 3, s.views, 3, 3), ANB_BAD_ARGUMENT, "row 2 is in no");
  REFUSED(anb_attention_plan(s.attention, s.groups, 3, s.views, 3, -1), ANB_BAD_ARGUMENT, "n_rows is -1");
  REFUSED(anb_attention_plan(s.attention, NULL, 3, s.views, 3, 2), ANB_BAD_ARGUMENT, "groups is NULL");
  REFUSED(anb_attention_plan(s.attention, s.groups, 3, NULL, 3, 2), ANB_BAD_ARGUMENT, "views is NULL");
  OK(run_small(&s, NULL)); /* the first plan is still there */
  CHECK_NEAR(s.out[0], 4.0, 1e-5);
  CHECK_NEAR(s.out[3], 2.0, 1e-5);
  destroy_small(&s);
}

static void test_store(void) {
  static small s;
  static const float row[] = {9, 9, 9, 9};
  anb_slot slots[] = {2, 4};
  float before[8];
  anb_attention_new_rows r = ANB_ATTENTION_NEW_ROWS_INIT;
  make_small(&s, ANB_ELEMENT_FLOAT32);
  memcpy(before, s.keys, sizeof(before));
  REFUSED(anb_attention_store(s.attention, NULL, &s.kv), ANB_BAD_ARGUMENT, "new_rows is NULL");
  REFUSED(anb_attention_store(s.attention, &r, NULL), ANB_BAD_ARGUMENT, "kv is NULL");
  OK(anb_attention_store(s.attention, &r, &s.kv)); /* no rows */
  r.n_rows = 2;
  r.keys = row;
  r.values = row;
  REFUSED(anb_attention_store(s.attention, &r, &s.kv), ANB_BAD_ARGUMENT, "slots is NULL");
  r.slots = slots;
  REFUSED(anb_attention_store(s.attention, &r, &s.kv), ANB_BAD_ARGUMENT, "row 1 has slot 4, the K/V tensors have 4");
  slots[1] = -1;
  REFUSED(anb_attention_store(s.attention, &r, &s.kv), ANB_BAD_ARGUMENT, "row 1 has slot -1");
  slots[1] = 3;
  r.row_stride = 1;
  REFUSED(anb_attention_store(s.attention, &r, &s.kv), ANB_BAD_ARGUMENT, "row_stride is 1");
  r.n_rows = -1;
  REFUSED(anb_attention_store(s.attention, &r, &s.kv), ANB_BAD_ARGUMENT, "-1 elements");
  CHECK(memcmp(before, s.keys, sizeof(before)) == 0);
  destroy_small(&s);
}

#define BAD_RUN(field, value, text)                       \
  do {                                                    \
    const small kept = s;                                 \
    s.field = (value);                                    \
    REFUSED(run_small(&s, NULL), ANB_BAD_ARGUMENT, text); \
    s = kept;                                             \
  } while (0)

static void test_run(void) {
  static small s;
  anb_attention_threads threads = ANB_ATTENTION_THREADS_INIT;
  size_t n_bytes = 0;
  make_small(&s, ANB_ELEMENT_INT8);
  OK(plan_small(&s));
  BAD_RUN(rows.struct_size, 0, "anb_attention_rows: struct_size is 0");
  BAD_RUN(rows.queries, NULL, "queries or out is null");
  BAD_RUN(rows.out, NULL, "queries or out is null");
  BAD_RUN(rows.query_stride, 1, "query_stride is 1, must be 2 or more, or 0");
  BAD_RUN(rows.out_stride, -2, "out_stride is -2");
  BAD_RUN(kv.struct_size, 0, "anb_attention_kv: struct_size is 0");
  BAD_RUN(kv.element, 4, "element is 4");
  BAD_RUN(kv.n_slots, 3, "slot 3 is planned, the K/V tensors have 3");
  BAD_RUN(kv.n_slots, -1, "n_slots is -1");
  BAD_RUN(kv.keys, NULL, "keys of kv is NULL");
  BAD_RUN(kv.values, NULL, "values of kv is NULL");
  BAD_RUN(kv.slot_stride, 1, "slot_stride is 1");
  BAD_RUN(kv.head_stride, -1, "head_stride is -1");
  BAD_RUN(kv.key_scales, NULL, "key_scales of an int8 kv is NULL");
  BAD_RUN(kv.value_scales, NULL, "value_scales of an int8 kv is NULL");
  BAD_RUN(kv.scale_slot_stride, -1, "scale_slot_stride is -1");
  BAD_RUN(kv.scale_head_stride, -1, "scale_head_stride is -1");
  OK(anb_attention_workspace(s.attention, 1, &n_bytes));
  REFUSED(anb_attention_run(s.attention, &s.rows, &s.kv, NULL, s.workspace, n_bytes - 1), ANB_BAD_ARGUMENT,
          "the workspace has");
  REFUSED(anb_attention_run(s.attention, &s.rows, &s.kv, NULL, NULL, n_bytes), ANB_BAD_ARGUMENT, "workspace is NULL");
  REFUSED(anb_attention_run(s.attention, NULL, &s.kv, NULL, s.workspace, n_bytes), ANB_BAD_ARGUMENT, "rows is NULL");
  REFUSED(anb_attention_run(s.attention, &s.rows, NULL, NULL, s.workspace, n_bytes), ANB_BAD_ARGUMENT, "kv is NULL");
  REFUSED(anb_attention_workspace(s.attention, 0, &n_bytes), ANB_BAD_ARGUMENT, "n_workers is 0, must be 1 to 1024");
  REFUSED(anb_attention_workspace(s.attention, 1, NULL), ANB_BAD_ARGUMENT, "n_bytes is NULL");
  threads.n_workers = 1025;
  REFUSED(run_small(&s, &threads), ANB_BAD_ARGUMENT, "n_workers is 1025");
  threads.n_workers = 2;
  REFUSED(run_small(&s, &threads), ANB_BAD_ARGUMENT, "run of the threads is NULL");
  threads.struct_size = 1;
  REFUSED(run_small(&s, &threads), ANB_BAD_ARGUMENT, "anb_attention_threads: struct_size is 1");
  CHECK(s.out[0] == 0.0f && s.out[3] == 0.0f && s.lse[1] == 0.0f);
  destroy_small(&s);
}

static void test_init(void) {
  anb_attention_options o, o_macro = ANB_ATTENTION_OPTIONS_INIT;
  anb_attention_kv s, s_macro = ANB_ATTENTION_KV_INIT;
  anb_attention_new_rows n, n_macro = ANB_ATTENTION_NEW_ROWS_INIT;
  anb_attention_rows r, r_macro = ANB_ATTENTION_ROWS_INIT;
  anb_attention_threads t, t_macro = ANB_ATTENTION_THREADS_INIT;
  anb_attention_options_init(&o, sizeof(o));
  anb_attention_kv_init(&s, sizeof(s));
  anb_attention_new_rows_init(&n, sizeof(n));
  anb_attention_rows_init(&r, sizeof(r));
  anb_attention_threads_init(&t, sizeof(t));
  anb_attention_threads_init(NULL, sizeof(t));
  CHECK(memcmp(&o, &o_macro, sizeof(o)) == 0);
  CHECK(memcmp(&s, &s_macro, sizeof(s)) == 0);
  CHECK(memcmp(&n, &n_macro, sizeof(n)) == 0);
  CHECK(memcmp(&r, &r_macro, sizeof(r)) == 0);
  CHECK(memcmp(&t, &t_macro, sizeof(t)) == 0);
}

void test_refusals(void) {
  test_create();
  test_handles();
  test_wrong_state();
  test_plan();
  test_store();
  test_run();
  test_init();
}
