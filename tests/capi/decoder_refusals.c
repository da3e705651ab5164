/* Refusals of the decoder's calls: options, requests, logits, order of calls. State and out parameters stay. */
#include "decoders.h"

#include <math.h>
#include <string.h>

static const script kTalk[] = {{"", "hello"}, {NULL, NULL}};

/* A decoder is not made with one option set to `value`. */
static void create_refuses(int32_t* field, anb_decoder_options* o, int32_t value, anb_status status, const char* text) {
  const int32_t good = *field;
  anb_decoder* decoder = no_decoder();
  world w = empty_world(2);
  *field = value;
  REFUSED(&w, anb_decoder_create(w.cache, o, &decoder), status, text);
  CHECK(decoder == no_decoder());
  *field = good;
  end_world(&w);
}

static void decoders_that_cannot_be(void) {
  static const anb_token kBadEnd[] = {3, -4};
  anb_decoder_options o = ANB_DECODER_OPTIONS_INIT;
  create_refuses(&o.max_branches, &o, 0, ANB_BAD_REQUEST, "max_branches is 0");
  create_refuses(&o.max_tokens, &o, 0, ANB_BAD_REQUEST, "max_tokens is 0");
  create_refuses(&o.max_tokens, &o, INT32_MIN, ANB_BAD_REQUEST, "max_tokens is -2147483648");
  create_refuses(&o.max_branch_tokens, &o, -1, ANB_BAD_REQUEST, "max_branch_tokens is -1");
  create_refuses(&o.max_depth, &o, -1, ANB_BAD_REQUEST, "max_depth is -1");
  create_refuses(&o.max_rows, &o, 0, ANB_BAD_REQUEST, "max_rows is 0");
  create_refuses(&o.positions, &o, -2, ANB_BAD_ARGUMENT, "positions is -2");
  create_refuses(&o.n_end_of_text, &o, -1, ANB_BAD_ARGUMENT, "end_of_text has -1 elements");
  create_refuses(&o.n_end_of_text, &o, 2, ANB_BAD_ARGUMENT, "end_of_text is NULL");
  o.end_of_text = kBadEnd;
  create_refuses(&o.n_end_of_text, &o, 2, ANB_BAD_REQUEST, "token -4");
}

static void create_needs_a_place_for_the_handle(void) {
  world w = empty_world(2);
  REFUSED(&w, anb_decoder_create(w.cache, NULL, NULL), ANB_BAD_ARGUMENT, "decoder is NULL");
  end_world(&w);
}

static void markup_refused(const anb_markup* markup, const anb_text* text, anb_status status, const char* says) {
  const anb_decoder_options o = decoder_options(markup, text);
  anb_decoder* decoder = no_decoder();
  world w = empty_world(2);
  REFUSED(&w, anb_decoder_create(w.cache, &o, &decoder), status, says);
  CHECK(decoder == no_decoder());
  end_world(&w);
}

static void aspd_that_cannot_be(void) {
  static const anb_token kTag[] = {'['}, kNegative[] = {-9};
  anb_markup m = aspd_markup();
  m.para = -1;
  markup_refused(&m, NULL, ANB_BAD_MARKUP, "tag para has id -1");
  m.para = m.title;
  markup_refused(&m, NULL, ANB_BAD_MARKUP, "tags title and para both have id 40");
  m = aspd_markup();
  m.title_separator = kTag;
  markup_refused(&m, NULL, ANB_BAD_MARKUP, "title separator holds token 91");
  m.title_separator = kNegative;
  markup_refused(&m, NULL, ANB_BAD_MARKUP, "title separator holds token -9");
  m.title_separator = NULL;
  markup_refused(&m, NULL, ANB_BAD_ARGUMENT, "title_separator is NULL");
  m.n_title_separator = -1;
  markup_refused(&m, NULL, ANB_BAD_ARGUMENT, "title_separator has -1 elements");
  m = aspd_markup();
  m.unique_titles = 2;
  markup_refused(&m, NULL, ANB_BAD_MARKUP, "unique_titles is 2");
  m.unique_titles = 1;
  m.max_titles = -1;
  markup_refused(&m, NULL, ANB_BAD_MARKUP, "max_titles is -1");
  m.max_titles = 0;
  m.well_formed = 2;
  markup_refused(&m, NULL, ANB_BAD_MARKUP, "well_formed is 2");
  m.well_formed = 0;
  m.max_title_tokens = -1;
  markup_refused(&m, NULL, ANB_BAD_MARKUP, "max_title_tokens is -1");
  anb_markup_init(&m, sizeof m);
  m.name = "aspd";
  markup_refused(&m, NULL, ANB_BAD_MARKUP, "tag branch has id -1");
}

