/* Anabranch in C, the scheduler tier: continuous batching over a decoder.
 *
 * A scheduler says which requests of a decoder have rows in the next pass, and how many: by priority, deadline, pages
 * and the cost of a pass. When pages are short a request is preempted, and what it had is computed again later; its
 * text is the same. It never runs a model and reads no clock. The conventions of anabranch.h hold here too; what it has
 * written is read from the decoder (anb_decoder_next_event, anb_decoder_get_branch, anb_decoder_get_output).
 *
 *     o.preemptible = 1; anb_decoder_create(cache, &o, &decoder);
 *     anb_scheduler_create(decoder, NULL, &scheduler);
 *     anb_scheduler_submit(scheduler, prompt, n, NULL, NULL, &request);
 *     while (anb_scheduler_plan(scheduler, now(), &plan) == ANB_OK) {
 *       run_my_model(&plan, &logits);                                 (on failure: anb_scheduler_abort)
 *       anb_scheduler_commit(scheduler, &logits, now());
 *       while (anb_decoder_next_event(decoder, &event) == ANB_OK) show(&event);
 *     }
 */
#ifndef ANABRANCH_SCHEDULER_H
#define ANABRANCH_SCHEDULER_H

#include "anabranch_decoder.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct anb_scheduler anb_scheduler;

typedef struct anb_scheduler_options {
  uint32_t struct_size;
  int32_t max_queued;  /* ANB_UNLIMITED; requests that wait for pages: submit refuses more */
  int32_t max_running; /* ANB_UNLIMITED; requests that have pages at one time */
  int32_t reserved;
  double target_seconds; /* 0: none; what a token of a request may take, as SchedulerOptions of C++ tells */
} anb_scheduler_options;
#define ANB_SCHEDULER_OPTIONS_INIT \
  { sizeof(anb_scheduler_options), ANB_UNLIMITED, ANB_UNLIMITED, 0, 0.0 }

/* When a request is to be served. */
typedef struct anb_schedule {
  uint32_t struct_size;
  int32_t priority; /* 0; higher ones first; of equals the earlier deadline, then the older */
  double deadline;  /* seconds of the clock that plan is told; then it ends, cancelled, with what is written. 0: none */
} anb_schedule;
#define ANB_SCHEDULE_INIT \
  { sizeof(anb_schedule), 0, 0.0 }

typedef struct anb_scheduler_state {
  uint32_t struct_size;
  int32_t n_running; /* requests that were admitted to the passes */
  int32_t n_queued;  /* those that wait for pages, preempted ones too */
  int32_t reserved;
  int64_t n_preempted; /* times that a request lost its pages, so far */
  int64_t n_evicted;   /* times that one that is over lost those of its history */
  int64_t n_deferred;  /* times that one had to wait although it had been admitted */
  double load;         /* how much longer passes take now than at first; 1: as long */
} anb_scheduler_state;
#define ANB_SCHEDULER_STATE_INIT \
  { sizeof(anb_scheduler_state), 0, 0, 0, 0, 0, 0, 1.0 }

/* As in anabranch.h: each sets `size` bytes to the INIT macro. */
ANB_API void anb_scheduler_options_init(anb_scheduler_options* options, size_t size);
ANB_API void anb_schedule_init(anb_schedule* schedule, size_t size);
ANB_API void anb_scheduler_state_init(anb_scheduler_state* state, size_t size);

/* A scheduler on a decoder whose options said `preemptible`; a decoder has one at most. `options` NULL: the defaults.
 * Bad request, wrong state. It goes with the decoder. */
ANB_API anb_status anb_scheduler_create(anb_decoder* decoder, const anb_scheduler_options* options,
                                        anb_scheduler** scheduler);
ANB_API void anb_scheduler_destroy(anb_scheduler* scheduler);

/* As anb_decoder_submit. `schedule` NULL: no priority, no deadline. ANB_NO_ROOM: an outcome, the queue is full. */
ANB_API anb_status anb_scheduler_submit(anb_scheduler* scheduler, const anb_token* prompt, int32_t n,
                                        const anb_request_options* options, const anb_schedule* schedule,
                                        anb_request* request);
/* The next pass; `now` in seconds, of any clock that does not go back. Outcomes: ANB_NOTHING_TO_DO; ANB_NO_ROOM: pages
 * that are no request's are in the way, release some of them. */
ANB_API anb_status anb_scheduler_plan(anb_scheduler* scheduler, double now, anb_plan* plan);
/* As anb_decoder_commit_logits and _commit_sampled. What passed since plan is what the pass cost. */
ANB_API anb_status anb_scheduler_commit(anb_scheduler* scheduler, const anb_logits* logits, double now);
ANB_API anb_status anb_scheduler_commit_sampled(anb_scheduler* scheduler, const anb_token* tokens, int32_t n,
                                                double now);
ANB_API anb_status anb_scheduler_abort(anb_scheduler* scheduler);
/* At any moment; its pages are free then, its text stays. */
ANB_API anb_status anb_scheduler_cancel(anb_scheduler* scheduler, anb_request request);
/* Between two passes: ends a request as a limit would; another can go on with it. */
ANB_API anb_status anb_scheduler_finish(anb_scheduler* scheduler, anb_request request);
/* Forgets a request; cancels it first when it runs. Until then its history takes pages while these are not short. */
ANB_API anb_status anb_scheduler_release(anb_scheduler* scheduler, anb_request request);
ANB_API anb_status anb_scheduler_get_state(const anb_scheduler* scheduler, anb_scheduler_state* state);

#ifdef __cplusplus
}
#endif

#endif
