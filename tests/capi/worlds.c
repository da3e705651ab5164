/* Worlds to test in, and their state as one number. */
#include "phases.h"

#include <string.h>

/* FNV-1a over the values that a call tells; pointers are followed, never hashed. */
static uint64_t add_bytes(uint64_t hash, const void* bytes, size_t n) {
  const unsigned char* p = (const unsigned char*)bytes;
  size_t i;
  for (i = 0; i < n; ++i) hash = (hash ^ p[i]) * 1099511628211u;
  return hash;
}
static uint64_t add(uint64_t hash, int64_t value) { return add_bytes(hash, &value, sizeof value); }

static uint64_t add_sequence(uint64_t hash, const anb_cache* cache, anb_sequence sequence) {
  enum { kCapacity = 512 };
  anb_slot slots[kCapacity];
  anb_position positions[kCapacity];
  anb_sequence children[kMaxSequences];
  anb_sequence_state s = ANB_SEQUENCE_STATE_INIT;
  int32_t n = 0;
  hash = add(hash, anb_sequence_get_state(cache, sequence, &s));
  hash = add(hash, s.n_tokens);
  hash = add(hash, s.next_position);
  hash = add(hash, s.position_limit);
  hash = add(hash, s.start_position);
  hash = add(hash, s.fork_tokens);
  hash = add(hash, s.n_children);
  hash = add(hash, (int64_t)s.parent);
  hash = add(hash, anb_sequence_children(cache, sequence, kMaxSequences, children, &n));
  hash = add_bytes(hash, children, sizeof children[0] * (size_t)(n < kMaxSequences ? n : kMaxSequences));
  n = 0;
  hash = add(hash, anb_sequence_tokens(cache, sequence, kCapacity, slots, positions, &n));
  if (n > kCapacity) n = kCapacity;
  hash = add(hash, n);
  hash = add_bytes(hash, slots, sizeof slots[0] * (size_t)n);
  return add_bytes(hash, positions, sizeof positions[0] * (size_t)n);
}

static uint64_t add_branch(uint64_t hash, anb_decoder* decoder, anb_request request, int32_t branch) {
  anb_branch_state s = ANB_BRANCH_STATE_INIT;
  hash = add(hash, anb_decoder_get_branch(decoder, request, branch, &s));
  hash = add(hash, s.reason);
  hash = add(hash, (int64_t)s.sequence);
  hash = add_bytes(hash, s.title, s.n_title);
  hash = add_bytes(hash, s.text, s.n_text);
  return add_bytes(hash, s.path, sizeof(anb_path_step) * (size_t)s.n_path);
}

static uint64_t add_request(uint64_t hash, anb_decoder* decoder, anb_request request) {
  anb_request_state s = ANB_REQUEST_STATE_INIT;
  int32_t branch;
  hash = add(hash, anb_decoder_get_request(decoder, request, &s));
  hash = add_bytes(hash, &s, sizeof s); /* integers only, no padding: see layout.txt */
  for (branch = 0; branch <= s.n_branches; ++branch) hash = add_branch(hash, decoder, request, branch);
  return hash;
}

static uint64_t add_outputs(uint64_t hash, const anb_decoder* decoder) {
  anb_output_settings s = ANB_OUTPUT_SETTINGS_INIT;
  int32_t i;
  for (i = 0; anb_decoder_get_output(decoder, i, &s) == ANB_OK; ++i) {
    hash = add(hash, (int64_t)s.request);
    hash = add(hash, s.branch);
    hash = add(hash, s.index);
    hash = add_bytes(hash, &s.uniform, sizeof s.uniform);
    hash = add_bytes(hash, s.allowed, sizeof(anb_token) * (size_t)s.n_allowed);
    hash = add_bytes(hash, s.forbidden, sizeof(anb_token) * (size_t)s.n_forbidden);
    hash = add_bytes(hash, s.seen, sizeof(anb_token) * (size_t)s.n_seen);
  }
  return add(hash, i);
}

