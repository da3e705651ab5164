/* The decoder in its right use: passes, events, branches, joined answers, cancel, release, going on. */
#include "decoders.h"

#include <pthread.h>
#include <string.h>

static const script kSerial[] = {{"", "hello"}, {NULL, NULL}};
static const script kTwoBranches[] = {{"", "x(ab)(c){z"}, {"0.0", "pq]"}, {"0.1", "r]"}, {NULL, NULL}};

static void a_serial_answer(void) {
  feed by;
  for (by = kBySampled; by <= kByLogits; ++by) {
    const anb_text text = byte_text();
    const anb_decoder_options o = decoder_options(NULL, &text);
    world w = decoder_world(&o);
    const anb_request r = submit(&w, "ab", NULL);
    anb_request_state s;
    CHECK(r != ANB_NO_REQUEST);
    CHECK_SAME(run_passes(&w, kSerial, by), 6); /* one for each letter, and one that samples the end */
    CHECK_TEXT(events_text(), "0h0e0l0l0o 0X2 ");
    CHECK_TEXT(text_of(&w, r, 0), "hello");
    s = request_state(&w, r);
    CHECK_SAME(s.reason, ANB_REASON_END_OF_TEXT);
    CHECK(s.n_branches == 0 && s.n_blocks == 0 && s.n_branch == 0 && s.n_title == 0 && s.n_tag == 0);
    CHECK_SAME(s.n_serial, 5);
    CHECK_SAME(s.n_prompt, 2);
    CHECK_SAME(s.n_sampled, 6);
    CHECK_SAME(s.n_forced, 0);
    CHECK_SAME(s.n_passes, 6);
    CHECK_SAME(s.n_prefill, 1);
    CHECK_SAME(s.n_serial_passes, 6);
    end_world(&w);
  }
}

/* Spelled out by the rules: titles and para are sampled, branch heads and the para's end are forced. */
static void an_answer_with_branches(void) {
  feed by;
  for (by = kBySampled; by <= kByLogits; ++by) {
    const anb_text text = byte_text();
    const anb_markup markup = aspd_markup();
    const anb_decoder_options o = decoder_options(&markup, &text);
    world w = decoder_world(&o);
    const anb_request r = submit(&w, "ab", NULL);
    anb_request_state s;
    /* 9 on the trunk, 3 in the longer branch, z and the end. */
    CHECK_SAME(run_passes(&w, kTwoBranches, by), 9 + 3 + 2);
    CHECK_TEXT(events_text(), "0x0(0a0b0)0(0c0)0{ 0F1-2/0 1[!1a!1b!1:!2[!2c!2:!1p2r1q2] 2E1 1] 1E1  0J1-2 0}!0z 0X2 ");
    CHECK_TEXT(text_of(&w, r, 0), "xab:pqc:rz");
    CHECK_TEXT(text_of(&w, r, 1), "ab:pq");
    CHECK_TEXT(text_of(&w, r, 2), "c:r");
    s = request_state(&w, r);
    CHECK(s.n_branches == 2 && s.n_blocks == 1);
    CHECK(s.n_serial == 2 && s.n_branch == 8 && s.n_title == 3 && s.n_tag == 10);
    CHECK_SAME(s.n_sampled, 9 + 5 + 2);
    CHECK_SAME(s.n_forced, 8);
    CHECK_SAME(s.n_serial_passes, 1 + 10); /* ten letters and the end, the first with the prompt */
    end_world(&w);
  }
}

static void branches_tell_their_state(void) {
  const anb_text text = byte_text();
  const anb_markup markup = aspd_markup();
  const anb_decoder_options o = decoder_options(&markup, &text);
  world w = decoder_world(&o);
  const anb_request r = submit(&w, "ab", NULL);
  anb_branch_state s = ANB_BRANCH_STATE_INIT;
  int i;
  for (i = 0; i < 11; ++i) OK(pass(&w, kTwoBranches, kBySampled)); /* branch 2 has ended, 1 has not */
  OK(anb_decoder_get_branch(w.decoder, r, 1, &s));
  CHECK_TEXT(s.title, "ab");
  CHECK_TEXT(s.text, "ab:pq");
  CHECK_SAME(s.reason, ANB_REASON_NONE);
  CHECK(s.n_path == 1 && s.path[0].block == 0 && s.path[0].branch == 0);
  CHECK_SAME(sequence_state(w.cache, s.sequence).start_position, 11); /* after 2 of the prompt and 9 */
  OK(anb_decoder_get_branch(w.decoder, r, 2, &s));
  CHECK_TEXT(s.title, "c");
  CHECK_SAME(s.reason, ANB_REASON_END_TAG);
  CHECK_SAME(s.path[0].branch, 1);
  OK(anb_decoder_get_branch(w.decoder, r, 0, &s));
  CHECK(s.n_path == 0 && s.n_title == 0 && s.reason == ANB_REASON_NONE);
  run_passes(&w, kTwoBranches, kBySampled);
  OK(anb_decoder_get_branch(w.decoder, r, 1, &s)); /* joined: its sequence is gone, its text is not */
  CHECK(s.sequence == ANB_NO_SEQUENCE);
  CHECK_TEXT(s.text, "ab:pq");
  end_world(&w);
}

