/* How tokens are chosen, what is reported of them, and what ends a request. */
#include "decoders.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const script kLong[] = {{"", "abcdefghijklmnopqrstuvwxyz"}, {NULL, NULL}};

static anb_decoder_options serial_options(const anb_text* text) { return decoder_options(NULL, text); }

/* ln 1, ln 2, ... as logits, so that probabilities are 1/15, 2/15, 3/15, 4/15, 5/15. */
static void log_probabilities(void) {
  const anb_text text = byte_text();
  const anb_decoder_options o = serial_options(&text);
  anb_request_options ro = ANB_REQUEST_OPTIONS_INIT;
  anb_event e = ANB_EVENT_INIT;
  anb_plan plan = ANB_PLAN_INIT;
  float logits[5];
  world w = decoder_world(&o);
  int i;
  for (i = 0; i < 5; ++i) logits[i] = logf((float)(i + 1));
  ro.n_log_probabilities = 2;
  submit(&w, "a", &ro);
  OK(anb_decoder_plan(w.decoder, &plan));
  OK(anb_decoder_commit(w.decoder, logits, 1, 5));
  OK(anb_decoder_next_event(w.decoder, &e));
  CHECK_SAME(e.token, 4);
  CHECK(fabsf(e.log_probability - logf(5.0f / 15.0f)) < 1e-5f);
  CHECK_SAME(e.n_top, 2);
  CHECK(e.top[0].token == 4 && e.top[1].token == 3);
  CHECK(fabsf(e.top[1].log_probability - logf(4.0f / 15.0f)) < 1e-5f);
  end_world(&w);
}

static anb_token sample_with(const anb_request_options* ro, const float* logits, int32_t n, double* uniform) {
  const anb_text text = byte_text();
  const anb_decoder_options o = serial_options(&text);
  anb_output_settings s = ANB_OUTPUT_SETTINGS_INIT;
  anb_event e = ANB_EVENT_INIT;
  anb_plan plan = ANB_PLAN_INIT;
  world w = decoder_world(&o);
  submit(&w, "a", ro);
  OK(anb_decoder_plan(w.decoder, &plan));
  OK(anb_decoder_get_output(w.decoder, 0, &s));
  CHECK(s.temperature == ro->temperature && s.top_k == ro->top_k && s.top_p == ro->top_p && s.index == 0);
  CHECK(s.repetition_penalty == ro->repetition_penalty && s.branch == 0 && s.request == w.requests[0]);
  CHECK(s.n_allowed == 0 && s.n_forbidden == 0 && s.n_seen == 0);
  *uniform = s.uniform;
  OK(anb_decoder_commit(w.decoder, logits, 1, n));
  OK(anb_decoder_next_event(w.decoder, &e));
  end_world(&w);
  return e.token;
}

/* The host is told the random number, so that it can draw the same token as the library: walk along the weights. */
static void a_draw_depends_on_the_seed_alone(void) {
  anb_request_options ro = ANB_REQUEST_OPTIONS_INIT;
  float logits[5];
  int32_t n_of[5] = {0, 0, 0, 0, 0}, i, seed;
  ro.temperature = 1.0f;
  logits[0] = -INFINITY; /* never */
  for (i = 1; i < 5; ++i) logits[i] = logf((float)i);
  for (seed = 0; seed < 400; ++seed) {
    double u, again, left;
    anb_token token, expected;
    ro.seed = (uint64_t)seed;
    token = sample_with(&ro, logits, 5, &u);
    CHECK(u >= 0 && u < 1);
    for (left = u * 10, expected = 1; expected < 4 && left >= expected; ++expected) left -= expected;
    CHECK_SAME(token, expected);
    CHECK_SAME(sample_with(&ro, logits, 5, &again), token);
    CHECK(again == u);
    ++n_of[token];
  }
  for (i = 1; i < 5; ++i) CHECK(abs(n_of[i] - 40 * i) < 30); /* about three sigma; the seeds are fixed */
  ro.top_k = 1;
  CHECK_SAME(sample_with(&ro, logits, 5, &(double){0}), 4);
  ro.top_k = 0;
  ro.top_p = 0.3f;
  CHECK_SAME(sample_with(&ro, logits, 5, &(double){0}), 4);
}

