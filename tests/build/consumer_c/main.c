/* A program in C that forks a sequence, joins it again, and lets a decoder write two tokens. */
#include <anabranch.h>
#include <anabranch_decoder.h>
#include <stdio.h>

static int fork_and_join(anb_cache* cache) {
  static const anb_token tokens[] = {1, 2, 3};
  anb_sequence_state state = ANB_SEQUENCE_STATE_INIT;
  anb_plan plan = ANB_PLAN_INIT;
  anb_sequence trunk, branches[2];
  anb_step* step;
  if (anb_step_begin(cache, &step) != ANB_OK) return 0;
  if (anb_step_create_sequence(step, 0, &trunk) != ANB_OK) return 0;
  if (anb_step_append(step, trunk, tokens, 3, ANB_LOGITS_NONE) != ANB_OK) return 0;
  if (anb_step_fork(step, trunk, 2, ANB_POSITIONS_LONGEST, branches) != ANB_OK) return 0;
  if (anb_step_append(step, branches[0], tokens, 2, ANB_LOGITS_LAST) != ANB_OK) return 0;
  if (anb_step_append(step, branches[1], tokens, 2, ANB_LOGITS_LAST) != ANB_OK) return 0;
  if (anb_step_join(step, trunk, branches, 2) != ANB_OK) return 0;
  if (anb_step_plan(step, &plan) != ANB_OK || plan.n_rows != 7) return 0;
  if (anb_step_commit(step) != ANB_OK) return 0;
  if (anb_sequence_get_state(cache, trunk, &state) != ANB_OK) return 0;
  printf("%d tokens visible after the join, next position %d\n", (int)state.n_tokens, (int)state.next_position);
  return state.n_tokens == 7 && state.next_position == 5;
}

static int decode(anb_cache* cache) {
  static const anb_token prompt[] = {4, 5};
  static const float logits[] = {0.0f, 1.0f, 0.0f};
  anb_decoder_options options = ANB_DECODER_OPTIONS_INIT;
  anb_plan plan = ANB_PLAN_INIT;
  anb_decoder* decoder;
  anb_request request;
  int n_passes = 0;
  options.max_tokens = 2;
  if (anb_decoder_create(cache, &options, &decoder) != ANB_OK) return 0;
  if (anb_decoder_submit(decoder, prompt, 2, NULL, &request) != ANB_OK) return 0;
  while (anb_decoder_plan(decoder, &plan) == ANB_OK && n_passes < 10) {
    ++n_passes;
    if (anb_decoder_commit(decoder, logits, plan.n_outputs, 3) != ANB_OK) return 0;
  }
  anb_decoder_destroy(decoder);
  return n_passes == 2;
}

int main(void) {
  anb_cache* cache;
  int good;
  if (anb_version() != ANB_VERSION_MAJOR * 65536u + ANB_VERSION_MINOR * 256u + ANB_VERSION_PATCH) return 1;
  if (anb_cache_create(NULL, &cache) != ANB_OK) return 1;
  good = fork_and_join(cache) && decode(cache) && anb_cache_check(cache) == ANB_OK;
  if (!good) printf("bad: %s\n", anb_last_error());
  anb_cache_destroy(cache);
  return good ? 0 : 1;
}
