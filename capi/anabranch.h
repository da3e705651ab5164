/* Anabranch in C, the cache tier: branch trees over one paged K/V cache.
 *
 * The library does the bookkeeping of a K/V cache. It never touches its bytes and never runs a model. A step is a
 * transaction: tree operations and appends, then a plan (one forward pass as plain arrays), then commit or abort.
 *
 *     anb_cache_options o = ANB_CACHE_OPTIONS_INIT;
 *     anb_cache* cache; anb_step* step; anb_sequence trunk, kids[3]; anb_plan plan = ANB_PLAN_INIT;
 *     o.n_pages = 4096;
 *     if (anb_cache_create(&o, &cache) != ANB_OK) { puts(anb_last_error()); return 1; }
 *     anb_step_begin(cache, &step);
 *     anb_step_create_sequence(step, 0, &trunk);
 *     anb_step_append(step, trunk, tokens, n, ANB_LOGITS_NONE);
 *     anb_step_fork(step, trunk, 3, ANB_POSITIONS_SEQUENTIAL, kids);
 *     ...
 *     if (anb_step_plan(step, &plan) == ANB_OK) { run_my_model(&plan); anb_step_commit(step); }
 *     else anb_step_abort(step);
 *
 * Conventions, for every function of this header and of anabranch_decoder.h:
 *
 *  1. Handles are opaque. A handle that is NULL, was destroyed, or is of another kind gives ANB_BAD_HANDLE; it is
 *     looked up, never followed. destroy(NULL) does nothing. A process has at most 65,535 handles at a time.
 *  2. Every call that can fail returns anb_status, and has changed nothing when it is not ANB_OK: neither the library's
 *     state nor the out parameters, which come last. ANB_NO_ROOM and ANB_NOTHING_TO_DO are outcomes, not errors.
 *     Numbers of statuses and constants never change.
 *  3. anb_last_error() tells what went wrong, with the bad value and the limit. Nothing is printed, nothing aborts,
 *     no exception crosses the border.
 *  4. A struct begins with struct_size, which its INIT macro (or init function, for languages without macros) sets
 *     with the defaults. Structs grow at the end only. A library newer than its caller takes defaults for what the
 *     caller does not have; an older one refuses (ANB_BAD_ARGUMENT) bytes that it does not know and that are not zero,
 *     and fills them with zeros in structs that it writes. Elements of arrays have no size: they never change,
 *     and their `reserved` fields hold anything.
 *  5. Arrays are pointer and count. What is passed in is borrowed for the call; NULL is fine when the count is 0.
 *     Arrays that the library hands out belong to it and live as long as the function says.
 *  6. Text is UTF-8, ends in NUL, and has its length beside it where it may hold one. Truth values are 0 or 1.
 *  7. A cache, its steps and its decoders are used by one thread at a time; distinct caches are independent. The error
 *     text is per thread.
 *  8. Callbacks end in `void* user`. They must return (no longjmp), and may not call into the handle that called them,
 *     which gives ANB_WRONG_STATE.
 *  9. Memory that grows with sequences, tokens and pages comes from the cache's allocator, if it has one. A refusal
 *     gives ANB_OUT_OF_MEMORY, and the call may be made again. The decoder's record of requests (tokens, text) and
 *     short-lived lists come from the C++ runtime's `operator new`.
 * 10. A broken invariant (a bug of this library) gives ANB_INTERNAL once; from then on the handle is poisoned: every
 *     call gives ANB_POISONED, but for destroy.
 * 11. Costs: "O(1)" means no more than some tens of nanoseconds. No function moves K/V bytes or waits.
 *
 * 64-bit little-endian machines. Every function with costs, errors and examples: docs of the C ABI in capi/README.md.
 */
#ifndef ANABRANCH_H
#define ANABRANCH_H

#include <stddef.h>
#include <stdint.h>

#define ANB_VERSION_MAJOR 0
#define ANB_VERSION_MINOR 1
#define ANB_VERSION_PATCH 0

#if defined(_WIN32)
#define ANB_API
#else
#define ANB_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Types ---- */

typedef struct anb_cache anb_cache;
typedef struct anb_step anb_step;

