// The sampler; and that a branch's tokens depend on its own logits and path alone.
#include <cmath>
#include <limits>
#include <numeric>

#include "scripted.hpp"

using namespace scripted;

namespace {

ab::OutputSettings settings(ab::SamplingOptions sampling, std::int64_t index = 0) {
  ab::OutputSettings s;
  s.sampling = sampling;
  s.stream = ab::trunk_stream(sampling.seed);
  s.index = index;
  return s;
}

/// How often each token is sampled out of `n`.
std::vector<double> frequencies(const std::vector<float>& logits, ab::SamplingOptions sampling, int n = 20000) {
  ab::Sampler sampler;
  std::vector<double> counts(logits.size());
  for (int i = 0; i < n; ++i) counts[static_cast<std::size_t>(sampler(logits, settings(sampling, i)))] += 1.0 / n;
  return counts;
}

/// A model whose logits are a hash of the branch's path and the token's index: the same for a branch wherever it runs.
std::vector<float> hashed(std::uint64_t name, std::int64_t index) {
  std::vector<float> logits(kVocabulary);
  for (std::size_t t = 0; t < logits.size(); ++t)
    logits[t] = static_cast<float>(ab::uniform(ab::StreamKey{ab::mix(name + 1000 * t)}, index)) * 4.0f;
  logits[kEnd] -= 3.0f;
  for (const TokenId tag : {kBranch, kTitle, kTitleEnd, kParaEnd, TokenId{8}, TokenId{9}})
    logits[static_cast<std::size_t>(tag)] = -100.0f;
  return logits;
}

}  // namespace

TEST_CASE("Greedy takes the largest, the lowest id of equals") {
  ab::Sampler sampler;
  CHECK(sampler(std::vector<float>{1, 3, 2, 3}, settings({})) == 1);
  CHECK(sampler(std::vector<float>{1, 3, 2, 3}, settings({.temperature = 5.0f, .top_k = 1})) == 1);
  CHECK(sampler(std::vector<float>{-1e30f, -2e30f}, settings({})) == 0);
}

TEST_CASE("Temperature gives the softmax") {
  const std::vector<float> logits = {0.0f, 1.0f, 2.0f};
  for (const float temperature : {0.5f, 1.0f, 2.0f}) {
    const auto got = frequencies(logits, {.temperature = temperature, .seed = 3});
    double sum = 0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit) / temperature);
    for (std::size_t t = 0; t < logits.size(); ++t)
      CHECK(got[t] == Approx(std::exp(static_cast<double>(logits[t]) / temperature) / sum).margin(0.015));
  }
  ab::Sampler sampler;  // extreme temperatures are no trap
  CHECK(sampler(logits, settings({.temperature = 1e-30f})) == 2);
  CHECK(sampler(logits, settings({.temperature = 1e30f})) >= 0);
}

TEST_CASE("Top-k and top-p keep the likeliest") {
  const std::vector<float> logits = {std::log(0.1f), std::log(0.5f), std::log(0.15f), std::log(0.25f)};
  const auto top_k = frequencies(logits, {.temperature = 1.0f, .top_k = 2});
  CHECK(top_k[0] + top_k[2] == 0.0);
  CHECK(top_k[1] == Approx(2.0 / 3).margin(0.015));
  const auto top_p = frequencies(logits, {.temperature = 1.0f, .top_p = 0.7f});
  CHECK(top_p[0] + top_p[2] == 0.0);
  CHECK(top_p[1] == Approx(2.0 / 3).margin(0.015));
  const auto tiny = frequencies(logits, {.temperature = 1.0f, .top_p = 1e-6f}, 100);
  CHECK(tiny[1] == Approx(1.0));
  const auto both = frequencies(logits, {.temperature = 1.0f, .top_k = 3, .top_p = 0.95f});
  CHECK(both[0] == 0.0);
  CHECK(both[2] == Approx(0.15 / 0.9).margin(0.015));
}

TEST_CASE("Allowed and forbidden tokens are obeyed, in any order and with any strangers among them") {
  ab::Sampler sampler;
  const std::vector<float> logits = {5, 4, 3, 2};
  auto s = settings({});
  const Tokens forbidden = {1, 0, 99, -1}, allowed = {3, 2, 2, 77, -5};
  s.forbidden = forbidden;
  CHECK(sampler(logits, s) == 2);
  s.allowed = allowed;
  CHECK(sampler(logits, s) == 2);
  const Tokens both = {2};
  s.forbidden = both;
  CHECK(sampler(logits, s) == 3);
  const Tokens none = {2, 3};
  s.forbidden = none;
  CHECK_THROWS_AS(sampler(logits, s), ab::Error);
}

