/* Both headers in use, in every language that can read them: all INIT macros, one call of each tier. Compiled only. */
/* clang-format off */
#ifdef DECODER_FIRST
#include "anabranch_decoder.h"
#endif
#include "anabranch.h"
#include "anabranch_decoder.h"
#include "anabranch.h"
/* clang-format on */

anb_status use(anb_cache** cache, anb_decoder** decoder);

anb_status use(anb_cache** cache, anb_decoder** decoder) {
  anb_allocator allocator = ANB_ALLOCATOR_INIT;
  anb_cache_options cache_options = ANB_CACHE_OPTIONS_INIT;
  anb_cache_statistics statistics = ANB_CACHE_STATISTICS_INIT;
  anb_sequence_state sequence_state = ANB_SEQUENCE_STATE_INIT;
  anb_plan plan = ANB_PLAN_INIT;
  anb_mask_options mask_options = ANB_MASK_OPTIONS_INIT;
  anb_paged paged = ANB_PAGED_INIT;
  anb_text text = ANB_TEXT_INIT;
  anb_markup_callbacks callbacks = ANB_MARKUP_CALLBACKS_INIT;
  anb_markup markup = ANB_MARKUP_INIT;
  anb_decoder_options decoder_options = ANB_DECODER_OPTIONS_INIT;
  anb_request_options request_options = ANB_REQUEST_OPTIONS_INIT;
  anb_output_settings settings = ANB_OUTPUT_SETTINGS_INIT;
  anb_event event = ANB_EVENT_INIT;
  anb_request_state request_state = ANB_REQUEST_STATE_INIT;
  anb_branch_state branch_state = ANB_BRANCH_STATE_INIT;
  anb_positions positions = ANB_POSITIONS_RESERVED(8);
  anb_sequence sequence = ANB_NO_SEQUENCE;
  anb_request request = ANB_NO_REQUEST;
  anb_status status;

  cache_options.allocator = &allocator;
  markup.callbacks = &callbacks;
  decoder_options.markup = &markup;
  decoder_options.text = &text;
  decoder_options.positions = positions;
  status = anb_cache_create(&cache_options, cache);
  if (status == ANB_OK) status = anb_decoder_create(*cache, &decoder_options, decoder);
  if (status == ANB_OK) status = anb_decoder_submit(*decoder, 0, 0, &request_options, &request);
  if (status == ANB_OK) status = anb_decoder_plan(*decoder, &plan);
  if (status == ANB_OK) status = anb_decoder_get_output(*decoder, 0, &settings);
  if (status == ANB_OK) status = anb_decoder_next_event(*decoder, &event);
  if (status == ANB_OK) status = anb_decoder_get_request(*decoder, request, &request_state);
  if (status == ANB_OK) status = anb_decoder_get_branch(*decoder, request, 0, &branch_state);
  if (status == ANB_OK) status = anb_sequence_get_state(*cache, sequence, &sequence_state);
  if (status == ANB_OK) status = anb_cache_mask(*cache, &mask_options, 0, 0);
  if (status == ANB_OK) status = anb_cache_paged(*cache, ANB_PAGED_SLOTS, &paged);
  return status == ANB_OK ? anb_cache_get_statistics(*cache, &statistics) : status;
}
