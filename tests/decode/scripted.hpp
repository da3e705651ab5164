// A decoder over a model that samples what a script tells it, branch by branch, so that every decision of the decoder
// can be checked without arithmetic.
#pragma once

#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <anabranch/anabranch.hpp>
#include <anabranch/decode/decoder.hpp>
#include <anabranch/markup/serial.hpp>
#include <anabranch/markup/skeleton.hpp>

#include "catch.hpp"
#include "markup/letters.hpp"
#include "support/any_markup.hpp"

namespace scripted {

namespace ab = anabranch;
using namespace letters;
using Path = std::vector<std::pair<int, int>>;  // (block, branch) from the trunk

struct Pass {
  std::vector<std::pair<std::string, std::string>> rows;  // (sequence, token), in the order of the plan
  std::int32_t n_outputs = 0;
};

using LettersDecoder = ab::Decoder<ab::test::AnyMarkup, Letters>;

template <class Markup, class Text = Letters, class Cache = ab::KvCache>
class Run {
 public:
  using Decoder = ab::Decoder<ab::test::AnyMarkup, Text, ab::Sampler, Cache>;
  Run(Markup markup, ab::DecoderOptions options = {}, ab::CacheOptions cache_options = {}, Text text = {})
      : cache(cache_options), decoder(cache, std::move(markup), text, with_end(std::move(options))) {}

  /// Tokens that the branch `path` of the next submitted request samples; `.` (end of text) behind them.
  Run& script(const Path& path, const std::string& text) { return script_tokens(path, tokens(text)); }
  Run& script_tokens(const Path& path, Tokens list) {
    scripts_[{next_, path}] = std::move(list);
    return *this;
  }
  template <class Prompt = Tokens>
  ab::RequestId submit(const Prompt& prompt, const ab::RequestOptions& options = {}) {
    ++next_;
    return decoder.submit(prompt, options);
  }

  TokenId choice(const ab::OutputSettings& output) const {
    Path path;
    for (const ab::PathStep& step : decoder.branch(output.request, output.branch).path)
      path.emplace_back(step.block, step.branch);
    const auto script = scripts_.find({static_cast<std::uint64_t>(output.request), path});
    if (script == scripts_.end() || output.index >= static_cast<std::int64_t>(script->second.size())) return kEnd;
    return script->second[static_cast<std::size_t>(output.index)];
  }
  std::vector<float> logits(const ab::DecoderPlan& plan) const {
    std::vector<float> values(plan.output_settings().size() * kVocabulary, 0.0f);
    for (std::size_t i = 0; i < plan.output_settings().size(); ++i)
      values[i * kVocabulary + static_cast<std::size_t>(choice(plan.output_settings()[i]))] = 10.0f;
    return values;
  }
  void note(const ab::DecoderPlan& plan) {
    Pass pass;
    for (std::int32_t r = 0; r < plan->n_rows(); ++r) {
      const auto i = static_cast<std::size_t>(r);
      held[plan->slots[i]] = plan->tokens[i];
      pass.rows.emplace_back(std::to_string(plan->sequences[i].index), spelled({plan->tokens[i]}));
    }
    pass.n_outputs = static_cast<std::int32_t>(plan->outputs.size());
    passes.push_back(pass);
  }
  /// One pass. False: a shortage.
  bool step() {
    const auto plan = decoder.plan();
    if (!plan) return false;
    note(plan);
    const std::vector<float> values = logits(plan);
    const auto got =
        decoder.commit({values.data(), static_cast<std::int32_t>(plan.output_settings().size()), kVocabulary});
    events.insert(events.end(), got.begin(), got.end());
    REQUIRE(cache.snapshot().check() == std::vector<std::string>{});
    return true;
  }
  Run& run() {
    while (decoder.has_work()) REQUIRE(step());
    return *this;
  }

  /// The tokens that the sequence sees in the cache, spelled.
  std::string history(ab::SequenceId sequence) const {
    Tokens list;
    for (const ab::Slot slot : cache.slots_of(sequence)) list.push_back(held.at(slot));
    return spelled(list);
  }
  std::string history(ab::RequestId id) const { return history(decoder.branch(id, ab::kTrunk).sequence); }
  ab::EndReason branch_reason(ab::RequestId id, ab::BranchIndex branch) const {
    return decoder.branch(id, branch).reason;
  }
  std::int32_t n_passes() const { return static_cast<std::int32_t>(passes.size()); }

  Cache cache;
  Decoder decoder;
  std::vector<ab::Event> events;
  std::vector<Pass> passes;
  std::map<ab::Slot, TokenId> held;

 private:
  static ab::DecoderOptions with_end(ab::DecoderOptions options) {
    options.end_of_text = {kEnd};
    return options;
  }
  std::map<std::pair<std::uint64_t, Path>, Tokens> scripts_;
  std::uint64_t next_ = 1;
};

using AspdRun = Run<ab::markup::Aspd>;

}  // namespace scripted
