/* The calls of a step, in their right use, and their effect on sequences. */
#include "phases.h"

#include <string.h>

static void plan_and_commit(world* w) {
  anb_plan plan = ANB_PLAN_INIT;
  OK(anb_step_plan(w->step, &plan));
  OK(anb_step_commit(w->step));
  w->step = NULL;
}

static void begin(world* w) { OK(anb_step_begin(w->cache, &w->step)); }

/* Checks n_tokens and next_position, which every operation moves. */
static void check_sequence(place at, const world* w, anb_sequence sequence, int32_t n_tokens, anb_position next) {
  const anb_sequence_state s = sequence_state(w->cache, sequence);
  check_same(at, s.n_tokens, n_tokens);
  check_same(at, s.next_position, next);
}
#define SEQUENCE(w, sequence, n_tokens, next) check_sequence(HERE(#sequence), w, sequence, n_tokens, next)

static void version_and_names(void) {
  CHECK_SAME(anb_version(), ANB_VERSION_MAJOR * 65536 + ANB_VERSION_MINOR * 256 + ANB_VERSION_PATCH);
  CHECK_TEXT(anb_status_name(ANB_OK), "ok");
  CHECK_TEXT(anb_status_name(ANB_BAD_ARGUMENT), "bad_argument");
  CHECK_TEXT(anb_status_name(ANB_NOTHING_TO_DO), "nothing_to_do");
  CHECK_TEXT(anb_status_name(23), "unknown");
  CHECK_TEXT(anb_status_name(-1), "unknown");
  CHECK_TEXT(anb_status_name(INT32_MAX), "unknown");
  CHECK_TEXT(anb_status_name(INT32_MIN), "unknown");
}

static void the_last_error_is_the_last(void) {
  world w = empty_world(4);
  char kept[1024];
  STATUS(anb_cache_create(NULL, NULL), ANB_BAD_ARGUMENT);
  CHECK(strstr(anb_last_error(), "cache is NULL") != NULL);
  strcpy(kept, anb_last_error());
  OK(anb_cache_check(w.cache));
  CHECK_TEXT(anb_last_error(), kept); /* a call that works leaves it alone */
  STATUS(anb_step_begin(NULL, &w.step), ANB_BAD_HANDLE);
  CHECK(strcmp(anb_last_error(), kept) != 0);
  CHECK(strlen(anb_last_error()) < 1024);
  w.step = NULL;
  end_world(&w);
}

static void a_cache_is_what_its_options_say(void) {
  anb_cache_options o = ANB_CACHE_OPTIONS_INIT;
  anb_cache_statistics s;
  anb_cache* cache;
  OK(anb_cache_create(NULL, &cache));
  s = statistics_of(cache);
  CHECK_SAME(s.n_pages, 1024);
  CHECK_SAME(s.n_free_pages, 1024);
  CHECK_SAME(s.page_size, 16);
  CHECK_SAME(s.n_slots, 16384);
  CHECK_SAME(s.n_sequences, 0);
  CHECK_SAME(s.step, 0);
  anb_cache_destroy(cache);
  o.n_pages = 3;
  o.page_size = 5;
  o.share_tail = ANB_SHARE_TAIL_NEVER;
  OK(anb_cache_create(&o, &cache));
  s = statistics_of(cache);
  CHECK_SAME(s.n_pages, 3);
  CHECK_SAME(s.page_size, 5);
  CHECK_SAME(s.n_slots, 15);
  OK(anb_cache_check(cache));
  anb_cache_destroy(cache);
}

static void the_step_is_part_of_the_statistics(void) {
  world w = empty_world(4);
  anb_plan plan = ANB_PLAN_INIT;
  const uint64_t epoch = statistics_of(w.cache).epoch;
  begin(&w);
  CHECK_SAME(statistics_of(w.cache).step, 1);
  OK(anb_step_create_sequence(w.step, 0, &w.sequences[0]));
  OK(anb_step_append_unknown(w.step, w.sequences[0], 5, ANB_LOGITS_NONE));
  CHECK_SAME(statistics_of(w.cache).n_sequences, 1);
  OK(anb_step_plan(w.step, &plan));
  CHECK_SAME(statistics_of(w.cache).step, 2);
  CHECK_SAME(plan.epoch, statistics_of(w.cache).epoch);
  OK(anb_step_commit(w.step));
  w.step = NULL;
  CHECK_SAME(statistics_of(w.cache).step, 0);
  CHECK_SAME(statistics_of(w.cache).n_free_pages, 2);
  CHECK(statistics_of(w.cache).epoch != epoch);
  end_world(&w);
}