static void a_penalty_is_over_what_the_sequence_has_seen(void) {
  const anb_text text = byte_text();
  const anb_decoder_options o = serial_options(&text);
  anb_request_options ro = ANB_REQUEST_OPTIONS_INIT;
  anb_output_settings s = ANB_OUTPUT_SETTINGS_INIT;
  anb_plan plan = ANB_PLAN_INIT;
  float logits[128];
  world w = decoder_world(&o);
  memset(logits, 0, sizeof logits);
  logits['p'] = 3.0f;
  logits['q'] = 2.0f;
  ro.repetition_penalty = 2.0f;
  submit(&w, "q", &ro);
  OK(anb_decoder_plan(w.decoder, &plan));
  OK(anb_decoder_commit(w.decoder, logits, 1, 128)); /* p: the prompt's q does not count, and 3 > 2 */
  OK(anb_decoder_plan(w.decoder, &plan));
  OK(anb_decoder_get_output(w.decoder, 0, &s));
  CHECK(s.n_seen == 1 && s.seen[0] == 'p' && s.index == 1);
  OK(anb_decoder_commit(w.decoder, logits, 1, 128)); /* q: 3 / 2 < 2 */
  CHECK_TEXT(text_of(&w, w.requests[0], 0), "pq");
  end_world(&w);
}

static void stop_strings(void) {
  static const char* const kStop[] = {"zz", "ef", "q"};
  const anb_text text = byte_text();
  const anb_decoder_options o = serial_options(&text);
  anb_request_options ro = ANB_REQUEST_OPTIONS_INIT;
  world w = decoder_world(&o);
  anb_event e = ANB_EVENT_INIT;
  anb_plan plan = ANB_PLAN_INIT;
  const anb_token tokens[] = {'e'};
  anb_request r;
  ro.stop = kStop;
  ro.n_stop = 3;
  r = submit(&w, "a", &ro);
  CHECK_SAME(run_passes(&w, kLong, kByLogits), 6);
  CHECK_TEXT(text_of(&w, r, 0), "abcd");
  CHECK_SAME(request_state(&w, r).reason, ANB_REASON_STOP);
  submit(&w, "a", &ro);
  OK(anb_decoder_plan(w.decoder, &plan));
  OK(anb_decoder_commit_sampled(w.decoder, tokens, 1));
  OK(anb_decoder_next_event(w.decoder, &e));
  CHECK(e.token == 'e' && e.n_text == 0); /* held back: it may still become a stop string */
  end_world(&w);
}

static int32_t name_of_stop(const char* name, int32_t n, void* user) {
  (void)user;
  if (n == 5 && memcmp(name, "<end>", 5) == 0) return 'e';
  return n == 3 && memcmp(name, "bad", 3) == 0 ? -7 : ANB_UNKNOWN_TOKEN;
}

static void stop_tokens(void) {
  static const anb_token kTokens[] = {'z', 'd'};
  static const char* const kNames[] = {"nothing", "<end>"};
  static const char* const kBad[] = {"bad"};
  anb_text text = byte_text();
  anb_decoder_options o;
  anb_request_options ro = ANB_REQUEST_OPTIONS_INIT;
  anb_request r;
  world w;
  text.stop_token = name_of_stop;
  o = serial_options(&text);
  w = decoder_world(&o);
  ro.stop_tokens = kTokens;
  ro.n_stop_tokens = 2;
  r = submit(&w, "a", &ro);
  CHECK_SAME(run_passes(&w, kLong, kByLogits), 4);
  CHECK_TEXT(text_of(&w, r, 0), "abc");
  CHECK_SAME(request_state(&w, r).reason, ANB_REASON_STOP);
  CHECK_SAME(request_state(&w, r).n_forgotten, 1);
  ro.n_stop_tokens = 0;
  ro.stop = kNames;
  ro.n_stop = 2;
  r = submit(&w, "a", &ro);
  run_passes(&w, kLong, kByLogits);
  CHECK_TEXT(text_of(&w, r, 0), "abcd");
  ro.stop = kBad;
  ro.n_stop = 1;
  {
    const anb_token prompt = 'a';
    anb_request none = 77;
    STATUS(anb_decoder_submit(w.decoder, &prompt, 1, &ro, &none), ANB_CALLBACK_FAILED);
    CHECK(strstr(anb_last_error(), "stop_token failed with -7") != NULL && none == 77);
  }
  end_world(&w);
}

