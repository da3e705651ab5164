/* Anabranch in C, the decoder tier: requests, markup, sampling, events.
 *
 * A decoder plans passes for any number of requests and branches at once and is fed logits, or tokens that the host
 * sampled itself. It never runs a model. The conventions of anabranch.h hold here too.
 *
 *     anb_markup markup = ANB_MARKUP_INIT; anb_decoder_options o = ANB_DECODER_OPTIONS_INIT;
 *     anb_decoder* decoder; anb_request request; anb_plan plan = ANB_PLAN_INIT; anb_event event = ANB_EVENT_INIT;
 *     markup.name = "aspd"; markup.para = ...;
 *     o.markup = &markup;
 *     if (anb_decoder_create(cache, &o, &decoder) != ANB_OK) { puts(anb_last_error()); return 1; }
 *     anb_decoder_submit(decoder, prompt, n, NULL, &request);
 *     while (anb_decoder_plan(decoder, &plan) == ANB_OK) {
 *       run_my_model(&plan, logits);                                  (on failure: anb_decoder_abort)
 *       anb_decoder_commit(decoder, logits, plan.n_outputs, n_vocabulary);
 *       while (anb_decoder_next_event(decoder, &event) == ANB_OK) show(&event);
 *     }
 */
#ifndef ANABRANCH_DECODER_H
#define ANABRANCH_DECODER_H

#include "anabranch.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct anb_decoder anb_decoder;
typedef uint64_t anb_request; /* names a request of one decoder; never used again */
#define ANB_NO_REQUEST ((anb_request)0)

/* The part that a token plays in the answer. */
enum {
  ANB_ROLE_TEXT = 0,  /* part of the text */
  ANB_ROLE_TITLE = 1, /* names a branch to come; not shown here */
  ANB_ROLE_TAG = 2    /* control token, never shown */
};

/* Why a branch or a request is over. */
enum {
  ANB_REASON_NONE = 0,        /* it is not */
  ANB_REASON_END_TAG = 1,     /* the markup ended the branch */
  ANB_REASON_END_OF_TEXT = 2, /* an end-of-text token was sampled */
  ANB_REASON_FINISHED = 3,    /* the markup finished the answer */
  ANB_REASON_LIMIT = 4,       /* max_tokens, max_branch_tokens; in a fork event: max_depth, max_sequences */
  ANB_REASON_RANGE = 5,       /* no position left */
  ANB_REASON_STOP = 6,        /* a stop string or a stop token */
  ANB_REASON_CANCELLED = 7,   /* by the caller; its history is gone */
  ANB_REASON_NO_ROOM = 8,     /* it can never fit into the pool */
  ANB_REASON_MALFORMED = 9,   /* the markup asked for what cannot be */
  ANB_REASON_LOST = 10        /* a sequence of it was dropped by others, or its prefix changed before its first pass;
                               * its history is gone */
};

/* ---- Text and markup ---- */

/* Between tokens and text. Both write into `out` at most `capacity` elements and return how many there are; when there
 * are more they are called again with room for them. Negative, or more than 16 Mi: failure (ANB_CALLBACK_FAILED). No
 * token of their own (beginning of text) may be added. */
typedef struct anb_text {
  uint32_t struct_size;
  uint32_t reserved;
  /* Bytes, not necessarily whole characters. Without it events and branches have no text, and no stop strings. */
  int32_t (*detokenize)(const anb_token* tokens, int32_t n, char* out, int32_t capacity, void* user);
  /* Needed by the markup "skeleton". `text` has n bytes and no NUL. */
  int32_t (*text_to_tokens)(const char* text, int32_t n, anb_token* out, int32_t capacity, void* user);
  void* user;
  /* May be NULL. The special token that a stop string is the name of, such as <|im_end|>; ANB_UNKNOWN_TOKEN when no
   * such name is in it. Anything else below 0: failure; so of a name among other text, which could never be found. */
  int32_t (*stop_token)(const char* text, int32_t n, void* user);
} anb_text;
#define ANB_TEXT_INIT \
  { sizeof(anb_text), 0, 0, 0, 0, 0 }

