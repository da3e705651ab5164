/* Refusals of caches and steps: bad values, stale sequences, wrong order. State and out parameters stay. */
#include "phases.h"

#include <stdlib.h>
#include <string.h>

static void create_refuses(int32_t* field, anb_cache_options* o, int32_t value, const char* text) {
  const int32_t good = *field;
  anb_cache* cache = no_cache();
  *field = value;
  REFUSED(NULL, anb_cache_create(o, &cache), ANB_BAD_ARGUMENT, text);
  CHECK(cache == no_cache());
  *field = good;
}

static void* allocate(size_t size, size_t alignment, void* user) {
  (void)alignment, (void)user;
  return malloc(size);
}
static void release(void* memory, size_t size, size_t alignment, void* user) {
  (void)size, (void)alignment, (void)user;
  free(memory);
}

static void caches_that_cannot_be(void) {
  anb_cache_options o = ANB_CACHE_OPTIONS_INIT;
  anb_allocator half = ANB_ALLOCATOR_INIT;
  anb_cache* cache = no_cache();
  create_refuses(&o.n_pages, &o, 0, "n_pages is 0");
  create_refuses(&o.n_pages, &o, -5, "n_pages is -5");
  create_refuses(&o.n_pages, &o, INT32_MIN, "n_pages is -2147483648");
  create_refuses(&o.n_pages, &o, INT32_MAX, "2147483647 pages of 16 slots");
  create_refuses(&o.page_size, &o, 0, "page_size is 0");
  create_refuses(&o.page_size, &o, -1, "page_size is -1");
  create_refuses(&o.page_size, &o, INT32_MAX, "1024 pages of 2147483647 slots");
  create_refuses(&o.max_sequences, &o, 0, "max_sequences is 0");
  create_refuses(&o.max_depth, &o, -1, "max_depth is -1");
  create_refuses(&o.max_position, &o, 0, "max_position is 0");
  create_refuses(&o.share_tail, &o, 2, "share_tail is 2");
  create_refuses(&o.share_tail, &o, -1, "share_tail is -1");
  create_refuses(&o.keep_tokens, &o, 2, "keep_tokens is 2");
  create_refuses(&o.keep_tokens, &o, -1, "keep_tokens is -1");
  REFUSED(NULL, anb_cache_create(&o, NULL), ANB_BAD_ARGUMENT, "cache is NULL");
  o.allocator = &half;
  half.allocate = allocate;
  REFUSED(NULL, anb_cache_create(&o, &cache), ANB_BAD_ARGUMENT, "release is NULL");
  half.allocate = NULL;
  half.release = release;
  REFUSED(NULL, anb_cache_create(&o, &cache), ANB_BAD_ARGUMENT, "release is NULL");
  CHECK(cache == no_cache());
}

