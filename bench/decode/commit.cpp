// Question: what does `Decoder::commit` cost for 8 outputs of 49,152 logits, beside what a model's pass costs?
//
// Bar: greedy under 0.3 ms, near what merely reading the logits costs, which is timed in the same run ("read them
// once"). Only `commit` is timed: sampling and the bookkeeping of the requests. The plan before each commit is not, nor
// is the replacement of requests that have written 256 tokens. So the repetition penalty is on 128 tokens on average.
//
// The logits are made up, shaped like a language model's: a normal bulk and 64 tokens that stand out of it. They are
// the same in every pass, so they come from the cache, where a model's pass has just left them.
#include <algorithm>
#include <cmath>
#include <vector>

#include <anabranch/decode/decoder.hpp>
#include <anabranch/markup/markup.hpp>

#include "../cache/report.hpp"

namespace {

using namespace anabranch;
using namespace anabranch::bench;

constexpr std::int32_t kOutputs = 8, kVocabulary = 49152, kTokens = 256;

/// Serial text whose every token obeys the same lists.
struct Listed {
  struct State {};
  State start() const { return {}; }
  State child(const State&, std::int32_t) const { return {}; }
  markup::Action next(State&, TokenId) const { return markup::Action::go_on(); }
  markup::Action joined(State&) const { return markup::Action::finish(); }
  markup::Forced closing(const State&) const { return {}; }
  markup::Constraint constrain(const State&) const { return {allowed, forbidden}; }

  std::vector<TokenId> allowed, forbidden;
};
struct NoText {
  void operator()(std::span<const TokenId>, std::string&) const {}
};

/// [kOutputs, kVocabulary]
std::vector<float> made_up_logits() {
  std::vector<float> values(static_cast<std::size_t>(kOutputs) * kVocabulary);
  for (std::int32_t row = 0; row < kOutputs; ++row) {
    const StreamKey stream = trunk_stream(static_cast<std::uint64_t>(row));
    float* logits = values.data() + static_cast<std::ptrdiff_t>(row) * kVocabulary;
    for (std::int32_t i = 0; i < kVocabulary; ++i) {  // Box and Muller
      const double radius = std::sqrt(-2 * std::log(1 - uniform(stream, 2 * i)));
      logits[i] = static_cast<float>(2.5 * radius * std::cos(6.283185307179586 * uniform(stream, 2 * i + 1)));
    }
    for (std::int32_t i = 0; i < 64; ++i)
      logits[static_cast<std::int32_t>(kVocabulary * uniform(stream, -1 - i))] =
          static_cast<float>(8 + 8 * uniform(stream, -100 - i));
  }
  return values;
}

const std::vector<float>& logits() {
  static const std::vector<float> values = made_up_logits();
  return values;
}

struct Setting {
  RequestOptions request = {};
  std::size_t n_allowed = 0, n_forbidden = 0;
};

std::vector<TokenId> some_tokens(std::size_t n, std::uint64_t seed) {
  std::vector<TokenId> tokens(n);
  for (std::size_t i = 0; i < n; ++i)
    tokens[i] = static_cast<TokenId>(kVocabulary * uniform(trunk_stream(seed), static_cast<std::int64_t>(i)));
  return tokens;
}

void commit(benchmark::State& state, Setting setting) {
  KvCache cache({.n_pages = 1024});
  Decoder decoder{cache, Listed{some_tokens(setting.n_allowed, 1), some_tokens(setting.n_forbidden, 2)}, NoText{},
                  DecoderOptions{.max_tokens = kTokens}};
  setting.request.sampling.seed = 7;
  std::vector<RequestId> requests;
  for (std::int32_t i = 0; i < kOutputs; ++i) {
    setting.request.max_tokens = kTokens - i * kTokens / kOutputs;  // so that they are not all new at the same time
    requests.push_back(decoder.submit({1, 2, 3}, setting.request));
  }
  setting.request.max_tokens = kTokens;
  for (auto _ : state) {
    for (RequestId& id : requests) {
      if (decoder.reason(id) == EndReason::none) continue;
      decoder.release(id);
      id = decoder.submit({1, 2, 3}, setting.request);
    }
    const DecoderPlan plan = decoder.plan();
    if (!plan || plan.output_settings().size() != kOutputs) return state.SkipWithError("not a pass of 8 outputs");
    state.SetIterationTime(seconds([&] { decoder.commit({logits().data(), kOutputs, kVocabulary}); }));
  }
}

/// The least that any sampler must do: find the largest of every 16th, for each 256 logits.
void read_once(benchmark::State& state) {
  std::vector<float> most(logits().size() / 16);
  const auto read = [&] {
    for (std::size_t block = 0; block < logits().size() / 256; ++block) {
      const float* values = logits().data() + 256 * block;
      for (std::size_t lane = 0; lane < 16; ++lane) {
        float top = values[lane];
        for (std::size_t i = 1; i < 16; ++i) top = std::max(top, values[16 * i + lane]);
        most[16 * block + lane] = top;
      }
    }
    benchmark::DoNotOptimize(most.data());
    benchmark::ClobberMemory();
  };
  for (auto _ : state) state.SetIterationTime(seconds(read));
}

}  // namespace

int main(int argc, char** argv) {
  const auto add_commit = [](const char* name, Setting setting) {
    add(name, [setting](benchmark::State& s) { commit(s, setting); });
  };
  add("read them once", read_once);
  add_commit("greedy", {});
  add_commit("greedy, repetition penalty 1.1", {.request = {.sampling = {.repetition_penalty = 1.1f}}});
  add_commit("greedy, 20 forbidden", {.n_forbidden = 20});
  add_commit("greedy, 200 allowed", {.n_allowed = 200});
  add_commit("temperature 0.7", {.request = {.sampling = {.temperature = 0.7f}}});
  add_commit("temperature 0.7, top_k 40", {.request = {.sampling = {.temperature = 0.7f, .top_k = 40}}});
  add_commit("temperature 0.7, top_p 0.95", {.request = {.sampling = {.temperature = 0.7f, .top_p = 0.95f}}});
  add_commit("temperature 0.7, top_k 40, top_p 0.95, penalty 1.1",
             {.request = {.sampling = {.temperature = 0.7f, .top_k = 40, .top_p = 0.95f, .repetition_penalty = 1.1f}}});
  add_commit("greedy, 5 log-probabilities", {.request = {.n_log_probabilities = 5}});
  return report("What does Decoder::commit cost beside a model's pass?", "8 outputs of 49152 logits", "commit",
                "greedy", argc, argv);
}
