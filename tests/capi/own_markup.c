#include "own_markup.h"

#include <string.h>

const char* const kCallbackNames[kNCallbacks] = {"child", "next",        "joined",   "closing",
                                                 "open",  "end_of_text", "constrain"};
const script kOwnScript[] = {{"", "ab<#yz"}, {"0.0", "cd"}, {"0.1", "e;"}, {NULL, NULL}};
const char* const kOwnText = ">ab_AcdBe.yz";

/* The state of a branch. Zero at first. */
typedef struct memory {
  int32_t in_branch;
  int32_t n_tokens;
} memory;

static const anb_forced_token kHead[2] = {{'A', ANB_ROLE_TEXT}, {'B', ANB_ROLE_TEXT}};
static const anb_token kTitles[2] = {'A', 'B'}, kFork[1] = {'#'}, kNegative[1] = {-5};
static const anb_forced_token kBadToken[1] = {{-5, ANB_ROLE_TEXT}}, kBadRoleToken[1] = {{'x', 3}};
static const anb_seed kSeeds[2] = {{&kHead[0], 1, 1, &kTitles[0]}, {&kHead[1], 1, 1, &kTitles[1]}};
static const anb_seed kBadSeeds[5] = {
    {&kHead[0], -1, 0, NULL}, {NULL, 1, 0, NULL}, {NULL, 0, -1, NULL}, {NULL, 0, 1, NULL}, {kBadToken, 1, 0, NULL}};

static int32_t mischief_now(own* o, callback where) {
  if (o->where != where || o->what == kNothing) return kNothing;
  if (++o->n_calls != o->when) return kNothing;
  ++o->n_done;
  return (int32_t)o->what;
}

static void call_back(const world* w) {
  anb_step* step = no_step();
  anb_plan plan = untouched_plan();
  anb_cache_statistics s = ANB_CACHE_STATISTICS_INIT;
  STATUS(anb_cache_get_statistics(w->cache, &s), ANB_WRONG_STATE);
  STATUS(anb_step_begin(w->cache, &step), ANB_WRONG_STATE);
  STATUS(anb_decoder_plan(w->decoder, &plan), ANB_WRONG_STATE);
  STATUS(anb_decoder_abort(w->decoder), ANB_WRONG_STATE);
  STATUS(anb_decoder_cancel(w->decoder, w->requests[0]), ANB_WRONG_STATE);
  CHECK(step == no_step() && untouched(&plan) && s.n_pages == 0);
  anb_decoder_destroy(w->decoder); /* do nothing */
  anb_cache_destroy(w->cache);
}

static int32_t spoil_seeds(anb_action* a, int32_t what) {
  a->next = ANB_NEXT_FORK;
  a->n_seeds = what == kNegativeSeeds ? -1 : what == kSeedsTooMany ? 65537 : 1;
  a->seeds = NULL;
  if (what >= kSeedNegativePrefix) a->seeds = &kBadSeeds[what - kSeedNegativePrefix];
  if (what == kSeedsTooMany) a->seeds = kBadSeeds; /* never read */
  return 0;
}

/* The status that the callback returns when it was told to misbehave; -1: nothing of it concerns its action. */
static int32_t spoil(own* o, anb_action* a, int32_t what) {
  switch (what) {
    case kFails: return -3;
    case kBadNext: a->next = 4; return 0;
    case kBadRole: a->role = -1; return 0;
    case kNegativeForget: a->forget = -1; return 0;
    case kNegativeForced: a->n_forced = INT32_MIN; return 0;
    case kForcedNull: a->n_forced = 1, a->forced = NULL; return 0;
    case kForcedTooMany: a->n_forced = INT32_MAX, a->forced = kBadToken; return 0;
    case kForcedBadToken: a->n_forced = 1, a->forced = kBadToken; return 0;
    case kForcedBadRole: a->n_forced = 1, a->forced = kBadRoleToken; return 0;
    case kCallsBack: call_back(o->w); return -1;
    default: return what >= kNegativeSeeds && what <= kSeedBadToken ? spoil_seeds(a, what) : -1;
  }
}

/* Every action comes in zeroed, but for its size. */
static void look_at(own* o, const anb_action* a) {
  anb_action fresh;
  memset(&fresh, 0, sizeof fresh);
  fresh.struct_size = sizeof fresh;
  if (memcmp(a, &fresh, sizeof fresh) != 0) ++o->n_seen_states;
}

#define MISBEHAVE(where, action)                                \
  do {                                                          \
    const int32_t what_ = mischief_now(o, where);               \
    int32_t result_;                                            \
    look_at(o, action);                                         \
    result_ = what_ != kNothing ? spoil(o, action, what_) : -1; \
    if (result_ != -1) return result_;                          \
  } while (0)