static void markups_that_do_not_exist(void) {
  anb_markup m = ANB_MARKUP_INIT;
  char name[200];
  m.name = "multiverse";
  markup_refused(&m, NULL, ANB_BAD_MARKUP, "no markup is called 'multiverse'");
  m.name = "";
  markup_refused(&m, NULL, ANB_BAD_MARKUP, "no markup is called ''");
  m.name = "ASPD";
  markup_refused(&m, NULL, ANB_BAD_MARKUP, "'ASPD'");
  memset(name, 'n', sizeof name);
  name[sizeof name - 1] = '\0';
  m.name = name;
  markup_refused(&m, NULL, ANB_BAD_MARKUP, "nnnn");
  m.name = NULL;
  markup_refused(&m, NULL, ANB_BAD_MARKUP, "neither a name nor callbacks");
}

static void skeletons_that_cannot_be(void) {
  anb_text text = byte_text();
  anb_markup m = ANB_MARKUP_INIT;
  m.name = "skeleton";
  markup_refused(&m, NULL, ANB_BAD_MARKUP, "both callbacks");
  text.text_to_tokens = NULL;
  markup_refused(&m, &text, ANB_BAD_MARKUP, "both callbacks");
  text = byte_text();
  text.detokenize = NULL;
  markup_refused(&m, &text, ANB_BAD_MARKUP, "both callbacks");
  text = byte_text();
  m.go_on = 2;
  markup_refused(&m, &text, ANB_BAD_MARKUP, "go_on is 2");
  m.go_on = 0;
  m.max_points = -1;
  markup_refused(&m, &text, ANB_BAD_MARKUP, "max_points is -1");
  m.max_points = 0;
  m.max_title_tokens = -3;
  markup_refused(&m, &text, ANB_BAD_MARKUP, "max_title_tokens is -3");
  m.max_title_tokens = 0;
  m.n_vocabulary = -5;
  markup_refused(&m, &text, ANB_BAD_MARKUP, "n_vocabulary is -5");
  m.n_vocabulary = 0;
  m.separator = "\n ";
  markup_refused(&m, &text, ANB_BAD_MARKUP, "ends in a blank");
  m.separator = NULL;
  m.go_on = 1;
  m.after_text = "";
  markup_refused(&m, &text, ANB_BAD_MARKUP, "gives no tokens");
}

static void request_refused(world* w, const anb_request_options* o, anb_status status, const char* text) {
  static const anb_token kPrompt[] = {1, 2};
  anb_request request = 77;
  REFUSED(w, anb_decoder_submit(w->decoder, kPrompt, 2, o, &request), status, text);
  CHECK_SAME(request, 77);
}

#define REQUEST_REFUSED(field, value, status, text)   \
  do {                                                \
    anb_request_options o = ANB_REQUEST_OPTIONS_INIT; \
    o.field = value;                                  \
    request_refused(&w, &o, status, text);            \
  } while (0)

