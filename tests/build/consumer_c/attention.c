/* A program in C in which one row attends to one key: its result is the key's value. Linked without libanabranch. */
#include <anabranch_attention.h>
#include <stdio.h>

static int attend(anb_attention* attention) {
  static const anb_slot slot = 0;
  static const anb_slot_run run = {0, 1, 0};
  static const anb_group group = {0, 1, 0, 1, 1, ANB_VISIBILITY_CAUSAL};
  static char workspace[65536];
  const anb_view view = {&run, 1, 0, 1, 0, 1};
  const float query[2] = {1, 2}, key[2] = {3, 4}, value[2] = {5, 6};
  float keys[2], values[2], out[2] = {0, 0};
  anb_attention_kv kv = ANB_ATTENTION_KV_INIT;
  anb_attention_new_rows new_rows = ANB_ATTENTION_NEW_ROWS_INIT;
  anb_attention_rows rows = ANB_ATTENTION_ROWS_INIT;
  kv.n_slots = 1;
  kv.keys = keys;
  kv.values = values;
  new_rows.n_rows = 1;
  new_rows.keys = key;
  new_rows.values = value;
  new_rows.slots = &slot;
  rows.queries = query;
  rows.out = out;
  if (anb_attention_plan(attention, &group, 1, &view, 1, 1) != ANB_OK) return 0;
  if (anb_attention_store(attention, &new_rows, &kv) != ANB_OK) return 0;
  if (anb_attention_run(attention, &rows, &kv, NULL, workspace, sizeof(workspace)) != ANB_OK) return 0;
  printf("attention gives %g, %g\n", out[0], out[1]);
  return out[0] == 5.0f && out[1] == 6.0f;
}

int main(void) {
  anb_attention_options options = ANB_ATTENTION_OPTIONS_INIT;
  anb_attention* attention;
  int good;
  options.query_heads = options.kv_heads = 1;
  options.head_dim = 2;
  if (anb_attention_create(&options, &attention) != ANB_OK) return 1;
  good = attend(attention);
  if (!good) printf("bad: %s\n", anb_attention_last_error());
  anb_attention_destroy(attention);
  return good ? 0 : 1;
}
