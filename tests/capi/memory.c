/* The caller's allocator: what it is asked for, what comes back, and what happens when it refuses. */
#include "phases.h"

#include <stdlib.h>
#include <string.h>

/* Counts, remembers every block, and refuses the call that is due. */
typedef struct heap {
  long n_calls;
  long refuse_at; /* this call, counted from 1; 0: none */
  int refuse_all; /* and all after it */
  long n_blocks;
  size_t n_bytes;
  long n_wrong; /* blocks given back with another size or alignment */
} heap;

typedef struct block {
  size_t size;
  size_t alignment;
} block;
enum { kHead = 64 };

static void* take(size_t size, size_t alignment, void* user) {
  heap* h = (heap*)user;
  char* memory;
  ++h->n_calls;
  if (size == 0 || alignment == 0 || (alignment & (alignment - 1)) != 0 || alignment > kHead) ++h->n_wrong;
  if (h->refuse_at != 0 && (h->n_calls == h->refuse_at || (h->refuse_all && h->n_calls > h->refuse_at))) return NULL;
  memory = (char*)aligned_alloc(kHead, (kHead + size + kHead - 1) / kHead * kHead);
  if (memory == NULL) return NULL;
  ((block*)(void*)memory)->size = size;
  ((block*)(void*)memory)->alignment = alignment;
  ++h->n_blocks;
  h->n_bytes += size;
  return memory + kHead;
}

static void give(void* memory, size_t size, size_t alignment, void* user) {
  heap* h = (heap*)user;
  const block* b = (const block*)(void*)((char*)memory - kHead);
  if (b->size != size || b->alignment != alignment) ++h->n_wrong;
  --h->n_blocks;
  h->n_bytes -= size;
  free((char*)memory - kHead);
}

static anb_status create_on(heap* h, anb_cache** cache) {
  anb_allocator allocator = ANB_ALLOCATOR_INIT;
  anb_cache_options o = ANB_CACHE_OPTIONS_INIT;
  anb_status status;
  memset(h, 0, sizeof *h);
  allocator.allocate = take;
  allocator.release = give;
  allocator.user = h;
  o.n_pages = 64;
  o.page_size = 4;
  o.allocator = &allocator;
  status = anb_cache_create(&o, cache);
  memset(&allocator, 0x5a, sizeof allocator); /* it was copied */
  memset(&o, 0x5a, sizeof o);
  return status;
}

static void an_allocator_gets_everything_back(void) {
  heap h;
  world w;
  anb_plan plan = ANB_PLAN_INIT;
  anb_sequence kids[20];
  int i;
  memset(&w, 0, sizeof w);
  OK(create_on(&h, &w.cache));
  CHECK(h.n_calls > 0 && h.n_bytes > 0);
  OK(anb_step_begin(w.cache, &w.step));
  OK(anb_step_create_sequence(w.step, 0, &w.sequences[0]));
  OK(anb_step_append_unknown(w.step, w.sequences[0], 100, ANB_LOGITS_NONE));
  OK(anb_step_fork(w.step, w.sequences[0], 20, ANB_POSITIONS_LONGEST, kids));
  for (i = 0; i < 20; ++i) OK(anb_step_append_unknown(w.step, kids[i], 3, ANB_LOGITS_LAST));
  OK(anb_step_plan(w.step, &plan));
  OK(anb_step_commit(w.step));
  CHECK(h.n_bytes > 1000);
  OK(anb_step_begin(w.cache, &w.step)); /* left open */
  OK(anb_step_append_unknown(w.step, kids[3], 30, ANB_LOGITS_NONE));
  anb_cache_destroy(w.cache);
  CHECK_SAME(h.n_blocks, 0);
  CHECK_SAME(h.n_bytes, 0);
  CHECK_SAME(h.n_wrong, 0);
}