static void requests_refuse(void) {
  const anb_text text = byte_text();
  const anb_decoder_options options = decoder_options(NULL, &text);
  world w = decoder_world(&options);
  REQUEST_REFUSED(temperature, -1.0f, ANB_BAD_REQUEST, "temperature is -1.0");
  REQUEST_REFUSED(temperature, (float)NAN, ANB_BAD_REQUEST, "temperature is nan");
  REQUEST_REFUSED(temperature, (float)INFINITY, ANB_BAD_REQUEST, "temperature is inf");
  REQUEST_REFUSED(top_k, -1, ANB_BAD_REQUEST, "top_k is -1");
  REQUEST_REFUSED(top_p, 0.0f, ANB_BAD_REQUEST, "top_p is 0.0");
  REQUEST_REFUSED(top_p, 1.5f, ANB_BAD_REQUEST, "top_p is 1.5");
  REQUEST_REFUSED(top_p, (float)NAN, ANB_BAD_REQUEST, "top_p is nan");
  REQUEST_REFUSED(repetition_penalty, 0.0f, ANB_BAD_REQUEST, "repetition_penalty is 0.0");
  REQUEST_REFUSED(repetition_penalty, (float)INFINITY, ANB_BAD_REQUEST, "repetition_penalty is inf");
  REQUEST_REFUSED(max_tokens, 0, ANB_BAD_REQUEST, "max_tokens is 0");
  REQUEST_REFUSED(max_tokens, -2, ANB_BAD_REQUEST, "max_tokens is -2");
  REQUEST_REFUSED(max_branch_tokens, 0, ANB_BAD_REQUEST, "max_branch_tokens is 0");
  REQUEST_REFUSED(max_parallel_branches, 0, ANB_BAD_REQUEST, "max_parallel_branches is 0");
  REQUEST_REFUSED(max_parallel_branches, -2, ANB_BAD_REQUEST, "max_parallel_branches is -2");
  REQUEST_REFUSED(no_repeat_ngram, -1, ANB_BAD_REQUEST, "no_repeat_ngram is -1");
  REQUEST_REFUSED(n_log_probabilities, -2, ANB_BAD_REQUEST, "n_log_probabilities is -2");
  REQUEST_REFUSED(min_p, -0.5f, ANB_BAD_REQUEST, "min_p is -0.5");
  REQUEST_REFUSED(min_p, 1.5f, ANB_BAD_REQUEST, "min_p is 1.5");
  REQUEST_REFUSED(frequency_penalty, (float)INFINITY, ANB_BAD_REQUEST, "frequency_penalty is inf");
  REQUEST_REFUSED(presence_penalty, (float)NAN, ANB_BAD_REQUEST, "presence_penalty is nan");
  REQUEST_REFUSED(n_logit_bias, -1, ANB_BAD_ARGUMENT, "logit_bias has -1 elements");
  REQUEST_REFUSED(n_logit_bias, 1, ANB_BAD_ARGUMENT, "logit_bias is NULL");
  REQUEST_REFUSED(n_stop_tokens, -1, ANB_BAD_ARGUMENT, "stop_tokens has -1 elements");
  REQUEST_REFUSED(n_stop_tokens, 1, ANB_BAD_ARGUMENT, "stop_tokens is NULL");
  REQUEST_REFUSED(n_stop, -1, ANB_BAD_ARGUMENT, "stop has -1 elements");
  REQUEST_REFUSED(n_stop, 1, ANB_BAD_ARGUMENT, "stop is NULL");
  REQUEST_REFUSED(after, 12345, ANB_STALE_REQUEST, "request 12345");
  REQUEST_REFUSED(after, UINT64_MAX, ANB_STALE_REQUEST, "18446744073709551615");
  STATUS(anb_decoder_plan(w.decoder, &(anb_plan)ANB_PLAN_INIT), ANB_NOTHING_TO_DO); /* none of them was taken */
  end_world(&w);
}

static void prompts_and_stops_refuse(void) {
  static const anb_token kPrompt[] = {1, -3};
  static const char* const kHoles[] = {"a", NULL};
  static const char* const kEmpty[] = {""};
  anb_request_options o = ANB_REQUEST_OPTIONS_INIT;
  anb_request request = 77;
  world w = decoder_world(NULL);
  REFUSED(&w, anb_decoder_submit(w.decoder, kPrompt, 2, NULL, &request), ANB_BAD_REQUEST, "token -3");
  REFUSED(&w, anb_decoder_submit(w.decoder, kPrompt, -1, NULL, &request), ANB_BAD_ARGUMENT, "prompt has -1");
  REFUSED(&w, anb_decoder_submit(w.decoder, NULL, 1, NULL, &request), ANB_BAD_ARGUMENT, "prompt is NULL");
  REFUSED(&w, anb_decoder_submit(w.decoder, NULL, 0, NULL, &request), ANB_BAD_REQUEST, "prompt is empty");
  REFUSED(&w, anb_decoder_submit(w.decoder, kPrompt, 1, NULL, NULL), ANB_BAD_ARGUMENT, "request is NULL");
  o.stop = kHoles;
  o.n_stop = 2;
  request_refused(&w, &o, ANB_BAD_REQUEST, "detokenize"); /* no text, no stop strings */
  end_world(&w);
  {
    const anb_text text = byte_text();
    const anb_decoder_options options = decoder_options(NULL, &text);
    w = decoder_world(&options);
    request_refused(&w, &o, ANB_BAD_ARGUMENT, "stop string is NULL");
    o.stop = kEmpty;
    o.n_stop = 1;
    request_refused(&w, &o, ANB_BAD_REQUEST, "stop string is empty");
  }
  {
    static const anb_token kTokens[] = {5, -4};
    static const anb_logit_bias kTwice[] = {{3, 1.0f}, {3, 2.0f}};
    anb_request_options bad = ANB_REQUEST_OPTIONS_INIT;
    bad.stop_tokens = kTokens;
    bad.n_stop_tokens = 2;
    request_refused(&w, &bad, ANB_BAD_REQUEST, "stop token -4");
    bad.n_stop_tokens = 0;
    bad.logit_bias = kTwice;
    bad.n_logit_bias = 2;
    request_refused(&w, &bad, ANB_BAD_REQUEST, "logit_bias names token 3 more than once");
  }
  CHECK_SAME(request, 77);
  end_world(&w);
}