typedef struct anb_forced_token {
  anb_token token; /* fed without being sampled: costs a row, never a pass */
  int32_t role;
} anb_forced_token;

/* A branch to be forked. */
typedef struct anb_seed {
  const anb_forced_token* prefix; /* what it starts with; none: it samples from its parent's row */
  int32_t n_prefix;
  int32_t n_title;
  const anb_token* title; /* for display */
} anb_seed;

enum {
  ANB_NEXT_SAMPLE = 0,     /* the sequence goes on */
  ANB_NEXT_FORK = 1,       /* one branch per seed; `joined` is asked once they have ended */
  ANB_NEXT_END_BRANCH = 2, /* the branch is complete; on the trunk: finish */
  ANB_NEXT_FINISH = 3      /* the answer is complete */
};

/* A markup's answer to a token. The decoder takes tokens back, feeds `forced`, then does `next`. A callback gets it
 * with everything zero but struct_size; its arrays are read before the next callback is called. */
typedef struct anb_action {
  uint32_t struct_size;
  int32_t next;
  int32_t role;   /* of the sampled token */
  int32_t forget; /* last tokens to take back, the sampled one included: 1 = do not feed it */
  int32_t n_forced;
  int32_t n_seeds;
  const anb_forced_token* forced;
  const anb_seed* seeds;
} anb_action;

/* Which tokens may be sampled next. The arrays must stay as they are until the plan that asked is over (commit or
 * abort). */
typedef struct anb_constraint {
  uint32_t struct_size;
  int32_t n_allowed; /* 0: everything */
  int32_t n_forbidden;
  int32_t reserved;
  const anb_token* allowed;
  const anb_token* forbidden;
} anb_constraint;

/* A markup of one's own: a state machine with `state_size` bytes of state per sequence, zero at first, copied bytewise.
 * Callbacks return 0, or anything else for failure: the call that caused them then gives ANB_CALLBACK_FAILED and has
 * changed nothing. `open`, `end_of_text` and `constrain` may be NULL. */