static void nested_blocks(void) {
  static const script kNested[] = {
      {"", "(a){"}, {"0.0", "(b)(c){y]"}, {"0.0/0.0", "s]"}, {"0.0/0.1", "t]"}, {NULL, NULL}};
  const anb_text text = byte_text();
  const anb_markup markup = aspd_markup();
  anb_decoder_options o = decoder_options(&markup, &text);
  anb_branch_state s = ANB_BRANCH_STATE_INIT;
  anb_request r;
  world w = decoder_world(&o);
  r = submit(&w, "q", NULL);
  run_passes(&w, kNested, kByLogits);
  CHECK_TEXT(text_of(&w, r, 0), "a:b:sc:ty");
  OK(anb_decoder_get_branch(w.decoder, r, 3, &s));
  CHECK(s.n_path == 2 && s.path[1].block == 0 && s.path[1].branch == 1);
  end_world(&w);
  o.max_depth = 1; /* the inner fork is refused, as a block without branches */
  w = decoder_world(&o);
  r = submit(&w, "q", NULL);
  run_passes(&w, kNested, kByLogits);
  CHECK_TEXT(text_of(&w, r, 0), "a:y");
  CHECK(strstr(events_text(), " 1F-1--2/4 ") != NULL);
  end_world(&w);
}

static void two_requests_share_passes(void) {
  const anb_text text = byte_text();
  const anb_markup markup = aspd_markup();
  const anb_decoder_options o = decoder_options(&markup, &text);
  world w = decoder_world(&o);
  anb_request first, second;
  first = submit(&w, "abcdefgh", NULL);
  second = submit(&w, "i", NULL);
  CHECK(first != second);
  CHECK_SAME(run_passes(&w, kTwoBranches, kByLogits), 14); /* as many as for one */
  CHECK_TEXT(text_of(&w, first, 0), "xab:pqc:rz");
  CHECK_TEXT(text_of(&w, second, 0), "xab:pqc:rz");
  end_world(&w);
}

static void events_that_were_not_taken_are_gone(void) {
  const anb_text text = byte_text();
  const anb_decoder_options o = decoder_options(NULL, &text);
  static const anb_token kTokens[] = {'u'}, kNext[] = {'v'};
  world w = decoder_world(&o);
  anb_plan plan = ANB_PLAN_INIT;
  anb_event e = ANB_EVENT_INIT;
  const anb_request r = submit(&w, "a", NULL);
  STATUS(anb_decoder_next_event(w.decoder, &e), ANB_NOTHING_TO_DO);
  OK(anb_decoder_plan(w.decoder, &plan));
  OK(anb_decoder_commit_sampled(w.decoder, kTokens, 1));
  OK(anb_decoder_plan(w.decoder, &plan));
  OK(anb_decoder_commit_sampled(w.decoder, kNext, 1));
  OK(anb_decoder_next_event(w.decoder, &e));
  CHECK(e.kind == ANB_EVENT_TOKEN && e.token == 'v' && e.request == r && e.branch == 0 && e.forced == 0);
  CHECK(e.role == ANB_ROLE_TEXT && e.n_text == 1 && e.n_top == 0);
  CHECK(e.log_probability != e.log_probability); /* NaN: it was not asked for */
  CHECK_TEXT(e.text, "v");
  STATUS(anb_decoder_next_event(w.decoder, &e), ANB_NOTHING_TO_DO);
  end_world(&w);
}