static void biases_and_penalties(void) {
  static const anb_logit_bias kBiases[] = {{'p', -INFINITY}, {'q', 0.5f}};
  const anb_text text = byte_text();
  const anb_decoder_options o = serial_options(&text);
  anb_request_options ro = ANB_REQUEST_OPTIONS_INIT;
  anb_output_settings s = ANB_OUTPUT_SETTINGS_INIT;
  anb_plan plan = ANB_PLAN_INIT;
  float logits[128];
  world w = decoder_world(&o);
  int i;
  memset(logits, 0, sizeof logits);
  logits['p'] = 9.0f;
  logits['q'] = 2.0f;
  logits['r'] = 1.9f;
  ro.logit_bias = kBiases;
  ro.n_logit_bias = 2;
  ro.frequency_penalty = 0.25f;
  ro.presence_penalty = 0.25f;
  ro.min_p = 0.125f;
  ro.number = 3;
  submit(&w, "a", &ro);
  for (i = 0; i < 4; ++i) { /* q: 2.5, q: 2, r: 1.9 of 1.75, then q: 1.75 of 1.4 */
    OK(anb_decoder_plan(w.decoder, &plan));
    OK(anb_decoder_get_output(w.decoder, 0, &s));
    CHECK(s.n_logit_bias == 2 && s.logit_bias[1].token == 'q' && s.logit_bias[1].bias == 0.5f);
    CHECK(s.frequency_penalty == 0.25f && s.presence_penalty == 0.25f && s.min_p == 0.125f && s.n_seen == i);
    OK(anb_decoder_commit(w.decoder, logits, 1, 128));
  }
  CHECK_TEXT(text_of(&w, w.requests[0], 0), "qqrq");
  end_world(&w);
}

/* Requests with one seed and different numbers draw different random numbers; number 0 is the seed's own. */
static void numbers_of_requests(void) {
  anb_request_options ro = ANB_REQUEST_OPTIONS_INIT;
  const float logits[2] = {0, 0};
  double first, again, second;
  ro.temperature = 1.0f;
  ro.seed = 9;
  sample_with(&ro, logits, 2, &first);
  ro.number = 1;
  sample_with(&ro, logits, 2, &second);
  ro.number = 0;
  sample_with(&ro, logits, 2, &again);
  CHECK(first == again && first != second);
}

static void limits_of_tokens(void) {
  const anb_text text = byte_text();
  const anb_markup markup = aspd_markup();
  static const script kBranches[] = {{"", "(t){z"}, {"0.0", "abcdefg"}, {NULL, NULL}};
  anb_decoder_options o = decoder_options(&markup, &text);
  anb_request_options ro = ANB_REQUEST_OPTIONS_INIT;
  world w;
  anb_request r;
  o.max_tokens = 3;
  w = decoder_world(&o);
  r = submit(&w, "a", NULL);
  run_passes(&w, kLong, kBySampled);
  CHECK_TEXT(text_of(&w, r, 0), "abc");
  CHECK_SAME(request_state(&w, r).reason, ANB_REASON_LIMIT);
  ro.max_tokens = 5; /* the request's own */
  r = submit(&w, "a", &ro);
  run_passes(&w, kLong, kBySampled);
  CHECK_TEXT(text_of(&w, r, 0), "abcde");
  ro.max_tokens = 100;
  ro.max_branch_tokens = 2;
  forget_events();
  r = submit(&w, "a", &ro);
  run_passes(&w, kBranches, kBySampled);
  CHECK_TEXT(text_of(&w, r, 0), "t:ab\nz");
  CHECK(strstr(events_text(), " 1E4 ") != NULL);
  end_world(&w);
}

