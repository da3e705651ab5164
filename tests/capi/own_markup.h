/* A markup of one's own in C, which can be told to misbehave.
 *
 * `#` forks into two branches that start with `A` and `B` (titled so); `;` ends a branch; after the join `.` is forced
 * and the sequence goes on. `<` takes itself and the token before it back and forces `_`. A request starts with a
 * forced
 * `>`. In branches `#` may not be sampled. */
#ifndef ANABRANCH_TESTS_CAPI_OWN_MARKUP_H
#define ANABRANCH_TESTS_CAPI_OWN_MARKUP_H

#include "decoders.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum callback { kChild, kNext, kJoined, kClosing, kOpen, kEndOfText, kConstrain, kNCallbacks } callback;
extern const char* const kCallbackNames[kNCallbacks];

typedef enum mischief {
  kNothing,
  kFails,
  kBadNext,
  kBadRole,
  kNegativeForget,
  kNegativeForced,
  kForcedNull,
  kForcedTooMany,
  kForcedBadToken,
  kForcedBadRole,
  kNegativeSeeds,
  kSeedsNull,
  kSeedsTooMany,
  kSeedNegativePrefix,
  kSeedPrefixNull,
  kSeedNegativeTitle,
  kSeedTitleNull,
  kSeedBadToken,
  kNegativeAllowed,
  kAllowedNull,
  kAllowedBadToken,
  kNegativeForbidden,
  kForbiddenNull,
  kCallsBack, /* calls into the decoder that called it; not wrong in itself */
  kNMischiefs
} mischief;

typedef struct own {
  callback where;
  mischief what;
  int32_t when; /* at this call of the callback, counted from 1 */
  int32_t n_calls;
  int32_t n_done;        /* how often it misbehaved: once */
  const world* w;        /* for kCallsBack */
  int32_t n_seen_states; /* calls whose state was not what it must be */
} own;

anb_markup_callbacks own_callbacks(own* user);
/* A markup whose callbacks are `callbacks`, without a name. */
anb_markup markup_of(const anb_markup_callbacks* callbacks);
/* Does the mischief make sense for the callback? */
int applies(callback where, mischief what);

extern const script kOwnScript[];
extern const char* const kOwnText; /* the answer by that script; text that was printed stays printed */

#ifdef __cplusplus
}
#endif

#endif