static int32_t child(const void* parent, int32_t k, void* state, void* user) {
  own* o = (own*)user;
  memory m;
  const int32_t what = mischief_now(o, kChild);
  memcpy(&m, state, sizeof m);
  if (m.in_branch != 0 || m.n_tokens != 0 || k < 0 || k > 1) ++o->n_seen_states;
  if (what == kFails) return 1;
  if (what == kCallsBack) call_back(o->w);
  memcpy(&m, parent, sizeof m);
  m.in_branch = 1;
  memcpy(state, &m, sizeof m);
  return 0;
}

static int32_t next(void* state, anb_token token, anb_action* a, void* user) {
  static const anb_forced_token kBack[1] = {{'_', ANB_ROLE_TEXT}};
  own* o = (own*)user;
  memory m;
  memcpy(&m, state, sizeof m);
  ++m.n_tokens;
  memcpy(state, &m, sizeof m); /* before it misbehaves: a failed call takes this back too */
  MISBEHAVE(kNext, a);
  if (token == '<') a->forget = 2, a->forced = kBack, a->n_forced = 1;
  if (token == '#') a->next = ANB_NEXT_FORK, a->seeds = kSeeds, a->n_seeds = 2, a->role = ANB_ROLE_TAG;
  if (token == ';') a->next = ANB_NEXT_END_BRANCH, a->role = ANB_ROLE_TAG;
  return 0;
}

static int32_t joined(void* state, anb_action* a, void* user) {
  static const anb_forced_token kStop[1] = {{'.', ANB_ROLE_TEXT}};
  own* o = (own*)user;
  memory m;
  MISBEHAVE(kJoined, a);
  memcpy(&m, state, sizeof m);
  if (m.n_tokens != 4) ++o->n_seen_states; /* a, b, < and #: what branches counted is theirs */
  a->forced = kStop;
  a->n_forced = 1;
  return 0;
}

static int32_t closing(const void* state, anb_action* a, void* user) {
  static const anb_forced_token kEndOfBranch[1] = {{';', ANB_ROLE_TAG}};
  own* o = (own*)user;
  memory m;
  MISBEHAVE(kClosing, a);
  memcpy(&m, state, sizeof m);
  a->forced = m.in_branch ? kEndOfBranch : NULL;
  a->n_forced = m.in_branch ? 1 : 0;
  return 0;
}

static int32_t open_answer(void* state, anb_action* a, void* user) {
  static const anb_forced_token kStart[1] = {{'>', ANB_ROLE_TEXT}};
  own* o = (own*)user;
  (void)state;
  MISBEHAVE(kOpen, a);
  a->forced = kStart;
  a->n_forced = 1;
  return 0;
}

static int32_t end_of_text(void* state, anb_action* a, void* user) {
  own* o = (own*)user;
  memory m;
  MISBEHAVE(kEndOfText, a);
  a->forget = 1;
  a->next = ANB_NEXT_FINISH;
  memcpy(&m, state, sizeof m);
  if (!m.in_branch) return 0;
  a->next = ANB_NEXT_END_BRANCH;
  return closing(state, a, &(own){kNext, kNothing, 0, 0, 0, NULL, 0});
}

static int32_t constrain(const void* state, anb_constraint* c, void* user) {
  own* o = (own*)user;
  memory m;
  const int32_t what = mischief_now(o, kConstrain);
  memcpy(&m, state, sizeof m);
  if (c->struct_size != sizeof *c || c->n_allowed != 0 || c->forbidden != NULL) ++o->n_seen_states;
  if (what == kFails) return INT32_MIN;
  if (what == kCallsBack) call_back(o->w);
  if (what == kNegativeAllowed) return c->n_allowed = -1, 0;
  if (what == kAllowedNull) return c->n_allowed = 1, 0;
  if (what == kAllowedBadToken) return c->n_allowed = 1, c->allowed = kNegative, 0;
  if (what == kNegativeForbidden) return c->n_forbidden = -1, 0;
  if (what == kForbiddenNull) return c->n_forbidden = 2, 0;
  c->forbidden = m.in_branch ? kFork : NULL;
  c->n_forbidden = m.in_branch ? 1 : 0;
  return 0;
}

int applies(callback where, mischief what) {
  if (what == kFails || what == kCallsBack) return 1;
  if (where == kConstrain) return what >= kNegativeAllowed && what <= kForbiddenNull;
  return where != kChild && what >= kBadNext && what <= kSeedBadToken;
}

anb_markup_callbacks own_callbacks(own* user) {
  anb_markup_callbacks c = ANB_MARKUP_CALLBACKS_INIT;
  c.state_size = sizeof(memory);
  c.child = child;
  c.next = next;
  c.joined = joined;
  c.closing = closing;
  c.open = open_answer;
  c.end_of_text = end_of_text;
  c.constrain = constrain;
  c.user = user;
  return c;
}

anb_markup markup_of(const anb_markup_callbacks* callbacks) {
  anb_markup m = ANB_MARKUP_INIT;
  m.name = NULL;
  m.callbacks = callbacks;
  return m;
}
