/* The header in use, in every language that can read it: all INIT macros, every function. Compiled only. */
#include "anabranch_attention.h"

anb_status use(anb_attention** attention, const anb_plan* plan);

anb_status use(anb_attention** attention, const anb_plan* plan) {
  anb_attention_options options = ANB_ATTENTION_OPTIONS_INIT;
  anb_attention_kv kv = ANB_ATTENTION_KV_INIT;
  anb_attention_new_rows new_rows = ANB_ATTENTION_NEW_ROWS_INIT;
  anb_attention_rows rows = ANB_ATTENTION_ROWS_INIT;
  anb_attention_threads threads = ANB_ATTENTION_THREADS_INIT;
  size_t n_bytes;
  anb_status status = anb_attention_create(&options, attention);
  kv.element = ANB_ELEMENT_BFLOAT16;
  new_rows.slots = plan->slots;
  if (status == ANB_OK)
    status = anb_attention_plan(*attention, plan->groups, plan->n_groups, plan->views, plan->n_views, plan->n_rows);
  if (status == ANB_OK) status = anb_attention_workspace(*attention, 1, &n_bytes);
  if (status == ANB_OK) status = anb_attention_store(*attention, &new_rows, &kv);
  if (status == ANB_OK) status = anb_attention_run(*attention, &rows, &kv, &threads, 0, 0);
  if (status != ANB_OK && *anb_attention_last_error() == 0) return ANB_INTERNAL;
  anb_attention_options_init(&options, sizeof(options));
  anb_attention_kv_init(&kv, sizeof(kv));
  anb_attention_new_rows_init(&new_rows, sizeof(new_rows));
  anb_attention_rows_init(&rows, sizeof(rows));
  anb_attention_threads_init(&threads, sizeof(threads));
  anb_attention_destroy(*attention);
  return status;
}