typedef int32_t anb_token;     /* id in the host's vocabulary */
typedef int32_t anb_position;  /* as the model's rotary embedding sees it */
typedef int32_t anb_slot;      /* place of one token's K and V: page * page_size + offset */
typedef uint64_t anb_sequence; /* names the trunk or a branch; never used again for another sequence */

#define ANB_UNKNOWN_TOKEN (-1)
#define ANB_NO_SEQUENCE ((anb_sequence)0xffffffffu)
#define ANB_NONE (-1)
#define ANB_UNLIMITED INT32_MAX

typedef int32_t anb_status;
enum {
  ANB_OK = 0,
  ANB_BAD_ARGUMENT = 1,     /* a value outside what the call accepts, NULL where something is needed */
  ANB_STALE_SEQUENCE = 2,   /* no sequence of this cache that is alive */
  ANB_NOT_A_CHILD = 3,      /* join or adopt of a sequence that is no open child of that parent */
  ANB_OPEN_CHILDREN = 4,    /* the sequence must have no open children for this call */
  ANB_OUT_OF_RANGE = 5,     /* a position beyond a reserved range or max_position */
  ANB_LIMIT_REACHED = 6,    /* max_sequences, max_depth, or 65,535 handles */
  ANB_WRONG_STATE = 7,      /* a second step, a step that is over, append after plan, commit without plan, ... */
  ANB_NO_ROOM = 8,          /* outcome: too few free pages */
  ANB_BAD_SNAPSHOT = 9,     /* not given by any function so far */
  ANB_NOT_EXACT = 10,       /* an export cannot express this plan exactly */
  ANB_BAD_MARKUP = 11,      /* tag ids or texts that a markup cannot work with */
  ANB_BAD_REQUEST = 12,     /* options or a prompt that a decoder cannot take */
  ANB_STALE_REQUEST = 13,   /* no request that this decoder knows */
  ANB_BAD_LOGITS = 14,      /* wrong shape, NaN, or no finite entry among the allowed ones */
  ANB_BAD_FILE = 15,        /* not given by any function so far */
  ANB_UNSUPPORTED = 16,     /* not given by any function so far */
  ANB_INTERNAL = 17,        /* a bug of this library; the handle is poisoned from now on */
  ANB_OUT_OF_MEMORY = 18,   /* an allocation was refused */
  ANB_BAD_HANDLE = 19,      /* NULL, destroyed, or of another kind */
  ANB_CALLBACK_FAILED = 20, /* a callback reported failure, or gave what cannot be */
  ANB_POISONED = 21,        /* an earlier call on this handle gave ANB_INTERNAL */
  ANB_NOTHING_TO_DO = 22    /* outcome: the decoder has no running request, or the list is at its end */
};

/* Position policies: where children start, where the parent goes on. A positive number C: reserved(C), every child
 * owns C positions, the parent goes on after all of them. */
typedef int32_t anb_positions;
enum {
  ANB_POSITIONS_SEQUENTIAL = 0, /* children start at the parent's next; each join adds the child's extent to it */
  ANB_POSITIONS_LONGEST = -1    /* the same start; a join goes on after the longest child so far */
};
/* extent >= 1 positions are set aside for each child; 0 and -1 are the policies above. */
#define ANB_POSITIONS_RESERVED(extent) ((anb_positions)(extent))

/* Which rows of an append are wanted as outputs. */
enum { ANB_LOGITS_NONE = 0, ANB_LOGITS_LAST = 1, ANB_LOGITS_ALL = 2 };

/* May branches write into the free slots at the end of their parent's last page? */
enum {
  ANB_SHARE_TAIL_SPARE = 0, /* a child may write into a page that its parent is not using up */
  ANB_SHARE_TAIL_NEVER = 1  /* branches are page-disjoint */
};

/* The caller's memory. Copied at create; `user` must outlive the handle. */
typedef struct anb_allocator {
  uint32_t struct_size;
  uint32_t reserved;
  /* `size` > 0, `alignment` a power of two; NULL: refused. */
  void* (*allocate)(size_t size, size_t alignment, void* user);
  /* With the size and alignment it was allocated with. */
  void (*release)(void* memory, size_t size, size_t alignment, void* user);
  void* user;
} anb_allocator;
#define ANB_ALLOCATOR_INIT \
  { sizeof(anb_allocator), 0, 0, 0, 0 }

