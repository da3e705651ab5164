/* Anabranch in C: branch attention on the CPU, in a library of its own (libanabranch_attention).
 *
 * All rows of a pass attend to one K/V cache, by the groups of a plan: keys that several rows see are read once for all
 * of them. A row's result is the same, bit for bit, whichever rows are beside it and on any number of threads.
 *
 *     anb_attention_options o = ANB_ATTENTION_OPTIONS_INIT;
 *     anb_attention* attention; size_t n_bytes;
 *     o.query_heads = 28; o.kv_heads = 4; o.head_dim = 128;
 *     if (anb_attention_create(&o, &attention) != ANB_OK) { puts(anb_attention_last_error()); return 1; }
 *     ... once per pass, with an anb_plan:
 *     anb_attention_plan(attention, plan.groups, plan.n_groups, plan.views, plan.n_views, plan.n_rows);
 *     anb_attention_workspace(attention, 1, &n_bytes);
 *     ... once per layer:
 *     anb_attention_store(attention, &new_rows, &kv);
 *     anb_attention_run(attention, &rows, &kv, NULL, workspace, n_bytes);
 *
 * The conventions are those of anabranch.h (opaque handles, statuses, struct_size, borrowed arrays, one thread at a
 * time for a handle). The types and statuses of anabranch.h are used, but none of its functions, and libanabranch is
 * not needed. Three things differ:
 *  1. Errors: anb_attention_last_error() instead of anb_last_error().
 *  2. Memory: a plan is kept in memory of the C++ runtime's `operator new`; a call that needs no more than earlier
 * calls allocates nothing, nor do store and run. The arrays of a pass are the caller's.
 *  3. A stride of 0 means that rows, slots or heads follow each other without gaps.
 *
 * The instruction set is chosen when the program runs; the environment variable ANABRANCH_SIMD takes a lesser one.
 * 64-bit little-endian machines. Every function with costs, errors and an example: capi/attention.md.
 */
#ifndef ANABRANCH_ATTENTION_H
#define ANABRANCH_ATTENTION_H

#include "anabranch.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A handle: the shape of the heads, what is done to the scores, and the last plan. Layers with another window take a
 * handle of their own, planned once per pass too. */
typedef struct anb_attention anb_attention;

typedef struct anb_attention_options {
  uint32_t struct_size;
  int32_t query_heads; /* a multiple of kv_heads */
  int32_t kv_heads;
  int32_t head_dim; /* 1 to 1,024 */
  float scale;      /* factor of the scores; 0: 1 / sqrt(head_dim) */
  int32_t reserved;
  int32_t window; /* W: a row at position q sees keys at positions above q - W only, of those that the plan shows it; by
                     the views' first_position. 0: all of them */
  float softcap;  /* c, 0.001 or more: a scaled score s becomes c * tanh(s / c); 0: it stays */
} anb_attention_options;
#define ANB_ATTENTION_OPTIONS_INIT \
  { sizeof(anb_attention_options), 0, 0, 0, 0.0f, 0, 0, 0.0f }

/* Type of one element of K and V. */
enum {
  ANB_ELEMENT_FLOAT32 = 0,
  ANB_ELEMENT_BFLOAT16 = 1,
  ANB_ELEMENT_FLOAT16 = 2,
  ANB_ELEMENT_INT8 = 3 /* with a float scale per slot and KV head: largest magnitude / 127 */
};

/* K and V of one layer, in the caller's memory. Element d of head h of slot s is at
 * s * slot_stride + h * head_stride + d, its scale at s * scale_slot_stride + h * scale_head_stride. They are read
 * fastest when the slots of one head are adjacent (slot_stride = head_dim, head_stride = n_slots * head_dim). */
