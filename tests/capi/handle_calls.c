#include "handle_calls.h"

#include "phases.h"

#include <string.h>

enum { kTouched = -1 }; /* instead of a status: an out parameter was written */

/* A function that makes one call; `kept` is looked at after it. */
#define CALL(type, handle_name, name, declare, call, kept) \
  static anb_status name(void* handle) {                   \
    type* handle_name = (type*)handle;                     \
    declare;                                               \
    {                                                      \
      const anb_status status = call;                      \
      return (kept) ? status : kTouched;                   \
    }                                                      \
  }
#define CACHE_CALL(name, declare, call, kept) CALL(anb_cache, cache, name, declare, call, kept)
#define STEP_CALL(name, declare, call, kept) CALL(anb_step, step, name, declare, call, kept)
#define DECODER_CALL(name, declare, call, kept) CALL(anb_decoder, decoder, name, declare, call, kept)

static int same_bytes(const void* bytes, size_t n) {
  const unsigned char* p = (const unsigned char*)bytes;
  size_t i;
  for (i = sizeof(uint32_t); i < n; ++i)
    if (p[i] != 0x5a) return 0;
  return 1;
}

/* A struct whose bytes are marked, but for its size. */
#define MARKED(type)          \
  type s;                     \
  memset(&s, 0x5a, sizeof s); \
  memcpy(&s, &(uint32_t){sizeof s}, sizeof(uint32_t))

CACHE_CALL(get_statistics, MARKED(anb_cache_statistics), anb_cache_get_statistics(cache, &s), same_bytes(&s, sizeof s))
CACHE_CALL(check_cache, (void)0, anb_cache_check(cache), 1)
CACHE_CALL(get_state, MARKED(anb_sequence_state), anb_sequence_get_state(cache, 1, &s), same_bytes(&s, sizeof s))
CACHE_CALL(children, int32_t n = 77;
           anb_sequence sequence = 78, anb_sequence_children(cache, 1, 1, &sequence, &n), n == 77 && sequence == 78)
CACHE_CALL(tokens, int32_t n = 77; anb_slot slot = 78; anb_position position = 79,
                                                       anb_sequence_tokens(cache, 1, 1, &slot, &position, &n),
                                                       n == 77 && slot == 78 && position == 79)
CACHE_CALL(token_ids, int32_t n = 77;
           anb_token token = 78, anb_sequence_token_ids(cache, 1, 1, &token, &n), n == 77 && token == 78)
CACHE_CALL(sequences, int32_t n = 77;
           anb_sequence sequence = 78, anb_cache_sequences(cache, 1, &sequence, &n), n == 77 && sequence == 78)
CACHE_CALL(roots, int32_t n = 77;
           anb_sequence sequence = 78, anb_cache_roots(cache, 1, &sequence, &n), n == 77 && sequence == 78)
CACHE_CALL(begin, anb_step* step = no_step(), anb_step_begin(cache, &step), step == no_step())
CACHE_CALL(mask, float m = 5, anb_cache_mask(cache, NULL, 1, &m), m == 5)
CACHE_CALL(paged, MARKED(anb_paged), anb_cache_paged(cache, 0, &s), same_bytes(&s, sizeof s))
CACHE_CALL(create, anb_decoder* decoder = no_decoder(), anb_decoder_create(cache, NULL, &decoder),
           decoder == no_decoder())

STEP_CALL(create_sequence, anb_sequence sequence = 78, anb_step_create_sequence(step, 0, &sequence), sequence == 78)
STEP_CALL(append, anb_token token = 1, anb_step_append(step, 1, &token, 1, 0), 1)
STEP_CALL(append_unknown, (void)0, anb_step_append_unknown(step, 1, 1, 0), 1)
STEP_CALL(request_logits, (void)0, anb_step_request_logits(step, 1), 1)
STEP_CALL(fork, anb_sequence sequence = 78, anb_step_fork(step, 1, 1, 0, &sequence), sequence == 78)
STEP_CALL(fork_given, anb_sequence sequence = 78;
          anb_position start = 0, anb_step_fork_given(step, 1, 1, &start, &sequence), sequence == 78)
STEP_CALL(join, anb_sequence sequence = 78, anb_step_join(step, 1, &sequence, 1), 1)
STEP_CALL(join_given, anb_sequence sequence = 78, anb_step_join_given(step, 1, &sequence, 1, 0), 1)
STEP_CALL(rewind_sequence, (void)0, anb_step_rewind(step, 1, 0), 1)
STEP_CALL(reject, (void)0, anb_step_reject(step, 1, 0), 1)
STEP_CALL(adopt, (void)0, anb_step_adopt(step, 1, 2), 1)
STEP_CALL(drop, (void)0, anb_step_drop(step, 1), 1)
STEP_CALL(detach, (void)0, anb_step_detach(step, 1), 1)
STEP_CALL(hold, (void)0, anb_step_hold(step, 1, 1), 1)
STEP_CALL(plan_step, MARKED(anb_plan), anb_step_plan(step, &s), same_bytes(&s, sizeof s))
STEP_CALL(commit_step, (void)0, anb_step_commit(step), 1)
STEP_CALL(abort_step, (void)0, anb_step_abort(step), 1)

