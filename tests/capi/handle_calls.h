/* Every function that takes a handle, called with that handle and otherwise right arguments. */
#ifndef ANABRANCH_TESTS_CAPI_HANDLE_CALLS_H
#define ANABRANCH_TESTS_CAPI_HANDLE_CALLS_H

#include "anabranch.h"

typedef enum handle_kind { kCacheHandle, kStepHandle, kDecoderHandle } handle_kind;

typedef struct handle_call {
  const char* name;
  handle_kind kind;
  anb_status (*call)(void* handle); /* -1: the call wrote to an out parameter and failed */
} handle_call;

extern const handle_call kHandleCalls[]; /* ends without a name */

#endif