typedef struct anb_cache_options {
  uint32_t struct_size;
  int32_t n_pages;                /* 1024; n_pages * page_size must fit 31 bits */
  int32_t page_size;              /* 16 slots */
  int32_t max_sequences;          /* 65536 at a time */
  int32_t max_depth;              /* 64 levels of forks below a root */
  anb_position max_position;      /* ANB_UNLIMITED; positions >= this are refused */
  int32_t share_tail;             /* ANB_SHARE_TAIL_SPARE */
  int32_t keep_tokens;            /* 0; 1: for anb_sequence_token_ids, 4 bytes for each slot that is written */
  const anb_allocator* allocator; /* NULL: the C++ runtime's */
} anb_cache_options;
#define ANB_CACHE_OPTIONS_INIT \
  { sizeof(anb_cache_options), 1024, 16, 65536, 64, ANB_UNLIMITED, ANB_SHARE_TAIL_SPARE, 0, 0 }

typedef struct anb_cache_statistics {
  uint32_t struct_size;
  int32_t n_pages;
  int32_t n_free_pages; /* pages that an open step frees count from its commit on */
  int32_t page_size;
  int32_t n_slots;     /* n_pages * page_size: rows of a K/V tensor */
  int32_t n_sequences; /* alive */
  int32_t step;        /* 0: none open; 1: open; 2: planned */
  int32_t reserved;
  uint64_t epoch; /* changes when anything but the sequences' last runs changed */
} anb_cache_statistics;
#define ANB_CACHE_STATISTICS_INIT \
  { sizeof(anb_cache_statistics), 0, 0, 0, 0, 0, 0, 0, 0 }

typedef struct anb_sequence_state {
  uint32_t struct_size;
  int32_t n_tokens; /* that it sees, the shared prefix included */
  anb_position next_position;
  anb_position position_limit; /* first position that it refuses */
  anb_position start_position; /* of its first own token */
  int32_t fork_tokens;         /* that its parent had at the fork; 0 for a root */
  int32_t n_children;          /* open */
  int32_t reserved;
  anb_sequence parent; /* ANB_NO_SEQUENCE for a root */
} anb_sequence_state;
#define ANB_SEQUENCE_STATE_INIT \
  { sizeof(anb_sequence_state), 0, 0, 0, 0, 0, 0, 0, ANB_NO_SEQUENCE }

/* ---- The plan: one forward pass ---- */

/* Logits of `row` are wanted for `sequence`; several sequences may name one row (a fork without tokens of its own). */
typedef struct anb_output {
  int32_t row;
  int32_t reserved;
  anb_sequence sequence;
} anb_output;

/* Consecutive slots of consecutive tokens; `offset` is the first one's index inside its segment. */
typedef struct anb_slot_run {
  anb_slot first;
  int32_t count;
  int32_t offset;
} anb_slot_run;

/* Tokens [begin, end) of a segment. Only the part of a run inside them counts: its slots from
 * first + max(begin - offset, 0) up to first + min(count, end - offset). */
typedef struct anb_view {
  const anb_slot_run* runs; /* [n_runs] */
  int32_t n_runs;
  int32_t begin;
  int32_t end;
  int32_t first_position; /* of the segment's token 0; token i has first_position + i */
  uint64_t segment;       /* unique number, never used again */
} anb_view;

enum {
  ANB_VISIBILITY_FULL = 0,  /* every row sees every key */
  ANB_VISIBILITY_CAUSAL = 1 /* the last n_rows keys are the rows: row i sees all but the last n_rows - 1 - i */
};

/* Rows [row_begin, row_end) see the keys of views [view_begin, view_end). A row's context is the groups that contain
 * it, in order. */
typedef struct anb_group {
  int32_t row_begin;
  int32_t row_end;
  int32_t view_begin;
  int32_t view_end;
  int32_t n_keys;
  int32_t visibility;
} anb_group;

enum {
  ANB_HOST_OP_SHARE = 0,   /* `sequence` also sees the cells of `source` at positions [begin, end): a fork, a join */
  ANB_HOST_OP_RESTART = 1, /* `sequence` goes on in a fresh store that shares its old cells at [begin, end): a rewind,
                              or the first use of a sequence after anb_step_reject */
  ANB_HOST_OP_BECOME = 2,  /* `sequence` takes over the cells of `source`: an adopt */
  ANB_HOST_OP_REMOVE = 3   /* the cells of `sequence`, or those it left by restart or become, are no longer needed */
};

