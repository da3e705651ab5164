/* Handles: null, garbage, of another kind, destroyed, over, and too many of them. */
#include "handle_calls.h"
#include "phases.h"

#include <stdlib.h>

/* Every function of a kind, called with a handle that it must refuse. */
static void refuse_everywhere(handle_kind kind, void* handle, anb_status expected, const char* what) {
  const handle_call* c;
  for (c = kHandleCalls; c->name != NULL; ++c) {
    anb_status status;
    if (c->kind != kind) continue;
    status = c->call(handle);
    if (handle == NULL && c->kind == kStepHandle && expected == ANB_BAD_HANDLE && status == ANB_OK) {
      CHECK_TEXT(c->name, "anb_step_abort"); /* the only one for which NULL is fine */
      continue;
    }
    check_status(here(__FILE__, __LINE__, c->name), status, expected);
    if (status != expected) check_text(HERE("the handle"), what, "");
  }
}

static void refuse_as_all_kinds(void* handle, const char* what) {
  refuse_everywhere(kCacheHandle, handle, ANB_BAD_HANDLE, what);
  refuse_everywhere(kStepHandle, handle, ANB_BAD_HANDLE, what);
  refuse_everywhere(kDecoderHandle, handle, ANB_BAD_HANDLE, what);
  anb_cache_destroy((anb_cache*)handle);
  anb_decoder_destroy((anb_decoder*)handle);
}

static void null_handles(void) {
  refuse_as_all_kinds(NULL, "NULL");
  OK(anb_step_abort(NULL));
}

static void garbage_handles(void) {
  int on_the_stack = 0;
  void* on_the_heap = malloc(64);
  const uintptr_t numbers[] = {1,
                               2,
                               0xffff,
                               0x10000,
                               0x10001,
                               0x20001,
                               0x30001,
                               0x40001,
                               0xdeadbeef,
                               UINTPTR_MAX,
                               UINTPTR_MAX - 1,
                               (uintptr_t)1 << 63,
                               0x7fffffffffff,
                               0xf0001,
                               0x1fffff};
  world w = open_world(); /* so that there is something to be mistaken for */
  const uint64_t before = state_of(&w);
  size_t i;
  for (i = 0; i < sizeof numbers / sizeof numbers[0]; ++i) refuse_as_all_kinds((void*)numbers[i], "a number");
  refuse_as_all_kinds(&on_the_stack, "an address on the stack");
  refuse_as_all_kinds(on_the_heap, "an address on the heap");
  refuse_as_all_kinds((void*)(uintptr_t)&anb_version, "a function");
  refuse_as_all_kinds((char*)on_the_heap + 1, "an odd address");
  free(on_the_heap);
  CHECK(state_of(&w) == before);
  end_world(&w);
}

/* Bits of a right handle turned over, one at a time. */
static void almost_right_handles(void) {
  world w = open_world();
  int bit;
  OK(anb_step_abort(w.step));
  w.step = NULL;
  OK(anb_decoder_create(w.cache, NULL, &w.decoder));
  for (bit = 0; bit < 64; ++bit) {
    const uintptr_t turned = (uintptr_t)1 << bit;
    refuse_everywhere(kCacheHandle, (void*)((uintptr_t)w.cache ^ turned), ANB_BAD_HANDLE, "a cache's, one bit off");
    refuse_everywhere(kDecoderHandle, (void*)((uintptr_t)w.decoder ^ turned), ANB_BAD_HANDLE,
                      "a decoder's, one bit off");
  }
  end_world(&w);
}

static void handles_of_another_kind(void) {
  world w = open_world();
  OK(anb_decoder_create(w.cache, NULL, &w.decoder));
  refuse_everywhere(kStepHandle, w.cache, ANB_BAD_HANDLE, "a cache");
  refuse_everywhere(kDecoderHandle, w.cache, ANB_BAD_HANDLE, "a cache");
  refuse_everywhere(kCacheHandle, w.step, ANB_BAD_HANDLE, "a step");
  refuse_everywhere(kDecoderHandle, w.step, ANB_BAD_HANDLE, "a step");
  refuse_everywhere(kCacheHandle, w.decoder, ANB_BAD_HANDLE, "a decoder");
  refuse_everywhere(kStepHandle, w.decoder, ANB_BAD_HANDLE, "a decoder");
  anb_cache_destroy((anb_cache*)w.step);
  anb_cache_destroy((anb_cache*)w.decoder);
  anb_decoder_destroy((anb_decoder*)w.cache);
  anb_decoder_destroy((anb_decoder*)w.step);
  OK(anb_step_append_unknown(w.step, w.sequences[0], 1, ANB_LOGITS_NONE));
  OK(anb_decoder_abort(w.decoder));
  end_world(&w);
}

