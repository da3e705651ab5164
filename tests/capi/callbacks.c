/* Callbacks: markups of one's own, and what happens when a callback fails, gives nonsense, or calls back. */
#include "own_markup.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static world own_world(own* user, anb_text* text) {
  const anb_markup_callbacks callbacks = own_callbacks(user);
  const anb_markup markup = markup_of(&callbacks);
  const anb_decoder_options o = decoder_options(&markup, text);
  return decoder_world(&o);
}

static void a_markup_of_ones_own(void) {
  feed by;
  for (by = kBySampled; by <= kByLogits; ++by) {
    own user;
    anb_text text = byte_text();
    world w;
    anb_request r;
    memset(&user, 0, sizeof user);
    w = own_world(&user, &text);
    r = submit(&w, "q", NULL);
    CHECK_SAME(run_passes(&w, kOwnScript, by), 4 + 3 + 3);
    CHECK_TEXT(events_text(), "0>!0a0b0_!0# 0F1-2/0 1A!2B!1c2e1d2; 2E1 1;! 1E2  0J1-2 0.!0y0z 0X2 ");
    CHECK_TEXT(text_of(&w, r, 0), kOwnText);
    CHECK_SAME(user.n_seen_states, 0);
    CHECK_SAME(request_state(&w, r).n_forgotten, 2 + 2); /* b and <, the two ends of text */
    end_world(&w);
  }
}

static void a_constraint_is_obeyed(void) {
  static const anb_token kForkInBranches[] = {'#', '#'};
  own user;
  anb_text text = byte_text();
  anb_plan plan = ANB_PLAN_INIT;
  anb_output_settings s = ANB_OUTPUT_SETTINGS_INIT;
  static float logits[2 * kVocabulary];
  world w;
  int i;
  memset(&user, 0, sizeof user);
  w = own_world(&user, &text);
  submit(&w, "q", NULL);
  for (i = 0; i < 4; ++i) OK(pass(&w, kOwnScript, kByLogits));
  OK(anb_decoder_plan(w.decoder, &plan));
  OK(anb_decoder_get_output(w.decoder, 1, &s));
  CHECK(s.n_forbidden == 1 && s.forbidden[0] == '#' && s.n_allowed == 0 && s.branch == 2);
  REFUSED(&w, anb_decoder_commit_sampled(w.decoder, kForkInBranches, 2), ANB_BAD_ARGUMENT,
          "branch 1): sampled token 35 is not allowed");
  logits['#'] = logits[kVocabulary + '#'] = 9;
  logits['p'] = logits[kVocabulary + 'p'] = 8;
  forget_events();
  OK(anb_decoder_commit(w.decoder, logits, 2, kVocabulary));
  OK(anb_decoder_plan(w.decoder, &plan));
  CHECK(plan.n_rows == 2 && plan.tokens[0] == 'p' && plan.tokens[1] == 'p');
  end_world(&w);
}

/* A call that may fail by the fault of a callback: then nothing has changed, and it works the next time. */
typedef struct attempt {
  world* w;
  const own* user;
  const char* says; /* what the error must tell */
  int32_t n_failed;
} attempt;

/* The epoch may move: a decoder's plan that fails has begun a step and given it up. */
static int failed_well(attempt* a, uint64_t before, anb_status status) {
  if (status != ANB_CALLBACK_FAILED) return 0;
  ++a->n_failed;
  if (strstr(anb_last_error(), a->says) == NULL) CHECK_TEXT(anb_last_error(), a->says);
  CHECK(state_of(a->w) == before);
  return 1;
}

static void submit_in_spite(attempt* a, anb_request* r) {
  static const anb_token kPrompt[] = {'q'};
  *r = 77;
  for (;;) {
    const uint64_t before = state_of(a->w);
    const anb_status status = anb_decoder_submit(a->w->decoder, kPrompt, 1, NULL, r);
    if (!failed_well(a, before, status)) {
      OK(status);
      break;
    }
    CHECK_SAME(*r, 77);
  }
  a->w->requests[a->w->n_requests++] = *r;
}

static int plan_in_spite(attempt* a, anb_plan* plan) {
  for (;;) {
    const uint64_t before = state_of(a->w);
    const anb_status status = anb_decoder_plan(a->w->decoder, plan);
    if (!failed_well(a, before, status)) return status == ANB_OK;
  }
}

