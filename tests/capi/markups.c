/* The built-in markups through the C ABI; own markups are in callbacks.c. */
#include "decoders.h"

#include <string.h>

/* Two titles, then nothing: the outline ends with a blank line. `|` is the token `**`, `~` the blank line. */
static const script kOutline[] = {{"", "Sun|Moon|~"}, {"0.0", " is hot\n"}, {"0.1", " is cold\n"}, {NULL, NULL}};

static anb_markup skeleton_markup(void) {
  anb_markup m = ANB_MARKUP_INIT;
  m.name = "skeleton";
  return m;
}

static void the_skeleton(void) {
  feed by;
  for (by = kBySampled; by <= kByLogits; ++by) {
    const anb_text text = byte_text();
    const anb_markup m = skeleton_markup();
    const anb_decoder_options o = decoder_options(&m, &text);
    world w = decoder_world(&o);
    anb_branch_state s = ANB_BRANCH_STATE_INIT;
    const anb_request r = submit(&w, "Q?", NULL);
    run_passes(&w, kOutline, by);
    CHECK_TEXT(text_of(&w, r, 0), "Here are the main points:\n\n1. **Sun**: is hot\n2. **Moon**: is cold");
    OK(anb_decoder_get_branch(w.decoder, r, 2, &s));
    CHECK_TEXT(s.title, "Moon");
    CHECK_SAME(s.reason, ANB_REASON_END_TAG);
    CHECK_SAME(request_state(&w, r).reason, ANB_REASON_FINISHED);
    CHECK_SAME(request_state(&w, r).n_branches, 2);
    end_world(&w);
  }
}

static void the_skeletons_options(void) {
  const anb_text text = byte_text();
  static const script kAfter[] = {{"", "Sun|Moon|Stars|~bye"}, {"0.0", " hot\n"}, {"0.1", " cold\n"}, {NULL, NULL}};
  anb_markup m = skeleton_markup();
  anb_decoder_options o = decoder_options(&m, &text);
  world w;
  anb_request r;
  char opening[] = "Points:\n";
  m.opening = opening;
  m.separator = "\n--\n";
  m.outline_end = "\n";
  m.go_on = 1;
  m.after_text = "\nSo: ok";
  m.max_points = 2;
  w = decoder_world(&o);
  memset(opening, 'X', sizeof opening - 1); /* everything is copied at create */
  r = submit(&w, "Q?", NULL);
  run_passes(&w, kAfter, kBySampled);
  CHECK_TEXT(text_of(&w, r, 0), "Points:\n1. **Sun**: hot\n--\n2. **Moon**: cold\nSo: okStars**\n\nbye");
  end_world(&w);
}

static void the_skeletons_constraint(void) {
  const anb_text text = byte_text();
  anb_markup m = skeleton_markup();
  const anb_decoder_options o = decoder_options(&m, &text);
  anb_output_settings s = ANB_OUTPUT_SETTINGS_INIT;
  anb_plan plan = ANB_PLAN_INIT;
  const anb_token line_break[] = {'\n'}, blank_line[] = {kBlankLine}, end[] = {kEnd}, letter[] = {'S'};
  int32_t i, n_breaks = 0;
  world w;
  m.n_vocabulary = kVocabulary;
  w = decoder_world(&o);
  submit(&w, "Q?", NULL);
  OK(anb_decoder_plan(w.decoder, &plan));
  OK(anb_decoder_get_output(w.decoder, 0, &s));
  for (i = 0; i < s.n_forbidden; ++i) n_breaks += s.forbidden[i] == '\n' || s.forbidden[i] == kBlankLine;
  CHECK(s.n_forbidden > 2 && n_breaks == 2);
  REFUSED(&w, anb_decoder_commit_sampled(w.decoder, line_break, 1), ANB_BAD_ARGUMENT, "sampled token 10");
  REFUSED(&w, anb_decoder_commit_sampled(w.decoder, blank_line, 1), ANB_BAD_ARGUMENT, "sampled token 257");
  REFUSED(&w, anb_decoder_commit_sampled(w.decoder, end, 1), ANB_BAD_ARGUMENT, "sampled token 0");
  OK(anb_decoder_commit_sampled(w.decoder, letter, 1));
  end_world(&w);
}

/* Once for each call of each text callback: create or a later call fails, and nothing else happens. */
static void a_skeleton_whose_text_fails(void) {
  int32_t k, n_created = 0, n_refused = 0;
  for (k = 1; k <= 200; ++k) {
    fuse f;
    anb_text text = byte_text();
    anb_markup m = skeleton_markup();
    anb_decoder_options o = decoder_options(&m, &text);
    anb_decoder* decoder = no_decoder();
    anb_request r = 77;
    world w = empty_world(64);
    f.left = k;
    text.user = &f;
    if (anb_decoder_create(w.cache, &o, &decoder) != ANB_OK) {
      ++n_refused;
      CHECK(strstr(anb_last_error(), "callback ") != NULL && strstr(anb_last_error(), " failed with -") != NULL &&
            decoder == no_decoder());
      OK(anb_decoder_create(w.cache, &o, &decoder)); /* it works the next time */
    }
    w.decoder = decoder;
    ++n_created;
    {
      const uint64_t before = state_of(&w);
      if (anb_decoder_submit(w.decoder, kColon, 1, NULL, &r) != ANB_OK) {
        ++n_refused;
        CHECK(r == 77 && state_of(&w) == before);
        OK(anb_decoder_submit(w.decoder, kColon, 1, NULL, &r));
      }
    }
    end_world(&w);
  }
  CHECK(n_created == 200 && n_refused > 30 && n_refused < 200);
}

static void every_position_policy_of_a_decoder(void) {
  static const anb_positions kPolicies[] = {ANB_POSITIONS_SEQUENTIAL, ANB_POSITIONS_LONGEST,
                                            ANB_POSITIONS_RESERVED(16)};
  static const script kBoth[] = {{"", "(a)(b){z"}, {"0.0", "pqr]"}, {"0.1", "s]"}, {NULL, NULL}};
  /* q and 7 tokens: 8. Branches of 3 + 4 and 3 + 2 tokens, then } and z. */
  static const anb_position kNext[] = {8 + 7 + 5 + 2, 8 + 7 + 2, 8 + 2 * 16 + 2};
  size_t i;
  for (i = 0; i < 3; ++i) {
    const anb_text text = byte_text();
    const anb_markup m = aspd_markup();
    anb_decoder_options o = decoder_options(&m, &text);
    anb_branch_state s = ANB_BRANCH_STATE_INIT;
    world w;
    anb_request r;
    o.positions = kPolicies[i];
    w = decoder_world(&o);
    r = submit(&w, "q", NULL);
    run_passes(&w, kBoth, kBySampled);
    CHECK_TEXT(text_of(&w, r, 0), "a:pqrb:sz");
    OK(anb_decoder_get_branch(w.decoder, r, 0, &s));
    CHECK_SAME(sequence_state(w.cache, s.sequence).next_position, kNext[i]);
    end_world(&w);
  }
}

const phase kMarkupPhases[] = {{"the_skeleton", the_skeleton},
                               {"the_skeletons_options", the_skeletons_options},
                               {"the_skeletons_constraint", the_skeletons_constraint},
                               {"a_skeleton_whose_text_fails", a_skeleton_whose_text_fails},
                               {"every_position_policy_of_a_decoder", every_position_policy_of_a_decoder},
                               {NULL, NULL}};