static void destroyed_handles(void) {
  world w = open_world(), next;
  anb_cache* const cache = w.cache;
  anb_decoder* decoder;
  OK(anb_decoder_create(cache, NULL, &decoder));
  anb_decoder_destroy(decoder);
  refuse_everywhere(kDecoderHandle, decoder, ANB_BAD_HANDLE, "a destroyed decoder");
  anb_decoder_destroy(decoder);
  anb_cache_destroy(cache); /* with a step open */
  refuse_everywhere(kCacheHandle, cache, ANB_BAD_HANDLE, "a destroyed cache");
  refuse_everywhere(kStepHandle, w.step, ANB_BAD_HANDLE, "a step of a destroyed cache");
  anb_cache_destroy(cache);
  next = open_world(); /* the place in the table is used again */
  refuse_everywhere(kCacheHandle, cache, ANB_BAD_HANDLE, "a destroyed cache, whose place is taken");
  refuse_everywhere(kStepHandle, w.step, ANB_BAD_HANDLE, "a step of a cache whose place is taken");
  end_world(&next);
}

static void steps_that_are_over(void) {
  world w = grown_world();
  anb_step* steps[3];
  anb_plan plan = ANB_PLAN_INIT;
  int i;
  OK(anb_step_begin(w.cache, &steps[0]));
  OK(anb_step_plan(steps[0], &plan));
  OK(anb_step_commit(steps[0]));
  refuse_everywhere(kStepHandle, steps[0], ANB_WRONG_STATE, "a committed step");
  OK(anb_step_begin(w.cache, &steps[1]));
  OK(anb_step_abort(steps[1]));
  refuse_everywhere(kStepHandle, steps[1], ANB_WRONG_STATE, "an aborted step");
  OK(anb_step_begin(w.cache, &steps[2]));
  for (i = 0; i < 2; ++i) {
    CHECK(steps[i] != steps[2]);
    refuse_everywhere(kStepHandle, steps[i], ANB_WRONG_STATE, "an old step while another is open");
  }
  OK(anb_step_append_unknown(steps[2], w.sequences[0], 1, ANB_LOGITS_NONE));
  OK(anb_step_abort(steps[2]));
  end_world(&w);
}

static void destroy_of_nothing_and_twice(void) {
  world w = empty_world(4);
  anb_cache_destroy(NULL);
  anb_decoder_destroy(NULL);
  anb_cache_destroy(w.cache);
  anb_cache_destroy(w.cache);
  STATUS(anb_cache_check(w.cache), ANB_BAD_HANDLE);
  CHECK(anb_last_error()[0] != '\0');
}

/* The cache goes on living under its decoders; its name does not. */
static void a_decoder_outlives_its_cache(void) {
  static const anb_token kPrompt[] = {5, 6, 7}, kSampled[] = {9};
  anb_decoder_options o = ANB_DECODER_OPTIONS_INIT;
  anb_plan plan = ANB_PLAN_INIT;
  anb_request request;
  anb_request_state state = ANB_REQUEST_STATE_INIT;
  world w = empty_world(8);
  anb_decoder* second;
  o.max_tokens = 3;
  OK(anb_decoder_create(w.cache, &o, &w.decoder));
  OK(anb_decoder_create(w.cache, &o, &second));
  OK(anb_decoder_submit(w.decoder, kPrompt, 3, NULL, &request));
  OK(anb_decoder_plan(w.decoder, &plan));
  anb_cache_destroy(w.cache);
  STATUS(anb_cache_check(w.cache), ANB_BAD_HANDLE);
  anb_decoder_destroy(second);
  CHECK_SAME(plan.n_rows, 3); /* what was borrowed is still there */
  CHECK_SAME(plan.tokens[2], 7);
  OK(anb_decoder_commit_sampled(w.decoder, kSampled, 1));
  OK(anb_decoder_plan(w.decoder, &plan));
  OK(anb_decoder_commit_sampled(w.decoder, kSampled, 1));
  OK(anb_decoder_get_request(w.decoder, request, &state));
  CHECK_SAME(state.n_sampled, 2);
  OK(anb_decoder_plan(w.decoder, &plan));
  anb_decoder_destroy(w.decoder); /* with its plan open */
  STATUS(anb_decoder_plan(w.decoder, &plan), ANB_BAD_HANDLE);
}

