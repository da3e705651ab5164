/* The scheduler: requests that share a pool which is too small for them, deadlines, back-pressure, refusals. */
#include <string.h>

#include "anabranch_scheduler.h"
#include "decoders.h"

static const script kTwoBranches[] = {{"", "x(ab)(c){z"}, {"0.0", "pq]"}, {"0.1", "r]"}, {NULL, NULL}};

/* A decoder that can be scheduled, on a pool of `n_pages`, with a scheduler. */
static anb_scheduler* scheduled_world(world* w, int32_t n_pages, const anb_scheduler_options* options) {
  const anb_text text = byte_text();
  const anb_markup markup = aspd_markup();
  anb_decoder_options o = decoder_options(&markup, &text);
  anb_scheduler* scheduler = NULL;
  o.preemptible = 1;
  *w = empty_world(n_pages);
  OK(anb_decoder_create(w->cache, &o, &w->decoder));
  OK(anb_scheduler_create(w->decoder, options, &scheduler));
  return scheduler;
}

static anb_request submit_to(anb_scheduler* scheduler, const anb_schedule* schedule) {
  const anb_token prompt[] = {'a', 'b', 'c', 'd', 'e'};
  anb_request request = ANB_NO_REQUEST;
  OK(anb_scheduler_submit(scheduler, prompt, 5, NULL, schedule, &request));
  return request;
}

/* One pass that takes a second, by the script of all requests. */
static anb_status scheduled_pass(world* w, anb_scheduler* scheduler, double* now) {
  anb_plan plan = ANB_PLAN_INIT;
  anb_token tokens[64];
  int32_t i;
  const anb_status status = anb_scheduler_plan(scheduler, *now, &plan);
  if (status != ANB_OK) return status;
  if (!CHECK(plan.n_outputs <= 64)) return ANB_INTERNAL;
  for (i = 0; i < plan.n_outputs; ++i) tokens[i] = scripted(w, kTwoBranches, i);
  *now += 1;
  OK(anb_scheduler_commit_sampled(scheduler, tokens, plan.n_outputs, *now));
  OK(anb_cache_check(w->cache));
  return ANB_OK;
}

static anb_scheduler_state state_of_scheduler(const anb_scheduler* scheduler) {
  anb_scheduler_state s = ANB_SCHEDULER_STATE_INIT;
  OK(anb_scheduler_get_state(scheduler, &s));
  return s;
}

static void a_small_pool_serves_all(void) {
  world w;
  anb_scheduler* scheduler = scheduled_world(&w, 10, NULL);
  anb_request requests[6];
  anb_scheduler_state s;
  double now = 0;
  int i;
  for (i = 0; i < 6; ++i) requests[i] = submit_to(scheduler, NULL);
  CHECK_SAME(state_of_scheduler(scheduler).n_queued, 6);
  for (i = 0; i < 500 && scheduled_pass(&w, scheduler, &now) == ANB_OK; ++i) {
  }
  CHECK(i < 500);
  for (i = 0; i < 6; ++i) {
    CHECK_TEXT(text_of(&w, requests[i], 0), "xab:pqc:rz");
    CHECK_SAME(request_state(&w, requests[i]).reason, ANB_REASON_END_OF_TEXT);
    OK(anb_scheduler_release(scheduler, requests[i]));
  }
  s = state_of_scheduler(scheduler);
  CHECK(s.n_preempted + s.n_evicted + s.n_deferred > 0);
  CHECK(s.n_running == 0 && s.n_queued == 0 && s.load > 0);
  CHECK_SAME(statistics_of(w.cache).n_free_pages, 10);
  anb_scheduler_destroy(scheduler);
  end_world(&w);
}

static void logits_and_their_types(void) {
  static float values[16 * kVocabulary];
  world w;
  anb_scheduler* scheduler = scheduled_world(&w, 32, NULL);
  const anb_request r = submit_to(scheduler, NULL);
  anb_plan plan = ANB_PLAN_INIT;
  anb_logits logits = ANB_LOGITS_INIT;
  double now = 0;
  int32_t i;
  while (anb_scheduler_plan(scheduler, now, &plan) == ANB_OK) {
    memset(values, 0, sizeof values);
    for (i = 0; i < plan.n_outputs; ++i) values[i * kVocabulary + scripted(&w, kTwoBranches, i)] = 9.0f;
    logits.n_outputs = plan.n_outputs;
    logits.n_vocabulary = kVocabulary;
    logits.values = values;
    OK(anb_scheduler_abort(scheduler)); /* the next plan is the same */
    OK(anb_scheduler_plan(scheduler, now, &plan));
    CHECK_SAME(plan.n_outputs, logits.n_outputs);
    now += 0.5;
    OK(anb_scheduler_commit(scheduler, &logits, now));
  }
  CHECK_TEXT(text_of(&w, r, 0), "xab:pqc:rz");
  anb_scheduler_destroy(scheduler);
  end_world(&w);
}

