// Requests and passes of a decoder.
#include <cstddef>
#include <utility>

#include <anabranch/decode/random.hpp>

#include "decoder_object.hpp"
#include "structs.hpp"

using namespace anabranch;
using namespace anabranch::capi;

static_assert(sizeof(LogitBias) == sizeof(anb_logit_bias) &&
              offsetof(LogitBias, bias) == offsetof(anb_logit_bias, bias));

namespace anabranch::capi {

RequestOptions read_request_options(const DecoderObject& object, const anb_request_options* from) {
  const auto o = read_struct(from, anb_request_options ANB_REQUEST_OPTIONS_INIT, "anb_request_options");
  need_array(o.stop, o.n_stop, "stop");
  if (o.n_stop > 0 && !object.writes_text) fail(Status::bad_request, "stop strings need the callback detokenize");
  RequestOptions options;
  need_array(o.stop_tokens, o.n_stop_tokens, "stop_tokens");
  need_array(o.logit_bias, o.n_logit_bias, "logit_bias");
  options.sampling = {o.temperature,      o.top_k, o.top_p, o.min_p, o.repetition_penalty, o.frequency_penalty,
                      o.presence_penalty, o.seed,  o.number};
  options.stop_tokens.assign(o.stop_tokens, o.stop_tokens + o.n_stop_tokens);
  for (std::int32_t i = 0; i < o.n_logit_bias; ++i)
    options.logit_bias.push_back({o.logit_bias[i].token, o.logit_bias[i].bias});
  options.max_tokens = o.max_tokens;
  options.max_branch_tokens = o.max_branch_tokens;
  options.max_parallel_branches = o.max_parallel_branches;
  impl::check_count(o.no_repeat_ngram, 0, "no_repeat_ngram");
  options.no_repeat_ngram = o.no_repeat_ngram;
  options.n_log_probabilities = o.n_log_probabilities;
  for (std::int32_t i = 0; i < o.n_stop; ++i) options.stop.emplace_back(need(o.stop[i], "a stop string"));
  if (o.after != ANB_NO_REQUEST) options.after = object.to_cpp(o.after);
  if (o.prefix != ANB_NO_SEQUENCE) options.prefix = capi::to_cpp(o.prefix);
  options.user_data = o.user_data;
  return options;
}

Status show_plan(DecoderObject& object, const DecoderPlan& result, anb_plan* plan) {
  object.pages = result.pages();
  if (!result) {
    if (result.shortage().n_pages == 0) return Status::nothing_to_do;
    write_struct(plan, capi::to_c(result.shortage()));
    return Status::no_room;
  }
  object.planned = result;
  object.cache.plan = &*result;
  write_struct(plan, capi::to_c(*result));
  return Status::ok;
}

Status finish_pass(DecoderObject& object, std::span<const Event> events) noexcept {
  object.end_plan();
  object.events = events;
  object.next_event = 0;
  return Status::ok;
}

LogitsView read_logits(const anb_logits* logits) {
  need(logits, "logits");
  const auto l = read_struct(logits, anb_logits ANB_LOGITS_INIT, "anb_logits");
  static_assert(static_cast<int>(LogitType::bfloat16) == ANB_LOGIT_BFLOAT16);
  static_assert(static_cast<int>(LogitType::float16) == ANB_LOGIT_FLOAT16);
  if (l.type < ANB_LOGIT_FLOAT32 || l.type > ANB_LOGIT_FLOAT16)
    fail(Status::bad_argument, "type of logits is ", l.type, "; it must be 0 (float32), 1 (bfloat16) or 2 (float16)");
  return {static_cast<LogitType>(l.type), l.values, l.n_outputs, l.n_vocabulary, l.row_stride};
}

}  // namespace anabranch::capi

namespace {

void need_plan(const DecoderObject& object, const char* call) {
  if (!object.planned.has_value()) fail(Status::wrong_state, call, " without a plan; call anb_decoder_plan first");
}

void lend(std::span<const TokenId> from, const anb_token*& array, std::int32_t& n) noexcept {
  array = from.data();
  n = static_cast<std::int32_t>(from.size());
}

}  // namespace