TEST_CASE("The repetition penalty lowers the tokens that the branch has seen") {
  ab::Sampler sampler;
  auto s = settings({.repetition_penalty = 2.0f});
  const Tokens seen = {0, 0, 2, 99};
  s.seen = seen;
  CHECK(sampler(std::vector<float>{3, 2, -1, -1.5f}, s) == 1);
  CHECK(sampler(std::vector<float>{-1, -1.5f, -3, -3}, s) == 1);
}

TEST_CASE("The tokens that a branch has seen are its own, however long the trunk was at the fork") {
  for (std::size_t n = 0; n < 20; ++n) {
    AspdRun run(aspd());
    const std::string start = std::string(n, 'x') + "(a)(b)(c){";
    run.script({}, start + "z.");
    for (int k = 0; k < 3; ++k) run.script({{0, k}}, std::string(9, static_cast<char>('p' + k)) + "]");
    run.submit(tokens("p"), {.sampling = {.repetition_penalty = 1.01f}});
    while (run.decoder.has_work()) {
      for (const auto& output : run.decoder.plan().output_settings()) {
        if (output.branch == ab::kTrunk) continue;
        const std::string prefix = start + "[" + std::string(1, static_cast<char>('a' + output.branch - 1)) + ":";
        const std::string own(static_cast<std::size_t>(output.index), static_cast<char>('p' + output.branch - 1));
        CHECK(spelled(Tokens(output.seen.begin(), output.seen.end())) == prefix + own);
      }
      run.decoder.abort();
      run.step();
    }
  }
}

TEST_CASE("The penalty is on the tokens that the branch sees: a sibling's do not count before the join") {
  AspdRun run(aspd());
  run.script({}, "x(a)(b){z.").script({{0, 0}}, "cd]").script({{0, 1}}, "e]");
  run.submit(tokens("pq"), {.sampling = {.repetition_penalty = 1.01f}});
  std::string in_branch, after;
  while (run.decoder.has_work()) {
    const auto plan = run.decoder.plan();
    for (const auto& output : plan.output_settings()) {
      const std::string seen = spelled(Tokens(output.seen.begin(), output.seen.end()));
      if (output.branch == 2) in_branch = seen;
      if (output.branch == ab::kTrunk) after = seen;
    }
    const auto values = run.logits(plan);
    run.decoder.commit({values.data(), static_cast<std::int32_t>(plan.output_settings().size()), kVocabulary});
  }
  CHECK(in_branch == "x(a)(b){[b:e");
  CHECK(after == "x(a)(b){[a:cd][b:e]}z");
}

TEST_CASE("Log-probabilities are those of the plain softmax, likeliest first") {
  const std::vector<float> logits = {std::log(0.2f), std::log(0.5f), std::log(0.3f)};
  const auto [own, top] = ab::log_probabilities<float>(logits, 0, 2);
  CHECK(own == Approx(std::log(0.2)));
  REQUIRE(top.size() == 2);
  CHECK(top[0].token == 1);
  CHECK(top[1].log_probability == Approx(std::log(0.3)));
  CHECK(ab::log_probabilities<float>(logits, 2, 99).second.size() == 3);
  const float inf = std::numeric_limits<float>::infinity();
  CHECK(ab::log_probabilities<float>(std::vector<float>{0, -inf}, 0, 1).first == Approx(0.0));
}

TEST_CASE("Log-probabilities refuse NaN and infinity, also in tokens that no constraint lets the sampler look at") {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    const std::vector<float> logits = {0, bad, 1};
    ab::OutputSettings only_first = settings({});
    const std::vector<TokenId> allowed = {0};
    only_first.allowed = allowed;
    CHECK(ab::Sampler{}(logits, only_first) == 0);
    ab::Status status = ab::Status::ok;
    try {
      ab::log_probabilities<float>(logits, 0, 2);
    } catch (const ab::Error& error) {
      status = error.status();
    }
    CHECK(status == ab::Status::bad_logits);
  }
}