static void reads_refuse(void) {
  world w = grown_world();
  anb_sequence_state s = ANB_SEQUENCE_STATE_INIT;
  anb_sequence sequence = 9;
  int32_t n = 77;
  REFUSED(&w, anb_sequence_get_state(w.cache, 12345, &s), ANB_STALE_SEQUENCE, "sequence 12345 of generation 0");
  REFUSED(&w, anb_sequence_get_state(w.cache, ANB_NO_SEQUENCE, &s), ANB_STALE_SEQUENCE,
          "kNoSequence names no sequence");
  REFUSED(&w, anb_sequence_get_state(w.cache, UINT64_MAX, &s), ANB_STALE_SEQUENCE, "generation 4294967295");
  REFUSED(&w, anb_sequence_get_state(w.cache, w.sequences[0] + ((uint64_t)1 << 32), &s), ANB_STALE_SEQUENCE, NULL);
  REFUSED(&w, anb_sequence_children(w.cache, w.sequences[0], -1, &sequence, &n), ANB_BAD_ARGUMENT, "-1");
  REFUSED(&w, anb_sequence_children(w.cache, w.sequences[0], 1, NULL, &n), ANB_BAD_ARGUMENT, "children is NULL");
  REFUSED(&w, anb_sequence_children(w.cache, w.sequences[0], 1, &sequence, NULL), ANB_BAD_ARGUMENT, "n is NULL");
  REFUSED(&w, anb_sequence_children(w.cache, 5, 1, &sequence, &n), ANB_STALE_SEQUENCE, "sequence 5");
  REFUSED(&w, anb_sequence_tokens(w.cache, w.sequences[0], -3, NULL, NULL, &n), ANB_BAD_ARGUMENT, "capacity is -3");
  REFUSED(&w, anb_sequence_tokens(w.cache, w.sequences[0], 1, NULL, NULL, NULL), ANB_BAD_ARGUMENT, "n is NULL");
  REFUSED(&w, anb_sequence_tokens(w.cache, 5, 1, NULL, NULL, &n), ANB_STALE_SEQUENCE, "sequence 5");
  REFUSED(&w, anb_sequence_token_ids(w.cache, w.sequences[0], -3, NULL, &n), ANB_BAD_ARGUMENT, "-3");
  REFUSED(&w, anb_sequence_token_ids(w.cache, w.sequences[0], 1, NULL, &n), ANB_BAD_ARGUMENT, "tokens is NULL");
  REFUSED(&w, anb_sequence_token_ids(w.cache, w.sequences[0], 0, NULL, NULL), ANB_BAD_ARGUMENT, "n is NULL");
  REFUSED(&w, anb_sequence_token_ids(w.cache, 5, 0, NULL, &n), ANB_STALE_SEQUENCE, "sequence 5");
  REFUSED(&w, anb_sequence_token_ids(w.cache, w.sequences[0], 0, NULL, &n), ANB_WRONG_STATE, "keep_tokens is off");
  REFUSED(&w, anb_cache_sequences(w.cache, -1, &sequence, &n), ANB_BAD_ARGUMENT, "-1");
  REFUSED(&w, anb_cache_sequences(w.cache, 1, NULL, &n), ANB_BAD_ARGUMENT, "sequences is NULL");
  REFUSED(&w, anb_cache_sequences(w.cache, 1, &sequence, NULL), ANB_BAD_ARGUMENT, "n is NULL");
  REFUSED(&w, anb_cache_roots(w.cache, -1, &sequence, &n), ANB_BAD_ARGUMENT, "-1");
  REFUSED(&w, anb_cache_roots(w.cache, 1, NULL, &n), ANB_BAD_ARGUMENT, "roots is NULL");
  REFUSED(&w, anb_cache_roots(w.cache, 1, &sequence, NULL), ANB_BAD_ARGUMENT, "n is NULL");
  REFUSED(&w, anb_step_begin(w.cache, NULL), ANB_BAD_ARGUMENT, "step is NULL");
  CHECK(sequence == 9 && n == 77 && s.n_tokens == 0 && s.parent == ANB_NO_SEQUENCE);
  end_world(&w);
}

