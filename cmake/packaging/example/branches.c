/* Two branches fork from a prompt, are computed in one pass, and join: prints the rows of the pass. */
#include <anabranch.h>
#include <stdio.h>

int main(void) {
  static const anb_token tokens[] = {11, 12, 13};
  anb_cache* cache;
  anb_step* step;
  anb_sequence trunk, branches[2];
  anb_plan plan = ANB_PLAN_INIT;
  int32_t row;
  if (anb_cache_create(NULL, &cache) != ANB_OK || anb_step_begin(cache, &step) != ANB_OK ||
      anb_step_create_sequence(step, 0, &trunk) != ANB_OK ||
      anb_step_append(step, trunk, tokens, 3, ANB_LOGITS_NONE) != ANB_OK ||
      anb_step_fork(step, trunk, 2, ANB_POSITIONS_SEQUENTIAL, branches) != ANB_OK ||
      anb_step_append(step, branches[0], tokens, 1, ANB_LOGITS_LAST) != ANB_OK ||
      anb_step_append(step, branches[1], tokens, 2, ANB_LOGITS_LAST) != ANB_OK ||
      anb_step_join(step, trunk, branches, 2) != ANB_OK || anb_step_plan(step, &plan) != ANB_OK) {
    puts(anb_last_error());
    return 1;
  }
  printf("anabranch %d.%d.%d\n", ANB_VERSION_MAJOR, ANB_VERSION_MINOR, ANB_VERSION_PATCH);
  for (row = 0; row < plan.n_rows; ++row)
    printf("token %d position %d slot %d\n", (int)plan.tokens[row], (int)plan.positions[row], (int)plan.slots[row]);
  anb_step_commit(step);
  anb_cache_destroy(cache);
  return 0;
}
