#include "structs.hpp"

#include "anabranch.h"
#include "anabranch_decoder.h"
#include "anabranch_scheduler.h"

using anabranch::capi::init_struct;

#define ANABRANCH_INIT(name, macro) \
  void anb_##name##_init(anb_##name* p, size_t size) { init_struct(p, size, anb_##name macro); }

ANABRANCH_INIT(allocator, ANB_ALLOCATOR_INIT)
ANABRANCH_INIT(cache_options, ANB_CACHE_OPTIONS_INIT)
ANABRANCH_INIT(cache_statistics, ANB_CACHE_STATISTICS_INIT)
ANABRANCH_INIT(sequence_state, ANB_SEQUENCE_STATE_INIT)
ANABRANCH_INIT(plan, ANB_PLAN_INIT)
ANABRANCH_INIT(mask_options, ANB_MASK_OPTIONS_INIT)
ANABRANCH_INIT(paged, ANB_PAGED_INIT)
ANABRANCH_INIT(text, ANB_TEXT_INIT)
ANABRANCH_INIT(markup_callbacks, ANB_MARKUP_CALLBACKS_INIT)
ANABRANCH_INIT(markup, ANB_MARKUP_INIT)
ANABRANCH_INIT(decoder_options, ANB_DECODER_OPTIONS_INIT)
ANABRANCH_INIT(request_options, ANB_REQUEST_OPTIONS_INIT)
ANABRANCH_INIT(output_settings, ANB_OUTPUT_SETTINGS_INIT)
ANABRANCH_INIT(logits, ANB_LOGITS_INIT)
ANABRANCH_INIT(event, ANB_EVENT_INIT)
ANABRANCH_INIT(request_state, ANB_REQUEST_STATE_INIT)
ANABRANCH_INIT(branch_state, ANB_BRANCH_STATE_INIT)
ANABRANCH_INIT(scheduler_options, ANB_SCHEDULER_OPTIONS_INIT)
ANABRANCH_INIT(schedule, ANB_SCHEDULE_INIT)
ANABRANCH_INIT(scheduler_state, ANB_SCHEDULER_STATE_INIT)