static void new_sequences_and_appends_refuse(void) {
  static const anb_token kTokens[] = {1, -1, 3}, kBad[] = {4, INT32_MIN};
  world w = open_world();
  const anb_sequence trunk = w.sequences[0];
  anb_sequence sequence = 9;
  REFUSED(&w, anb_step_create_sequence(w.step, 0, NULL), ANB_BAD_ARGUMENT, "sequence is NULL");
  REFUSED(&w, anb_step_create_sequence(w.step, -1, &sequence), ANB_OUT_OF_RANGE, "first position -1");
  REFUSED(&w, anb_step_create_sequence(w.step, ANB_UNLIMITED, &sequence), ANB_OUT_OF_RANGE,
          "first position 2147483647");
  REFUSED(&w, anb_step_append(w.step, trunk, kTokens, 3, 0), ANB_BAD_ARGUMENT, "token -1");
  REFUSED(&w, anb_step_append(w.step, trunk, kBad, 2, 0), ANB_BAD_ARGUMENT, "token -2147483648");
  REFUSED(&w, anb_step_append(w.step, trunk, kTokens, -2, 0), ANB_BAD_ARGUMENT, "append of -2 tokens");
  REFUSED(&w, anb_step_append_unknown(w.step, trunk, -2, 0), ANB_BAD_ARGUMENT, "append of -2 tokens");
  REFUSED(&w, anb_step_append_unknown(w.step, trunk, INT32_MIN, 0), ANB_BAD_ARGUMENT, "append of -2147483648");
  REFUSED(&w, anb_step_append_unknown(w.step, trunk, INT32_MAX, 0), ANB_OUT_OF_RANGE, "appending 2147483647");
  REFUSED(&w, anb_step_append_unknown(w.step, trunk, 1, 3), ANB_BAD_ARGUMENT, "logits is 3");
  REFUSED(&w, anb_step_append_unknown(w.step, trunk, 1, -1), ANB_BAD_ARGUMENT, "logits is -1");
  REFUSED(&w, anb_step_append_unknown(w.step, 7, 1, 0), ANB_STALE_SEQUENCE, "sequence 7");
  REFUSED(&w, anb_step_append_unknown(w.step, 7, 0, 0), ANB_STALE_SEQUENCE, "sequence 7");
  REFUSED(&w, anb_step_request_logits(w.step, trunk), ANB_BAD_ARGUMENT, "not a row of this step");
  REFUSED(&w, anb_step_request_logits(w.step, 7), ANB_STALE_SEQUENCE, "sequence 7");
  REFUSED(&w, anb_step_append(w.step, trunk, NULL, -2, 0), ANB_BAD_ARGUMENT, "append of -2 tokens");
  REFUSED(&w, anb_step_append(w.step, trunk, NULL, 2, 0), ANB_BAD_ARGUMENT, "tokens is NULL for an append of 2; ");
  REFUSED(&w, anb_step_append(w.step, trunk, NULL, 2, 0), ANB_BAD_ARGUMENT, "anb_step_append_unknown adds");
  OK(anb_step_append_unknown(w.step, trunk, 0, 0)); /* nothing, which is fine */
  OK(anb_step_append(w.step, trunk, NULL, 0, 0));
  OK(anb_step_append(w.step, trunk, kTokens, 0, 0));
  CHECK(sequence == 9);
  end_world(&w);
}