static void an_open_plan_ends_with_its_decoder(void) {
  static const anb_token kPrompt[] = {5, 6, 7};
  anb_plan plan = ANB_PLAN_INIT;
  anb_request request;
  world w = empty_world(8);
  OK(anb_decoder_create(w.cache, NULL, &w.decoder));
  OK(anb_decoder_submit(w.decoder, kPrompt, 3, NULL, &request));
  OK(anb_decoder_plan(w.decoder, &plan));
  CHECK_SAME(statistics_of(w.cache).step, 2);
  STATUS(anb_step_begin(w.cache, &w.step), ANB_WRONG_STATE);
  anb_decoder_destroy(w.decoder);
  w.decoder = NULL;
  CHECK_SAME(statistics_of(w.cache).step, 0);
  CHECK_SAME(statistics_of(w.cache).n_sequences, 0);
  CHECK_SAME(statistics_of(w.cache).n_free_pages, 8);
  OK(anb_step_begin(w.cache, &w.step));
  end_world(&w);
}

static void sequences_of_another_cache(void) {
  world a = open_world(), b = open_world();
  int i;
  for (i = 0; i < a.n_sequences; ++i) {
    anb_sequence_state s = ANB_SEQUENCE_STATE_INIT;
    int32_t n = 5;
    anb_sequence child = 6;
    REFUSED(&b, anb_sequence_get_state(b.cache, a.sequences[i], &s), ANB_STALE_SEQUENCE, "sequence ");
    REFUSED(&b, anb_sequence_children(b.cache, a.sequences[i], 1, &child, &n), ANB_STALE_SEQUENCE, "sequence ");
    REFUSED(&b, anb_sequence_tokens(b.cache, a.sequences[i], 0, NULL, NULL, &n), ANB_STALE_SEQUENCE, "sequence ");
    REFUSED(&b, anb_step_append_unknown(b.step, a.sequences[i], 1, 0), ANB_STALE_SEQUENCE, "sequence ");
    REFUSED(&b, anb_step_fork(b.step, a.sequences[i], 1, 0, &child), ANB_STALE_SEQUENCE, "sequence ");
    REFUSED(&b, anb_step_join(b.step, b.sequences[0], &a.sequences[i], 1), ANB_STALE_SEQUENCE, "sequence ");
    REFUSED(&b, anb_step_drop(b.step, a.sequences[i]), ANB_STALE_SEQUENCE, "sequence ");
    CHECK(n == 5 && child == 6 && s.n_tokens == 0);
  }
  OK(anb_step_drop(a.step, a.sequences[0]));
  CHECK_SAME(statistics_of(a.cache).n_sequences, 0);
  CHECK_SAME(statistics_of(b.cache).n_sequences, 4);
  end_world(&a);
  end_world(&b);
}

static void all_handles_in_use(void) {
  enum { kMost = 65535 };
  anb_cache** all = malloc(sizeof(anb_cache*) * kMost);
  anb_cache_options o = ANB_CACHE_OPTIONS_INIT;
  anb_cache* one_more = no_cache();
  anb_decoder* decoder = no_decoder();
  int32_t n = 0;
  o.n_pages = 1;
  o.page_size = 1;
  while (n < kMost && anb_cache_create(&o, &all[n]) == ANB_OK) ++n;
  CHECK_SAME(n, kMost);
  STATUS(anb_cache_create(&o, &one_more), ANB_LIMIT_REACHED);
  STATUS(anb_decoder_create(all[7], NULL, &decoder), ANB_LIMIT_REACHED);
  CHECK(one_more == no_cache() && decoder == no_decoder());
  anb_cache_destroy(all[kMost / 2]);
  OK(anb_cache_create(&o, &all[kMost / 2])); /* one place is free again */
  STATUS(anb_cache_create(&o, &one_more), ANB_LIMIT_REACHED);
  CHECK(all[3] != all[kMost / 2]);
  while (n > 0) anb_cache_destroy(all[--n]);
  OK(anb_cache_create(&o, &one_more));
  anb_cache_destroy(one_more);
  free(all);
}

const phase kHandlePhases[] = {{"null_handles", null_handles},
                               {"garbage_handles", garbage_handles},
                               {"almost_right_handles", almost_right_handles},
                               {"handles_of_another_kind", handles_of_another_kind},
                               {"destroyed_handles", destroyed_handles},
                               {"steps_that_are_over", steps_that_are_over},
                               {"destroy_of_nothing_and_twice", destroy_of_nothing_and_twice},
                               {"a_decoder_outlives_its_cache", a_decoder_outlives_its_cache},
                               {"an_open_plan_ends_with_its_decoder", an_open_plan_ends_with_its_decoder},
                               {"sequences_of_another_cache", sequences_of_another_cache},
                               {"all_handles_in_use", all_handles_in_use},
                               {NULL, NULL}};