static void sequences_tell_their_state(void) {
  world w = grown_world();
  anb_sequence_state s = sequence_state(w.cache, w.sequences[0]);
  anb_sequence children[4] = {1, 1, 1, 1};
  int32_t n = 0;
  CHECK_SAME(s.n_tokens, 5);
  CHECK_SAME(s.next_position, 5);
  CHECK_SAME(s.position_limit, ANB_UNLIMITED);
  CHECK_SAME(s.start_position, 0);
  CHECK_SAME(s.fork_tokens, 0);
  CHECK_SAME(s.n_children, 2);
  CHECK(s.parent == ANB_NO_SEQUENCE);
  s = sequence_state(w.cache, w.sequences[3]);
  CHECK_SAME(s.n_tokens, 8);
  CHECK_SAME(s.next_position, 8);
  CHECK_SAME(s.start_position, 7);
  CHECK_SAME(s.fork_tokens, 7);
  CHECK(s.parent == w.sequences[1]);
  OK(anb_sequence_children(w.cache, w.sequences[0], 4, children, &n));
  CHECK_SAME(n, 2);
  CHECK(children[0] == w.sequences[1] && children[1] == w.sequences[2] && children[2] == 1);
  children[1] = 1;
  OK(anb_sequence_children(w.cache, w.sequences[0], 1, children, &n)); /* as many as fit */
  CHECK_SAME(n, 2);
  CHECK(children[0] == w.sequences[1] && children[1] == 1);
  OK(anb_sequence_children(w.cache, w.sequences[3], 0, NULL, &n));
  CHECK_SAME(n, 0);
  end_world(&w);
}

static void caches_list_their_sequences(void) {
  world w = grown_world();
  anb_sequence all[8] = {1, 1, 1, 1, 1, 1, 1, 1}, roots[2] = {1, 1};
  int32_t n = 0, i, j, found;
  OK(anb_cache_sequences(w.cache, 8, all, &n));
  CHECK_SAME(n, w.n_sequences);
  for (i = 0; i < n; ++i) {
    for (j = found = 0; j < n; ++j) found += all[j] == w.sequences[i];
    CHECK_SAME(found, 1);
  }
  CHECK(all[n] == 1);
  all[1] = 1;
  OK(anb_cache_sequences(w.cache, 1, all, &n)); /* as many as fit */
  CHECK(n == w.n_sequences && all[1] == 1);
  OK(anb_cache_sequences(w.cache, 0, NULL, &n));
  CHECK_SAME(n, w.n_sequences);
  OK(anb_cache_roots(w.cache, 2, roots, &n));
  CHECK(n == 1 && roots[0] == w.sequences[0] && roots[1] == 1);
  end_world(&w);
}

static void sequences_tell_their_token_ids(void) {
  static const anb_token kTokens[] = {11, 12, 13};
  anb_cache_options o = ANB_CACHE_OPTIONS_INIT;
  anb_token tokens[8] = {-7, -7, -7, -7, -7, -7, -7, -7};
  world w;
  int32_t n = 0;
  memset(&w, 0, sizeof w);
  o.keep_tokens = 1;
  OK(anb_cache_create(&o, &w.cache));
  begin(&w);
  OK(anb_step_create_sequence(w.step, 0, &w.sequences[0]));
  w.n_sequences = 1;
  OK(anb_step_append(w.step, w.sequences[0], kTokens, 3, ANB_LOGITS_NONE));
  OK(anb_step_append_unknown(w.step, w.sequences[0], 1, ANB_LOGITS_NONE));
  plan_and_commit(&w);
  OK(anb_sequence_token_ids(w.cache, w.sequences[0], 2, tokens, &n));
  CHECK(n == 4 && tokens[1] == 12 && tokens[2] == -7);
  OK(anb_sequence_token_ids(w.cache, w.sequences[0], 8, tokens, &n));
  CHECK(n == 4 && tokens[2] == 13 && tokens[3] == ANB_UNKNOWN_TOKEN && tokens[4] == -7);
  OK(anb_sequence_token_ids(w.cache, w.sequences[0], 0, NULL, &n));
  CHECK_SAME(n, 4);
  end_world(&w);
}

