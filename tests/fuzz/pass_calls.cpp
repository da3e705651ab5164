// Passes of a decoder: plan, settings, commit, events.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "check.hpp"
#include "world.hpp"

namespace fuzz {

namespace {

constexpr std::int32_t kVocabulary = 16;

struct PassCalls {
  World& world;
  Input& input;
  Group& group;
  anb_decoder* handle;
  DecoderEntry* decoder;  ///< null with a bad handle
  Group* about;

  void check(anb_status status) const {
    if (about == nullptr) FUZZ_CHECK(status == ANB_BAD_HANDLE, "a bad handle gave %s", anb_status_name(status));
    FUZZ_CHECK(status != ANB_CALLBACK_FAILED || decoder->script->mischief, "%s", anb_last_error());
  }
  anb_status plan() {
    const bool open = group.step != nullptr || group.planner() != nullptr;
    const OutStruct<anb_plan> plan(input);
    const anb_status status =
        world.make(function::kDecoderPlan, about, [&] { return anb_decoder_plan(handle, plan.pointer()); });
    plan.check(status == ANB_OK || status == ANB_NO_ROOM);
    check(status);
    FUZZ_CHECK(status != ANB_OK || !open, "a plan beside another");
    if (status == ANB_NO_ROOM) FUZZ_CHECK(plan.value().n_pages_short > 0, "no room, and no page is short");
    if (status != ANB_OK) return status;
    decoder->planned = true;
    world.plan_opened(group, plan.value());
    return status;
  }
  void get_outputs() {
    const std::int32_t n = decoder != nullptr && decoder->planned ? group.plan.n_outputs : 0;
    for (std::int32_t i = input.one_in(16) ? -1 : 0; i <= n; ++i) {
      if (i == n && !input.one_in(16)) break;
      const OutStruct<anb_output_settings> out(input);
      const anb_status status =
          world.make(function::kGetOutput, about, [&] { return anb_decoder_get_output(handle, i, out.pointer()); });
      out.check(status == ANB_OK);
      check(status);
      if (status != ANB_OK || !out.whole()) continue;  // of an earlier version
      const anb_output_settings& s = out.value();
      FUZZ_CHECK(i >= 0 && i < n && s.uniform >= 0 && s.uniform < 1 && s.n_seen >= 0, "output %d", i);
      std::int64_t sum = 0;  // every element can be read
      for (std::int32_t k = 0; k < s.n_allowed; ++k) sum += s.allowed[k];
      for (std::int32_t k = 0; k < s.n_forbidden; ++k) sum += s.forbidden[k];
      for (std::int32_t k = 0; k < s.n_seen; ++k) sum += s.seen[k];
      for (std::int32_t k = 0; k < s.n_logit_bias; ++k) sum += s.logit_bias[k].token;
      FUZZ_CHECK(sum >= 0, "negative tokens in the settings of output %d", i);
    }
  }
  anb_status commit() {
    const std::int32_t n = decoder != nullptr && decoder->planned ? group.plan.n_outputs : input.below(3);
    std::vector<float> logits(static_cast<std::size_t>(n + 1) * kVocabulary, -1.0f);
    for (std::int32_t i = 0; i < n; ++i) {
      const auto row = static_cast<std::size_t>(i) * kVocabulary;
      logits[row + static_cast<std::size_t>(input.below(kVocabulary))] = 5;
      logits[row + static_cast<std::size_t>(input.below(kVocabulary))] += 2;
      if (input.one_in(96)) logits[row + 3] = std::numeric_limits<float>::quiet_NaN();
      if (input.one_in(96)) std::fill_n(logits.begin() + static_cast<std::ptrdiff_t>(row), kVocabulary, -INFINITY);
    }
    const std::int32_t n_told = input.one_in(48) ? n + input.below(4) - 2 : n;
    const std::int32_t vocabulary = input.one_in(48) ? input.odd_number() % kVocabulary : kVocabulary;
    const float* told = input.one_in(96) ? nullptr : logits.data();
    const anb_status status = world.make(function::kDecoderCommit, about,
                                         [&] { return anb_decoder_commit(handle, told, n_told, vocabulary); });
    committed(status);
    return status;
  }
  anb_status commit_sampled() {
    const std::int32_t n = decoder != nullptr && decoder->planned ? group.plan.n_outputs : input.below(3);
    std::vector<anb_token> tokens(static_cast<std::size_t>(n + 2), 5);
    for (std::int32_t i = 0; i < n; ++i) {
      tokens[static_cast<std::size_t>(i)] = input.number(0, kVocabulary);
      anb_output_settings s = ANB_OUTPUT_SETTINGS_INIT;
      if (decoder == nullptr || anb_decoder_get_output(handle, i, &s) != ANB_OK || s.n_allowed == 0) continue;
      if (!input.one_in(8)) tokens[static_cast<std::size_t>(i)] = s.allowed[input.byte() % s.n_allowed];
    }
    const std::int32_t n_told = input.one_in(48) ? n + input.below(4) - 1 : n;
    const anb_status status = world.make(function::kCommitSampled, about,
                                         [&] { return anb_decoder_commit_sampled(handle, tokens.data(), n_told); });
    committed(status);
    return status;
  }
  void committed(anb_status status) {
    check(status);
    FUZZ_CHECK(status != ANB_OK || decoder->planned, "a commit without a plan");
    if (status == ANB_OK) decoder->planned = false;
  }
  void abort() {
    const anb_status status = world.make(function::kDecoderAbort, about, [&] { return anb_decoder_abort(handle); });
    check(status);
    if (status == ANB_OK) decoder->planned = false;
  }
  void take_events(int most) {
    for (int i = 0; i < most; ++i) {
      const OutStruct<anb_event> event(input);
      const anb_status status =
          world.make(function::kNextEvent, about, [&] { return anb_decoder_next_event(handle, event.pointer()); });
      event.check(status == ANB_OK);
      check(status);
      if (status != ANB_OK) return;
      const anb_event& e = event.value();
      FUZZ_CHECK(e.kind >= ANB_EVENT_TOKEN && e.kind <= ANB_EVENT_END && e.branch >= 0, "kind %d, branch %d", e.kind,
                 e.branch);
      FUZZ_CHECK(e.text != nullptr && e.text[e.n_text] == '\0' && e.n_top >= 0, "an event's text");
      for (std::int32_t k = 0; k < e.n_top; ++k)
        FUZZ_CHECK(e.top[k].token >= 0 && !std::isnan(e.top[k].log_probability), "an event's likeliest tokens");
    }
  }
};

}  // namespace

void World::pass_call() {
  Group& g = group();
  if (g.decoders.empty() && g.cache != nullptr) return make_decoder();
  if (g.step != nullptr && !input_.one_in(8)) finish_step();
  anb_decoder* handle = nullptr;
  DecoderEntry* decoder = some_decoder(handle);
  PassCalls calls{*this, input_, g, handle, decoder, decoder != nullptr ? &g : nullptr};
  const std::int32_t what = input_.below(16);
  if (what == 15) return calls.abort();
  if (what == 14) return calls.take_events(3);
  if (what == 13) return calls.get_outputs();
  for (int n_passes = what == 12 ? 8 : 1; n_passes > 0; --n_passes) {
    if ((decoder == nullptr || !decoder->planned || input_.one_in(32)) && calls.plan() != ANB_OK) return;
    if (what == 11) return calls.get_outputs();  // and leave the plan open
    const anb_status status = what % 4 == 3 ? calls.commit_sampled() : calls.commit();
    check_cache(g);
    if (what % 2 == 0) calls.take_events(what == 2 ? 2 : 1000);
    if (status != ANB_OK) return;
  }
}

}  // namespace fuzz