DECODER_CALL(submit, anb_token token = 1; anb_request r = 78, anb_decoder_submit(decoder, &token, 1, NULL, &r), r == 78)
DECODER_CALL(plan_pass, MARKED(anb_plan), anb_decoder_plan(decoder, &s), same_bytes(&s, sizeof s))
DECODER_CALL(get_output, MARKED(anb_output_settings), anb_decoder_get_output(decoder, 0, &s), same_bytes(&s, sizeof s))
DECODER_CALL(commit_pass, float f = 0, anb_decoder_commit(decoder, &f, 1, 1), 1)
DECODER_CALL(commit_logits, (void)0, anb_decoder_commit_logits(decoder, NULL), 1)
DECODER_CALL(commit_sampled, anb_token t = 0, anb_decoder_commit_sampled(decoder, &t, 1), 1)
DECODER_CALL(abort_pass, (void)0, anb_decoder_abort(decoder), 1)
DECODER_CALL(next_event, MARKED(anb_event), anb_decoder_next_event(decoder, &s), same_bytes(&s, sizeof s))
DECODER_CALL(cancel, (void)0, anb_decoder_cancel(decoder, 1), 1)
DECODER_CALL(release, (void)0, anb_decoder_release(decoder, 1), 1)
DECODER_CALL(get_request, MARKED(anb_request_state), anb_decoder_get_request(decoder, 1, &s), same_bytes(&s, sizeof s))
DECODER_CALL(get_branch, MARKED(anb_branch_state), anb_decoder_get_branch(decoder, 1, 0, &s), same_bytes(&s, sizeof s))

const handle_call kHandleCalls[] = {{"anb_cache_get_statistics", kCacheHandle, get_statistics},
                                    {"anb_cache_check", kCacheHandle, check_cache},
                                    {"anb_sequence_get_state", kCacheHandle, get_state},
                                    {"anb_sequence_children", kCacheHandle, children},
                                    {"anb_sequence_tokens", kCacheHandle, tokens},
                                    {"anb_sequence_token_ids", kCacheHandle, token_ids},
                                    {"anb_cache_sequences", kCacheHandle, sequences},
                                    {"anb_cache_roots", kCacheHandle, roots},
                                    {"anb_step_begin", kCacheHandle, begin},
                                    {"anb_cache_mask", kCacheHandle, mask},
                                    {"anb_cache_paged", kCacheHandle, paged},
                                    {"anb_decoder_create", kCacheHandle, create},
                                    {"anb_step_create_sequence", kStepHandle, create_sequence},
                                    {"anb_step_append", kStepHandle, append},
                                    {"anb_step_append_unknown", kStepHandle, append_unknown},
                                    {"anb_step_request_logits", kStepHandle, request_logits},
                                    {"anb_step_fork", kStepHandle, fork},
                                    {"anb_step_fork_given", kStepHandle, fork_given},
                                    {"anb_step_join", kStepHandle, join},
                                    {"anb_step_join_given", kStepHandle, join_given},
                                    {"anb_step_rewind", kStepHandle, rewind_sequence},
                                    {"anb_step_reject", kStepHandle, reject},
                                    {"anb_step_adopt", kStepHandle, adopt},
                                    {"anb_step_drop", kStepHandle, drop},
                                    {"anb_step_detach", kStepHandle, detach},
                                    {"anb_step_hold", kStepHandle, hold},
                                    {"anb_step_plan", kStepHandle, plan_step},
                                    {"anb_step_commit", kStepHandle, commit_step},
                                    {"anb_step_abort", kStepHandle, abort_step},
                                    {"anb_decoder_submit", kDecoderHandle, submit},
                                    {"anb_decoder_plan", kDecoderHandle, plan_pass},
                                    {"anb_decoder_get_output", kDecoderHandle, get_output},
                                    {"anb_decoder_commit", kDecoderHandle, commit_pass},
                                    {"anb_decoder_commit_logits", kDecoderHandle, commit_logits},
                                    {"anb_decoder_commit_sampled", kDecoderHandle, commit_sampled},
                                    {"anb_decoder_abort", kDecoderHandle, abort_pass},
                                    {"anb_decoder_next_event", kDecoderHandle, next_event},
                                    {"anb_decoder_cancel", kDecoderHandle, cancel},
                                    {"anb_decoder_release", kDecoderHandle, release},
                                    {"anb_decoder_get_request", kDecoderHandle, get_request},
                                    {"anb_decoder_get_branch", kDecoderHandle, get_branch},
                                    {NULL, kCacheHandle, NULL}};