static void forks_refuse(void) {
  static const anb_position kStarts[] = {0, -1};
  world w = open_world();
  const anb_sequence trunk = w.sequences[0];
  anb_sequence kids[2] = {9, 9};
  REFUSED(&w, anb_step_fork(w.step, trunk, 0, 0, kids), ANB_BAD_ARGUMENT, "fork into 0 children");
  REFUSED(&w, anb_step_fork(w.step, trunk, -3, 0, kids), ANB_BAD_ARGUMENT, "fork into -3 children");
  REFUSED(&w, anb_step_fork(w.step, trunk, INT32_MIN, 0, kids), ANB_BAD_ARGUMENT, "fork into -2147483648");
  REFUSED(&w, anb_step_fork(w.step, trunk, INT32_MAX, 0, kids), ANB_LIMIT_REACHED, "2147483647 new sequences");
  REFUSED(&w, anb_step_fork(w.step, trunk, 70000, 0, kids), ANB_LIMIT_REACHED, "limit of 65536 sequences");
  REFUSED(&w, anb_step_fork(w.step, trunk, 2, 0, NULL), ANB_BAD_ARGUMENT, "children is NULL");
  REFUSED(&w, anb_step_fork(w.step, trunk, 2, -2, kids), ANB_BAD_ARGUMENT, "positions is -2");
  REFUSED(&w, anb_step_fork(w.step, trunk, 2, INT32_MIN, kids), ANB_BAD_ARGUMENT, "positions is -2147483648");
  REFUSED(&w, anb_step_fork(w.step, trunk, 2, INT32_MAX, kids), ANB_OUT_OF_RANGE, "fork at position 5");
  REFUSED(&w, anb_step_fork(w.step, 7, 2, 0, kids), ANB_STALE_SEQUENCE, "sequence 7");
  REFUSED(&w, anb_step_fork_given(w.step, trunk, 0, kStarts, kids), ANB_BAD_ARGUMENT, "fork into 0 children");
  REFUSED(&w, anb_step_fork_given(w.step, trunk, -1, kStarts, kids), ANB_BAD_ARGUMENT, "-1");
  REFUSED(&w, anb_step_fork_given(w.step, trunk, 2, NULL, kids), ANB_BAD_ARGUMENT, "starts is NULL");
  REFUSED(&w, anb_step_fork_given(w.step, trunk, 2, kStarts, NULL), ANB_BAD_ARGUMENT, "children is NULL");
  REFUSED(&w, anb_step_fork_given(w.step, trunk, 2, kStarts, kids), ANB_OUT_OF_RANGE, "start position -1");
  REFUSED(&w, anb_step_fork_given(w.step, 7, 1, kStarts, kids), ANB_STALE_SEQUENCE, "sequence 7");
  CHECK(kids[0] == 9 && kids[1] == 9);
  end_world(&w);
}

static void joins_and_adopts_refuse(void) {
  world w = open_world();
  const anb_sequence trunk = w.sequences[0], two = w.sequences[2], below = w.sequences[3];
  anb_sequence twice[2];
  twice[0] = twice[1] = two;
  REFUSED(&w, anb_step_join(w.step, trunk, twice, 2), ANB_BAD_ARGUMENT, "named twice");
  REFUSED(&w, anb_step_join(w.step, trunk, twice, -1), ANB_BAD_ARGUMENT, "-1");
  REFUSED(&w, anb_step_join(w.step, trunk, NULL, 1), ANB_BAD_ARGUMENT, "children is NULL");
  REFUSED(&w, anb_step_join(w.step, trunk, &w.sequences[1], 2), ANB_OPEN_CHILDREN, "sequence 1");
  REFUSED(&w, anb_step_join(w.step, trunk, &below, 1), ANB_NOT_A_CHILD, "sequence 3");
  REFUSED(&w, anb_step_join(w.step, trunk, &trunk, 1), ANB_NOT_A_CHILD, "sequence 0");
  REFUSED(&w, anb_step_join(w.step, two, &trunk, 1), ANB_NOT_A_CHILD, "sequence 0");
  REFUSED(&w, anb_step_join(w.step, 7, &two, 1), ANB_STALE_SEQUENCE, "sequence 7");
  REFUSED(&w, anb_step_join_given(w.step, trunk, &two, 1, 50), ANB_BAD_ARGUMENT, "next position 50");
  REFUSED(&w, anb_step_join_given(w.step, trunk, &two, 1, -1), ANB_BAD_ARGUMENT, "next is -1");
  REFUSED(&w, anb_step_join_given(w.step, trunk, &two, -4, 1), ANB_BAD_ARGUMENT, "-4");
  REFUSED(&w, anb_step_join_given(w.step, trunk, NULL, 1, 1), ANB_BAD_ARGUMENT, "children is NULL");
  REFUSED(&w, anb_step_adopt(w.step, trunk, below), ANB_NOT_A_CHILD, "sequence 3");
  REFUSED(&w, anb_step_adopt(w.step, trunk, trunk), ANB_NOT_A_CHILD, "sequence 0");
  REFUSED(&w, anb_step_adopt(w.step, 7, two), ANB_STALE_SEQUENCE, "sequence 7");
  REFUSED(&w, anb_step_adopt(w.step, trunk, 7), ANB_STALE_SEQUENCE, "sequence 7");
  OK(anb_step_join(w.step, trunk, NULL, 0)); /* of nothing */
  CHECK_SAME(statistics_of(w.cache).n_sequences, 4);
  end_world(&w);
}