static void sequences_tell_their_tokens(void) {
  world w = grown_world();
  anb_slot slots[10] = {-7, -7, -7, -7, -7, -7, -7, -7, -7, -7}, trunk[5];
  anb_position positions[10];
  int32_t n = 0, i;
  OK(anb_sequence_tokens(w.cache, w.sequences[0], 5, trunk, NULL, &n));
  OK(anb_sequence_tokens(w.cache, w.sequences[3], 10, slots, positions, &n));
  CHECK_SAME(n, 8);
  for (i = 0; i < 8; ++i) CHECK_SAME(positions[i], i);
  for (i = 0; i < 5; ++i) CHECK_SAME(slots[i], trunk[i]); /* the prefix is shared, not copied */
  CHECK_SAME(slots[8], -7);
  slots[3] = -7;
  OK(anb_sequence_tokens(w.cache, w.sequences[3], 3, slots, NULL, &n));
  CHECK(n == 8 && slots[2] == trunk[2] && slots[3] == -7);
  OK(anb_sequence_tokens(w.cache, w.sequences[3], 3, NULL, positions, &n));
  OK(anb_sequence_tokens(w.cache, w.sequences[3], 0, NULL, NULL, &n));
  OK(anb_sequence_tokens(w.cache, w.sequences[3], INT32_MAX, NULL, NULL, &n));
  CHECK_SAME(n, 8);
  begin(&w); /* tokens that are not planned yet have no slots */
  OK(anb_step_append_unknown(w.step, w.sequences[3], 2, ANB_LOGITS_NONE));
  OK(anb_sequence_tokens(w.cache, w.sequences[3], 10, slots, positions, &n));
  CHECK_SAME(n, 8);
  CHECK_SAME(sequence_state(w.cache, w.sequences[3]).n_tokens, 10);
  end_world(&w);
}

/* p = 9, extents 6, 4 and 5: the example of the position table. */
static void join_follows(anb_positions positions, anb_position next, const anb_position* starts) {
  static const int32_t kExtents[] = {6, 4, 5};
  world w = empty_world(16);
  const anb_sequence* kids = &w.sequences[1];
  anb_sequence order[3];
  int k;
  begin(&w);
  OK(anb_step_create_sequence(w.step, 0, &w.sequences[0]));
  OK(anb_step_append_unknown(w.step, w.sequences[0], 9, ANB_LOGITS_NONE));
  OK(anb_step_fork(w.step, w.sequences[0], 3, positions, &w.sequences[1]));
  for (k = 0; k < 3; ++k) {
    CHECK_SAME(sequence_state(w.cache, kids[k]).start_position, starts[k]);
    OK(anb_step_append_unknown(w.step, kids[k], kExtents[k], ANB_LOGITS_NONE));
  }
  order[0] = kids[2];
  order[1] = kids[0];
  OK(anb_step_join(w.step, w.sequences[0], order, 2));
  OK(anb_step_join(w.step, w.sequences[0], &kids[1], 1)); /* the rest of the block, later */
  SEQUENCE(&w, w.sequences[0], 9 + 15, next);
  plan_and_commit(&w);
  SEQUENCE(&w, w.sequences[0], 9 + 15, next);
  CHECK_SAME(statistics_of(w.cache).n_sequences, 1);
  end_world(&w);
}

static void joins_follow_their_policy(void) {
  static const anb_position kSame[] = {9, 9, 9}, kReserved[] = {9, 15, 21};
  join_follows(ANB_POSITIONS_SEQUENTIAL, 24, kSame);
  join_follows(ANB_POSITIONS_LONGEST, 15, kSame);
  join_follows(ANB_POSITIONS_RESERVED(6), 27, kReserved);
}

