// Reading a decoder: events, requests, branches.
#include <algorithm>
#include <cstddef>
#include <utility>

#include "decoder_object.hpp"
#include "structs.hpp"

using namespace anabranch;
using namespace anabranch::capi;

static_assert(sizeof(PathStep) == sizeof(anb_path_step) &&
              offsetof(PathStep, branch) == offsetof(anb_path_step, branch));
static_assert(sizeof(TokenLogProbability) == sizeof(anb_token_log_probability) &&
              offsetof(TokenLogProbability, log_probability) == offsetof(anb_token_log_probability, log_probability));
static_assert(static_cast<int>(Event::Kind::token) == ANB_EVENT_TOKEN &&
              static_cast<int>(Event::Kind::fork) == ANB_EVENT_FORK &&
              static_cast<int>(Event::Kind::branch_end) == ANB_EVENT_BRANCH_END &&
              static_cast<int>(Event::Kind::join) == ANB_EVENT_JOIN &&
              static_cast<int>(Event::Kind::end) == ANB_EVENT_END);
static_assert(static_cast<int>(EndReason::end_tag) == ANB_REASON_END_TAG &&
              static_cast<int>(EndReason::stop) == ANB_REASON_STOP &&
              static_cast<int>(EndReason::malformed) == ANB_REASON_MALFORMED &&
              static_cast<int>(EndReason::lost) == ANB_REASON_LOST);

namespace {

anb_event to_c(const DecoderObject& object, const Event& from) noexcept {
  anb_event e = ANB_EVENT_INIT;
  e.kind = static_cast<std::int32_t>(from.kind);
  e.request = object.to_c(from.request);
  e.user_data = from.user_data;
  e.branch = from.branch;
  e.token = from.token;
  e.role = static_cast<std::int32_t>(from.role);
  e.forced = from.kind == Event::Kind::token && from.source == Source::forced ? 1 : 0;
  e.log_probability = from.log_probability;
  e.n_top = static_cast<std::int32_t>(from.top.size());
  e.top = reinterpret_cast<const anb_token_log_probability*>(from.top.data());
  e.text = from.text.c_str();
  e.n_text = from.text.size();
  e.first_branch = from.first_branch;
  e.n_branches = from.n_branches;
  e.reason = static_cast<std::int32_t>(from.reason);
  return e;
}

}  // namespace

anb_status anb_decoder_next_event(anb_decoder* decoder, anb_event* event) {
  return with_decoder(decoder, [&](DecoderObject& object) {
    check_out(event, "anb_event");
    if (object.next_event == object.events.size()) {
      object.taken = object.core.take_events();
      object.events = object.taken;
      object.next_event = 0;
    }
    if (object.events.empty()) return Status::nothing_to_do;
    write_struct(event, to_c(object, object.events[object.next_event++]));
    return Status::ok;
  });
}

anb_status anb_decoder_get_request(const anb_decoder* decoder, anb_request request, anb_request_state* state) {
  return with_decoder(decoder, [&](const DecoderObject& object) {
    check_out(state, "anb_request_state");
    const RequestId id = object.to_cpp(request);
    const Statistics& from = object.core.statistics(id);
    anb_request_state s = ANB_REQUEST_STATE_INIT;
    s.reason = static_cast<std::int32_t>(object.core.reason(id));
    s.n_branches = object.core.n_branches(id);
    s.n_blocks = from.n_blocks;
    s.n_serial = from.n_serial;
    s.n_branch = from.n_branch;
    s.n_title = from.n_title;
    s.n_tag = from.n_tag;
    s.n_prompt = from.n_prompt;
    s.n_sampled = from.n_sampled;
    s.n_forced = from.n_forced;
    s.n_forgotten = from.n_forgotten;
    s.n_passes = from.n_passes;
    s.n_prefill = from.n_prefill;
    s.n_serial_passes = from.n_serial_passes();
    s.user_data = object.core.user_data(id);
    const auto pages = std::lower_bound(object.pages.begin(), object.pages.end(), id,
                                        [](const RequestPages& p, RequestId wanted) { return p.request < wanted; });
    if (pages != object.pages.end() && pages->request == id) {
      s.n_pages_needed = pages->n_needed;
      s.n_pages_used = pages->n_used;
    }
    write_struct(state, s);
    return Status::ok;
  });
}

anb_status anb_decoder_get_branch(anb_decoder* decoder, anb_request request, int32_t branch, anb_branch_state* state) {
  return with_decoder(decoder, [&](DecoderObject& object) {
    check_out(state, "anb_branch_state");
    object.report = object.core.branch(object.to_cpp(request), branch);
    const Branch& from = object.report;
    anb_branch_state s = ANB_BRANCH_STATE_INIT;
    s.reason = static_cast<std::int32_t>(from.reason);
    s.sequence = capi::to_c(from.sequence);
    s.title = from.title.c_str();
    s.n_title = from.title.size();
    s.text = from.text.c_str();
    s.n_text = from.text.size();
    s.path = reinterpret_cast<const anb_path_step*>(from.path.data());
    s.n_path = static_cast<std::int32_t>(from.path.size());
    s.tokens = from.tokens.data();
    s.n_tokens = static_cast<std::int32_t>(from.tokens.size());
    write_struct(state, s);
    return Status::ok;
  });
}