static void given_positions_refuse(void) {
  static const anb_position kStarts[] = {30};
  world w = open_world();
  anb_sequence child;
  OK(anb_step_fork_given(w.step, w.sequences[0], 1, kStarts, &child));
  w.sequences[w.n_sequences++] = child;
  REFUSED(&w, anb_step_join(w.step, w.sequences[0], &child, 1), ANB_BAD_ARGUMENT, "next position -1");
  OK(anb_step_join_given(w.step, w.sequences[0], &child, 1, 31));
  end_world(&w);
}

static void rewinds_drops_and_holds_refuse(void) {
  world w = open_world();
  const anb_sequence trunk = w.sequences[0];
  REFUSED(&w, anb_step_rewind(w.step, trunk, 4), ANB_BAD_ARGUMENT, "it can keep 5 to 5"); /* children are open at 5 */
  REFUSED(&w, anb_step_rewind(w.step, w.sequences[2], 4), ANB_BAD_ARGUMENT, "to 4 tokens; it can keep 5 to 8");
  REFUSED(&w, anb_step_rewind(w.step, w.sequences[2], 9), ANB_BAD_ARGUMENT, "to 9 tokens");
  REFUSED(&w, anb_step_rewind(w.step, w.sequences[2], -1), ANB_BAD_ARGUMENT, "to -1 tokens");
  REFUSED(&w, anb_step_rewind(w.step, w.sequences[2], INT32_MIN), ANB_BAD_ARGUMENT, "-2147483648");
  REFUSED(&w, anb_step_rewind(w.step, 7, 1), ANB_STALE_SEQUENCE, "sequence 7");
  REFUSED(&w, anb_step_drop(w.step, 7), ANB_STALE_SEQUENCE, "sequence 7");
  REFUSED(&w, anb_step_detach(w.step, 7), ANB_STALE_SEQUENCE, "sequence 7");
  REFUSED(&w, anb_step_detach(w.step, trunk), ANB_NOT_A_CHILD, "sequence 0, which is a root");
  REFUSED(&w, anb_step_hold(w.step, trunk, -1), ANB_BAD_ARGUMENT, "hold of -1 slots");
  REFUSED(&w, anb_step_hold(w.step, trunk, 65), ANB_BAD_ARGUMENT, "hold of 65 slots; 0 to the pool's 64");
  REFUSED(&w, anb_step_hold(w.step, 7, 1), ANB_STALE_SEQUENCE, "sequence 7");
  end_world(&w);
}

static void joined_and_dropped_sequences_are_stale(void) {
  world w = open_world();
  anb_sequence child = 9;
  OK(anb_step_join(w.step, w.sequences[0], &w.sequences[2], 1));
  REFUSED(&w, anb_step_append_unknown(w.step, w.sequences[2], 1, 0), ANB_STALE_SEQUENCE, "sequence 2");
  REFUSED(&w, anb_step_fork(w.step, w.sequences[2], 1, 0, &child), ANB_STALE_SEQUENCE, "sequence 2");
  REFUSED(&w, anb_step_join(w.step, w.sequences[0], &w.sequences[2], 1), ANB_STALE_SEQUENCE, "sequence 2");
  OK(anb_step_drop(w.step, w.sequences[1]));
  REFUSED(&w, anb_step_append_unknown(w.step, w.sequences[3], 1, 0), ANB_STALE_SEQUENCE,
          "sequence 3"); /* it was below 1 */
  REFUSED(&w, anb_step_drop(w.step, w.sequences[1]), ANB_STALE_SEQUENCE, "sequence 1");
  end_world(&w);
}