static void commit_in_spite(attempt* a, int32_t n) {
  anb_token tokens[8];
  anb_status status;
  do {
    int32_t i;
    uint64_t before;
    for (i = 0; i < n; ++i) tokens[i] = scripted(a->w, kOwnScript, i);
    before = state_of(a->w);
    status = anb_decoder_commit_sampled(a->w->decoder, tokens, n);
    if (!failed_well(a, before, status)) OK(status);
  } while (status == ANB_CALLBACK_FAILED);
}

/* The whole life of a request with one mischief. Returns how many calls failed. */
static int32_t live_in_spite(own* user, anb_text* text, const char* says) {
  world w = own_world(user, text);
  anb_plan plan = ANB_PLAN_INIT;
  anb_request r;
  attempt a;
  int n = 0;
  a.w = &w;
  a.user = user;
  a.says = says;
  a.n_failed = 0;
  user->w = &w;
  submit_in_spite(&a, &r);
  while (plan_in_spite(&a, &plan) && n++ < 100) commit_in_spite(&a, plan.n_outputs);
  CHECK_TEXT(text_of(&w, r, 0), kOwnText);
  CHECK_SAME(user->n_seen_states, 0);
  end_world(&w);
  return a.n_failed;
}

static void callbacks_that_misbehave(void) {
  int32_t where, what, when, n_cases = 0;
  for (where = 0; where < kNCallbacks; ++where)
    for (what = kFails; what < kNMischiefs; ++what) {
      if (!applies((callback)where, (mischief)what)) continue;
      for (when = 1; when <= 64; ++when) { /* at each call of the callback */
        char says[32];
        anb_text text = byte_text();
        own user;
        int32_t n_failed;
        memset(&user, 0, sizeof user);
        user.where = (callback)where;
        user.what = (mischief)what;
        user.when = when;
        sprintf(says, "callback %s", kCallbackNames[where]);
        n_failed = live_in_spite(&user, &text, says);
        if (user.n_done == 0) break; /* there is no such call any more */
        ++n_cases;
        CHECK_SAME(n_failed, what == kCallsBack ? 0 : 1);
      }
      CHECK(when > 1 && when <= 64);
    }
  CHECK(n_cases > 300);
}

static int32_t n_text_calls(void) {
  fuse f;
  anb_text text = byte_text();
  own user;
  f.left = INT_MAX;
  memset(&user, 0, sizeof user);
  text.user = &f;
  live_in_spite(&user, &text, "");
  return INT_MAX - f.left;
}

static void text_that_fails(void) {
  const int32_t n_calls = n_text_calls();
  int32_t k;
  CHECK(n_calls > 10);
  for (k = 1; k <= n_calls; ++k) {
    fuse f;
    anb_text text = byte_text();
    own user;
    f.left = k;
    memset(&user, 0, sizeof user);
    text.user = &f;
    CHECK_SAME(live_in_spite(&user, &text, "callback detokenize failed with -7"), 1);
  }
}

/* How text callbacks can be wrong about their length. */
typedef struct lengths {
  int32_t first;
  int32_t again; /* when asked with more room */
  int32_t n_calls;
} lengths;

static int32_t wrong_text(const anb_token* tokens, int32_t n, char* out, int32_t capacity, void* user) {
  lengths* l = (lengths*)user;
  const int32_t result = l->n_calls++ == 0 ? l->first : l->again;
  int32_t i;
  (void)tokens, (void)n;
  for (i = 0; i < capacity && i < result; ++i) out[i] = 'w';
  return result;
}

static anb_status commit_with(lengths* l, world* w) {
  static const anb_token kToken[] = {'u'};
  anb_text text = byte_text();
  anb_decoder_options o = decoder_options(NULL, &text);
  anb_plan plan = ANB_PLAN_INIT;
  text.detokenize = wrong_text;
  text.user = l;
  *w = decoder_world(&o);
  submit(w, "q", NULL);
  OK(anb_decoder_plan(w->decoder, &plan));
  return anb_decoder_commit_sampled(w->decoder, kToken, 1);
}

