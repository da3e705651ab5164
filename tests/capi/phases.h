/* Shared by the phases: checks that tell file, line and values, and a world whose whole visible state can be compared.
 *
 * A phase is a function that checks one side of the C ABI. Checks that fail are counted and the phase goes on. */
#ifndef ANABRANCH_TESTS_CAPI_PHASES_H
#define ANABRANCH_TESTS_CAPI_PHASES_H

#include <stddef.h>
#include <stdint.h>

#include "anabranch.h"
#include "anabranch_decoder.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct phase {
  const char* name;
  void (*run)(void);
} phase;

/* Each ends with a phase without a name. */
extern const phase kHandlePhases[];
extern const phase kStructPhases[];
extern const phase kSequencePhases[];
extern const phase kStepPhases[];
extern const phase kPlanPhases[];
extern const phase kDecoderPhases[];
extern const phase kRefusedRequestPhases[];
extern const phase kSamplingPhases[];
extern const phase kSchedulerPhases[];
extern const phase kMarkupPhases[];
extern const phase kCallbackPhases[];
extern const phase kMemoryPhases[];
extern const phase kStatusPhases[];

/* ---- Checks ---- */

typedef struct place {
  const char* file;
  int line;
  const char* what;
} place;
place here(const char* file, int line, const char* what);
int n_failed_checks(void);
#define HERE(what) here(__FILE__, __LINE__, what)

/* Each returns 1 when it holds. */
int check_true(place at, int condition);
int check_same(place at, int64_t value, int64_t expected);
int check_text(place at, const char* text, const char* expected);
int check_ok(place at, anb_status status);
int check_status(place at, anb_status status, anb_status expected);

#define CHECK(condition) check_true(HERE(#condition), (condition) ? 1 : 0)
#define CHECK_SAME(value, expected) check_same(HERE(#value), (int64_t)(value), (int64_t)(expected))
#define CHECK_TEXT(text, expected) check_text(HERE(#text), text, expected)
#define OK(call) check_ok(HERE(#call), call)
#define STATUS(call, expected) check_status(HERE(#call), call, expected)

/* ---- Worlds ---- */

enum { kMaxSequences = 16, kMaxRequests = 8 };

/* A cache with what is alive on it; what is not there is NULL. */
typedef struct world {
  anb_cache* cache;
  anb_step* step;
  anb_decoder* decoder;
  anb_sequence sequences[kMaxSequences];
  int32_t n_sequences;
  anb_request requests[kMaxRequests];
  int32_t n_requests;
} world;

/* Everything that can be asked about a world's cache, sequences and requests, as one number; without the epoch. */
uint64_t state_of(const world* w);

/* `call` must give `status`, say `text` (NULL: anything), and change nothing: state before and after are compared, and
 * so are the bytes of the out parameter. */
typedef struct refusal {
  const world* w;
  uint64_t before;
  uint64_t epoch;
} refusal;
refusal expect_refusal(const world* w);
int check_refused(place at, refusal r, anb_status status, anb_status expected, const char* text);
/* The state is asked for before the call is made, whatever the order in which arguments are evaluated. */
#define REFUSED(w, call, expected, text)                        \
  do {                                                          \
    const refusal refusal_ = expect_refusal(w);                 \
    check_refused(HERE(#call), refusal_, call, expected, text); \
  } while (0)

/* ---- Small worlds ---- */

/* A cache of `n_pages` pages of 4 slots, nothing else. */
world empty_world(int32_t n_pages);
/* Sequence 0: a trunk of 5 tokens with two sequential children, 1 (2 tokens, and below it 3 with 1 token) and 2 (3). */
world grown_world(void);
/* The same with a step open. */
world open_world(void);
void end_world(world* w);

/* Room for values that a failed call must not touch. */
anb_cache* no_cache(void);
anb_step* no_step(void);
anb_decoder* no_decoder(void);
/* A plan that tells whether it was written. */
anb_plan untouched_plan(void);
int untouched(const anb_plan* plan);

anb_sequence_state sequence_state(const anb_cache* cache, anb_sequence sequence);
anb_cache_statistics statistics_of(const anb_cache* cache);

#ifdef __cplusplus
}
#endif

#endif
