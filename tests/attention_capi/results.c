/* Results: by hand in every element type, and of a real plan beside its dense mask, on one thread and on several. */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checks.h"

static void test_element(int32_t element, double bound) {
  static small s;
  size_t n_bytes = 0;
  int i;
  make_small(&s, element);
  OK(plan_small(&s));
  OK(anb_attention_workspace(s.attention, 1, &n_bytes));
  CHECK(n_bytes > 0 && n_bytes <= sizeof(s.workspace));
  OK(anb_attention_run(s.attention, &s.rows, &s.kv, NULL, s.workspace, n_bytes));
  for (i = 0; i < 4; ++i) CHECK_NEAR(s.out[i], i % 2 == 0 ? 4.0 : 2.0, bound);
  CHECK_NEAR(s.lse[0], log(8.0), bound);
  CHECK_NEAR(s.lse[1], log(3.0), bound);
  s.rows.lse = NULL;
  OK(run_small(&s, NULL));
  destroy_small(&s);
}

/* Tokens at positions 0, 1 and 2: a window of 2 leaves the trunk's second token and the row's own. Weights of row 0: 3,
 * 4 of 7. Then a cap of 1: the scores ln 3 and ln 4 become tanh(ln 3) = 0.8 and tanh(ln 4) = 15 / 17. */
static void test_window_and_cap(void) {
  static small s;
  anb_attention_options o = ANB_ATTENTION_OPTIONS_INIT, old;
  const double w1 = exp(0.8), w2 = exp(15.0 / 17.0);
  make_small(&s, ANB_ELEMENT_FLOAT32);
  s.views[1].first_position = s.views[2].first_position = 2;
  o.query_heads = o.kv_heads = 1;
  o.head_dim = 2;
  o.scale = 1.0f;
  o.window = 2;
  anb_attention_destroy(s.attention);
  OK(anb_attention_create(&o, &s.attention));
  OK(plan_small(&s));
  OK(run_small(&s, NULL));
  CHECK_NEAR(s.out[0], 28.0 / 7, 1e-5);
  CHECK_NEAR(s.out[1], 16.0 / 7, 1e-5);
  CHECK_NEAR(s.out[2], 4.0, 1e-5);
  CHECK_NEAR(s.out[3], 3.0, 1e-5);
  CHECK_NEAR(s.lse[0], log(7.0), 1e-5);
  s.views[2].segment = 1; /* as if the branch went on with the trunk's segment, at another position */
  s.views[2].begin = s.own_runs[1].offset = 2;
  s.views[2].end = 3;
  REFUSED(plan_small(&s), ANB_BAD_ARGUMENT, "views of segment 1 differ in first_position");
  s.views[2].segment = 3;
  o.softcap = 1.0f;
  anb_attention_destroy(s.attention);
  OK(anb_attention_create(&o, &s.attention));
  OK(plan_small(&s));
  OK(run_small(&s, NULL));
  CHECK_NEAR(s.out[0], (8 * w1 + w2) / (w1 + w2), 1e-5);
  CHECK_NEAR(s.lse[0], log(w1 + w2), 1e-5);
  old = o; /* a caller of the first version, whose struct ended where the window begins */
  old.struct_size = (uint32_t)offsetof(anb_attention_options, window);
  anb_attention_destroy(s.attention);
  OK(anb_attention_create(&old, &s.attention));
  OK(plan_small(&s));
  OK(run_small(&s, NULL));
  CHECK_NEAR(s.lse[0], log(8.0), 1e-5);
  destroy_small(&s);
}

/* A gap after every row, slot and head. */
static void test_strides(void) {
  static small s;
  float queries[6] = {1, 0, -1, 0, 0, -1}, out[8] = {0}, keys[16] = {0}, values[16] = {0};
  int i;
  make_small(&s, ANB_ELEMENT_FLOAT32);
  for (i = 0; i < 8; ++i) {
    keys[i / 2 * 4 + i % 2] = s.keys[i];
    values[i / 2 * 4 + i % 2] = s.values[i];
  }
  s.kv.keys = keys;
  s.kv.values = values;
  s.kv.slot_stride = 4;
  s.kv.head_stride = 2;
  s.rows.queries = queries;
  s.rows.query_stride = 3;
  s.rows.out = out;
  s.rows.out_stride = 4;
  OK(plan_small(&s));
  OK(run_small(&s, NULL));
  for (i = 0; i < 8; ++i) CHECK_NEAR(out[i], i % 4 == 0 ? 4.0 : i % 4 == 1 ? 2.0 : 0.0, 1e-5);
  destroy_small(&s);
}

void test_results(void) {
  test_element(ANB_ELEMENT_FLOAT32, 1e-5);
  test_element(ANB_ELEMENT_BFLOAT16, 2e-2);
  test_element(ANB_ELEMENT_FLOAT16, 2e-3);
  test_element(ANB_ELEMENT_INT8, 6e-2);
  test_strides();
  test_window_and_cap();
}

/* ---- A plan of libanabranch: its arrays are passed as they are. ---- */