static void prompts_come_in_chunks(void) {
  const anb_text text = byte_text();
  anb_decoder_options o = serial_options(&text);
  anb_plan plan = ANB_PLAN_INIT;
  world w;
  anb_request r;
  o.max_rows = 4;
  w = decoder_world(&o);
  r = submit(&w, "abcdefghij", NULL);
  OK(anb_decoder_plan(w.decoder, &plan));
  CHECK(plan.n_rows == 4 && plan.n_outputs == 0);
  OK(anb_decoder_commit(w.decoder, NULL, 0, 0)); /* nothing to sample */
  OK(pass(&w, kLong, kBySampled));
  OK(anb_decoder_plan(w.decoder, &plan));
  CHECK(plan.n_rows == 2 && plan.n_outputs == 1 && plan.tokens[1] == 'j');
  CHECK_SAME(request_state(&w, r).n_prefill, 2);
  end_world(&w);
}

static void no_room_for_a_pass(void) {
  const anb_text text = byte_text();
  const anb_decoder_options o = serial_options(&text);
  anb_plan plan = ANB_PLAN_INIT;
  world w = empty_world(3);
  anb_request big, small;
  anb_token prompt[16];
  int i;
  for (i = 0; i < 16; ++i) prompt[i] = 'p';
  OK(anb_decoder_create(w.cache, &o, &w.decoder));
  OK(anb_decoder_submit(w.decoder, prompt, 13, NULL, &big)); /* 13 tokens never fit into 12 slots */
  STATUS(anb_decoder_plan(w.decoder, &plan), ANB_NOTHING_TO_DO);
  CHECK_SAME(request_state(&w, big).reason, ANB_REASON_NO_ROOM);
  OK(anb_decoder_submit(w.decoder, prompt, 8, NULL, &big));
  OK(anb_decoder_plan(w.decoder, &plan));
  OK(anb_decoder_commit_sampled(w.decoder, prompt, 1));
  OK(anb_decoder_submit(w.decoder, prompt, 8, NULL, &small)); /* fits alone, but not now */
  w.requests[w.n_requests++] = big;
  w.requests[w.n_requests++] = small;
  plan = untouched_plan();
  STATUS(anb_decoder_plan(w.decoder, &plan), ANB_NO_ROOM);
  CHECK(plan.n_pages_short == 2 && plan.n_pages_free == 1 && plan.n_rows == 0 && plan.tokens == NULL);
  CHECK_SAME(statistics_of(w.cache).step, 0);
  CHECK_SAME(request_state(&w, small).reason, ANB_REASON_NONE);
  OK(anb_decoder_cancel(w.decoder, big));
  OK(anb_decoder_plan(w.decoder, &plan));
  CHECK_SAME(plan.n_rows, 8);
  end_world(&w);
}

static void no_position_left(void) {
  const anb_text text = byte_text();
  const anb_decoder_options o = serial_options(&text);
  anb_cache_options co = ANB_CACHE_OPTIONS_INIT;
  anb_request r;
  world w;
  memset(&w, 0, sizeof w);
  co.max_position = 6;
  OK(anb_cache_create(&co, &w.cache));
  OK(anb_decoder_create(w.cache, &o, &w.decoder));
  r = submit(&w, "ab", NULL);
  run_passes(&w, kLong, kBySampled);
  CHECK_SAME(request_state(&w, r).reason, ANB_REASON_RANGE);
  CHECK_TEXT(text_of(&w, r, 0), "abcd");
  end_world(&w);
}

const phase kSamplingPhases[] = {
    {"log_probabilities", log_probabilities},
    {"a_draw_depends_on_the_seed_alone", a_draw_depends_on_the_seed_alone},
    {"a_penalty_is_over_what_the_sequence_has_seen", a_penalty_is_over_what_the_sequence_has_seen},
    {"stop_strings", stop_strings},
    {"stop_tokens", stop_tokens},
    {"biases_and_penalties", biases_and_penalties},
    {"numbers_of_requests", numbers_of_requests},
    {"limits_of_tokens", limits_of_tokens},
    {"prompts_come_in_chunks", prompts_come_in_chunks},
    {"no_room_for_a_pass", no_room_for_a_pass},
    {"no_position_left", no_position_left},
    {NULL, NULL}};