static void prompts_longer_than_positions(void) {
  static const anb_token kPrompt[] = {1, 2, 3, 4, 5};
  anb_cache_options co = ANB_CACHE_OPTIONS_INIT;
  anb_request request = 77;
  world w;
  memset(&w, 0, sizeof w);
  co.max_position = 4;
  OK(anb_cache_create(&co, &w.cache));
  OK(anb_decoder_create(w.cache, NULL, &w.decoder));
  REFUSED(&w, anb_decoder_submit(w.decoder, kPrompt, 5, NULL, &request), ANB_BAD_REQUEST, "a prompt of 5 tokens");
  CHECK_SAME(request, 77);
  end_world(&w);
}

static void commits_refuse(void) {
  const anb_text text = byte_text();
  const anb_decoder_options options = decoder_options(NULL, &text);
  static const anb_token kTwo[] = {1, 2}, kBad[] = {-1};
  float logits[16];
  int i;
  anb_plan plan = ANB_PLAN_INIT;
  world w = decoder_world(&options);
  for (i = 0; i < 16; ++i) logits[i] = 0;
  submit(&w, "a", NULL);
  OK(anb_decoder_plan(w.decoder, &plan));
  REFUSED(&w, anb_decoder_commit(w.decoder, NULL, 1, 8), ANB_BAD_LOGITS, "[1, 8] without values");
  REFUSED(&w, anb_decoder_commit(w.decoder, logits, 2, 8), ANB_BAD_LOGITS, "[2, 8]");
  REFUSED(&w, anb_decoder_commit(w.decoder, logits, 0, 8), ANB_BAD_LOGITS, "1 outputs");
  REFUSED(&w, anb_decoder_commit(w.decoder, logits, -1, 8), ANB_BAD_LOGITS, "[-1, 8]");
  REFUSED(&w, anb_decoder_commit(w.decoder, logits, 1, 0), ANB_BAD_LOGITS, "[1, 0]");
  REFUSED(&w, anb_decoder_commit(w.decoder, logits, 1, -8), ANB_BAD_LOGITS, "[1, -8]");
  logits[5] = NAN;
  REFUSED(&w, anb_decoder_commit(w.decoder, logits, 1, 16), ANB_BAD_LOGITS, "logit of token 5 is ");
  logits[5] = INFINITY;
  REFUSED(&w, anb_decoder_commit(w.decoder, logits, 1, 16), ANB_BAD_LOGITS, "logit of token 5 is inf");
  for (i = 0; i < 16; ++i) logits[i] = -INFINITY;
  REFUSED(&w, anb_decoder_commit(w.decoder, logits, 1, 16), ANB_BAD_LOGITS, "no allowed token among 16");
  REFUSED(&w, anb_decoder_commit_sampled(w.decoder, kTwo, 2), ANB_BAD_ARGUMENT, "2 sampled tokens");
  REFUSED(&w, anb_decoder_commit_sampled(w.decoder, kTwo, 0), ANB_BAD_ARGUMENT, "0 sampled tokens");
  REFUSED(&w, anb_decoder_commit_sampled(w.decoder, kTwo, -1), ANB_BAD_ARGUMENT, "tokens has -1");
  REFUSED(&w, anb_decoder_commit_sampled(w.decoder, NULL, 1), ANB_BAD_ARGUMENT, "tokens is NULL");
  REFUSED(&w, anb_decoder_commit_sampled(w.decoder, kBad, 1), ANB_BAD_ARGUMENT, "sampled token -1");
  OK(anb_decoder_commit_sampled(w.decoder, kTwo, 1)); /* the plan was open all the time */
  end_world(&w);
}