enum { kTrunk = 600, kBranches = 4, kQueryHeads = 4, kKvHeads = 2, kDim = 64, kPages = 64, kSlots = kPages * 16 };
enum { kKvWidth = kKvHeads * kDim, kQWidth = kQueryHeads * kDim };

static void run_backwards(int32_t n, anb_attention_task task, void* body, void* user) {
  while (n > 0) {
    ++*(int*)user;
    task(body, --n);
  }
}

static float* random_floats(size_t n) {
  static uint32_t state = 1;
  float* x = malloc(n * sizeof(float));
  size_t i;
  for (i = 0; x != NULL && i < n; ++i) {
    state = state * 1664525u + 1013904223u;
    x[i] = (float)(state >> 8) * (1.0f / 8388608.0f) - 1.0f;
  }
  return x;
}

/* Attention of one row and head with the dense mask, in double. */
static void dense(const float* query, const float* mask, const float* keys, const float* values, double* out) {
  double sum = 0;
  int slot, d;
  memset(out, 0, kDim * sizeof(double));
  for (slot = 0; slot < kSlots; ++slot) {
    double score = 0;
    if (mask[slot] != 0.0f) continue;
    for (d = 0; d < kDim; ++d) score += (double)query[d] * (double)keys[slot * kKvWidth + d];
    score = exp(score / sqrt((double)kDim));
    sum += score;
    for (d = 0; d < kDim; ++d) out[d] += score * (double)values[slot * kKvWidth + d];
  }
  for (d = 0; d < kDim; ++d) out[d] /= sum;
}

typedef struct real {
  anb_cache* cache;
  anb_step* step;
  anb_plan plan;
  int32_t positions[kSlots]; /* of the token in each slot */
  float *keys, *values, *queries, *mask, *out[2];
} real;

/* A trunk that is there already, and a pass with one row for each branch. */
static void make_real(real* r) {
  static const anb_plan empty = ANB_PLAN_INIT;
  anb_cache_options options = ANB_CACHE_OPTIONS_INIT;
  anb_sequence trunk, kids[kBranches];
  int i;
  options.n_pages = kPages;
  r->plan = empty;
  memset(r->positions, 0, sizeof(r->positions));
  OK(anb_cache_create(&options, &r->cache));
  OK(anb_step_begin(r->cache, &r->step));
  OK(anb_step_create_sequence(r->step, 0, &trunk));
  OK(anb_step_append_unknown(r->step, trunk, kTrunk, ANB_LOGITS_NONE));
  OK(anb_step_fork(r->step, trunk, kBranches, ANB_POSITIONS_LONGEST, kids));
  OK(anb_step_plan(r->step, &r->plan));
  for (i = 0; i < r->plan.n_rows; ++i) r->positions[r->plan.slots[i]] = r->plan.positions[i];
  OK(anb_step_commit(r->step));
  OK(anb_step_begin(r->cache, &r->step));
  for (i = 0; i < kBranches; ++i) OK(anb_step_append_unknown(r->step, kids[i], 1 + i % 2, ANB_LOGITS_LAST));
  OK(anb_step_plan(r->step, &r->plan));
  for (i = 0; i < r->plan.n_rows; ++i) r->positions[r->plan.slots[i]] = r->plan.positions[i];
  r->keys = random_floats((size_t)kSlots * kKvWidth);
  r->values = random_floats((size_t)kSlots * kKvWidth);
  r->queries = random_floats((size_t)r->plan.n_rows * kQWidth);
  r->mask = random_floats((size_t)r->plan.n_rows * kSlots);
  r->out[0] = random_floats((size_t)r->plan.n_rows * kQWidth);
  r->out[1] = random_floats((size_t)r->plan.n_rows * kQWidth);
  OK(anb_cache_mask(r->cache, NULL, (size_t)r->plan.n_rows * kSlots, r->mask));
}

static void destroy_real(real* r) {
  anb_step_abort(r->step);
  anb_cache_destroy(r->cache);
  free(r->keys);
  free(r->values);
  free(r->queries);
  free(r->mask);
  free(r->out[0]);
  free(r->out[1]);
}

static void run_real(real* r, const anb_attention* attention, const anb_attention_threads* threads, float* out) {
  anb_attention_kv kv = ANB_ATTENTION_KV_INIT;
  anb_attention_rows rows = ANB_ATTENTION_ROWS_INIT;
  size_t n_bytes = 0;
  void* workspace;
  kv.n_slots = kSlots;
  kv.keys = r->keys;
  kv.values = r->values;
  rows.queries = r->queries;
  rows.out = out;
  OK(anb_attention_workspace(attention, threads != NULL ? threads->n_workers : 1, &n_bytes));
  workspace = calloc(n_bytes, 1);
  OK(anb_attention_run(attention, &rows, &kv, threads, workspace, n_bytes));
  free(workspace);
}