static void an_aborted_pass_is_planned_again(void) {
  const anb_text text = byte_text();
  const anb_markup markup = aspd_markup();
  const anb_decoder_options o = decoder_options(&markup, &text);
  world w = decoder_world(&o);
  const anb_request r = submit(&w, "ab", NULL);
  anb_plan plan = ANB_PLAN_INIT;
  anb_token tokens[16];
  int32_t n = 0, i;
  OK(anb_decoder_abort(w.decoder));                                 /* fine without a plan */
  while (anb_decoder_plan(w.decoder, &plan) == ANB_OK && n < 100) { /* every pass is given up once */
    const int32_t n_rows = plan.n_rows, n_outputs = plan.n_outputs;
    if (n_rows <= 16) memcpy(tokens, plan.tokens, sizeof tokens[0] * (size_t)n_rows);
    OK(anb_decoder_abort(w.decoder));
    CHECK_SAME(statistics_of(w.cache).step, 0);
    OK(anb_decoder_plan(w.decoder, &plan));
    CHECK(plan.n_rows == n_rows && plan.n_outputs == n_outputs);
    CHECK(n_rows > 16 || memcmp(tokens, plan.tokens, sizeof tokens[0] * (size_t)n_rows) == 0);
    for (i = 0; i < n_outputs; ++i) tokens[i] = scripted(&w, kTwoBranches, i);
    OK(anb_decoder_commit_sampled(w.decoder, tokens, n_outputs));
    ++n;
  }
  CHECK_SAME(n, 14);
  CHECK_TEXT(text_of(&w, r, 0), "xab:pqc:rz");
  end_world(&w);
}

static void cancel_and_release(void) {
  const anb_text text = byte_text();
  const anb_decoder_options o = decoder_options(NULL, &text);
  world w = decoder_world(&o);
  anb_plan plan = ANB_PLAN_INIT;
  anb_request a, b, c;
  static const anb_token kTokens[] = {'u', 'v', 'w'};
  a = submit(&w, "a", NULL);
  b = submit(&w, "b", NULL);
  c = submit(&w, "c", NULL);
  OK(anb_decoder_plan(w.decoder, &plan));
  OK(anb_decoder_cancel(w.decoder, b)); /* between plan and commit: its token is not used */
  OK(anb_decoder_release(w.decoder, c));
  STATUS(anb_decoder_cancel(w.decoder, c), ANB_STALE_REQUEST);
  OK(anb_decoder_commit_sampled(w.decoder, kTokens, 3));
  CHECK_TEXT(text_of(&w, a, 0), "u");
  CHECK_TEXT(text_of(&w, b, 0), "");
  CHECK_SAME(request_state(&w, b).reason, ANB_REASON_CANCELLED);
  CHECK_SAME(statistics_of(w.cache).n_sequences, 1);
  OK(anb_decoder_cancel(w.decoder, b)); /* again: it is over already */
  OK(anb_decoder_release(w.decoder, b));
  OK(anb_decoder_release(w.decoder, a)); /* while it runs */
  CHECK_SAME(statistics_of(w.cache).n_sequences, 0);
  CHECK_SAME(statistics_of(w.cache).n_free_pages, 64);
  STATUS(anb_decoder_plan(w.decoder, &plan), ANB_NOTHING_TO_DO);
  end_world(&w);
}

static int g_stop = 0; /* the host's own flag; builtins, because C99 has no atomics */

static void* stop_it(void* unused) {
  __atomic_store_n(&g_stop, 1, __ATOMIC_RELEASE);
  return unused;
}

/* The recipe of capi/README.md: another thread sets the flag, the decoder's looks at it between two passes. */
static void another_thread_stops_an_answer(void) {
  const anb_text text = byte_text();
  const anb_decoder_options o = decoder_options(NULL, &text);
  world w = decoder_world(&o);
  const anb_request r = submit(&w, "ab", NULL);
  anb_plan plan = ANB_PLAN_INIT;
  int n_passes = 0;
  __atomic_store_n(&g_stop, 0, __ATOMIC_RELEASE);
  while (request_state(&w, r).reason == ANB_REASON_NONE) {
    anb_token token;
    pthread_t other;
    if (__atomic_load_n(&g_stop, __ATOMIC_ACQUIRE) != 0) {
      OK(anb_decoder_cancel(w.decoder, r));
      continue;
    }
    OK(anb_decoder_plan(w.decoder, &plan));
    token = scripted(&w, kSerial, 0);
    OK(anb_decoder_commit_sampled(w.decoder, &token, 1));
    if (++n_passes != 3) continue;
    CHECK_SAME(pthread_create(&other, NULL, stop_it, NULL), 0);
    CHECK_SAME(pthread_join(other, NULL), 0);
  }
  CHECK_SAME(n_passes, 3);
  CHECK_SAME(request_state(&w, r).reason, ANB_REASON_CANCELLED);
  CHECK_TEXT(text_of(&w, r, 0), "hel");
  CHECK_SAME(statistics_of(w.cache).n_free_pages, 64);
  end_world(&w);
}

