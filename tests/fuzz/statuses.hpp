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
constexpr StatusSet kLine = statuses(ANB_STALE_LINE);
constexpr StatusSet kStep = statuses(ANB_WRONG_STATE);
constexpr Function kCacheCreate = {"anb_cache_create", statuses(ANB_LIMIT_REACHED)};
constexpr Function kStatistics = {"anb_cache_get_statistics", 0};
constexpr Function kCheck = {"anb_cache_check", kStep};
constexpr Function kLineState = {"anb_line_get_state", kLine};
constexpr Function kChildren = {"anb_line_children", kLine};
constexpr Function kTokens = {"anb_line_tokens", kLine};
constexpr Function kBegin = {"anb_step_begin", kStep};
constexpr Function kCreateLine = {"anb_step_create_line", kStep | statuses(ANB_LIMIT_REACHED, ANB_OUT_OF_RANGE)};
constexpr Function kAppend = {"anb_step_append", kStep | kLine | statuses(ANB_OUT_OF_RANGE)};
constexpr Function kRequestLogits = {"anb_step_request_logits", kStep | kLine};
constexpr Function kFork = {"anb_step_fork", kStep | kLine | statuses(ANB_LIMIT_REACHED, ANB_OUT_OF_RANGE)};
constexpr Function kForkGiven = {"anb_step_fork_given", kFork.statuses};
constexpr Function kJoin = {"anb_step_join",
                            kStep | kLine | statuses(ANB_NOT_A_CHILD, ANB_OPEN_CHILDREN, ANB_OUT_OF_RANGE)};
constexpr Function kJoinGiven = {"anb_step_join_given", kJoin.statuses};
constexpr Function kRewind = {"anb_step_rewind", kStep | kLine};
constexpr Function kLeaveOut = {"anb_step_leave_out", kStep | kLine};
constexpr Function kAdopt = {"anb_step_adopt", kStep | kLine | statuses(ANB_NOT_A_CHILD)};
constexpr Function kDrop = {"anb_step_drop", kStep | kLine};
constexpr Function kDetach = {"anb_step_detach", kStep | kLine | statuses(ANB_NOT_A_CHILD)};
constexpr Function kHold = {"anb_step_hold", kStep | kLine};
constexpr Function kPlan = {"anb_step_plan", kStep | statuses(ANB_NO_ROOM)};
constexpr Function kMask = {"anb_cache_mask", kStep};
constexpr Function kPaged = {"anb_cache_paged", kStep | statuses(ANB_NOT_EXACT)};
constexpr Function kCommit = {"anb_step_commit", kStep};
constexpr Function kAbort = {"anb_step_abort", kStep};

constexpr StatusSet kRequest = statuses(ANB_STALE_REQUEST);
constexpr StatusSet kCallback = statuses(ANB_CALLBACK_FAILED);
constexpr Function kDecoderCreate = {"anb_decoder_create",
                                     kCallback | statuses(ANB_BAD_REQUEST, ANB_BAD_MARKUP, ANB_LIMIT_REACHED)};
constexpr Function kSubmit = {"anb_decoder_submit", kRequest | kCallback | statuses(ANB_BAD_REQUEST)};
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
