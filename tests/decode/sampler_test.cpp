// The sampler; and that a branch's tokens depend on its own logits and path alone.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <string>

#include "scripted.hpp"

using namespace scripted;

namespace {

ab::OutputSettings settings(ab::Sampling sampling, std::int64_t index = 0) {
  ab::OutputSettings s;
  s.sampling = sampling;
  s.stream = ab::trunk_stream(sampling.seed);
  s.index = index;
  return s;
}

/// How often each token is sampled out of `n`.
std::vector<double> frequencies(const std::vector<float>& logits, ab::Sampling sampling, int n = 20000) {
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

TEST_CASE("Frequency and presence penalties count what the branch has seen; biases come first of all") {
  ab::Sampler sampler;
  const Tokens seen = {0, 0, 2, 99, 3};
  const auto likeliest = [&](ab::Sampling sampling, std::vector<ab::LogitBias> biases = {}, Tokens spared = {}) {
    auto s = settings(sampling);
    s.seen = seen;
    s.spared = spared;
    s.logit_bias = biases;
    return sampler(std::vector<float>{3, 2, 2.5f, -1}, s);
  };
  CHECK(likeliest({}) == 0);
  CHECK(likeliest({.frequency_penalty = 0.2f}) == 0);  // 2.6 2 2.3
  CHECK(likeliest({.frequency_penalty = 0.4f}) == 0);  // 2.2 2 2.1
  CHECK(likeliest({.frequency_penalty = 0.6f}) == 1);
  CHECK(likeliest({.presence_penalty = 0.6f}) == 0);
  CHECK(likeliest({.presence_penalty = 1.1f}) == 1);
  CHECK(likeliest({.presence_penalty = 1.1f}, {}, {0}) == 0);
  CHECK(likeliest({.frequency_penalty = -2}) == 0);
  CHECK(likeliest({}, {{1, 1.5f}}) == 1);
  CHECK(likeliest({}, {{0, -std::numeric_limits<float>::infinity()}}) == 2);
  CHECK(likeliest({}, {{2, 0.6f}, {1, 1}}) == 2);
  // A bias of 2 turns -1 to 1, which the repetition penalty then divides: 0.5.
  CHECK(likeliest({.repetition_penalty = 2}, {{0, -10}, {1, -1.6f}, {2, -10}, {3, 2}}) == 3);
  CHECK(likeliest({.repetition_penalty = 2}, {{0, -10}, {1, -1.4f}, {2, -10}, {3, 2}}) == 1);
  auto s = settings({});
  const std::vector<ab::LogitBias> beyond = {{4, 1}};
  s.logit_bias = beyond;
  CHECK_THROWS_AS(sampler(std::vector<float>{3, 2, 2.5f, -1}, s), ab::Error);
}

TEST_CASE("Min-p keeps tokens by how likely they are against the likeliest, after temperature and within the nucleus") {
  const std::vector<float> logits = {std::log(0.1f), std::log(0.5f), std::log(0.15f), std::log(0.25f)};
  const auto min_p = frequencies(logits, {.temperature = 1.0f, .min_p = 0.25f});
  CHECK(min_p[0] == 0.0);
  CHECK(min_p[2] == Approx(0.15 / 0.9).margin(0.015));
  const auto hot = frequencies(logits, {.temperature = 2.0f, .min_p = 0.25f});  // the square roots are above 0.44
  CHECK(hot[0] > 0.1);
  const auto both = frequencies(logits, {.temperature = 1.0f, .top_p = 0.85f, .min_p = 0.4f});
  CHECK(both[0] + both[2] == 0.0);
  CHECK(both[1] == Approx(2.0 / 3).margin(0.015));
  const auto three = frequencies(logits, {.temperature = 1.0f, .top_k = 3, .min_p = 0.4f});
  CHECK(three[0] + three[2] == 0.0);
  CHECK(frequencies(logits, {.temperature = 1.0f, .min_p = 1.0f}, 100)[1] == Approx(1.0));
  CHECK(frequencies({1, 1, 0}, {.temperature = 1.0f, .min_p = 1.0f})[1] == Approx(0.5).margin(0.015));
}

TEST_CASE("Whatever the numbers are, a token of weight 0 is never drawn: another one is, or the logits are refused") {
  constexpr float kMost = std::numeric_limits<float>::max(), kTiny = std::numeric_limits<float>::denorm_min(),
                  kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<float> values = {kMost, -kMost, 0,     -0.0f,  kTiny, -kTiny,     1e-38f,
                                     1,     -1,     1e20f, -1e20f, 88,    -kInfinity, std::nextafter(1.0f, 2.0f)};
  const std::vector<float> bad_values = {kInfinity, std::numeric_limits<float>::quiet_NaN()};
  std::mt19937 random(1);
  const auto below = [&](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); };
  const auto one_of = [&](const std::vector<float>& of) { return of[below(of.size())]; };
  ab::Sampler sampler;
  int n_drawn = 0, n_refused = 0;
  for (int round = 0; round < 20000; ++round) {
    std::vector<float> logits(1 + below(round % 50 == 0 ? 600 : 8));
    const bool wild = below(3) == 0;
    for (float& logit : logits) logit = wild ? one_of(values) : static_cast<float>(below(2000)) / 100 - 10;
    if (below(20) == 0) logits[below(logits.size())] = one_of(bad_values);
    auto s = settings({.temperature = one_of({kTiny, 1e-40f, 1e-38f, 0.7f, 1, 1e30f, kMost, 0}),
                       .top_k = std::vector<std::int32_t>{0, 0, 1, 3, 1 << 30}[below(5)],
                       .top_p = one_of({1, 1, 0.9f, 0.99999994f, kTiny}),
                       .min_p = one_of({0, 0, kTiny, 0.1f, 1}),
                       .repetition_penalty = one_of({1, 1.1f, 1e-38f, kTiny, kMost}),
                       .frequency_penalty = one_of({0, 0, 0.5f, kMost, -kMost}),
                       .presence_penalty = one_of({0, 0, 0.5f, kMost, -kMost}),
                       .seed = static_cast<std::uint64_t>(round)});
    Tokens seen, allowed, forbidden;
    for (std::size_t n = below(4); n > 0; --n) seen.push_back(static_cast<TokenId>(below(logits.size() + 2)));
    for (std::size_t n = below(3); n > 0; --n) forbidden.push_back(static_cast<TokenId>(below(logits.size())));
    if (below(3) == 0)
      for (std::size_t n = 1 + below(3); n > 0; --n) allowed.push_back(static_cast<TokenId>(below(logits.size())));
    std::vector<ab::LogitBias> biases;
    if (below(3) == 0)
      biases.push_back({static_cast<TokenId>(below(logits.size())), one_of({1, -1, kMost, -kInfinity})});
    s.seen = seen;
    s.allowed = allowed;
    s.forbidden = forbidden;
    s.logit_bias = biases;
    // Each candidate's logit as llama.cpp and transformers compute it, and its weight.
    const auto has = [](const Tokens& list, TokenId t) { return std::find(list.begin(), list.end(), t) != list.end(); };
    float best = -kInfinity;
    bool bad = false;
    std::vector<float> now(logits.size(), -kInfinity);
    for (std::size_t i = 0; i < logits.size(); ++i) {
      const auto t = static_cast<TokenId>(i);
      const bool looked_at = allowed.empty() || has(allowed, t);
      bad = bad || (looked_at && !(logits[i] < kInfinity));
      if (!looked_at || has(forbidden, t) || !std::isfinite(logits[i])) continue;
      const auto n = static_cast<float>(std::count(seen.begin(), seen.end(), t));
      float logit = logits[i];
      for (const ab::LogitBias& bias : biases) logit += bias.token == t ? bias.bias : 0.0f;
      const float penalty = s.sampling.repetition_penalty;
      if (n > 0) logit = logit > 0 ? logit / penalty : logit * penalty;
      if (n > 0) logit -= n * s.sampling.frequency_penalty;
      if (n > 0) logit -= s.sampling.presence_penalty;
      bad = bad || !(logit < kInfinity);
      now[i] = logit;
      best = std::max(best, logit);
    }
    INFO("round " << round);
    try {
      const auto token = static_cast<std::size_t>(sampler(logits, s));
      REQUIRE(token < logits.size());
      REQUIRE_FALSE(bad);
      REQUIRE(std::isfinite(now[token]));
      const float weight = s.sampling.temperature == 0 || s.sampling.top_k == 1
                               ? (now[token] == best ? 1.0f : 0.0f)
                               : std::exp((now[token] - best) / s.sampling.temperature);
      REQUIRE(weight > 0);
      REQUIRE(weight >= s.sampling.min_p);
      ++n_drawn;
    } catch (const ab::Error& error) {
      REQUIRE(error.status() == ab::Status::bad_logits);
      REQUIRE((bad || !std::isfinite(best)));
      ++n_refused;
    }
  }
  CHECK(n_drawn > 8000);
  CHECK(n_refused > 2000);
}

TEST_CASE("A penalty that makes logits too large is refused with its token, not sampled from") {
  auto s = settings({.temperature = 1, .top_p = 0.9f, .repetition_penalty = 1e-38f});
  const Tokens seen = {1, 2};
  s.seen = seen;
  for (const Tokens& allowed : {Tokens{}, Tokens{0, 1, 2, 3}}) {
    s.allowed = allowed;
    try {
      ab::Sampler{}(std::vector<float>{3, 20, 30, -1}, s);
      FAIL("sampled");
    } catch (const ab::Error& error) {
      CHECK(error.status() == ab::Status::bad_logits);
      CHECK(std::string(error.what()).find("the logit of token 1, 20.000000, becomes inf") != std::string::npos);
    }
  }
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

TEST_CASE("The record of an answer has the log-probabilities of its tokens, in reading order") {
  AspdRun run(aspd());
  run.script({}, "x(a)(b){z.").script({{0, 0}}, "cd]").script({{0, 1}}, "e]");
  const auto id = run.submit(tokens("p"), {.n_log_probabilities = 2});
  run.run();
  for (ab::BranchIndex b = 0; b <= run.decoder.n_branches(id); ++b) {
    const ab::Branch branch = run.decoder.branch(id, b);
    REQUIRE(branch.log_probabilities.size() == branch.tokens.size());
    REQUIRE(branch.likeliest.size() == branch.tokens.size());
    std::size_t n_sampled = 0;
    for (std::size_t i = 0; i < branch.tokens.size(); ++i) {
      const bool sampled = !std::isnan(branch.log_probabilities[i]);
      n_sampled += sampled ? 1 : 0;
      REQUIRE(branch.likeliest[i].size() == (sampled ? 2u : 0u));
      if (sampled) CHECK(branch.likeliest[i][0].token == branch.tokens[i]);  // the script's token is the likeliest
      if (sampled) CHECK(branch.likeliest[i][0].log_probability == branch.log_probabilities[i]);
    }
    // Of the trunk's tokens "x(a)(b){", those of the branches "[a:cd]" and "[b:e]", and "}z".
    CHECK(n_sampled == std::vector<std::size_t>{8 + 3 + 2 + 1, 3, 2}[static_cast<std::size_t>(b)]);
  }
  run.script({}, "ab.");
  CHECK(run.decoder.branch(run.submit(tokens("p")), ab::kTrunk).log_probabilities.empty());
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
  CHECK(root == ab::trunk_stream(1, 0));
  CHECK(root != ab::trunk_stream(1, 1));
  CHECK(ab::trunk_stream(1, 2) != ab::trunk_stream(2, 1));
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
    LettersDecoder decoder{cache, aspd(), Letters{},
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