anb_status anb_decoder_submit(anb_decoder* decoder, const anb_token* prompt, int32_t n,
                              const anb_request_options* options, anb_request* request) {
  return with_decoder(decoder, [&](DecoderObject& object) {
    need_array(prompt, n, "prompt");
    need(request, "request");
    const RequestOptions checked_options = read_request_options(object, options);
    const std::span<const TokenId> tokens(prompt, prompt + n);
    *request = object.to_c(object.core.submit(tokens, checked_options));
    return Status::ok;
  });
}

anb_status anb_decoder_plan(anb_decoder* decoder, anb_plan* plan) {
  return with_decoder(decoder, [&](DecoderObject& object) {
    check_out(plan, "anb_plan");
    return show_plan(object, object.core.plan(), plan);
  });
}

anb_status anb_decoder_get_output(const anb_decoder* decoder, int32_t i, anb_output_settings* settings) {
  return with_decoder(decoder, [&](const DecoderObject& object) {
    check_out(settings, "anb_output_settings");
    need_plan(object, "anb_decoder_get_output");
    const std::size_t n_outputs = (*object.planned)->outputs.size();
    if (i < 0 || static_cast<std::size_t>(i) >= n_outputs)
      fail(Status::bad_argument, "output ", i, " of a plan with ", n_outputs);
    const OutputSettings& from = object.planned->output_settings(i);
    anb_output_settings s = ANB_OUTPUT_SETTINGS_INIT;
    s.branch = from.branch;
    s.request = object.to_c(from.request);
    s.user_data = from.user_data;
    s.temperature = from.sampling.temperature;
    s.top_k = from.sampling.top_k;
    s.top_p = from.sampling.top_p;
    s.repetition_penalty = from.sampling.repetition_penalty;
    s.min_p = from.sampling.min_p;
    s.frequency_penalty = from.sampling.frequency_penalty;
    s.presence_penalty = from.sampling.presence_penalty;
    s.logit_bias = reinterpret_cast<const anb_logit_bias*>(from.logit_bias.data());
    s.n_logit_bias = static_cast<std::int32_t>(from.logit_bias.size());
    s.uniform = uniform(from.stream, from.index);
    s.index = from.index;
    lend(from.allowed, s.allowed, s.n_allowed);
    lend(from.forbidden, s.forbidden, s.n_forbidden);
    lend(from.seen, s.seen, s.n_seen);
    lend(from.spared, s.spared, s.n_spared);
    write_struct(settings, s);
    return Status::ok;
  });
}

anb_status anb_decoder_commit(anb_decoder* decoder, const float* logits, int32_t n_outputs, int32_t n_vocabulary) {
  return with_decoder(decoder, [&](DecoderObject& object) {
    return finish_pass(object, object.core.commit({logits, n_outputs, n_vocabulary}));
  });
}

anb_status anb_decoder_commit_logits(anb_decoder* decoder, const anb_logits* logits) {
  return with_decoder(decoder, [&](DecoderObject& object) {
    return finish_pass(object, object.core.commit(read_logits(logits)));
  });
}

anb_status anb_decoder_commit_sampled(anb_decoder* decoder, const anb_token* tokens, int32_t n) {
  return with_decoder(decoder, [&](DecoderObject& object) {
    need_array(tokens, n, "tokens");
    return finish_pass(object, object.core.commit_sampled({tokens, tokens + n}));
  });
}

anb_status anb_decoder_abort(anb_decoder* decoder) {
  return with_decoder(decoder, [](DecoderObject& object) {
    object.core.abort();
    object.end_plan();
    return Status::ok;
  });
}

anb_status anb_decoder_cancel(anb_decoder* decoder, anb_request request) {
  return with_decoder(decoder, [&](DecoderObject& object) {
    object.core.cancel(object.to_cpp(request));
    return Status::ok;
  });
}

anb_status anb_decoder_release(anb_decoder* decoder, anb_request request) {
  return with_decoder(decoder, [&](DecoderObject& object) {
    object.core.release(object.to_cpp(request));
    return Status::ok;
  });
}