uint64_t state_of(const world* w) {
  anb_cache_statistics s = ANB_CACHE_STATISTICS_INIT;
  uint64_t hash = 14695981039346656037u;
  int32_t i;
  if (w == NULL) return hash;
  hash = add(hash, anb_cache_get_statistics(w->cache, &s));
  s.epoch = 0;
  hash = add_bytes(hash, &s, sizeof s);
  for (i = 0; i < w->n_sequences; ++i) hash = add_sequence(hash, w->cache, w->sequences[i]);
  if (w->decoder == NULL) return hash;
  for (i = 0; i < w->n_requests; ++i) hash = add_request(hash, w->decoder, w->requests[i]);
  return add_outputs(hash, w->decoder);
}

anb_cache* no_cache(void) { return (anb_cache*)(uintptr_t)0x5a5a5a5a; }
anb_step* no_step(void) { return (anb_step*)(uintptr_t)0x5a5a5a5a; }
anb_decoder* no_decoder(void) { return (anb_decoder*)(uintptr_t)0x5a5a5a5a; }

anb_plan untouched_plan(void) {
  anb_plan plan;
  memset(&plan, 0x5a, sizeof plan);
  plan.struct_size = sizeof plan;
  return plan;
}
int untouched(const anb_plan* plan) {
  const anb_plan fresh = untouched_plan();
  return memcmp(plan, &fresh, sizeof fresh) == 0;
}

anb_sequence_state sequence_state(const anb_cache* cache, anb_sequence sequence) {
  anb_sequence_state s = ANB_SEQUENCE_STATE_INIT;
  OK(anb_sequence_get_state(cache, sequence, &s));
  return s;
}
anb_cache_statistics statistics_of(const anb_cache* cache) {
  anb_cache_statistics s = ANB_CACHE_STATISTICS_INIT;
  OK(anb_cache_get_statistics(cache, &s));
  return s;
}

world empty_world(int32_t n_pages) {
  anb_cache_options o = ANB_CACHE_OPTIONS_INIT;
  world w;
  memset(&w, 0, sizeof w);
  o.n_pages = n_pages;
  o.page_size = 4;
  OK(anb_cache_create(&o, &w.cache));
  return w;
}

world open_world(void) {
  world w = grown_world();
  OK(anb_step_begin(w.cache, &w.step));
  return w;
}

world grown_world(void) {
  static const anb_token kTokens[] = {11, 12, 13, 14, 15};
  world w = empty_world(16);
  anb_plan plan = ANB_PLAN_INIT;
  w.n_sequences = 4;
  OK(anb_step_begin(w.cache, &w.step));
  OK(anb_step_create_sequence(w.step, 0, &w.sequences[0]));
  OK(anb_step_append(w.step, w.sequences[0], kTokens, 5, ANB_LOGITS_NONE));
  OK(anb_step_fork(w.step, w.sequences[0], 2, ANB_POSITIONS_SEQUENTIAL, &w.sequences[1]));
  OK(anb_step_append(w.step, w.sequences[1], kTokens, 2, ANB_LOGITS_NONE));
  OK(anb_step_append(w.step, w.sequences[2], kTokens, 3, ANB_LOGITS_NONE));
  OK(anb_step_fork(w.step, w.sequences[1], 1, ANB_POSITIONS_LONGEST, &w.sequences[3]));
  OK(anb_step_append(w.step, w.sequences[3], kTokens, 1, ANB_LOGITS_LAST));
  OK(anb_step_plan(w.step, &plan));
  OK(anb_step_commit(w.step));
  w.step = NULL;
  return w;
}

void end_world(world* w) {
  anb_decoder_destroy(w->decoder);
  if (w->step != NULL) anb_step_abort(w->step);
  if (w->cache != NULL) OK(anb_cache_check(w->cache));
  anb_cache_destroy(w->cache);
  memset(w, 0, sizeof *w);
}