/* For hosts that keep a K/V cache of their own, with one store of cells for every sequence (llama.cpp: a seq_id). */
typedef struct anb_host_op {
  int32_t kind;
  int32_t reserved;
  anb_sequence sequence;
  anb_sequence source;
  anb_position begin;
  anb_position end;
} anb_host_op;

/* Arrays are borrowed until commit or abort. */
typedef struct anb_plan {
  uint32_t struct_size;
  int32_t n_rows;
  int32_t n_outputs;
  int32_t n_groups;
  int32_t n_views;
  int32_t n_ops_before;
  int32_t n_ops_after_commit;
  int32_t n_slots;
  int32_t page_size;
  int32_t n_pages_short; /* with ANB_NO_ROOM: pages that are missing; 0 else */
  int32_t n_pages_free;  /* with ANB_NO_ROOM: pages free now; 0 else */
  int32_t reserved;
  uint64_t epoch;                      /* as in anb_cache_statistics */
  const anb_token* tokens;             /* [n_rows]; ANB_UNKNOWN_TOKEN where the host knows better */
  const anb_position* positions;       /* [n_rows] */
  const anb_slot* slots;               /* [n_rows], where each row's K and V go, before any row attends */
  const anb_sequence* sequences;       /* [n_rows], who appended the row; perhaps joined, adopted or dropped since */
  const anb_output* outputs;           /* [n_outputs], in the order of rows; logits are [n_outputs, vocabulary] */
  const anb_group* groups;             /* [n_groups] */
  const anb_view* views;               /* [n_views] */
  const anb_host_op* ops_before;       /* [n_ops_before], additive, in order, before the pass */
  const anb_host_op* ops_after_commit; /* [n_ops_after_commit], removing, in order, after commit */
} anb_plan;
#define ANB_PLAN_INIT \
  { sizeof(anb_plan), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/* How a dense mask is written. */
typedef struct anb_mask_options {
  uint32_t struct_size;
  int32_t n_columns;      /* width of the mask */
  const int32_t* columns; /* [n_slots]: the column of each slot's token, ANB_NONE: it has none; NULL: column = slot */
  float visible;          /* 0 */
  float hidden;           /* -infinity is 0xff800000; the default is -3.4e38, the least finite float */
} anb_mask_options;
#define ANB_MASK_OPTIONS_INIT \
  { sizeof(anb_mask_options), 0, 0, 0.0f, -3.40282347e+38f }

/* One level of a paged plan: entry e has rows [row_indptr[e], row_indptr[e + 1]) and pages
 * indices[indptr[e]] ... indices[indptr[e + 1] - 1], the last one filled with last_page_len[e] tokens (0: no pages).
 * Every level covers all rows; a row's context is the sum of its entries over the levels. */
typedef struct anb_paged_level {
  int32_t causal; /* the rows are the last keys of their entry, aligned at the end */
  int32_t n_entries;
  const int32_t* row_indptr;    /* [n_entries + 1], from 0 to n_rows */
  const int32_t* indptr;        /* [n_entries + 1] */
  const int32_t* indices;       /* [indptr[n_entries]] */
  const int32_t* last_page_len; /* [n_entries] */
} anb_paged_level;

enum {
  ANB_PAGED_SLOTS = 0, /* page size 1, indices are slots: always exact */
  ANB_PAGED_PAGES = 1  /* indices are pages; ANB_NOT_EXACT unless every entry fills whole pages from their start */
};

/* Borrowed until the step ends or the next anb_step_paged of the same cache. */
typedef struct anb_paged {
  uint32_t struct_size;
  int32_t n_levels;
  const anb_paged_level* levels; /* [n_levels] */
} anb_paged;
#define ANB_PAGED_INIT \
  { sizeof(anb_paged), 0, 0 }

/* ---- The library ---- */

/* The library's version: major * 65536 + minor * 256 + patch. */
ANB_API uint32_t anb_version(void);
/* The name of a status ("bad_argument"); "unknown" for other numbers. Static. */
ANB_API const char* anb_status_name(anb_status status);
/* The text of this thread's last failed call; "" before any. At most 1,023 bytes; valid until this thread's next
 * call that fails. */
ANB_API const char* anb_last_error(void);

/* Each sets the first `size` bytes of a struct to its INIT macro; `size` becomes its struct_size. Nothing happens for
 * NULL or a size below 4. */
ANB_API void anb_allocator_init(anb_allocator* allocator, size_t size);
ANB_API void anb_cache_options_init(anb_cache_options* options, size_t size);
ANB_API void anb_cache_statistics_init(anb_cache_statistics* statistics, size_t size);
ANB_API void anb_sequence_state_init(anb_sequence_state* state, size_t size);
ANB_API void anb_plan_init(anb_plan* plan, size_t size);
ANB_API void anb_mask_options_init(anb_mask_options* options, size_t size);
ANB_API void anb_paged_init(anb_paged* paged, size_t size);

/* ---- The cache ---- */

/* A cache without sequences. `options` NULL: the defaults. O(pages). Bad argument, out of memory, limit reached. */
ANB_API anb_status anb_cache_create(const anb_cache_options* options, anb_cache** cache);
/* The handle is gone, an open step is aborted; decoders of the cache go on working and are destroyed on their own. */
ANB_API void anb_cache_destroy(anb_cache* cache);
/* O(1). */
ANB_API anb_status anb_cache_get_statistics(const anb_cache* cache, anb_cache_statistics* statistics);
/* Looks at every invariant of the whole structure: ANB_OK when all hold, ANB_INTERNAL with what does not.
 * O(everything). Wrong state while a step is open. */
ANB_API anb_status anb_cache_check(anb_cache* cache);

/* Inside a step these tell the step's own state, not the committed one. */

/* All sequences that are alive, in no order that means anything: as many as fit into `capacity`; `n` (not NULL) becomes
 * how many there are. O(sequences that there were at one time). */
ANB_API anb_status anb_cache_sequences(const anb_cache* cache, int32_t capacity, anb_sequence* sequences, int32_t* n);
/* The same for those without a parent. */
ANB_API anb_status anb_cache_roots(const anb_cache* cache, int32_t capacity, anb_sequence* roots, int32_t* n);
/* O(1 + children). Stale sequence. */
ANB_API anb_status anb_sequence_get_state(const anb_cache* cache, anb_sequence sequence, anb_sequence_state* state);
/* The open children, in the order of their forks: as many as fit into `capacity`; `n` (not NULL) becomes how many there
 * are. Stale sequence. */
ANB_API anb_status anb_sequence_children(const anb_cache* cache, anb_sequence sequence, int32_t capacity,
                                         anb_sequence* children, int32_t* n);
/* Slots and positions of all that the sequence sees, in history order; either array may be NULL. Of tokens that an open
 * step has not planned yet nothing is told. As many as fit into `capacity`; `n` as above. O(tokens). Stale sequence. */
ANB_API anb_status anb_sequence_tokens(const anb_cache* cache, anb_sequence sequence, int32_t capacity, anb_slot* slots,
                                       anb_position* positions, int32_t* n);
/* Token ids of the same, in the same order: ANB_UNKNOWN_TOKEN where the host never said. O(tokens). Stale sequence;
 * wrong state in a cache whose option keep_tokens is 0. */
ANB_API anb_status anb_sequence_token_ids(const anb_cache* cache, anb_sequence sequence, int32_t capacity,
                                          anb_token* tokens, int32_t* n);

/* ---- The step ---- */

/* Wrong state while another step, or a decoder's plan, is open on this cache. O(1). */
ANB_API anb_status anb_step_begin(anb_cache* cache, anb_step** step);
/* A new root whose first token gets position `first`. O(1). Limit reached, out of range, out of memory. */
ANB_API anb_status anb_step_create_sequence(anb_step* step, anb_position first, anb_sequence* sequence);
/* Adds n tokens, one row each. `logits`: ANB_LOGITS_*. O(n). Stale sequence, out of range past the sequence's position
 * limit. */
ANB_API anb_status anb_step_append(anb_step* step, anb_sequence sequence, const anb_token* tokens, int32_t n,
                                   int32_t logits);
/* Adds n tokens that only the host will know: the plan has ANB_UNKNOWN_TOKEN in their rows. Else as append. */
ANB_API anb_status anb_step_append_unknown(anb_step* step, anb_sequence sequence, int32_t n, int32_t logits);
/* Logits of the sequence's last token, which must be a row of this step: what a fork without tokens samples from. */
ANB_API anb_status anb_step_request_logits(anb_step* step, anb_sequence sequence);
/* Splits a sequence into n children that see what it sees now. O(n). Stale sequence, limit reached, out of range. */
ANB_API anb_status anb_step_fork(anb_step* step, anb_sequence parent, int32_t n, anb_positions positions,
                                 anb_sequence* children);
/* The same with the first position of each child given: starts[n]. Its join is anb_step_join_given. */
ANB_API anb_status anb_step_fork_given(anb_step* step, anb_sequence parent, int32_t n, const anb_position* starts,
                                       anb_sequence* children);
/* Appends the own tokens of n children to the parent's history, in the given order; the children's names go stale.
 * O(views + n log n). Children must have no open children; the rest of the block may be joined later. Stale sequence,
 * not a child, open children, out of range. */
ANB_API anb_status anb_step_join(anb_step* step, anb_sequence parent, const anb_sequence* children, int32_t n);
/* The same for children of anb_step_fork_given: the parent goes on at `next`. */
ANB_API anb_status anb_step_join_given(anb_step* step, anb_sequence parent, const anb_sequence* children, int32_t n,
                                       anb_position next);
/* Shortens a sequence to n_tokens: not below its own fork point, nor below the fork of an open child. O(views taken).
 */
ANB_API anb_status anb_step_rewind(anb_step* step, anb_sequence sequence, int32_t n_tokens);
/* The parent takes over one child's history and children; its other children, and what it wrote itself after the fork,
 * are dropped, the child's name goes stale. O(sequences dropped). */
ANB_API anb_status anb_step_adopt(anb_step* step, anb_sequence parent, anb_sequence child);
/* Forgets a sequence and everything below it. O(sequences dropped). */
ANB_API anb_status anb_step_drop(anb_step* step, anb_sequence sequence);
/* Makes a branch a root of its own; it can no longer be joined. O(1). */
ANB_API anb_status anb_step_detach(anb_step* step, anb_sequence sequence);
/* From this step's plan on the sequence keeps at least n_slots free slots beside what it appends. */
ANB_API anb_status anb_step_hold(anb_step* step, anb_sequence sequence, int32_t n_slots);

/* Reserves pages and describes the pass. ANB_OK: only reject, commit or abort may follow. ANB_NO_ROOM: n_pages_short
 * and n_pages_free are set, the rest of the plan is empty; the step is open as before. O(rows + groups) while sequences
 * only go on; after a change O(rows + v log v) for the v views that the rows see. */
ANB_API anb_status anb_step_plan(anb_step* step, anb_plan* plan);
/* The planned step as a dense matrix for hosts that know nothing better: [n_rows, n_columns], row-major, into `mask` of
 * `n` floats. O(rows * columns). Wrong state without a plan; bad argument for a wrong n or a slot that is seen and has
 * no column. Works on the plan that is open on the cache, a decoder's too; so does anb_cache_paged. */
ANB_API anb_status anb_cache_mask(const anb_cache* cache, const anb_mask_options* options, size_t n, float* mask);
/* The planned step for paged kernels in the manner of FlashInfer's cascade; `kind`: ANB_PAGED_*. O(visible slots) or
 * O(runs). Wrong state without a plan, not exact. */
ANB_API anb_status anb_cache_paged(anb_cache* cache, int32_t kind, anb_paged* paged);
/* After the plan: the last n of the rows that the sequence writes there were drafts that the pass has proved wrong. The
 * commit gives their slots back, as if they had never been appended; unlike a rewind in the next step it cuts nothing.
 * The plan's arrays stay as they are. Another call takes the place of the one before; 0 keeps all. O(1). Bad argument
 * for more rows than the sequence has written since its last fork or join, wrong state without a plan. */
ANB_API anb_status anb_step_reject(anb_step* step, anb_sequence sequence, int32_t n);
/* Makes the step final; the step handle is over. Cannot fail after a plan, allocates nothing. Wrong state. */
ANB_API anb_status anb_step_commit(anb_step* step);
/* Undoes the whole step, also after the model ran; sequences made in it go stale, the step handle is over. NULL is
 * fine. */
ANB_API anb_status anb_step_abort(anb_step* step);

#ifdef __cplusplus
}
#endif

#endif