static void decoder_calls_in_wrong_order(void) {
  static const anb_token kToken[] = {1};
  const float logits[] = {0, 1};
  anb_output_settings s = ANB_OUTPUT_SETTINGS_INIT;
  anb_plan plan = ANB_PLAN_INIT, second = untouched_plan();
  anb_step* step = no_step();
  world w = decoder_world(NULL);
  submit(&w, "a", NULL);
  REFUSED(&w, anb_decoder_commit(w.decoder, logits, 1, 2), ANB_WRONG_STATE, "without an open plan");
  REFUSED(&w, anb_decoder_commit_sampled(w.decoder, kToken, 1), ANB_WRONG_STATE, "without an open plan");
  REFUSED(&w, anb_decoder_get_output(w.decoder, 0, &s), ANB_WRONG_STATE, "without a plan");
  OK(anb_step_begin(w.cache, &w.step));
  REFUSED(&w, anb_decoder_plan(w.decoder, &second), ANB_WRONG_STATE, "already open");
  OK(anb_step_abort(w.step));
  w.step = NULL;
  OK(anb_decoder_plan(w.decoder, &plan));
  REFUSED(&w, anb_decoder_plan(w.decoder, &second), ANB_WRONG_STATE, "a plan is open");
  REFUSED(&w, anb_step_begin(w.cache, &step), ANB_WRONG_STATE, "already open");
  REFUSED(&w, anb_cache_check(w.cache), ANB_WRONG_STATE, "one is open");
  REFUSED(&w, anb_decoder_get_output(w.decoder, -1, &s), ANB_BAD_ARGUMENT, "output -1 of a plan with 1");
  REFUSED(&w, anb_decoder_get_output(w.decoder, 1, &s), ANB_BAD_ARGUMENT, "output 1 of a plan with 1");
  OK(anb_decoder_commit_sampled(w.decoder, kToken, 1));
  REFUSED(&w, anb_decoder_commit_sampled(w.decoder, kToken, 1), ANB_WRONG_STATE, "without an open plan");
  CHECK(untouched(&second) && step == no_step() && s.request == ANB_NO_REQUEST);
  end_world(&w);
}

static void logits_of_every_type(void) {
  static const float kFloats[] = {0, 1, 4, 2, 9, 9};
  static const uint16_t kFloat16[] = {0, 0x3c00, 0x4400, 0x4000}, kBfloat16[] = {0, 0x3f80, 0x4080, 0x4000};
  anb_plan plan = ANB_PLAN_INIT;
  anb_logits l = ANB_LOGITS_INIT;
  anb_event e = ANB_EVENT_INIT;
  world w = decoder_world(NULL);
  int32_t i;
  submit(&w, "a", NULL);
  for (i = 0; i < 3; ++i) {
    OK(anb_decoder_plan(w.decoder, &plan));
    l.type = i;
    l.n_outputs = 1;
    l.n_vocabulary = 4;
    l.values = i == ANB_LOGIT_FLOAT32 ? (const void*)kFloats : i == ANB_LOGIT_FLOAT16 ? kFloat16 : kBfloat16;
    l.row_stride = 3;
    REFUSED(&w, anb_decoder_commit_logits(w.decoder, &l), ANB_BAD_LOGITS, "a row stride of 3 for rows of 4");
    l.row_stride = 6;
    l.type = 3;
    REFUSED(&w, anb_decoder_commit_logits(w.decoder, &l), ANB_BAD_ARGUMENT, "type of logits is 3");
    l.type = -1;
    REFUSED(&w, anb_decoder_commit_logits(w.decoder, &l), ANB_BAD_ARGUMENT, "type of logits is -1");
    l.type = i;
    REFUSED(&w, anb_decoder_commit_logits(w.decoder, NULL), ANB_BAD_ARGUMENT, "logits is NULL");
    l.struct_size = 4;
    REFUSED(&w, anb_decoder_commit_logits(w.decoder, &l), ANB_BAD_ARGUMENT, "struct_size");
    l.struct_size = sizeof l;
    OK(anb_decoder_commit_logits(w.decoder, &l));
    do OK(anb_decoder_next_event(w.decoder, &e));
    while (e.kind != ANB_EVENT_TOKEN);
    CHECK_SAME(e.token, 2);
  }
  end_world(&w);
}