TEST_CASE("Log-probabilities are reported when asked for, and not otherwise") {
  AspdRun run(aspd());
  run.script({}, "ab.");
  run.submit(tokens("p"), {.n_log_probabilities = 3});
  run.script({}, "ab.");
  run.submit(tokens("p"));
  run.run();
  for (const ab::Event& event : run.events) {
    if (event.kind != ab::Event::Kind::token) continue;
    CHECK(event.top.size() == (event.request == ab::RequestId{1} ? 3u : 0u));
    CHECK(std::isnan(event.log_probability) == (event.request == ab::RequestId{2}));
  }
}

TEST_CASE("A hook sees its branch and changes only its logits") {
  AspdRun run(aspd());
  run.script({}, "(a)(b){z.").script({{0, 0}}, "cd]").script({{0, 1}}, "cd]");
  const auto hook = [](const ab::HookContext& context, std::span<float> logits) {
    REQUIRE(logits.size() == kVocabulary);
    if (context.path.size() == 1 && context.path[0].branch == 1 && context.seen.back() == kColon)
      logits[kFirstLetter + 24] = 99.0f;  // 'y'
  };
  const auto id = run.submit(tokens("p"), {.hook = hook});
  run.run();
  CHECK(run.decoder.text(id) == "a:cdb:ydz");
}

TEST_CASE("Streams differ by seed, path and index, and are uniform") {
  const auto root = ab::trunk_stream(1);
  CHECK(ab::uniform(root, 0) == ab::uniform(ab::trunk_stream(1), 0));
  CHECK(ab::uniform(root, 0) != ab::uniform(ab::trunk_stream(2), 0));
  CHECK(ab::branch_stream(root, 0, 1) != ab::branch_stream(root, 1, 0));
  CHECK(ab::branch_stream(ab::branch_stream(root, 0, 0), 0, 1) !=
        ab::branch_stream(ab::branch_stream(root, 0, 1), 0, 0));
  double sum = 0;
  for (int i = 0; i < 10000; ++i) sum += ab::uniform(root, i);
  CHECK(sum / 10000 == Approx(0.5).margin(0.01));
}

TEST_CASE("The tokens of a branch do not depend on the batch that it is in") {
  const auto answers = [](int n_others, std::int32_t max_branches, bool first) {
    ab::KvCache cache({.n_pages = 4096});
    ab::Decoder decoder{cache, aspd(), Letters{},
                        ab::DecoderOptions{.max_branches = max_branches,
                                           .max_tokens = 400,
                                           .max_branch_tokens = 15,
                                           .max_depth = 2,
                                           .end_of_text = {kEnd}}};
    const auto add_others = [&] {
      for (int i = 0; i < n_others; ++i)
        decoder.submit({10 + i}, {.sampling = {.temperature = 1.0f, .seed = 100 + static_cast<std::uint64_t>(i)},
                                  .max_tokens = 40 + 7 * i});
    };
    if (!first) add_others();
    const auto id =
        decoder.submit({12, 13}, {.sampling = {.temperature = 1.0f, .top_k = 30, .top_p = 0.95f, .seed = 7}});
    if (first) add_others();
    // Titles are written by force of the hook-free script: the first tokens of the trunk are fixed.
    const Tokens opening = tokens("(a)(b)(c){");
    while (decoder.has_work()) {
      const auto plan = decoder.plan();
      REQUIRE(plan);
      std::vector<float> values;
      for (const auto& output : plan.output_settings()) {
        std::uint64_t name = 17;
        for (const auto& step : decoder.branch(output.request, output.branch).path)
          name = ab::mix(name + 10 * static_cast<std::uint64_t>(step.block) + static_cast<std::uint64_t>(step.branch));
        std::vector<float> row = hashed(name, output.index);
        if (output.branch == ab::kTrunk && output.index < static_cast<std::int64_t>(opening.size()))
          row[static_cast<std::size_t>(opening[static_cast<std::size_t>(output.index)])] = 200.0f;
        values.insert(values.end(), row.begin(), row.end());
      }
      decoder.commit({values.data(), static_cast<std::int32_t>(plan.output_settings().size()), kVocabulary});
    }
    return decoder.text(id);
  };
  const std::string alone = answers(0, 8, true);
  CHECK(alone.size() > 30);
  CHECK(answers(3, 8, true) == alone);
  CHECK(answers(5, 8, false) == alone);
  CHECK(answers(2, 1, false) == alone);
}
