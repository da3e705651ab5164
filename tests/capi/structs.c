/* struct_size: too small, of this version, newer with zeros, newer with more; in structs that are read and written. */
#include "phases.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum { kRoom = 512 }; /* more than any struct has */

/* A struct inside a larger one, as a caller with a newer header has it. */
typedef union sized {
  uint32_t struct_size;
  unsigned char bytes[kRoom];
  double aligned;
} sized;

static sized larger(const void* s, uint32_t known, uint32_t size) {
  sized big;
  memset(&big, 0, sizeof big);
  memcpy(&big, s, known);
  big.struct_size = size;
  return big;
}

/* ---- Structs that are read ---- */

typedef anb_status (*reader)(const void* s);

static anb_status read_cache_options(const void* s) {
  anb_cache* cache = no_cache();
  const anb_status status = anb_cache_create((const anb_cache_options*)s, &cache);
  if (status != ANB_OK) return cache == no_cache() ? status : -1;
  anb_cache_destroy(cache);
  return status;
}
static anb_status read_allocator(const void* s) {
  anb_cache_options o = ANB_CACHE_OPTIONS_INIT;
  o.allocator = (const anb_allocator*)s;
  return read_cache_options(&o);
}
static anb_status read_decoder_options(const void* s) {
  anb_decoder* decoder = no_decoder();
  world w = empty_world(2);
  const anb_status status = anb_decoder_create(w.cache, (const anb_decoder_options*)s, &decoder);
  anb_cache_destroy(w.cache);
  if (status != ANB_OK) return decoder == no_decoder() ? status : -1;
  anb_decoder_destroy(decoder);
  return status;
}
static anb_status read_text(const void* s) {
  anb_decoder_options o = ANB_DECODER_OPTIONS_INIT;
  o.text = (const anb_text*)s;
  return read_decoder_options(&o);
}
static anb_status read_markup(const void* s) {
  anb_decoder_options o = ANB_DECODER_OPTIONS_INIT;
  o.markup = (const anb_markup*)s;
  return read_decoder_options(&o);
}
static anb_status read_callbacks(const void* s) {
  anb_markup markup = ANB_MARKUP_INIT;
  markup.name = NULL;
  markup.callbacks = (const anb_markup_callbacks*)s;
  return read_markup(&markup);
}
static anb_status read_request_options(const void* s) {
  static const anb_token kPrompt[] = {1};
  anb_request request = 77;
  anb_decoder* decoder;
  anb_status status;
  world w = empty_world(2);
  OK(anb_decoder_create(w.cache, NULL, &decoder));
  status = anb_decoder_submit(decoder, kPrompt, 1, (const anb_request_options*)s, &request);
  anb_decoder_destroy(decoder);
  anb_cache_destroy(w.cache);
  return status == ANB_OK || request == 77 ? status : -1;
}
static anb_status read_mask_options(const void* s) {
  float mask[64];
  anb_plan plan = ANB_PLAN_INIT;
  anb_status status;
  world w = empty_world(2);
  OK(anb_step_begin(w.cache, &w.step));
  OK(anb_step_create_sequence(w.step, 0, &w.sequences[0]));
  OK(anb_step_append_unknown(w.step, w.sequences[0], 2, ANB_LOGITS_NONE));
  OK(anb_step_plan(w.step, &plan));
  mask[0] = 33;
  status = anb_cache_mask(w.cache, (const anb_mask_options*)s, 16, mask);
  end_world(&w);
  return status == ANB_OK || mask[0] == 33 ? status : -1;
}

static int32_t child(const void* p, int32_t k, void* s, void* u) { return (void)p, (void)k, (void)s, (void)u, 0; }
static int32_t next(void* s, anb_token t, anb_action* a, void* u) { return (void)s, (void)t, (void)a, (void)u, 0; }
static int32_t joined(void* s, anb_action* a, void* u) { return (void)s, (void)a, (void)u, 0; }
static int32_t closing(const void* s, anb_action* a, void* u) { return (void)s, (void)a, (void)u, 0; }

