/* Decoders in the phases: byte tokens, scripts instead of a model, and events as one line of text. */
#ifndef ANABRANCH_TESTS_CAPI_DECODERS_H
#define ANABRANCH_TESTS_CAPI_DECODERS_H

#include "phases.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The vocabulary: a token is a byte; above those a few longer texts. Token 0 ends the text. */
enum { kEnd = 0, kBold = 256, kBlankLine = 257, kVocabulary = 258 };
/* Signs that stand for the tags of ASPD in scripts: [ ] branch, ( ) title, { } para; `:` is the title separator. */
extern const anb_token kColon[1];

/* Fails on purpose: the call that brings `left` to zero. */
typedef struct fuse {
  int32_t left; /* 0: never */
} fuse;

int32_t bytes_to_text(const anb_token* tokens, int32_t n, char* out, int32_t capacity, void* user);
int32_t text_to_bytes(const char* text, int32_t n, anb_token* out, int32_t capacity, void* user);
anb_text byte_text(void);

anb_markup aspd_markup(void);
/* Options with end of text; `text` and `markup` may be NULL. */
anb_decoder_options decoder_options(const anb_markup* markup, const anb_text* text);

/* The script of a branch, by its path: "" for the trunk, "0.1" for branch 1 of its block 0, "0.1/0.0" below that. */
typedef struct script {
  const char* path;
  const char* text; /* byte by byte; over: end of text */
} script;

/* A cache of 64 pages with a decoder, and a script that ends with a path of NULL. */
world decoder_world(const anb_decoder_options* o);
anb_request submit(world* w, const char* prompt, const anb_request_options* o);

typedef enum feed { kBySampled, kByLogits } feed;

/* One pass by script; events are appended to what events_text() tells. ANB_OK, or what plan gave. */
anb_status pass(world* w, const script* scripts, feed by);
/* Passes until there is nothing to do. Returns how many. */
int32_t run_passes(world* w, const script* scripts, feed by);
/* Token that the scripts want for output i of the open plan. */
anb_token scripted(const world* w, const script* scripts, int32_t i);

/* Events so far: "0a" a token of branch 0 (upper case marks: none), " 0F1+2" branch 0 forked into 1 and 2, " 1E1"
 * branch 1 ended with reason 1, " 0J1+2" joined, " 0X2" the request ended with reason 2. Forced tokens have a '!'. */
const char* events_text(void);
void forget_events(void);

/* Text of a branch, which must be there. */
const char* text_of(const world* w, anb_request request, int32_t branch);
anb_request_state request_state(const world* w, anb_request request);

#ifdef __cplusplus
}
#endif

#endif