/* The history of a finished request is kept for the next one, which sees it all. */
static void a_request_goes_on_with_another(void) {
  const anb_text text = byte_text();
  const anb_decoder_options o = decoder_options(NULL, &text);
  world w = decoder_world(&o);
  anb_request_options ro = ANB_REQUEST_OPTIONS_INIT;
  anb_branch_state s = ANB_BRANCH_STATE_INIT;
  anb_request first, second;
  first = submit(&w, "ab", NULL);
  run_passes(&w, kSerial, kBySampled);
  ro.after = first;
  second = submit(&w, "cde", &ro);
  run_passes(&w, kSerial, kBySampled);
  CHECK_TEXT(text_of(&w, second, 0), "hello");
  CHECK_SAME(request_state(&w, second).n_prompt, 3);
  OK(anb_decoder_get_branch(w.decoder, second, 0, &s));
  CHECK_SAME(sequence_state(w.cache, s.sequence).n_tokens, 2 + 5 + 3 + 5);
  OK(anb_decoder_get_branch(w.decoder, first, 0, &s));
  CHECK(s.sequence == ANB_NO_SEQUENCE); /* it gave its history up */
  STATUS(anb_decoder_submit(w.decoder, kColon, 1, &ro, &first), ANB_BAD_REQUEST);
  end_world(&w);
}

/* Two requests start from a sequence that is not computed again, and that its owner then drops. */
static void requests_start_from_a_sequence(void) {
  static const anb_token kSystem[] = {'s', 'y', 's'};
  const anb_text text = byte_text();
  const anb_decoder_options o = decoder_options(NULL, &text);
  world w = decoder_world(&o);
  anb_request_options ro = ANB_REQUEST_OPTIONS_INIT;
  anb_branch_state s = ANB_BRANCH_STATE_INIT;
  anb_output_settings settings = ANB_OUTPUT_SETTINGS_INIT;
  anb_event event = ANB_EVENT_INIT;
  anb_plan plan = ANB_PLAN_INIT;
  anb_token sampled[2] = {'h', 'h'};
  anb_step* step;
  anb_sequence shared;
  anb_request first, second, none = ANB_NO_REQUEST;
  OK(anb_step_begin(w.cache, &step));
  OK(anb_step_create_sequence(step, 0, &shared));
  OK(anb_step_append(step, shared, kSystem, 3, ANB_LOGITS_NONE));
  OK(anb_step_plan(step, &plan));
  OK(anb_step_commit(step));
  ro.prefix = shared;
  ro.user_data = 41;
  first = submit(&w, "ab", &ro);
  ro.user_data = UINT64_MAX;
  second = submit(&w, "c", &ro);
  STATUS(anb_decoder_submit(w.decoder, NULL, 0, &ro, &none), ANB_BAD_REQUEST);
  OK(anb_decoder_plan(w.decoder, &plan));
  CHECK_SAME(plan.n_rows, 3);
  CHECK(plan.positions[0] == 3 && plan.n_outputs == 2);
  OK(anb_decoder_get_output(w.decoder, 1, &settings));
  CHECK(settings.user_data == UINT64_MAX && settings.request == second);
  OK(anb_decoder_commit_sampled(w.decoder, sampled, 2));
  OK(anb_decoder_next_event(w.decoder, &event));
  CHECK(event.user_data == 41 && event.request == first);
  OK(anb_step_begin(w.cache, &step));
  OK(anb_step_drop(step, shared));
  OK(anb_step_plan(step, &plan));
  OK(anb_step_commit(step));
  STATUS(anb_decoder_submit(w.decoder, kColon, 1, &ro, &none), ANB_STALE_SEQUENCE);
  CHECK(none == ANB_NO_REQUEST);
  run_passes(&w, kSerial, kBySampled);
  CHECK_TEXT(text_of(&w, first, 0), "hello");
  CHECK_TEXT(text_of(&w, second, 0), "hello");
  CHECK_SAME(request_state(&w, first).user_data, 41);
  OK(anb_decoder_get_branch(w.decoder, first, 0, &s));
  CHECK_SAME(sequence_state(w.cache, s.sequence).n_tokens, 3 + 2 + 5);
  CHECK(s.n_tokens == 5 && s.tokens[0] == 'h' && s.tokens[4] == 'o');
  end_world(&w);
}