static void text_of_any_length(void) {
  static const lengths kWrong[] = {{INT32_MIN, 0, 0}, {-1, 0, 0}, {500, 501, 0}, {500, INT32_MAX, 0}, {500, -2, 0}};
  lengths l = {500, 500, 0};
  world w;
  size_t i;
  OK(commit_with(&l, &w));
  CHECK_SAME(strlen(text_of(&w, w.requests[0], 0)), 500); /* asked again, with room for it */
  CHECK_SAME(l.n_calls, 2);
  end_world(&w);
  l.n_calls = 0;
  l.again = 499; /* less than it said is fine */
  OK(commit_with(&l, &w));
  CHECK_SAME(strlen(text_of(&w, w.requests[0], 0)), 499);
  end_world(&w);
  for (i = 0; i < sizeof kWrong / sizeof kWrong[0]; ++i) {
    l = kWrong[i];
    STATUS(commit_with(&l, &w), ANB_CALLBACK_FAILED);
    CHECK(strstr(anb_last_error(), "callback detokenize") != NULL);
    CHECK_SAME(statistics_of(w.cache).step, 2); /* the plan is still open */
    end_world(&w);
  }
}

static void text_of_impossible_length(void) {
  lengths l = {INT32_MAX, INT32_MAX, 0};
  world w;
  STATUS(commit_with(&l, &w), ANB_CALLBACK_FAILED);
  CHECK(strstr(anb_last_error(), "2147483647") != NULL);
  CHECK_SAME(l.n_calls, 1); /* no room is made for that */
  end_world(&w);
}

static void forget_more_than_there_is(void) {
  static const script kScript[] = {{"", "ab<cd"}, {NULL, NULL}}, kAtOnce[] = {{"", "<cd"}, {NULL, NULL}};
  own user;
  anb_text text = byte_text();
  world w;
  anb_request r;
  memset(&user, 0, sizeof user);
  w = own_world(&user, &text);
  r = submit(&w, "q", NULL);
  run_passes(&w, kScript, kBySampled);
  CHECK_TEXT(text_of(&w, r, 0), ">ab_cd"); /* text that was printed stays printed */
  r = submit(&w, "q", NULL);
  run_passes(&w, kAtOnce, kBySampled); /* takes the opening back, and nothing of the prompt */
  CHECK_SAME(request_state(&w, r).n_serial, 4);
  end_world(&w);
}

static void callbacks_that_are_missing(void) {
  own user;
  anb_markup_callbacks c = ANB_MARKUP_CALLBACKS_INIT;
  anb_markup m = markup_of(&c);
  const anb_decoder_options o = decoder_options(&m, NULL);
  anb_decoder* decoder = no_decoder();
  world w = empty_world(2);
  memset(&user, 0, sizeof user);
#define MISSING(field)      \
  c = own_callbacks(&user); \
  c.field = NULL;           \
  REFUSED(&w, anb_decoder_create(w.cache, &o, &decoder), ANB_BAD_MARKUP, "callback " #field " is NULL")
  MISSING(child);
  MISSING(next);
  MISSING(joined);
  MISSING(closing);
  c = own_callbacks(&user);
  c.state_size = 4097;
  REFUSED(&w, anb_decoder_create(w.cache, &o, &decoder), ANB_BAD_MARKUP, "state_size is 4097; at most 4096");
  c.state_size = UINT32_MAX;
  REFUSED(&w, anb_decoder_create(w.cache, &o, &decoder), ANB_BAD_MARKUP, "state_size is 4294967295");
  CHECK(decoder == no_decoder());
  c.state_size = 4096;
  c.open = NULL; /* these three may be missing */
  c.end_of_text = NULL;
  c.constrain = NULL;
  OK(anb_decoder_create(w.cache, &o, &w.decoder));
  end_world(&w);
}

const phase kCallbackPhases[] = {{"a_markup_of_ones_own", a_markup_of_ones_own},
                                 {"a_constraint_is_obeyed", a_constraint_is_obeyed},
                                 {"callbacks_that_misbehave", callbacks_that_misbehave},
                                 {"text_that_fails", text_that_fails},
                                 {"text_of_any_length", text_of_any_length},
                                 {"text_of_impossible_length", text_of_impossible_length},
                                 {"forget_more_than_there_is", forget_more_than_there_is},
                                 {"callbacks_that_are_missing", callbacks_that_are_missing},
                                 {NULL, NULL}};