typedef struct anb_markup_callbacks {
  uint32_t struct_size;
  uint32_t state_size; /* 0 .. 4096 */
  /* The state of branch k of the fork that `parent` has just asked for. */
  int32_t (*child)(const void* parent, int32_t k, void* state, void* user);
  /* A token was sampled. */
  int32_t (*next)(void* state, anb_token token, anb_action* action, void* user);
  /* All branches were joined, in order (or the fork was refused). Going on needs at least one forced token. */
  int32_t (*joined)(void* state, anb_action* action, void* user);
  /* Fill in `forced`: what has to end a branch in this state when its end is not its own doing. */
  int32_t (*closing)(const void* state, anb_action* action, void* user);
  /* Once per request, before anything is sampled. NULL: sample. */
  int32_t (*open)(void* state, anb_action* action, void* user);
  /* An end-of-text token was sampled. NULL: the branch ends with `closing` in its place; on the trunk the answer. */
  int32_t (*end_of_text)(void* state, anb_action* action, void* user);
  /* NULL: everything may be sampled. */
  int32_t (*constrain)(const void* state, anb_constraint* constraint, void* user);
  void* user;
} anb_markup_callbacks;
#define ANB_MARKUP_CALLBACKS_INIT \
  { sizeof(anb_markup_callbacks), 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/* Which markup. Everything is copied at create. */
typedef struct anb_markup {
  uint32_t struct_size;
  int32_t n_title_separator;
  const char* name; /* "serial" (default), "aspd", "skeleton"; NULL: `callbacks` */
  /* aspd: six different tokens, and what stands between a branch's title and its text. A branch that a limit ends is
   * closed by a line break, where anb_text reads text */
  anb_token branch;
  anb_token branch_end;
  anb_token title;
  anb_token title_end;
  anb_token para;
  anb_token para_end;
  const anb_token* title_separator; /* [n_title_separator] */
  /* skeleton: NULL or 0 for the defaults in brackets */
  const char* opening;      /* ["Here are the main points:\n\n"] */
  const char* outline_end;  /* ["\n\n"] */
  const char* separator;    /* ["\n"] */
  const char* after_text;   /* ["\n\n"] forced after the points when the answer goes on */
  int32_t go_on;            /* [0] 1: after the points the answer goes on */
  int32_t max_points;       /* [8] */
  int32_t max_title_tokens; /* [16] */
  int32_t n_vocabulary;     /* [0] titles and bodies start with no line break, by constraint; 0: by taking it back */
  const anb_markup_callbacks* callbacks;
  /* aspd again; both say which tokens may be sampled */
  int32_t unique_titles; /* [0] 1: no title of an answer comes twice, as far as the sequence that writes it can see;
                          * where anb_text writes text, titles are compared by their letters, else by their tokens */
  int32_t max_titles;    /* [any number] of one block; after the last only `para` */
  int32_t
      well_formed; /* [0] 1: only what keeps to the grammar of the tags: two titles or more, each closed and not
                    * empty (and no longer than max_title_tokens, if given), then `para`; branches end by their tag */
  int32_t reserved;
} anb_markup;
#define ANB_MARKUP_INIT \
  { sizeof(anb_markup), 0, "serial", -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/* ---- Decoder and requests ---- */

typedef struct anb_decoder_options {
  uint32_t struct_size;
  int32_t max_branches;      /* 8; branches of a request decoded at once, more wait for a place */
  int32_t max_tokens;        /* 512; sampled tokens of a request, branches included */
  int32_t max_branch_tokens; /* ANB_UNLIMITED */
  int32_t max_depth;         /* 8; nesting of blocks; 0: no branches */
  int32_t max_rows;          /* 512; prompts get what decoding leaves of a pass, at least one row */
  anb_positions positions;   /* ANB_POSITIONS_SEQUENTIAL; what the checkpoint was trained with */
  int32_t n_end_of_text;
  const anb_token* end_of_text; /* tokens that end an answer or a branch; never fed */
  const anb_markup* markup;     /* NULL: "serial" */
  const anb_text* text;         /* NULL: no text */
  /* 0; 1: tags that "aspd" thinks likely on the trunk are drafted: fed before they are sampled, as further rows, and
   * rejected at the commit where they were wrong. Fewer passes, the same tokens. Outputs behind a rejected draft are
   * ignored. */
  int32_t draft;
  int32_t preemptible; /* 0; 1: a scheduler may take a request's pages away: anabranch_scheduler.h. Keeps 4 bytes a token */
} anb_decoder_options;
#define ANB_DECODER_OPTIONS_INIT \
  { sizeof(anb_decoder_options), 8, 512, ANB_UNLIMITED, 8, 512, ANB_POSITIONS_SEQUENTIAL, 0, 0, 0, 0, 0, 0 }

/* Is added to the logit of a token before anything else; -INFINITY: it is never sampled. */
typedef struct anb_logit_bias {
  anb_token token;
  float bias;
} anb_logit_bias;

typedef struct anb_request_options {
  uint32_t struct_size;
  float temperature;           /* 0: greedy */
  int32_t top_k;               /* 0: all */
  float top_p;                 /* 1 */
  float repetition_penalty;    /* 1; over the answer's tokens that the sequence sees */
  int32_t max_tokens;          /* ANB_NONE: the decoder's */
  int32_t max_branch_tokens;   /* ANB_NONE: the decoder's */
  int32_t n_log_probabilities; /* ANB_NONE: none; n: the sampled token's, and those of the n likeliest */
  uint64_t seed;               /* a draw depends on seed, number, branch path and index alone */
  anb_request after;           /* go on with the history of this finished request */
  const char* const* stop;     /* [n_stop]; the request ends where a sequence writes one, the text is cut before it.
                                * Names of special tokens mean these too: anb_text.stop_token */
  int32_t n_stop;
  int32_t reserved;
  /* ANB_NONE: the decoder's max_branches. The others wait, without rows or pages. 1: they come one after another, with
   * the mask, positions and tokens that they have together, and one token is sampled a pass */
  int32_t max_parallel_branches;
  int32_t no_repeat_ngram; /* 0: off; n: n-grams of the answer that the sequence sees are not written again */
  /* ANB_NO_SEQUENCE. Else the request starts from what this sequence of the cache sees, which is not computed again; at
   * least one token of prompt follows. The first pass forks it and detaches the fork. The sequence stays yours: leave
   * it as it is until that pass is committed, then do anything with it. Not together with `after` */
  anb_sequence prefix;
  uint64_t user_data;      /* yours; comes back in events, outputs and states */
  float min_p;             /* 0; only tokens that are at least this many times as likely as the likeliest */
  float frequency_penalty; /* 0; taken off a token's logit for each time that the answer's tokens hold it */
  float presence_penalty;  /* 0; taken off once, if they hold it */
  int32_t n_stop_tokens;
  const anb_token* stop_tokens;     /* [n_stop_tokens]; as `stop`; not fed. Those of end_of_text go on to end a text */
  const anb_logit_bias* logit_bias; /* [n_logit_bias]; each token once */
  int32_t n_logit_bias;
  int32_t reserved2;
  uint64_t number; /* 0; requests with one seed and different numbers draw different random numbers */
} anb_request_options;
#define ANB_REQUEST_OPTIONS_INIT                                                                                \
  {                                                                                                             \
    sizeof(anb_request_options), 0.0f, 0, 1.0f, 1.0f, ANB_NONE, ANB_NONE, ANB_NONE, 0, ANB_NO_REQUEST, 0, 0, 0, \
        ANB_NONE, 0, ANB_NO_SEQUENCE, 0, 0.0f, 0.0f, 0.0f, 0, 0, 0, 0, 0, 0                                     \
  }

/* Everything that decides one output's token besides its logits, for hosts that sample themselves. Arrays are borrowed
 * until commit or abort. */
typedef struct anb_output_settings {
  uint32_t struct_size;
  int32_t branch;
  anb_request request;
  float temperature;
  int32_t top_k;
  float top_p;
  float repetition_penalty;
  double uniform;             /* the random number of this draw, in [0, 1) */
  int64_t index;              /* tokens that the sequence has sampled before */
  const anb_token* allowed;   /* [n_allowed]; nothing else; none: everything */
  const anb_token* forbidden; /* [n_forbidden] */
  const anb_token* seen;      /* [n_seen]; the answer's tokens that the sequence sees: what the penalties are over. None
                               * where neither a penalty nor no_repeat_ngram asks for them */
  int32_t n_allowed;
  int32_t n_forbidden;
  int32_t n_seen;
  int32_t reserved;
  const anb_token* spared; /* [n_spared]; by the penalties, though seen: the tags of the markup aspd */
  int32_t n_spared;
  int32_t reserved2;
  uint64_t user_data; /* of the request */
  float min_p;
  float frequency_penalty;
  float presence_penalty;
  int32_t n_logit_bias;
  const anb_logit_bias* logit_bias; /* [n_logit_bias] */
} anb_output_settings;
#define ANB_OUTPUT_SETTINGS_INIT                                                                                  \
  {                                                                                                               \
    sizeof(anb_output_settings), 0, ANB_NO_REQUEST, 0.0f, 0, 1.0f, 1.0f, 0.0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
        0.0f, 0.0f, 0.0f, 0, 0                                                                                    \
  }

typedef struct anb_token_log_probability {
  anb_token token;
  float log_probability; /* natural */
} anb_token_log_probability;

enum {
  ANB_EVENT_TOKEN = 0,      /* a token of the answer */
  ANB_EVENT_FORK = 1,       /* `branch` forked into branches [first_branch, first_branch + n_branches); 0: `reason` */
  ANB_EVENT_BRANCH_END = 2, /* `branch` is over: `reason` */
  ANB_EVENT_JOIN = 3,       /* `branch` goes on after those branches */
  ANB_EVENT_END = 4         /* the request is over: `reason` */
};

enum { ANB_LOGIT_FLOAT32 = 0, ANB_LOGIT_BFLOAT16 = 1, ANB_LOGIT_FLOAT16 = 2 };

/* The logits of a pass. */
typedef struct anb_logits {
  uint32_t struct_size;
  int32_t type; /* ANB_LOGIT_*: of one logit */
  int32_t n_outputs;
  int32_t n_vocabulary;
  int64_t row_stride; /* logits from one row to the next; 0: n_vocabulary */
  const void* values; /* [n_outputs, n_vocabulary], row-major; NULL for no outputs */
} anb_logits;
#define ANB_LOGITS_INIT \
  { sizeof(anb_logits), ANB_LOGIT_FLOAT32, 0, 0, 0, 0 }

/* Pointers are borrowed until the next anb_decoder_next_event or _commit. */
typedef struct anb_event {
  uint32_t struct_size;
  int32_t kind;
  anb_request request;
  int32_t branch; /* 0: the trunk; others count from 1 in the order of their forks */
  anb_token token;
  int32_t role;
  int32_t forced;        /* 1: fed without being sampled */
  float log_probability; /* NaN when it was not asked for */
  int32_t n_top;
  const anb_token_log_probability* top; /* [n_top], likeliest first */
  const char* text; /* what became printable: whole characters, nothing that may still become a stop string */
  size_t n_text;    /* bytes, without the NUL */
  int32_t first_branch;
  int32_t n_branches;
  int32_t reason;
  int32_t reserved;
  uint64_t user_data; /* of the request */
} anb_event;
#define ANB_EVENT_INIT \
  { sizeof(anb_event), 0, ANB_NO_REQUEST, 0, 0, 0, 0, 0.0f, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/* The cost of an answer so far. */
typedef struct anb_request_state {
  uint32_t struct_size;
  int32_t reason;     /* ANB_REASON_NONE while it runs */
  int32_t n_branches; /* its branches are 1 .. n_branches */
  int32_t n_blocks;   /* forks with at least one branch */
  int32_t n_serial;   /* text tokens on the trunk */
  int32_t n_branch;   /* text tokens in branches */
  int32_t n_title;
  int32_t n_tag;
  int32_t n_prompt;
  int32_t n_sampled;
  int32_t n_forced;
  int32_t n_forgotten;
  int32_t n_passes;        /* committed passes with rows of this request */
  int32_t n_prefill;       /* those of them with part of the prompt */
  int32_t n_serial_passes; /* passes of a decoder that writes the same text one token a pass */
  int32_t reserved;
  uint64_t user_data;
  /* After ANB_NO_ROOM, until the next anb_decoder_plan; else 0. */
  int32_t n_pages_needed; /* free pages that its next pass takes, were it the only one */
  int32_t n_pages_used;   /* hold its tokens or are kept free for it: its end returns them, but for shared ones */
} anb_request_state;
#define ANB_REQUEST_STATE_INIT \
  { sizeof(anb_request_state), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/* One step of a branch's path from the trunk: branch `branch` of its parent's block `block`, both from 0. */
typedef struct anb_path_step {
  int32_t block;
  int32_t branch;
} anb_path_step;

/* Pointers are borrowed until the next anb_decoder_get_branch on this decoder. */
typedef struct anb_branch_state {
  uint32_t struct_size;
  int32_t reason;
  anb_sequence sequence; /* in the cache, while it is there */
  const char* title;
  const char* text; /* in reading order, the blocks inside it included */
  size_t n_title;   /* bytes */
  size_t n_text;
  const anb_path_step* path; /* [n_path]; none: the trunk */
  int32_t n_path;
  int32_t reserved;
  const anb_token* tokens; /* [n_tokens]; likewise, sampled and forced: tags and titles are among them */
  int32_t n_tokens;
  int32_t reserved2;
} anb_branch_state;
#define ANB_BRANCH_STATE_INIT \
  { sizeof(anb_branch_state), 0, ANB_NO_SEQUENCE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/* As in anabranch.h: each sets `size` bytes to the INIT macro. */
ANB_API void anb_text_init(anb_text* text, size_t size);
ANB_API void anb_markup_callbacks_init(anb_markup_callbacks* callbacks, size_t size);
ANB_API void anb_markup_init(anb_markup* markup, size_t size);
ANB_API void anb_decoder_options_init(anb_decoder_options* options, size_t size);
ANB_API void anb_request_options_init(anb_request_options* options, size_t size);
ANB_API void anb_output_settings_init(anb_output_settings* settings, size_t size);
ANB_API void anb_logits_init(anb_logits* logits, size_t size);
ANB_API void anb_event_init(anb_event* event, size_t size);
ANB_API void anb_request_state_init(anb_request_state* state, size_t size);
ANB_API void anb_branch_state_init(anb_branch_state* state, size_t size);

/* A decoder on a cache. `options` NULL: serial decoding without text. Bad request, bad markup, callback failed. */
ANB_API anb_status anb_decoder_create(anb_cache* cache, const anb_decoder_options* options, anb_decoder** decoder);
/* Aborts an open plan and drops the requests' sequences. */
ANB_API void anb_decoder_destroy(anb_decoder* decoder);

/* A new request; it takes part from the next plan on. With options->after, `prompt` follows a finished request's
 * history, which that one gives up; n = 0 then lets an answer go on that was cut (by a limit, a stop string), but not
 * one that ended with an end-of-text token. `options` NULL: greedy. O(n). Bad request, stale request, stale sequence
 * (the prefix), callback failed; limit reached: the cache has no sequence left for it. */
ANB_API anb_status anb_decoder_submit(anb_decoder* decoder, const anb_token* prompt, int32_t n,
                                      const anb_request_options* options, anb_request* request);
/* The next pass of all requests. ANB_NOTHING_TO_DO: no request runs. ANB_NO_ROOM: as anb_step_plan, no plan is open;
 * release or cancel something and plan again: anb_decoder_get_request says what each request needs and uses (one that
 * can never fit has ended with ANB_REASON_NO_ROOM). Limit reached: others took the sequences that a request needs.
 * Wrong state while a plan of this decoder or a step of the cache is open. Sequences of requests that are over are
 * dropped here or in cancel and release, in steps of the decoder's own, also when the call then fails: hosts with a
 * cache of their own ask anb_sequence_get_state. */
ANB_API anb_status anb_decoder_plan(anb_decoder* decoder, anb_plan* plan);
/* Settings of output i of the open plan. O(1), and O(n_seen) where an option asks for them. Wrong state without a plan,
 * bad argument. */
ANB_API anb_status anb_decoder_get_output(const anb_decoder* decoder, int32_t i, anb_output_settings* settings);
/* Samples, makes the pass final, and makes the events. `logits`: [n_outputs, n_vocabulary], row-major, NULL for no
 * outputs. On failure the plan is still open: commit again, cancel what cannot go on, or abort. O(outputs *
 * vocabulary). Wrong state, bad logits, callback failed. */
ANB_API anb_status anb_decoder_commit(anb_decoder* decoder, const float* logits, int32_t n_outputs,
                                      int32_t n_vocabulary);
/* The same for logits of another type, or of rows that do not follow each other closely. */
ANB_API anb_status anb_decoder_commit_logits(anb_decoder* decoder, const anb_logits* logits);
/* The same with one token per output, sampled by the host. Bad argument for a token that is not allowed there. */
ANB_API anb_status anb_decoder_commit_sampled(anb_decoder* decoder, const anb_token* tokens, int32_t n);
/* Gives the pass up, also after the model ran; the next plan repeats it. Fine without a plan. */
ANB_API anb_status anb_decoder_abort(anb_decoder* decoder);
/* The next event; ANB_NOTHING_TO_DO after the last. Events that were not taken are gone after the next
 * commit that succeeds. */
ANB_API anb_status anb_decoder_next_event(anb_decoder* decoder, anb_event* event);

/* Ends a request at any moment, also between plan and commit. Its pages become free, its text stays. Stale request. */
ANB_API anb_status anb_decoder_cancel(anb_decoder* decoder, anb_request request);
/* Forgets a request and its history; cancels it first when it runs. */
ANB_API anb_status anb_decoder_release(anb_decoder* decoder, anb_request request);
/* Where a request stands. O(1). Stale request. */
ANB_API anb_status anb_decoder_get_request(const anb_decoder* decoder, anb_request request, anb_request_state* state);
/* One branch of a request, running or over; branch 0 is the trunk, whose text is the whole answer. O(text). Stale
 * request, bad argument. */
ANB_API anb_status anb_decoder_get_branch(anb_decoder* decoder, anb_request request, int32_t branch,
                                          anb_branch_state* state);

#ifdef __cplusplus
}
#endif

#endif