/* Others drop a request's sequence: it ends, with a reason of its own. */
static void a_request_that_is_lost(void) {
  const anb_text text = byte_text();
  const anb_decoder_options o = decoder_options(NULL, &text);
  world w = decoder_world(&o);
  anb_branch_state s = ANB_BRANCH_STATE_INIT;
  anb_plan plan = ANB_PLAN_INIT;
  anb_step* step;
  const anb_request r = submit(&w, "ab", NULL);
  OK(pass(&w, kSerial, kBySampled));
  OK(anb_decoder_get_branch(w.decoder, r, 0, &s));
  OK(anb_step_begin(w.cache, &step));
  OK(anb_step_drop(step, s.sequence));
  OK(anb_step_plan(step, &plan));
  OK(anb_step_commit(step));
  STATUS(anb_decoder_plan(w.decoder, &plan), ANB_NOTHING_TO_DO);
  CHECK_SAME(request_state(&w, r).reason, ANB_REASON_LOST);
  CHECK_TEXT(text_of(&w, r, 0), "h");
  end_world(&w);
}

/* At a shortage each request says what it needs and uses. */
static void pages_at_a_shortage(void) {
  static const anb_token kPrompt[] = {1, 2, 3, 4, 5};
  anb_plan plan = ANB_PLAN_INIT;
  anb_request_state s = ANB_REQUEST_STATE_INIT;
  anb_token sampled = 1;
  int32_t n_used = 0, n_free, i;
  world w = empty_world(4);
  w.n_requests = 2;
  OK(anb_decoder_create(w.cache, NULL, &w.decoder));
  OK(anb_decoder_submit(w.decoder, kPrompt, 5, NULL, &w.requests[0]));
  OK(anb_decoder_plan(w.decoder, &plan));
  OK(anb_decoder_commit_sampled(w.decoder, &sampled, 1));
  OK(anb_decoder_submit(w.decoder, kPrompt, 5, NULL, &w.requests[1]));
  n_free = statistics_of(w.cache).n_free_pages;
  for (i = 0; i < 100 && anb_decoder_plan(w.decoder, &plan) == ANB_OK; ++i) {
    anb_token both[2] = {1, 1};
    OK(anb_decoder_get_request(w.decoder, w.requests[0], &s));
    CHECK(s.n_pages_needed == 0 && s.n_pages_used == 0);
    OK(anb_decoder_commit_sampled(w.decoder, both, plan.n_outputs));
    n_free = statistics_of(w.cache).n_free_pages;
  }
  STATUS(anb_decoder_plan(w.decoder, &plan), ANB_NO_ROOM);
  for (i = 0; i < 2; ++i) {
    OK(anb_decoder_get_request(w.decoder, w.requests[i], &s));
    CHECK(s.n_pages_used >= 1 && s.n_pages_needed >= 0);
    n_used += s.n_pages_used;
  }
  CHECK_SAME(n_used, statistics_of(w.cache).n_pages - n_free);
  end_world(&w);
}

const phase kDecoderPhases[] = {{"a_serial_answer", a_serial_answer},
                                {"an_answer_with_branches", an_answer_with_branches},
                                {"branches_tell_their_state", branches_tell_their_state},
                                {"nested_blocks", nested_blocks},
                                {"two_requests_share_passes", two_requests_share_passes},
                                {"events_that_were_not_taken_are_gone", events_that_were_not_taken_are_gone},
                                {"an_aborted_pass_is_planned_again", an_aborted_pass_is_planned_again},
                                {"cancel_and_release", cancel_and_release},
                                {"another_thread_stops_an_answer", another_thread_stops_an_answer},
                                {"a_request_goes_on_with_another", a_request_goes_on_with_another},
                                {"requests_start_from_a_sequence", requests_start_from_a_sequence},
                                {"a_request_that_is_lost", a_request_that_is_lost},
                                {"pages_at_a_shortage", pages_at_a_shortage},
                                {NULL, NULL}};