static void deadlines_cancel_and_finish(void) {
  world w;
  anb_scheduler* scheduler = scheduled_world(&w, 64, NULL);
  anb_schedule soon = ANB_SCHEDULE_INIT;
  anb_request late, cancelled, finished;
  double now = 100;
  int i;
  soon.deadline = 105;
  late = submit_to(scheduler, &soon);
  cancelled = submit_to(scheduler, NULL);
  finished = submit_to(scheduler, NULL);
  for (i = 0; i < 3; ++i) OK(scheduled_pass(&w, scheduler, &now));
  OK(anb_scheduler_cancel(scheduler, cancelled));
  OK(anb_scheduler_finish(scheduler, finished));
  CHECK_SAME(request_state(&w, late).reason, ANB_REASON_NONE);
  while (scheduled_pass(&w, scheduler, &now) == ANB_OK) {
  }
  CHECK_SAME(request_state(&w, late).reason, ANB_REASON_CANCELLED);
  CHECK_SAME(request_state(&w, late).n_sampled, 5);
  CHECK_SAME(request_state(&w, cancelled).reason, ANB_REASON_CANCELLED);
  CHECK_SAME(request_state(&w, finished).n_sampled, 3);
  anb_scheduler_destroy(scheduler);
  end_world(&w);
}

static void outcomes_and_refusals(void) {
  world w;
  anb_scheduler_options o = ANB_SCHEDULER_OPTIONS_INIT;
  anb_scheduler *scheduler, *other = (anb_scheduler*)(void*)&w;
  const anb_token prompt[] = {'a'};
  anb_request request = 77;
  anb_plan plan = untouched_plan();
  anb_scheduler_state state = ANB_SCHEDULER_STATE_INIT;
  o.max_queued = 1;
  scheduler = scheduled_world(&w, 8, &o);
  STATUS(anb_scheduler_create(w.decoder, NULL, &other), ANB_WRONG_STATE); /* one for a decoder */
  CHECK(other == (anb_scheduler*)(void*)&w);
  STATUS(anb_scheduler_plan(scheduler, 0, &plan), ANB_NOTHING_TO_DO);
  CHECK(untouched(&plan));
  OK(anb_scheduler_submit(scheduler, prompt, 1, NULL, NULL, &request));
  request = 77;
  STATUS(anb_scheduler_submit(scheduler, prompt, 1, NULL, NULL, &request), ANB_NO_ROOM);
  STATUS(anb_scheduler_submit(scheduler, NULL, 1, NULL, NULL, &request), ANB_BAD_ARGUMENT);
  CHECK_SAME(request, 77);
  STATUS(anb_scheduler_cancel(scheduler, 12345), ANB_STALE_REQUEST);
  STATUS(anb_scheduler_finish(scheduler, 12345), ANB_STALE_REQUEST);
  STATUS(anb_scheduler_release(scheduler, 12345), ANB_STALE_REQUEST);
  STATUS(anb_scheduler_commit(scheduler, NULL, 0), ANB_BAD_ARGUMENT);
  STATUS(anb_scheduler_commit_sampled(scheduler, prompt, 1, 0), ANB_WRONG_STATE);
  STATUS(anb_scheduler_get_state(scheduler, NULL), ANB_BAD_ARGUMENT);
  anb_scheduler_destroy(scheduler);
  STATUS(anb_scheduler_get_state(scheduler, &state), ANB_BAD_HANDLE);
  anb_scheduler_destroy(scheduler); /* nothing happens */
  anb_scheduler_destroy(NULL);
  o.max_running = 0;
  STATUS(anb_scheduler_create(w.decoder, &o, &other), ANB_BAD_REQUEST);
  OK(anb_scheduler_create(w.decoder, NULL, &scheduler)); /* the place is free again */
  anb_decoder_destroy(w.decoder);
  w.decoder = NULL;
  STATUS(anb_scheduler_get_state(scheduler, &state), ANB_BAD_HANDLE); /* it went with the decoder */
  end_world(&w);
}

static void a_decoder_must_be_preemptible(void) {
  world w = empty_world(4);
  anb_scheduler* scheduler = NULL;
  OK(anb_decoder_create(w.cache, NULL, &w.decoder));
  STATUS(anb_scheduler_create(w.decoder, NULL, &scheduler), ANB_BAD_REQUEST);
  CHECK(scheduler == NULL);
  end_world(&w);
}

static void init_functions(void) {
  const anb_scheduler_options options = ANB_SCHEDULER_OPTIONS_INIT;
  const anb_schedule schedule = ANB_SCHEDULE_INIT;
  const anb_scheduler_state state = ANB_SCHEDULER_STATE_INIT;
  anb_scheduler_options o;
  anb_schedule s;
  anb_scheduler_state t;
  anb_scheduler_options_init(&o, sizeof o);
  anb_schedule_init(&s, sizeof s);
  anb_scheduler_state_init(&t, sizeof t);
  CHECK(memcmp(&o, &options, sizeof o) == 0);
  CHECK(memcmp(&s, &schedule, sizeof s) == 0);
  CHECK(memcmp(&t, &state, sizeof t) == 0);
}

const phase kSchedulerPhases[] = {{"scheduler: a small pool", a_small_pool_serves_all},
                                  {"scheduler: logits", logits_and_their_types},
                                  {"scheduler: deadlines, cancel", deadlines_cancel_and_finish},
                                  {"scheduler: outcomes, refusals", outcomes_and_refusals},
                                  {"scheduler: not preemptible", a_decoder_must_be_preemptible},
                                  {"scheduler: init", init_functions},
                                  {NULL, NULL}};