static void joins_keep_the_given_order(void) {
  world w = empty_world(8);
  anb_slot slots[6];
  anb_slot first, second;
  anb_sequence order[2];
  int32_t n;
  begin(&w);
  OK(anb_step_create_sequence(w.step, 3, &w.sequences[0]));
  OK(anb_step_fork(w.step, w.sequences[0], 2, ANB_POSITIONS_SEQUENTIAL, &w.sequences[1]));
  OK(anb_step_append_unknown(w.step, w.sequences[1], 1, ANB_LOGITS_NONE));
  OK(anb_step_append_unknown(w.step, w.sequences[2], 1, ANB_LOGITS_NONE));
  plan_and_commit(&w);
  OK(anb_sequence_tokens(w.cache, w.sequences[1], 1, &first, NULL, &n));
  OK(anb_sequence_tokens(w.cache, w.sequences[2], 1, &second, NULL, &n));
  begin(&w);
  order[0] = w.sequences[2];
  order[1] = w.sequences[1];
  OK(anb_step_join(w.step, w.sequences[0], order, 2));
  plan_and_commit(&w);
  OK(anb_sequence_tokens(w.cache, w.sequences[0], 6, slots, NULL, &n));
  CHECK(n == 2 && slots[0] == second && slots[1] == first);
  SEQUENCE(&w, w.sequences[0], 2, 5);
  end_world(&w);
}

static void given_positions(void) {
  static const anb_position kStarts[] = {100, 7};
  world w = empty_world(8);
  begin(&w);
  OK(anb_step_create_sequence(w.step, 0, &w.sequences[0]));
  OK(anb_step_append_unknown(w.step, w.sequences[0], 3, ANB_LOGITS_NONE));
  OK(anb_step_fork_given(w.step, w.sequences[0], 2, kStarts, &w.sequences[1]));
  OK(anb_step_append_unknown(w.step, w.sequences[1], 2, ANB_LOGITS_NONE));
  SEQUENCE(&w, w.sequences[1], 5, 102);
  SEQUENCE(&w, w.sequences[2], 3, 7);
  OK(anb_step_join_given(w.step, w.sequences[0], &w.sequences[1], 2, 500));
  SEQUENCE(&w, w.sequences[0], 5, 500);
  plan_and_commit(&w);
  SEQUENCE(&w, w.sequences[0], 5, 500);
  end_world(&w);
}

static void rewinds(void) {
  world w = open_world();
  OK(anb_step_drop(w.step, w.sequences[1]));
  OK(anb_step_drop(w.step, w.sequences[2]));
  OK(anb_step_rewind(w.step, w.sequences[0], 2));
  SEQUENCE(&w, w.sequences[0], 2, 2);
  OK(anb_step_append_unknown(w.step, w.sequences[0], 4, ANB_LOGITS_NONE));
  OK(anb_step_rewind(w.step, w.sequences[0], 5)); /* only what this step wrote */
  OK(anb_step_rewind(w.step, w.sequences[0], 5)); /* nothing */
  SEQUENCE(&w, w.sequences[0], 5, 5);
  plan_and_commit(&w);
  SEQUENCE(&w, w.sequences[0], 5, 5);
  begin(&w);
  OK(anb_step_rewind(w.step, w.sequences[0], 0));
  plan_and_commit(&w);
  CHECK_SAME(statistics_of(w.cache).n_free_pages, 16);
  end_world(&w);
}

static void adopts_drops_and_detaches(void) {
  world w = open_world();
  int32_t n;
  OK(anb_step_adopt(w.step, w.sequences[0], w.sequences[1])); /* 2 is dropped, 3 is the trunk's now */
  SEQUENCE(&w, w.sequences[0], 7, 7);
  CHECK(sequence_state(w.cache, w.sequences[3]).parent == w.sequences[0]);
  OK(anb_step_detach(w.step, w.sequences[3]));
  CHECK(sequence_state(w.cache, w.sequences[3]).parent == ANB_NO_SEQUENCE);
  CHECK_SAME(sequence_state(w.cache, w.sequences[3]).fork_tokens, 0);
  STATUS(anb_sequence_children(w.cache, w.sequences[1], 0, NULL, &n), ANB_STALE_SEQUENCE);
  STATUS(anb_sequence_children(w.cache, w.sequences[2], 0, NULL, &n), ANB_STALE_SEQUENCE);
  OK(anb_step_drop(w.step, w.sequences[0]));
  SEQUENCE(&w, w.sequences[3], 8, 8); /* what it sees is still there */
  plan_and_commit(&w);
  CHECK_SAME(statistics_of(w.cache).n_sequences, 1);
  SEQUENCE(&w, w.sequences[3], 8, 8);
  OK(anb_cache_check(w.cache));
  end_world(&w);
}

