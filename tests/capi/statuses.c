/* Every status that a caller can get, produced once on purpose. What cannot be produced is said, and why. */
#include "own_markup.h"

#include <string.h>

static anb_status ok(world* w) { return anb_cache_check(w->cache); }
static anb_status bad_argument(world* w) { return anb_step_begin(w->cache, NULL); }
static anb_status stale_sequence(world* w) {
  return anb_sequence_get_state(w->cache, 1, &(anb_sequence_state)ANB_SEQUENCE_STATE_INIT);
}
static anb_status wrong_state(world* w) {
  anb_step* second;
  OK(anb_step_begin(w->cache, &w->step));
  return anb_step_begin(w->cache, &second);
}
static anb_status not_a_child(world* w) {
  OK(anb_step_begin(w->cache, &w->step));
  return anb_step_detach(w->step, w->sequences[0]);
}
static anb_status open_children(world* w) {
  OK(anb_step_begin(w->cache, &w->step));
  return anb_step_join(w->step, w->sequences[0], &w->sequences[1], 1);
}
static anb_status out_of_range(world* w) {
  OK(anb_step_begin(w->cache, &w->step));
  return anb_step_create_sequence(w->step, -1, &w->sequences[4]);
}
static anb_status limit_reached(world* w) {
  OK(anb_step_begin(w->cache, &w->step));
  return anb_step_fork(w->step, w->sequences[0], 100000, 0, &w->sequences[4]);
}
static anb_status no_room(world* w) {
  OK(anb_step_begin(w->cache, &w->step));
  OK(anb_step_append_unknown(w->step, w->sequences[0], 1000, 0));
  return anb_step_plan(w->step, &(anb_plan)ANB_PLAN_INIT);
}
static anb_status not_exact(world* w) {
  int i;
  OK(anb_step_begin(w->cache, &w->step));
  for (i = 0; i < 4; ++i) OK(anb_step_append_unknown(w->step, w->sequences[i], 1, 0));
  OK(anb_step_plan(w->step, &(anb_plan)ANB_PLAN_INIT));
  return anb_cache_paged(w->cache, ANB_PAGED_PAGES, &(anb_paged)ANB_PAGED_INIT);
}
static anb_status bad_markup(world* w) {
  anb_markup m = ANB_MARKUP_INIT;
  const anb_decoder_options o = decoder_options(&m, NULL);
  m.name = "?";
  return anb_decoder_create(w->cache, &o, &w->decoder);
}
static anb_status bad_request(world* w) {
  OK(anb_decoder_create(w->cache, NULL, &w->decoder));
  return anb_decoder_submit(w->decoder, NULL, 0, NULL, &w->requests[0]);
}
static anb_status stale_request(world* w) {
  OK(anb_decoder_create(w->cache, NULL, &w->decoder));
  return anb_decoder_cancel(w->decoder, 1);
}
static anb_status nothing_to_do(world* w) {
  OK(anb_decoder_create(w->cache, NULL, &w->decoder));
  return anb_decoder_plan(w->decoder, &(anb_plan)ANB_PLAN_INIT);
}
static anb_status bad_logits(world* w) {
  OK(anb_decoder_create(w->cache, NULL, &w->decoder));
  submit(w, "a", NULL);
  OK(anb_decoder_plan(w->decoder, &(anb_plan)ANB_PLAN_INIT));
  return anb_decoder_commit(w->decoder, NULL, 0, 0);
}
static anb_status bad_handle(world* w) { return anb_cache_check((anb_cache*)(void*)w); }
static void* refuse(size_t size, size_t alignment, void* user) { return (void)size, (void)alignment, (void)user, NULL; }
static void never(void* memory, size_t size, size_t alignment, void* user) {
  (void)memory, (void)size, (void)alignment, (void)user;
}
static anb_status out_of_memory(world* w) {
  anb_allocator allocator = ANB_ALLOCATOR_INIT;
  anb_cache_options o = ANB_CACHE_OPTIONS_INIT;
  anb_cache* cache;
  (void)w;
  allocator.allocate = refuse;
  allocator.release = never;
  o.allocator = &allocator;
  return anb_cache_create(&o, &cache);
}
static anb_status callback_failed(world* w) {
  own user;
  anb_markup_callbacks c = own_callbacks(&user);
  const anb_markup m = markup_of(&c);
  const anb_decoder_options o = decoder_options(&m, NULL);
  anb_status status;
  memset(&user, 0, sizeof user);
  user.where = kOpen;
  user.what = kFails;
  user.when = 1;
  OK(anb_decoder_create(w->cache, &o, &w->decoder));
  status = anb_decoder_submit(w->decoder, kColon, 1, NULL, &w->requests[0]);
  anb_decoder_destroy(w->decoder); /* before its user is gone */
  w->decoder = NULL;
  return status;
}

typedef struct produced {
  anb_status status;
  const char* name;
  anb_status (*produce)(world* w); /* NULL: not from here */
} produced;

static const produced kProduced[] = {
    {ANB_OK, "ok", ok},
    {ANB_BAD_ARGUMENT, "bad_argument", bad_argument},
    {ANB_STALE_SEQUENCE, "stale_sequence", stale_sequence},
    {ANB_NOT_A_CHILD, "not_a_child", not_a_child},
    {ANB_OPEN_CHILDREN, "open_children", open_children},
    {ANB_OUT_OF_RANGE, "out_of_range", out_of_range},
    {ANB_LIMIT_REACHED, "limit_reached", limit_reached},
    {ANB_WRONG_STATE, "wrong_state", wrong_state},
    {ANB_NO_ROOM, "no_room", no_room},
    {ANB_BAD_SNAPSHOT, "bad_snapshot", NULL}, /* not given by any function so far */
    {ANB_NOT_EXACT, "not_exact", not_exact},
    {ANB_BAD_MARKUP, "bad_markup", bad_markup},
    {ANB_BAD_REQUEST, "bad_request", bad_request},
    {ANB_STALE_REQUEST, "stale_request", stale_request},
    {ANB_BAD_LOGITS, "bad_logits", bad_logits},
    {ANB_BAD_FILE, "bad_file", NULL},       /* the same */
    {ANB_UNSUPPORTED, "unsupported", NULL}, /* the same */
    {ANB_INTERNAL, "internal", NULL},       /* poison_test.cpp, which goes behind the border */
    {ANB_OUT_OF_MEMORY, "out_of_memory", out_of_memory},
    {ANB_BAD_HANDLE, "bad_handle", bad_handle},
    {ANB_CALLBACK_FAILED, "callback_failed", callback_failed},
    {ANB_POISONED, "poisoned", NULL}, /* poison_test.cpp */
    {ANB_NOTHING_TO_DO, "nothing_to_do", nothing_to_do}};

static void every_status_is_produced(void) {
  const int n = (int)(sizeof kProduced / sizeof kProduced[0]);
  int i;
  for (i = 0; i < n; ++i) {
    const produced* p = &kProduced[i];
    world w;
    CHECK_SAME(p->status, i); /* none is left out */
    CHECK_TEXT(anb_status_name(p->status), p->name);
    if (p->produce == NULL) continue;
    w = grown_world();
    check_status(here(__FILE__, __LINE__, p->name), p->produce(&w), p->status);
    end_world(&w);
  }
  CHECK_TEXT(anb_status_name(n), "unknown");
}

const phase kStatusPhases[] = {{"every_status_is_produced", every_status_is_produced}, {NULL, NULL}};
