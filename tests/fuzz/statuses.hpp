// Which statuses the headers give for which function.
#pragma once

#include <cstdint>

#include "anabranch_decoder.h"

namespace fuzz {

using StatusSet = std::uint32_t;
template <class... S>
constexpr StatusSet statuses(S... s) {
  return ((StatusSet{1} << s) | ... | 0u);
}

/// A function, and what it may give besides ANB_OK, ANB_BAD_HANDLE, ANB_BAD_ARGUMENT, and ANB_OUT_OF_MEMORY when
/// memory was refused.
struct Function {
  const char* name;
  StatusSet statuses;
  bool own_steps = false;  ///< steps of its own drop what is over, and count up the epoch even when given up
};

namespace function {
constexpr StatusSet kSequence = statuses(ANB_STALE_SEQUENCE);
constexpr StatusSet kStep = statuses(ANB_WRONG_STATE);
constexpr Function kCacheCreate = {"anb_cache_create", statuses(ANB_LIMIT_REACHED)};
constexpr Function kStatistics = {"anb_cache_get_statistics", 0};
constexpr Function kCheck = {"anb_cache_check", kStep};
constexpr Function kSequenceState = {"anb_sequence_get_state", kSequence};
constexpr Function kChildren = {"anb_sequence_children", kSequence};
constexpr Function kTokens = {"anb_sequence_tokens", kSequence};
constexpr Function kBegin = {"anb_step_begin", kStep};
constexpr Function kCreateSequence = {"anb_step_create_sequence",
                                      kStep | statuses(ANB_LIMIT_REACHED, ANB_OUT_OF_RANGE)};
constexpr Function kAppend = {"anb_step_append", kStep | kSequence | statuses(ANB_OUT_OF_RANGE)};
constexpr Function kAppendUnknown = {"anb_step_append_unknown", kStep | kSequence | statuses(ANB_OUT_OF_RANGE)};
constexpr Function kRequestLogits = {"anb_step_request_logits", kStep | kSequence};
constexpr Function kFork = {"anb_step_fork", kStep | kSequence | statuses(ANB_LIMIT_REACHED, ANB_OUT_OF_RANGE)};
constexpr Function kForkGiven = {"anb_step_fork_given", kFork.statuses};
constexpr Function kJoin = {"anb_step_join",
                            kStep | kSequence | statuses(ANB_NOT_A_CHILD, ANB_OPEN_CHILDREN, ANB_OUT_OF_RANGE)};
constexpr Function kJoinGiven = {"anb_step_join_given", kJoin.statuses};
constexpr Function kRewind = {"anb_step_rewind", kStep | kSequence};
constexpr Function kReject = {"anb_step_reject", kStep | kSequence};
constexpr Function kAdopt = {"anb_step_adopt", kStep | kSequence | statuses(ANB_NOT_A_CHILD)};
constexpr Function kDrop = {"anb_step_drop", kStep | kSequence};
constexpr Function kDetach = {"anb_step_detach", kStep | kSequence | statuses(ANB_NOT_A_CHILD)};
constexpr Function kHold = {"anb_step_hold", kStep | kSequence};
constexpr Function kPlan = {"anb_step_plan", kStep | statuses(ANB_NO_ROOM)};
constexpr Function kMask = {"anb_cache_mask", kStep};
constexpr Function kPaged = {"anb_cache_paged", kStep | statuses(ANB_NOT_EXACT)};
constexpr Function kCommit = {"anb_step_commit", kStep};
constexpr Function kAbort = {"anb_step_abort", kStep};

constexpr StatusSet kRequest = statuses(ANB_STALE_REQUEST);
constexpr StatusSet kCallback = statuses(ANB_CALLBACK_FAILED);
constexpr Function kDecoderCreate = {"anb_decoder_create",
                                     kCallback | statuses(ANB_BAD_REQUEST, ANB_BAD_MARKUP, ANB_LIMIT_REACHED)};
constexpr Function kSubmit = {"anb_decoder_submit",
                              kRequest | kCallback | statuses(ANB_BAD_REQUEST, ANB_LIMIT_REACHED)};
constexpr Function kDecoderPlan = {
    "anb_decoder_plan", kStep | kCallback | statuses(ANB_NO_ROOM, ANB_NOTHING_TO_DO, ANB_LIMIT_REACHED), true};
constexpr Function kGetOutput = {"anb_decoder_get_output", kStep};
constexpr Function kDecoderCommit = {"anb_decoder_commit", kStep | kCallback | statuses(ANB_BAD_LOGITS)};
constexpr Function kCommitSampled = {"anb_decoder_commit_sampled", kStep | kCallback};
constexpr Function kDecoderAbort = {"anb_decoder_abort", 0};
constexpr Function kNextEvent = {"anb_decoder_next_event", statuses(ANB_NOTHING_TO_DO)};
constexpr Function kCancel = {"anb_decoder_cancel", kRequest | kCallback};
constexpr Function kRelease = {"anb_decoder_release", kRequest | kCallback};
constexpr Function kGetRequest = {"anb_decoder_get_request", kRequest};
constexpr Function kGetBranch = {"anb_decoder_get_branch", kRequest | kCallback};
}  // namespace function

}  // namespace fuzz