static void limits_of_sequences_depth_and_positions(void) {
  anb_cache_options o = ANB_CACHE_OPTIONS_INIT;
  anb_sequence sequence = 9, kids[4];
  world w;
  memset(&w, 0, sizeof w);
  o.max_sequences = 4;
  o.max_depth = 2;
  o.max_position = 20;
  OK(anb_cache_create(&o, &w.cache));
  OK(anb_step_begin(w.cache, &w.step));
  OK(anb_step_create_sequence(w.step, 19, &w.sequences[0]));
  w.n_sequences = 1;
  REFUSED(&w, anb_step_create_sequence(w.step, 20, &sequence), ANB_OUT_OF_RANGE, "outside [0, 20)");
  OK(anb_step_append_unknown(w.step, w.sequences[0], 1, 0));
  REFUSED(&w, anb_step_append_unknown(w.step, w.sequences[0], 1, 0), ANB_OUT_OF_RANGE, "at position 20");
  OK(anb_step_fork(w.step, w.sequences[0], 1, 0, &w.sequences[1]));
  w.n_sequences = 2;
  REFUSED(&w, anb_step_fork(w.step, w.sequences[1], 3, 0, kids), ANB_LIMIT_REACHED, "3 new sequences beside 2");
  OK(anb_step_fork(w.step, w.sequences[1], 1, 0, &w.sequences[2]));
  w.n_sequences = 3;
  REFUSED(&w, anb_step_fork(w.step, w.sequences[2], 1, 0, kids), ANB_LIMIT_REACHED, "depth 2 passes the limit of 2");
  OK(anb_step_create_sequence(w.step, 0, &w.sequences[3]));
  w.n_sequences = 4;
  REFUSED(&w, anb_step_create_sequence(w.step, 0, &sequence), ANB_LIMIT_REACHED, "limit of 4 sequences");
  CHECK(sequence == 9);
  OK(anb_step_drop(w.step, w.sequences[3]));
  OK(anb_step_fork(w.step, w.sequences[0], 1, ANB_POSITIONS_RESERVED(2), kids));
  w.sequences[3] = kids[0]; /* a range of 2 positions that begins at the maximum */
  REFUSED(&w, anb_step_append_unknown(w.step, kids[0], 1, 0), ANB_OUT_OF_RANGE, "limit of 20");
  end_world(&w);
}

static void a_reserved_range_ends(void) {
  world w = open_world();
  anb_sequence kids[2];
  OK(anb_step_fork(w.step, w.sequences[0], 2, ANB_POSITIONS_RESERVED(3), kids));
  w.sequences[w.n_sequences++] = kids[0];
  CHECK_SAME(sequence_state(w.cache, kids[0]).position_limit, 8);
  CHECK_SAME(sequence_state(w.cache, kids[1]).position_limit, 11);
  OK(anb_step_append_unknown(w.step, kids[0], 2, 0));
  REFUSED(&w, anb_step_append_unknown(w.step, kids[0], 2, 0), ANB_OUT_OF_RANGE, "appending 2 tokens at position 7");
  OK(anb_step_append_unknown(w.step, kids[0], 1, 0));
  end_world(&w);
}

const phase kStepPhases[] = {{"caches_that_cannot_be", caches_that_cannot_be},
                             {"reads_refuse", reads_refuse},
                             {"new_sequences_and_appends_refuse", new_sequences_and_appends_refuse},
                             {"forks_refuse", forks_refuse},
                             {"joins_and_adopts_refuse", joins_and_adopts_refuse},
                             {"given_positions_refuse", given_positions_refuse},
                             {"rewinds_drops_and_holds_refuse", rewinds_drops_and_holds_refuse},
                             {"joined_and_dropped_sequences_are_stale", joined_and_dropped_sequences_are_stale},
                             {"limits_of_sequences_depth_and_positions", limits_of_sequences_depth_and_positions},
                             {"a_reserved_range_ends", a_reserved_range_ends},
                             {NULL, NULL}};