static void what_is_held_is_kept(void) {
  world w = open_world();
  const int32_t n_free = statistics_of(w.cache).n_free_pages;
  OK(anb_step_hold(w.step, w.sequences[2], 8));
  plan_and_commit(&w);
  CHECK(statistics_of(w.cache).n_free_pages <= n_free - 1);
  begin(&w);
  OK(anb_step_hold(w.step, w.sequences[2], 0));
  plan_and_commit(&w);
  CHECK_SAME(statistics_of(w.cache).n_free_pages, n_free);
  end_world(&w);
}

static void abort_brings_everything_back(void) {
  world w = grown_world();
  anb_plan plan = ANB_PLAN_INIT;
  anb_sequence made = 0, child = 0;
  int32_t n, planned;
  for (planned = 0; planned < 2; ++planned) {
    anb_cache_statistics after, before = statistics_of(w.cache);
    begin(&w);
    OK(anb_step_create_sequence(w.step, 0, &made));
    OK(anb_step_append_unknown(w.step, w.sequences[3], 9, ANB_LOGITS_ALL));
    OK(anb_step_fork(w.step, w.sequences[3], 1, ANB_POSITIONS_LONGEST, &child));
    OK(anb_step_drop(w.step, w.sequences[2]));
    OK(anb_step_rewind(w.step, w.sequences[1], 7));
    OK(anb_step_adopt(w.step, w.sequences[0], w.sequences[1]));
    if (planned) OK(anb_step_plan(w.step, &plan));
    OK(anb_step_abort(w.step));
    w.step = NULL;
    after = statistics_of(w.cache);
    CHECK(after.n_free_pages == before.n_free_pages && after.n_sequences == 4 && after.step == 0);
    SEQUENCE(&w, w.sequences[0], 5, 5);
    SEQUENCE(&w, w.sequences[1], 7, 7);
    SEQUENCE(&w, w.sequences[2], 8, 8);
    SEQUENCE(&w, w.sequences[3], 8, 8);
    CHECK_SAME(sequence_state(w.cache, w.sequences[0]).n_children, 2);
    STATUS(anb_sequence_children(w.cache, made, 0, NULL, &n), ANB_STALE_SEQUENCE);
    STATUS(anb_sequence_children(w.cache, child, 0, NULL, &n), ANB_STALE_SEQUENCE);
    OK(anb_cache_check(w.cache));
  }
  end_world(&w);
}

const phase kSequencePhases[] = {{"version_and_names", version_and_names},
                                 {"the_last_error_is_the_last", the_last_error_is_the_last},
                                 {"a_cache_is_what_its_options_say", a_cache_is_what_its_options_say},
                                 {"the_step_is_part_of_the_statistics", the_step_is_part_of_the_statistics},
                                 {"sequences_tell_their_state", sequences_tell_their_state},
                                 {"caches_list_their_sequences", caches_list_their_sequences},
                                 {"sequences_tell_their_token_ids", sequences_tell_their_token_ids},
                                 {"sequences_tell_their_tokens", sequences_tell_their_tokens},
                                 {"joins_follow_their_policy", joins_follow_their_policy},
                                 {"joins_keep_the_given_order", joins_keep_the_given_order},
                                 {"given_positions", given_positions},
                                 {"rewinds", rewinds},
                                 {"adopts_drops_and_detaches", adopts_drops_and_detaches},
                                 {"what_is_held_is_kept", what_is_held_is_kept},
                                 {"abort_brings_everything_back", abort_brings_everything_back},
                                 {NULL, NULL}};