/* `first`: the size that the struct had at first. */
static void check_reader(const char* name, reader read, const void* s, uint32_t first, uint32_t known) {
  const uint32_t bad[] = {0, 1, 3, 4, first - 1};
  char text[64];
  size_t i;
  uint32_t extra;
  sized big = larger(s, known, known);
  check_ok(HERE(name), read(&big));
  big.struct_size = first;
  memset(big.bytes + first, 0x7f, kRoom - first); /* not the library's to read */
  check_ok(HERE(name), read(&big));
  for (i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
    big.struct_size = bad[i];
    check_status(HERE(name), read(&big), ANB_BAD_ARGUMENT);
    sprintf(text, "%s: struct_size is %u; at least %u", name, (unsigned)bad[i], (unsigned)first);
    check_true(HERE(text), strstr(anb_last_error(), text) != NULL);
  }
  for (extra = 1; known + extra <= kRoom; extra += 61) {
    const uint32_t set = known + extra / 2;
    big = larger(s, known, known + extra);
    check_ok(HERE(name), read(&big));
    big.bytes[set] = 1;
    check_status(HERE(name), read(&big), ANB_BAD_ARGUMENT);
    sprintf(text, "%s: byte %u of %u", name, (unsigned)set, (unsigned)(known + extra));
    check_true(HERE(text), strstr(anb_last_error(), text) != NULL);
  }
}
#define CHECK_READER(type, read, s) check_reader(#type, read, &(s), (uint32_t)sizeof(s), (uint32_t)sizeof(s))
/* Of a struct that has grown since its first version by `field` and what follows it. */
#define CHECK_GROWN_READER(type, read, s, field) \
  check_reader(#type, read, &(s), (uint32_t)offsetof(type, field), (uint32_t)sizeof(s))

static void sizes_of_structs_that_are_read(void) {
  anb_allocator allocator = ANB_ALLOCATOR_INIT;
  anb_cache_options cache_options = ANB_CACHE_OPTIONS_INIT;
  anb_mask_options mask_options = ANB_MASK_OPTIONS_INIT;
  anb_text text = ANB_TEXT_INIT;
  anb_markup_callbacks callbacks = ANB_MARKUP_CALLBACKS_INIT;
  anb_markup markup = ANB_MARKUP_INIT;
  anb_decoder_options decoder_options = ANB_DECODER_OPTIONS_INIT;
  anb_request_options request_options = ANB_REQUEST_OPTIONS_INIT;
  callbacks.child = child;
  callbacks.next = next;
  callbacks.joined = joined;
  callbacks.closing = closing;
  mask_options.n_columns = 8;
  CHECK_READER(allocator, read_allocator, allocator);
  CHECK_READER(anb_cache_options, read_cache_options, cache_options);
  CHECK_READER(anb_mask_options, read_mask_options, mask_options);
  CHECK_GROWN_READER(anb_text, read_text, text, stop_token);
  CHECK_READER(anb_markup_callbacks, read_callbacks, callbacks);
  CHECK_GROWN_READER(anb_markup, read_markup, markup, unique_titles);
  CHECK_GROWN_READER(anb_decoder_options, read_decoder_options, decoder_options, draft);
  CHECK_GROWN_READER(anb_request_options, read_request_options, request_options, max_parallel_branches);
}

/* ---- Structs that are written ---- */

typedef anb_status (*writer)(const world* w, void* s);

static anb_status write_statistics(const world* w, void* s) {
  return anb_cache_get_statistics(w->cache, (anb_cache_statistics*)s);
}
static anb_status write_sequence_state(const world* w, void* s) {
  return anb_sequence_get_state(w->cache, w->sequences[0], (anb_sequence_state*)s);
}
static anb_status write_step_plan(const world* w, void* s) {
  const anb_status status = anb_step_plan(w->step, (anb_plan*)s);
  if (status == ANB_OK) { /* so that the next one may plan too */
    anb_step_abort(w->step);
    OK(anb_step_begin(w->cache, (anb_step**)&w->step));
  }
  return status;
}
static anb_status write_paged(const world* w, void* s) {
  return anb_cache_paged(w->cache, ANB_PAGED_SLOTS, (anb_paged*)s);
}
static anb_status write_pass(const world* w, void* s) {
  const anb_status status = anb_decoder_plan(w->decoder, (anb_plan*)s);
  if (status == ANB_OK) OK(anb_decoder_abort(w->decoder));
  return status;
}
static anb_status write_output(const world* w, void* s) {
  return anb_decoder_get_output(w->decoder, 0, (anb_output_settings*)s);
}
static anb_status write_event(const world* w, void* s) { return anb_decoder_next_event(w->decoder, (anb_event*)s); }
static anb_status write_request(const world* w, void* s) {
  return anb_decoder_get_request(w->decoder, w->requests[0], (anb_request_state*)s);
}
static anb_status write_branch(const world* w, void* s) {
  return anb_decoder_get_branch(w->decoder, w->requests[0], 0, (anb_branch_state*)s);
}

static int all_bytes(const unsigned char* bytes, size_t n, unsigned char value) {
  size_t i;
  for (i = 0; i < n; ++i)
    if (bytes[i] != value) return 0;
  return 1;
}

/* `least`: the size that the struct had first; `known`: the size that it has. */
static void check_writer(const char* name, writer write, world* w, uint32_t least, uint32_t known) {
  const uint32_t bad[] = {0, 1, 3, 4, least - 1};
  const uint32_t good[] = {least, known, known + 1, known + 8, kRoom};
  sized s;
  size_t i;
  char text[64];
  check_status(HERE(name), write(w, NULL), ANB_BAD_ARGUMENT);
  check_true(HERE(name), strstr(anb_last_error(), name) != NULL);
  for (i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
    memset(&s, 0x5a, sizeof s);
    s.struct_size = bad[i];
    check_status(HERE(name), write(w, &s), ANB_BAD_ARGUMENT);
    check_true(HERE(name), s.struct_size == bad[i] && all_bytes(s.bytes + 4, kRoom - 4, 0x5a));
    sprintf(text, "%s: struct_size is %u; at least %u", name, (unsigned)bad[i], (unsigned)least);
    check_true(HERE(text), strstr(anb_last_error(), text) != NULL);
  }
  for (i = 0; i < sizeof good / sizeof good[0]; ++i) {
    memset(&s, 0x5a, sizeof s);
    s.struct_size = good[i];
    check_ok(HERE(name), write(w, &s));
    check_same(HERE(name), s.struct_size, good[i]);
    check_true(HERE(name), !all_bytes(s.bytes + 4, least - 4, 0x5a));
    if (good[i] > known) check_true(HERE(name), all_bytes(s.bytes + known, good[i] - known, 0));
    check_true(HERE(name), all_bytes(s.bytes + good[i], kRoom - good[i], 0x5a));
  }
}
#define CHECK_WRITER(type, write, w) check_writer(#type, write, w, (uint32_t)sizeof(type), (uint32_t)sizeof(type))
#define CHECK_GROWN_WRITER(type, write, w, member) \
  check_writer(#type, write, w, (uint32_t)offsetof(type, member), (uint32_t)sizeof(type))

static void sizes_of_structs_that_are_written(void) {
  world w = open_world();
  anb_plan plan = ANB_PLAN_INIT;
  CHECK_WRITER(anb_cache_statistics, write_statistics, &w);
  CHECK_WRITER(anb_sequence_state, write_sequence_state, &w);
  CHECK_WRITER(anb_plan, write_step_plan, &w);
  OK(anb_step_append_unknown(w.step, w.sequences[0], 2, ANB_LOGITS_NONE));
  OK(anb_step_plan(w.step, &plan));
  CHECK_WRITER(anb_paged, write_paged, &w);
  end_world(&w);
}

static void sizes_of_structs_that_a_decoder_writes(void) {
  static const anb_token kPrompt[] = {1, 2};
  world w = empty_world(8);
  anb_plan plan = ANB_PLAN_INIT;
  w.n_requests = 1;
  OK(anb_decoder_create(w.cache, NULL, &w.decoder));
  OK(anb_decoder_submit(w.decoder, kPrompt, 2, NULL, &w.requests[0]));
  CHECK_WRITER(anb_plan, write_pass, &w);
  OK(anb_decoder_plan(w.decoder, &plan));
  CHECK_GROWN_WRITER(anb_output_settings, write_output, &w, spared);
  CHECK_GROWN_WRITER(anb_request_state, write_request, &w, user_data);
  CHECK_GROWN_WRITER(anb_branch_state, write_branch, &w, tokens);
  end_world(&w);
}

/* An event that is asked for wrongly is not lost. */
static void sizes_of_events(void) {
  static const anb_token kPrompt[] = {1, 2};
  anb_event event = ANB_EVENT_INIT;
  world w = empty_world(8);
  int i;
  OK(anb_decoder_create(w.cache, NULL, &w.decoder));
  for (i = 0; i < 5; ++i) { /* as many end events as check_writer takes */
    OK(anb_decoder_submit(w.decoder, kPrompt, 2, NULL, &w.requests[0]));
    OK(anb_decoder_cancel(w.decoder, w.requests[0]));
  }
  CHECK_GROWN_WRITER(anb_event, write_event, &w, user_data);
  STATUS(anb_decoder_next_event(w.decoder, &event), ANB_NOTHING_TO_DO);
  end_world(&w);
}

/* ---- Init functions ---- */

static void check_init(place at, void (*init)(void*, size_t), const sized* macro) {
  const uint32_t known = macro->struct_size;
  const size_t sizes[] = {0, 1, 3, 4, 5, known - 1, known, known + 1, kRoom};
  size_t i;
  init(NULL, known);
  for (i = 0; i < sizeof sizes / sizeof sizes[0]; ++i) {
    const size_t n = sizes[i] < 4 ? 0 : sizes[i];
    const size_t n_set = n < known ? n : known;
    sized s;
    memset(&s, 0x5a, sizeof s);
    init(&s, sizes[i]);
    check_true(at, all_bytes(s.bytes + n, kRoom - n, 0x5a));
    if (n == 0) continue;
    check_same(at, s.struct_size, (int64_t)n);
    check_true(at, memcmp(s.bytes + 4, macro->bytes + 4, n_set - 4) == 0);
    check_true(at, n <= known || all_bytes(s.bytes + known, n - known, 0));
  }
}

/* No struct has padding, which nobody would set. */
#define CHECK_INIT(type, ...)                                  \
  do {                                                         \
    const type s = __VA_ARGS__;                                \
    const sized big = larger(&s, sizeof s, s.struct_size);     \
    check_same(HERE(#type), s.struct_size, (int64_t)sizeof s); \
    check_init(HERE(#type), init_##type, &big);                \
  } while (0)
#define INIT_OF(type) \
  static void init_##type(void* s, size_t n) { type##_init((type*)s, n); }

INIT_OF(anb_allocator)
INIT_OF(anb_cache_options)
INIT_OF(anb_cache_statistics)
INIT_OF(anb_sequence_state)
INIT_OF(anb_plan)
INIT_OF(anb_mask_options)
INIT_OF(anb_paged)
INIT_OF(anb_text)
INIT_OF(anb_markup_callbacks)
INIT_OF(anb_decoder_options)
INIT_OF(anb_request_options)
INIT_OF(anb_output_settings)
INIT_OF(anb_logits)
INIT_OF(anb_event)
INIT_OF(anb_request_state)
INIT_OF(anb_branch_state)

static void init_functions_equal_init_macros(void) {
  anb_markup markup, expected = ANB_MARKUP_INIT; /* holds an address, which differs: by field */
  CHECK_INIT(anb_allocator, ANB_ALLOCATOR_INIT);
  CHECK_INIT(anb_cache_options, ANB_CACHE_OPTIONS_INIT);
  CHECK_INIT(anb_cache_statistics, ANB_CACHE_STATISTICS_INIT);
  CHECK_INIT(anb_sequence_state, ANB_SEQUENCE_STATE_INIT);
  CHECK_INIT(anb_plan, ANB_PLAN_INIT);
  CHECK_INIT(anb_mask_options, ANB_MASK_OPTIONS_INIT);
  CHECK_INIT(anb_paged, ANB_PAGED_INIT);
  CHECK_INIT(anb_text, ANB_TEXT_INIT);
  CHECK_INIT(anb_markup_callbacks, ANB_MARKUP_CALLBACKS_INIT);
  CHECK_INIT(anb_decoder_options, ANB_DECODER_OPTIONS_INIT);
  CHECK_INIT(anb_request_options, ANB_REQUEST_OPTIONS_INIT);
  CHECK_INIT(anb_output_settings, ANB_OUTPUT_SETTINGS_INIT);
  CHECK_INIT(anb_logits, ANB_LOGITS_INIT);
  CHECK_INIT(anb_event, ANB_EVENT_INIT);
  CHECK_INIT(anb_request_state, ANB_REQUEST_STATE_INIT);
  CHECK_INIT(anb_branch_state, ANB_BRANCH_STATE_INIT);
  memset(&markup, 0x5a, sizeof markup);
  anb_markup_init(NULL, sizeof markup);
  anb_markup_init(&markup, 3);
  CHECK(markup.struct_size == 0x5a5a5a5a);
  anb_markup_init(&markup, sizeof markup);
  CHECK_TEXT(markup.name, "serial");
  markup.name = expected.name;
  CHECK(memcmp(&markup, &expected, sizeof markup) == 0);
}

const phase kStructPhases[] = {{"sizes_of_structs_that_are_read", sizes_of_structs_that_are_read},
                               {"sizes_of_structs_that_are_written", sizes_of_structs_that_are_written},
                               {"sizes_of_structs_that_a_decoder_writes", sizes_of_structs_that_a_decoder_writes},
                               {"sizes_of_events", sizes_of_events},
                               {"init_functions_equal_init_macros", init_functions_equal_init_macros},
                               {NULL, NULL}};