/* A loop that repeats the first task, or leaves out the last, as `user` says. */
static void run_badly(int32_t n, anb_attention_task task, void* body, void* user) {
  const int repeat = *(const int*)user;
  int32_t i;
  for (i = 0; i < n - (repeat ? 0 : 1); ++i) task(body, i);
  if (repeat) {
    task(body, 0);
    task(body, -1);
    task(body, n);
  }
}

/* A loop that calls into the attention that called it. */
static void run_from_inside(int32_t n, anb_attention_task task, void* body, void* user) {
  anb_attention* attention = user;
  size_t n_bytes = 77;
  int32_t i;
  REFUSED(anb_attention_workspace(attention, 1, &n_bytes), ANB_WRONG_STATE, "in use");
  CHECK(n_bytes == 77);
  anb_attention_destroy(attention);
  for (i = 0; i < n; ++i) task(body, i);
}

static void test_bad_threads(real* r, anb_attention* attention) {
  static char workspace[1 << 20];
  anb_attention_threads threads = ANB_ATTENTION_THREADS_INIT;
  anb_attention_kv kv = ANB_ATTENTION_KV_INIT;
  anb_attention_rows rows = ANB_ATTENTION_ROWS_INIT;
  int repeat = 0;
  kv.n_slots = kSlots;
  kv.keys = r->keys;
  kv.values = r->values;
  rows.queries = r->queries;
  rows.out = r->out[1];
  threads.n_workers = 3;
  threads.run = run_badly;
  threads.user = &repeat;
  REFUSED(anb_attention_run(attention, &rows, &kv, &threads, workspace, sizeof(workspace)), ANB_CALLBACK_FAILED,
          "left out 1 tasks");
  repeat = 1;
  REFUSED(anb_attention_run(attention, &rows, &kv, &threads, workspace, sizeof(workspace)), ANB_CALLBACK_FAILED,
          "a second time");
  threads.run = run_from_inside;
  threads.user = attention;
  OK(anb_attention_run(attention, &rows, &kv, &threads, workspace, sizeof(workspace)));
}

/* The same rows in a layer with a window of 20, with the mask narrowed by hand. */
static void test_window(real* r) {
  anb_attention_options options = ANB_ATTENTION_OPTIONS_INIT;
  anb_attention* attention = NULL;
  double expected[kDim];
  int row, head, slot, d;
  options.query_heads = kQueryHeads;
  options.kv_heads = kKvHeads;
  options.head_dim = kDim;
  options.window = 20;
  OK(anb_attention_create(&options, &attention));
  OK(anb_attention_plan(attention, r->plan.groups, r->plan.n_groups, r->plan.views, r->plan.n_views, r->plan.n_rows));
  run_real(r, attention, NULL, r->out[1]);
  for (row = 0; row < r->plan.n_rows; ++row) {
    for (slot = 0; slot < kSlots; ++slot)
      if (r->positions[slot] <= r->plan.positions[row] - 20) r->mask[row * kSlots + slot] = -1.0f;
    for (head = 0; head < kQueryHeads; ++head) {
      const int at = row * kQWidth + head * kDim, kv = head / (kQueryHeads / kKvHeads) * kDim;
      dense(r->queries + at, r->mask + row * kSlots, r->keys + kv, r->values + kv, expected);
      for (d = 0; d < kDim; ++d) CHECK_NEAR(r->out[1][at + d], expected[d], 1e-5);
    }
  }
  anb_attention_destroy(attention);
}

void test_plan_of_the_cache(void) {
  anb_attention_options options = ANB_ATTENTION_OPTIONS_INIT;
  anb_attention_threads threads = ANB_ATTENTION_THREADS_INIT;
  anb_attention* attention = NULL;
  double expected[kDim];
  int n_tasks = 0, row, head, d;
  real r;
  make_real(&r);
  options.query_heads = kQueryHeads;
  options.kv_heads = kKvHeads;
  options.head_dim = kDim;
  OK(anb_attention_create(&options, &attention));
  OK(anb_attention_plan(attention, r.plan.groups, r.plan.n_groups, r.plan.views, r.plan.n_views, r.plan.n_rows));
  run_real(&r, attention, NULL, r.out[0]);
  for (row = 0; row < r.plan.n_rows; ++row)
    for (head = 0; head < kQueryHeads; ++head) {
      const int at = row * kQWidth + head * kDim, kv = head / (kQueryHeads / kKvHeads) * kDim;
      dense(r.queries + at, r.mask + row * kSlots, r.keys + kv, r.values + kv, expected);
      for (d = 0; d < kDim; ++d) CHECK_NEAR(r.out[0][at + d], expected[d], 1e-5);
    }
  threads.n_workers = 3;
  threads.run = run_backwards;
  threads.user = &n_tasks;
  run_real(&r, attention, &threads, r.out[1]);
  CHECK(n_tasks >= 3);
  CHECK(memcmp(r.out[0], r.out[1], (size_t)r.plan.n_rows * kQWidth * sizeof(float)) == 0);
  test_bad_threads(&r, attention);
  test_window(&r);
  anb_attention_destroy(attention);
  destroy_real(&r);
}