static void two_decoders_on_one_cache(void) {
  anb_plan plan = ANB_PLAN_INIT, second = untouched_plan();
  const anb_token token[] = {1};
  anb_decoder* other;
  anb_request request;
  anb_request_state s = ANB_REQUEST_STATE_INIT;
  world w = decoder_world(NULL);
  OK(anb_decoder_create(w.cache, NULL, &other));
  submit(&w, "a", NULL);
  OK(anb_decoder_submit(other, token, 1, NULL, &request));
  CHECK(request != w.requests[0]);
  REFUSED(&w, anb_decoder_get_request(w.decoder, request, &s), ANB_STALE_REQUEST, "none of this decoder's");
  REFUSED(&w, anb_decoder_cancel(other, w.requests[0]), ANB_STALE_REQUEST, "none of this decoder's");
  OK(anb_decoder_plan(w.decoder, &plan));
  REFUSED(&w, anb_decoder_plan(other, &second), ANB_WRONG_STATE, "already open");
  REFUSED(&w, anb_decoder_commit_sampled(other, token, 1), ANB_WRONG_STATE, "without an open plan");
  OK(anb_decoder_abort(other)); /* of nothing: the first one's plan stays */
  OK(anb_decoder_commit_sampled(w.decoder, token, 1));
  OK(anb_decoder_plan(other, &plan));
  anb_decoder_destroy(other);
  end_world(&w);
}

static void stale_requests(void) {
  anb_request_state s = ANB_REQUEST_STATE_INIT;
  anb_branch_state b = ANB_BRANCH_STATE_INIT;
  const anb_decoder_options options = decoder_options(NULL, NULL);
  world w = decoder_world(&options);
  anb_request bad[4];
  int i;
  const anb_request r = submit(&w, "a", NULL);
  bad[0] = ANB_NO_REQUEST;
  bad[1] = r + 1;
  bad[2] = UINT64_MAX;
  bad[3] = submit(&w, "b", NULL);
  OK(anb_decoder_release(w.decoder, bad[3]));
  w.n_requests = 1;
  for (i = 0; i < 4; ++i) {
    REFUSED(&w, anb_decoder_cancel(w.decoder, bad[i]), ANB_STALE_REQUEST, "request ");
    REFUSED(&w, anb_decoder_release(w.decoder, bad[i]), ANB_STALE_REQUEST, "request ");
    REFUSED(&w, anb_decoder_get_request(w.decoder, bad[i], &s), ANB_STALE_REQUEST, "request ");
    REFUSED(&w, anb_decoder_get_branch(w.decoder, bad[i], 0, &b), ANB_STALE_REQUEST, "request ");
  }
  REFUSED(&w, anb_decoder_get_branch(w.decoder, r, -1, &b), ANB_BAD_ARGUMENT, "branch -1");
  REFUSED(&w, anb_decoder_get_branch(w.decoder, r, 1, &b), ANB_BAD_ARGUMENT,
          "branch 1 of a request with branches 0 to 0");
  run_passes(&w, kTalk, kBySampled);
  CHECK_SAME(request_state(&w, r).n_serial, 5);
  CHECK(s.n_sampled == 0 && b.text == NULL);
  end_world(&w);
}

const phase kRefusedRequestPhases[] = {{"decoders_that_cannot_be", decoders_that_cannot_be},
                                       {"create_needs_a_place_for_the_handle", create_needs_a_place_for_the_handle},
                                       {"aspd_that_cannot_be", aspd_that_cannot_be},
                                       {"markups_that_do_not_exist", markups_that_do_not_exist},
                                       {"skeletons_that_cannot_be", skeletons_that_cannot_be},
                                       {"requests_refuse", requests_refuse},
                                       {"prompts_and_stops_refuse", prompts_and_stops_refuse},
                                       {"prompts_longer_than_positions", prompts_longer_than_positions},
                                       {"commits_refuse", commits_refuse},
                                       {"decoder_calls_in_wrong_order", decoder_calls_in_wrong_order},
                                       {"logits_of_every_type", logits_of_every_type},
                                       {"two_decoders_on_one_cache", two_decoders_on_one_cache},
                                       {"stale_requests", stale_requests},
                                       {NULL, NULL}};