typedef struct anb_attention_kv {
  uint32_t struct_size;
  int32_t element; /* ANB_ELEMENT_FLOAT32 */
  int32_t n_slots;
  int32_t reserved;
  void* keys;
  void* values;
  int64_t slot_stride; /* in elements, head_dim or more; 0: kv_heads * head_dim */
  int64_t head_stride; /* in elements, head_dim or more; 0: head_dim */
  float* key_scales;   /* with ANB_ELEMENT_INT8 only */
  float* value_scales;
  int64_t scale_slot_stride; /* in floats; 0: kv_heads */
  int64_t scale_head_stride; /* in floats; 0: 1 */
} anb_attention_kv;
#define ANB_ATTENTION_KV_INIT \
  { sizeof(anb_attention_kv), ANB_ELEMENT_FLOAT32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/* Rows that get K and V: float [n_rows, kv_heads, head_dim], row r goes to slots[r]. */
typedef struct anb_attention_new_rows {
  uint32_t struct_size;
  int32_t n_rows;
  const float* keys; /* after RoPE */
  const float* values;
  int64_t row_stride;    /* in floats; 0: kv_heads * head_dim */
  const anb_slot* slots; /* [n_rows] */
} anb_attention_new_rows;
#define ANB_ATTENTION_NEW_ROWS_INIT \
  { sizeof(anb_attention_new_rows), 0, 0, 0, 0, 0 }

/* The plan's rows: queries and out are float [n_rows, query_heads, head_dim]. */
typedef struct anb_attention_rows {
  uint32_t struct_size;
  int32_t reserved;
  const float* queries; /* after RoPE */
  float* out;
  int64_t query_stride; /* in floats; 0: query_heads * head_dim */
  int64_t out_stride;   /* in floats; 0: query_heads * head_dim */
  float* lse;           /* [n_rows, query_heads]: natural logarithm of the sum of exp(score); NULL: do not write it */
} anb_attention_rows;
#define ANB_ATTENTION_ROWS_INIT \
  { sizeof(anb_attention_rows), 0, 0, 0, 0, 0, 0 }

/* Runs part `index` of the work that `body` stands for. May be called from any thread, once for each index. */
typedef void (*anb_attention_task)(void* body, int32_t index);

/* The caller's threads, through the caller's own parallel loop. The library starts none. */
typedef struct anb_attention_threads {
  uint32_t struct_size;
  int32_t n_workers; /* calls that can run at the same time, 1 or more */
  /* Calls task(body, i) once for each i in [0, n), on any threads, in any order, and returns when all have returned. */
  void (*run)(int32_t n, anb_attention_task task, void* body, void* user);
  void* user;
} anb_attention_threads;
#define ANB_ATTENTION_THREADS_INIT \
  { sizeof(anb_attention_threads), 1, 0, 0 }

/* Text of the last call of this library that failed on this thread; "" before any. At most 1,023 bytes; valid until
 * this thread's next call that fails. */
ANB_API const char* anb_attention_last_error(void);

/* Each sets the first `size` bytes of a struct to its INIT macro, as those of anabranch.h. */
ANB_API void anb_attention_options_init(anb_attention_options* options, size_t size);
ANB_API void anb_attention_kv_init(anb_attention_kv* kv, size_t size);
ANB_API void anb_attention_new_rows_init(anb_attention_new_rows* new_rows, size_t size);
ANB_API void anb_attention_rows_init(anb_attention_rows* rows, size_t size);
ANB_API void anb_attention_threads_init(anb_attention_threads* threads, size_t size);

/* Makes an attention without a plan. O(1). Bad argument, limit reached, out of memory. */
ANB_API anb_status anb_attention_create(const anb_attention_options* options, anb_attention** attention);
/* Destroys it; NULL is fine. From inside `run` of its threads it does nothing. */
ANB_API void anb_attention_destroy(anb_attention* attention);

/* Cuts the keys of a pass's rows into tasks, from the arrays of an anb_plan or from your own; call it once per pass.
 * The arrays are copied. When it fails, the previous plan stays. O(rows + runs). Bad argument for groups that do not
 * fit n_rows, runs that do not list a view's tokens in order, a wrong n_keys, a row that sees nothing, or, with a
 * window, views of one segment that differ in first_position. */
ANB_API anb_status anb_attention_plan(anb_attention* attention, const anb_group* groups, int32_t n_groups,
                                      const anb_view* views, int32_t n_views, int32_t n_rows);
/* Bytes of scratch memory, of any alignment, that a run of the plan needs with so many workers. O(1). Wrong state
 * without a plan. */
ANB_API anb_status anb_attention_workspace(const anb_attention* attention, int32_t n_workers, size_t* n_bytes);

/* Rounds K and V of new rows to the element type of kv (to nearest even) and writes them to their slots; call it once
 * per layer, before the run. Infinity and NaN keep their value, except in int8, where one of them makes all of its head
 * NaN. Needs no plan. O(n_rows). Bad argument for a slot outside kv. */
ANB_API anb_status anb_attention_store(const anb_attention* attention, const anb_attention_new_rows* new_rows,
                                       const anb_attention_kv* kv);
/* Computes the attention of the plan's rows over kv, which must hold their own K and V already; call it once per layer.
 * `threads` NULL: the calling thread alone. O(rows * keys); each group's K and V are read once. Wrong state without a
 * plan; bad argument for a planned slot outside kv or a workspace that is too small; callback failed (out and lse then
 * hold anything) when `run` has left out or repeated tasks, or threw. */
ANB_API anb_status anb_attention_run(const anb_attention* attention, const anb_attention_rows* rows,
                                     const anb_attention_kv* kv, const anb_attention_threads* threads, void* workspace,
                                     size_t n_bytes);

#ifdef __cplusplus
}
#endif

#endif