static void an_allocator_lives_as_long_as_the_last_decoder(void) {
  static const anb_token kPrompt[] = {1, 2, 3};
  heap h;
  anb_cache* cache;
  anb_decoder* decoder;
  anb_request request;
  anb_plan plan = ANB_PLAN_INIT;
  OK(create_on(&h, &cache));
  OK(anb_decoder_create(cache, NULL, &decoder));
  anb_cache_destroy(cache);
  CHECK(h.n_blocks > 0);
  OK(anb_decoder_submit(decoder, kPrompt, 3, NULL, &request));
  OK(anb_decoder_plan(decoder, &plan));
  anb_decoder_destroy(decoder);
  CHECK_SAME(h.n_blocks, 0);
  CHECK_SAME(h.n_wrong, 0);
}

static void create_without_memory(void) {
  heap h;
  anb_cache* cache;
  long n_calls, k;
  OK(create_on(&h, &cache));
  n_calls = h.n_calls;
  anb_cache_destroy(cache);
  for (k = 1; k <= n_calls; ++k) {
    anb_allocator allocator = ANB_ALLOCATOR_INIT;
    anb_cache_options o = ANB_CACHE_OPTIONS_INIT;
    memset(&h, 0, sizeof h);
    h.refuse_at = k;
    allocator.allocate = take;
    allocator.release = give;
    allocator.user = &h;
    o.n_pages = 64;
    o.page_size = 4;
    o.allocator = &allocator;
    cache = no_cache();
    STATUS(anb_cache_create(&o, &cache), ANB_OUT_OF_MEMORY);
    CHECK(cache == no_cache());
    CHECK_SAME(h.n_blocks, 0);
  }
}

static void nothing_more_can_be_had(heap* h) {
  h->refuse_at = h->n_calls + 1;
  h->refuse_all = 1;
}

/* Every refusal leaves the step as it was, and the step goes on once there is memory again. */
static void a_step_without_memory(void) {
  heap h;
  world w;
  anb_plan plan = untouched_plan();
  anb_sequence kids[300];
  int32_t n_refused = 0;
  memset(&w, 0, sizeof w);
  OK(create_on(&h, &w.cache));
  OK(anb_step_begin(w.cache, &w.step));
  OK(anb_step_create_sequence(w.step, 0, &w.sequences[0]));
  OK(anb_step_append_unknown(w.step, w.sequences[0], 50, ANB_LOGITS_NONE));
  w.n_sequences = 1;
  nothing_more_can_be_had(&h);
  REFUSED(&w, anb_step_fork(w.step, w.sequences[0], 300, ANB_POSITIONS_LONGEST, kids), ANB_OUT_OF_MEMORY, "memory");
  REFUSED(&w, anb_step_plan(w.step, &plan), ANB_OUT_OF_MEMORY, "memory");
  CHECK(untouched(&plan));
  while (n_refused == 0) { /* appends fit until a vector is full */
    const int32_t before = sequence_state(w.cache, w.sequences[0]).n_tokens;
    const uint64_t state = state_of(&w);
    if (anb_step_append_unknown(w.step, w.sequences[0], 1, ANB_LOGITS_NONE) == ANB_OK) {
      CHECK_SAME(sequence_state(w.cache, w.sequences[0]).n_tokens, before + 1);
      continue;
    }
    ++n_refused;
    CHECK(state_of(&w) == state);
  }
  h.refuse_at = 0;
  OK(anb_step_append_unknown(w.step, w.sequences[0], 1, ANB_LOGITS_LAST));
  OK(anb_step_fork(w.step, w.sequences[0], 300, ANB_POSITIONS_LONGEST, kids));
  OK(anb_step_plan(w.step, &plan));
  nothing_more_can_be_had(&h);
  OK(anb_step_commit(w.step)); /* allocates nothing */
  h.refuse_at = 0;
  w.step = NULL;
  CHECK_SAME(statistics_of(w.cache).n_sequences, 301);
  end_world(&w);
  CHECK_SAME(h.n_blocks, 0);
  CHECK_SAME(h.n_wrong, 0);
}

const phase kMemoryPhases[] = {
    {"an_allocator_gets_everything_back", an_allocator_gets_everything_back},
    {"an_allocator_lives_as_long_as_the_last_decoder", an_allocator_lives_as_long_as_the_last_decoder},
    {"create_without_memory", create_without_memory},
    {"a_step_without_memory", a_step_without_memory},
    {NULL, NULL}};
