/* Prints the size of every struct, the place of every field, and the value of every constant: what callers are compiled
 * against. layout.txt is what it must print; README.md says when that may change. Fails when fields leave a gap. */
#include <stddef.h>
#include <stdio.h>

#include "anabranch.h"
#include "anabranch_decoder.h"
#include "anabranch_scheduler.h"

typedef struct entry {
  const char* name;
  long long value; /* of a constant; offset of a field; -1 for a type, -2 for a struct, whose fields follow */
  size_t size;     /* 0 for a constant */
} entry;
#define T(type) \
  { #type, -1, sizeof(type) }
#define S(type) \
  { #type, -2, sizeof(type) }
#define F(type, name) \
  { #name, offsetof(type, name), sizeof(((type*)0)->name) }
#define C(name) \
  { #name, (long long)(name), 0 }

/* clang-format off */
static const entry kEntries[] = {
    T(anb_token), T(anb_position), T(anb_slot), T(anb_sequence), T(anb_status), T(anb_positions), T(anb_request),
    S(anb_allocator), F(anb_allocator, struct_size), F(anb_allocator, reserved), F(anb_allocator, allocate),
    F(anb_allocator, release), F(anb_allocator, user),
    S(anb_cache_options), F(anb_cache_options, struct_size), F(anb_cache_options, n_pages),
    F(anb_cache_options, page_size), F(anb_cache_options, max_sequences), F(anb_cache_options, max_depth),
    F(anb_cache_options, max_position), F(anb_cache_options, share_tail), F(anb_cache_options, keep_tokens),
    F(anb_cache_options, allocator),
    S(anb_cache_statistics), F(anb_cache_statistics, struct_size), F(anb_cache_statistics, n_pages),
    F(anb_cache_statistics, n_free_pages), F(anb_cache_statistics, page_size), F(anb_cache_statistics, n_slots),
    F(anb_cache_statistics, n_sequences), F(anb_cache_statistics, step), F(anb_cache_statistics, reserved),
    F(anb_cache_statistics, epoch),
    S(anb_sequence_state), F(anb_sequence_state, struct_size), F(anb_sequence_state, n_tokens),
    F(anb_sequence_state, next_position), F(anb_sequence_state, position_limit), F(anb_sequence_state, start_position),
    F(anb_sequence_state, fork_tokens), F(anb_sequence_state, n_children), F(anb_sequence_state, reserved),
    F(anb_sequence_state, parent),
    S(anb_output), F(anb_output, row), F(anb_output, reserved), F(anb_output, sequence),
    S(anb_slot_run), F(anb_slot_run, first), F(anb_slot_run, count), F(anb_slot_run, offset),
    S(anb_view), F(anb_view, runs), F(anb_view, n_runs), F(anb_view, begin), F(anb_view, end),
    F(anb_view, first_position), F(anb_view, segment),
    S(anb_group), F(anb_group, row_begin), F(anb_group, row_end), F(anb_group, view_begin), F(anb_group, view_end),
    F(anb_group, n_keys), F(anb_group, visibility),
    S(anb_host_op), F(anb_host_op, kind), F(anb_host_op, reserved), F(anb_host_op, sequence),
    F(anb_host_op, source), F(anb_host_op, begin), F(anb_host_op, end),
    S(anb_plan), F(anb_plan, struct_size), F(anb_plan, n_rows), F(anb_plan, n_outputs), F(anb_plan, n_groups),
    F(anb_plan, n_views), F(anb_plan, n_ops_before), F(anb_plan, n_ops_after_commit), F(anb_plan, n_slots),
    F(anb_plan, page_size), F(anb_plan, n_pages_short), F(anb_plan, n_pages_free), F(anb_plan, reserved),
    F(anb_plan, epoch), F(anb_plan, tokens), F(anb_plan, positions), F(anb_plan, slots), F(anb_plan, sequences),
    F(anb_plan, outputs), F(anb_plan, groups), F(anb_plan, views), F(anb_plan, ops_before),
    F(anb_plan, ops_after_commit),
    S(anb_mask_options), F(anb_mask_options, struct_size), F(anb_mask_options, n_columns),
    F(anb_mask_options, columns), F(anb_mask_options, visible), F(anb_mask_options, hidden),
    S(anb_paged_level), F(anb_paged_level, causal), F(anb_paged_level, n_entries), F(anb_paged_level, row_indptr),
    F(anb_paged_level, indptr), F(anb_paged_level, indices), F(anb_paged_level, last_page_len),
    S(anb_paged), F(anb_paged, struct_size), F(anb_paged, n_levels), F(anb_paged, levels),
    S(anb_text), F(anb_text, struct_size), F(anb_text, reserved), F(anb_text, detokenize),
    F(anb_text, text_to_tokens), F(anb_text, user), F(anb_text, stop_token),
    S(anb_forced_token), F(anb_forced_token, token), F(anb_forced_token, role),
    S(anb_seed), F(anb_seed, prefix), F(anb_seed, n_prefix), F(anb_seed, n_title), F(anb_seed, title),
    S(anb_action), F(anb_action, struct_size), F(anb_action, next), F(anb_action, role), F(anb_action, forget),
    F(anb_action, n_forced), F(anb_action, n_seeds), F(anb_action, forced), F(anb_action, seeds),
    S(anb_constraint), F(anb_constraint, struct_size), F(anb_constraint, n_allowed), F(anb_constraint, n_forbidden),
    F(anb_constraint, reserved), F(anb_constraint, allowed), F(anb_constraint, forbidden),
    S(anb_markup_callbacks), F(anb_markup_callbacks, struct_size), F(anb_markup_callbacks, state_size),
    F(anb_markup_callbacks, child), F(anb_markup_callbacks, next), F(anb_markup_callbacks, joined),
    F(anb_markup_callbacks, closing), F(anb_markup_callbacks, open), F(anb_markup_callbacks, end_of_text),
    F(anb_markup_callbacks, constrain), F(anb_markup_callbacks, user),
    S(anb_markup), F(anb_markup, struct_size), F(anb_markup, n_title_separator), F(anb_markup, name),
    F(anb_markup, branch), F(anb_markup, branch_end), F(anb_markup, title), F(anb_markup, title_end),
    F(anb_markup, para), F(anb_markup, para_end), F(anb_markup, title_separator), F(anb_markup, opening),
    F(anb_markup, outline_end), F(anb_markup, separator), F(anb_markup, after_text), F(anb_markup, go_on),
    F(anb_markup, max_points), F(anb_markup, max_title_tokens), F(anb_markup, n_vocabulary),
    F(anb_markup, callbacks), F(anb_markup, unique_titles), F(anb_markup, max_titles),
    F(anb_markup, well_formed), F(anb_markup, reserved),
    S(anb_decoder_options), F(anb_decoder_options, struct_size), F(anb_decoder_options, max_branches),
    F(anb_decoder_options, max_tokens), F(anb_decoder_options, max_branch_tokens),
    F(anb_decoder_options, max_depth), F(anb_decoder_options, max_rows), F(anb_decoder_options, positions),
    F(anb_decoder_options, n_end_of_text), F(anb_decoder_options, end_of_text), F(anb_decoder_options, markup),
    F(anb_decoder_options, text), F(anb_decoder_options, draft), F(anb_decoder_options, preemptible),
    S(anb_request_options), F(anb_request_options, struct_size), F(anb_request_options, temperature),
    F(anb_request_options, top_k), F(anb_request_options, top_p), F(anb_request_options, repetition_penalty),
    F(anb_request_options, max_tokens), F(anb_request_options, max_branch_tokens),
    F(anb_request_options, n_log_probabilities), F(anb_request_options, seed), F(anb_request_options, after),
    F(anb_request_options, stop), F(anb_request_options, n_stop), F(anb_request_options, reserved),
    F(anb_request_options, max_parallel_branches), F(anb_request_options, no_repeat_ngram),
    F(anb_request_options, prefix), F(anb_request_options, user_data), F(anb_request_options, min_p),
    F(anb_request_options, frequency_penalty), F(anb_request_options, presence_penalty),
    F(anb_request_options, n_stop_tokens), F(anb_request_options, stop_tokens), F(anb_request_options, logit_bias),
    F(anb_request_options, n_logit_bias), F(anb_request_options, reserved2), F(anb_request_options, number),
    S(anb_logit_bias), F(anb_logit_bias, token), F(anb_logit_bias, bias),
    S(anb_output_settings), F(anb_output_settings, struct_size), F(anb_output_settings, branch),
    F(anb_output_settings, request), F(anb_output_settings, temperature), F(anb_output_settings, top_k),
    F(anb_output_settings, top_p), F(anb_output_settings, repetition_penalty), F(anb_output_settings, uniform),
    F(anb_output_settings, index), F(anb_output_settings, allowed), F(anb_output_settings, forbidden),
    F(anb_output_settings, seen), F(anb_output_settings, n_allowed), F(anb_output_settings, n_forbidden),
    F(anb_output_settings, n_seen), F(anb_output_settings, reserved), F(anb_output_settings, spared),
    F(anb_output_settings, n_spared), F(anb_output_settings, reserved2),
    F(anb_output_settings, user_data), F(anb_output_settings, min_p), F(anb_output_settings, frequency_penalty),
    F(anb_output_settings, presence_penalty), F(anb_output_settings, n_logit_bias),
    F(anb_output_settings, logit_bias),
    S(anb_logits), F(anb_logits, struct_size), F(anb_logits, type), F(anb_logits, n_outputs),
    F(anb_logits, n_vocabulary), F(anb_logits, row_stride), F(anb_logits, values),
    S(anb_token_log_probability), F(anb_token_log_probability, token),
    F(anb_token_log_probability, log_probability),
    S(anb_event), F(anb_event, struct_size), F(anb_event, kind), F(anb_event, request), F(anb_event, branch),
    F(anb_event, token), F(anb_event, role), F(anb_event, forced), F(anb_event, log_probability),
    F(anb_event, n_top), F(anb_event, top), F(anb_event, text), F(anb_event, n_text), F(anb_event, first_branch),
    F(anb_event, n_branches), F(anb_event, reason), F(anb_event, reserved), F(anb_event, user_data),
    S(anb_request_state), F(anb_request_state, struct_size), F(anb_request_state, reason),
    F(anb_request_state, n_branches), F(anb_request_state, n_blocks), F(anb_request_state, n_serial),
    F(anb_request_state, n_branch), F(anb_request_state, n_title), F(anb_request_state, n_tag),
    F(anb_request_state, n_prompt), F(anb_request_state, n_sampled), F(anb_request_state, n_forced),
    F(anb_request_state, n_forgotten), F(anb_request_state, n_passes), F(anb_request_state, n_prefill),
    F(anb_request_state, n_serial_passes), F(anb_request_state, reserved),
    F(anb_request_state, user_data), F(anb_request_state, n_pages_needed), F(anb_request_state, n_pages_used),
    S(anb_path_step), F(anb_path_step, block), F(anb_path_step, branch),
    S(anb_branch_state), F(anb_branch_state, struct_size), F(anb_branch_state, reason), F(anb_branch_state, sequence),
    F(anb_branch_state, title), F(anb_branch_state, text), F(anb_branch_state, n_title),
    F(anb_branch_state, n_text), F(anb_branch_state, path), F(anb_branch_state, n_path),
    F(anb_branch_state, reserved), F(anb_branch_state, tokens), F(anb_branch_state, n_tokens),
    F(anb_branch_state, reserved2),
    S(anb_scheduler_options), F(anb_scheduler_options, struct_size), F(anb_scheduler_options, max_queued),
    F(anb_scheduler_options, max_running), F(anb_scheduler_options, reserved), F(anb_scheduler_options, target_seconds),
    S(anb_schedule), F(anb_schedule, struct_size), F(anb_schedule, priority), F(anb_schedule, deadline),
    S(anb_scheduler_state), F(anb_scheduler_state, struct_size), F(anb_scheduler_state, n_running),
    F(anb_scheduler_state, n_queued), F(anb_scheduler_state, reserved), F(anb_scheduler_state, n_preempted),
    F(anb_scheduler_state, n_evicted), F(anb_scheduler_state, n_deferred), F(anb_scheduler_state, load),
    C(ANB_OK), C(ANB_BAD_ARGUMENT), C(ANB_STALE_SEQUENCE), C(ANB_NOT_A_CHILD), C(ANB_OPEN_CHILDREN),
    C(ANB_OUT_OF_RANGE), C(ANB_LIMIT_REACHED), C(ANB_WRONG_STATE), C(ANB_NO_ROOM), C(ANB_BAD_SNAPSHOT),
    C(ANB_NOT_EXACT), C(ANB_BAD_MARKUP), C(ANB_BAD_REQUEST), C(ANB_STALE_REQUEST), C(ANB_BAD_LOGITS),
    C(ANB_BAD_FILE), C(ANB_UNSUPPORTED), C(ANB_INTERNAL), C(ANB_OUT_OF_MEMORY), C(ANB_BAD_HANDLE),
    C(ANB_CALLBACK_FAILED), C(ANB_POISONED), C(ANB_NOTHING_TO_DO), C(ANB_POSITIONS_SEQUENTIAL),
    C(ANB_POSITIONS_LONGEST), C(ANB_LOGITS_NONE), C(ANB_LOGITS_LAST), C(ANB_LOGITS_ALL), C(ANB_SHARE_TAIL_SPARE),
    C(ANB_SHARE_TAIL_NEVER), C(ANB_VISIBILITY_FULL), C(ANB_VISIBILITY_CAUSAL), C(ANB_HOST_OP_SHARE),
    C(ANB_HOST_OP_RESTART), C(ANB_HOST_OP_BECOME), C(ANB_HOST_OP_REMOVE), C(ANB_PAGED_SLOTS), C(ANB_PAGED_PAGES),
    C(ANB_UNKNOWN_TOKEN), C(ANB_NO_SEQUENCE),
    C(ANB_NONE), C(ANB_UNLIMITED), C(ANB_ROLE_TEXT), C(ANB_ROLE_TITLE), C(ANB_ROLE_TAG), C(ANB_REASON_NONE),
    C(ANB_REASON_END_TAG), C(ANB_REASON_END_OF_TEXT), C(ANB_REASON_FINISHED), C(ANB_REASON_LIMIT),
    C(ANB_REASON_RANGE), C(ANB_REASON_STOP), C(ANB_REASON_CANCELLED), C(ANB_REASON_NO_ROOM),
    C(ANB_REASON_MALFORMED), C(ANB_REASON_LOST), C(ANB_NEXT_SAMPLE), C(ANB_NEXT_FORK), C(ANB_NEXT_END_BRANCH), C(ANB_NEXT_FINISH),
    C(ANB_EVENT_TOKEN), C(ANB_EVENT_FORK), C(ANB_EVENT_BRANCH_END), C(ANB_EVENT_JOIN), C(ANB_EVENT_END),
    C(ANB_LOGIT_FLOAT32), C(ANB_LOGIT_BFLOAT16), C(ANB_LOGIT_FLOAT16), C(ANB_NO_REQUEST),
};
/* clang-format on */

int main(void) {
  size_t i, at = 0, size = 0; /* of the struct whose fields are being told */
  int n_gaps = 0;
  for (i = 0; i <= sizeof kEntries / sizeof kEntries[0]; ++i) {
    const int last = i == sizeof kEntries / sizeof kEntries[0];
    const entry* e = &kEntries[last ? 0 : i];
    const int is_field = !last && e->value >= 0 && e->size > 0;
    if (is_field ? at != (size_t)e->value : at != size) {
      printf("  gap at %lu\n", (unsigned long)at);
      ++n_gaps;
    }
    if (last) break;
    at = is_field ? (size_t)e->value + e->size : 0;
    if (!is_field) size = e->value == -2 ? e->size : 0;
    if (is_field)
      printf("  %s %lld %lu\n", e->name, e->value, (unsigned long)e->size);
    else if (e->size > 0)
      printf("%s %lu\n", e->name, (unsigned long)e->size);
    else
      printf("%s %lld\n", e->name, e->value);
  }
  return n_gaps == 0 ? 0 : 1;
}
