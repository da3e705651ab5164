// The sampler over a whole vocabulary, block by block, against the sampler over candidates: the same tokens.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <random>
#include <string>

#include "scripted.hpp"

using namespace scripted;

namespace {

template <class Logit>
constexpr Logit kNever = -std::numeric_limits<Logit>::infinity();

Tokens all_tokens(std::size_t n) {
  Tokens tokens(n);
  std::iota(tokens.begin(), tokens.end(), 0);
  return tokens;
}

template <class Logit>
std::string refusal(const std::vector<Logit>& logits, const ab::OutputSettings& settings) {
  try {
    ab::BasicSampler<Logit>{}(logits, settings);
  } catch (const ab::Error& error) {
    CHECK(error.status() == ab::Status::bad_logits);
    return error.what();
  }
  return "nothing thrown";
}

/// Made-up logits and settings of every kind.
template <class Logit>
class Cases {
 public:
  explicit Cases(unsigned seed) : random_(seed) {}

  std::vector<Logit> logits() {
    std::vector<Logit> result(static_cast<std::size_t>(1 + below(below(2) == 0 ? 40 : 5000)));
    const int kind = below(5);
    for (Logit& logit : result) {
      const double normal = std::normal_distribution<double>()(random_);
      logit = static_cast<Logit>(kind == 0   ? 2.5 * normal
                                 : kind == 1 ? std::round(3 * normal)  // many equals
                                 : kind == 2 ? 30 * normal
                                 : kind == 3 ? 8e37 * normal  // a penalty can make them infinite
                                             : 0.0);
      if (kind == 0 && below(500) == 0) logit += 10;
      if (kind == 2 && below(2) == 0) logit = kNever<Logit>;
    }
    return result;
  }
  /// REQUIRES: of the last call, until the next.
  ab::OutputSettings settings(std::size_t n_tokens) {
    ab::OutputSettings s;
    const float temperatures[] = {0.0f, 1e-40f, 0.3f, 1.0f, 1e30f}, top_ps[] = {1.0f, 1.0f, 0.99999994f, 0.9f, 1e-6f};
    const std::int32_t top_ks[] = {0, 0, 0, 1, 5, 40, 1000};
    const float min_ps[] = {0.0f, 0.0f, 0.05f, 0.9f, 1e-30f};
    const float penalties[] = {0.0f, 0.0f, 0.5f, -1.5f};
    s.sampling = {.temperature = temperatures[below(5)],
                  .top_k = top_ks[below(7)],
                  .top_p = top_ps[below(5)],
                  .min_p = min_ps[below(5)],
                  .repetition_penalty = below(2) == 0 ? 1.0f : 0.5f + 0.1f * static_cast<float>(below(10)),
                  .frequency_penalty = penalties[below(4)],
                  .presence_penalty = penalties[below(4)]};
    if (below(20) == 0) s.sampling.repetition_penalty = 1e-38f;
    s.stream = ab::trunk_stream(random_());
    forbidden_ = some(n_tokens), seen_ = some(n_tokens);
    s.forbidden = forbidden_;
    s.seen = seen_;
    biases_.clear();
    for (const TokenId token : some(n_tokens)) {
      const bool is_there =
          std::any_of(biases_.begin(), biases_.end(), [&](const auto& b) { return b.token == token; });
      if (token < 0 || token >= static_cast<TokenId>(n_tokens) || is_there) continue;
      biases_.push_back({token, below(9) == 0 ? kNever<float> : static_cast<float>(below(40)) - 20});
    }
    s.logit_bias = biases_;
    return s;
  }

 private:
  int below(int n) { return std::uniform_int_distribution<int>(0, n - 1)(random_); }
  /// Strangers and doubles among them.
  Tokens some(std::size_t n_tokens) {
    Tokens result(static_cast<std::size_t>(below(2) * below(60)));
    for (TokenId& token : result) token = below(static_cast<int>(n_tokens) + 6) - 3;
    return result;
  }

  std::mt19937 random_;
  Tokens forbidden_, seen_;
  std::vector<ab::LogitBias> biases_;
};

template <class Logit>
void compare(unsigned seed) {
  INFO("seed " << seed);
  Cases<Logit> cases(seed);
  ab::BasicSampler<Logit> sampler, of_candidates;
  for (int i = 0; i < 100; ++i) {
    const std::vector<Logit> logits = cases.logits();
    ab::OutputSettings open = cases.settings(logits.size());
    const Tokens all = all_tokens(logits.size());
    ab::OutputSettings listed = open;
    listed.allowed = all;
    const std::string refused = refusal(logits, listed);
    REQUIRE(refusal(logits, open) == refused);
    if (refused != "nothing thrown") continue;
    for (open.index = listed.index = 0; open.index < 4; ++open.index, ++listed.index)
      REQUIRE(sampler(logits, open) == of_candidates(logits, listed));
  }
}

}  // namespace

TEST_CASE("Whether nothing is said of what is allowed or all is listed, the same tokens are sampled") {
  for (unsigned seed = 1; seed <= 10; ++seed) {
    compare<float>(seed);
    compare<double>(seed);
  }
}

TEST_CASE("Draws among so many equals that rough weights cannot tell them apart are exact") {
  const std::vector<float> logits(300000, 1.5f);
  const Tokens all = all_tokens(logits.size());
  ab::Sampler sampler;
  for (const float top_p : {1.0f, 0.5f}) {
    ab::OutputSettings open, listed;
    open.sampling = listed.sampling = {.temperature = 0.7f, .top_p = top_p};
    listed.allowed = all;
    for (open.index = 0; open.index < 5; ++open.index) {
      listed.index = open.index;
      const TokenId token = sampler(logits, open);
      CHECK(token == sampler(logits, listed));
      CHECK(token == Approx(300000 * top_p * ab::uniform(open.stream, open.index)).margin(2));
    }
  }
}

TEST_CASE("The largest is found wherever it stands, the lowest of equals first") {
  for (const std::size_t n : {1u, 16u, 255u, 256u, 257u, 5000u}) {
    for (const std::size_t at : {0u, 1u, 15u, 16u, 254u, 255u, 256u, 300u, 4999u}) {
      if (at >= n) continue;
      std::vector<float> logits(n, -3.0f);
      logits[at] = -1.0f;
      if (at + 17 < n) logits[at + 17] = -1.0f;
      if (at + 256 < n) logits[at + 256] = -1.0f;
      CHECK(ab::Sampler{}(logits, {}) == static_cast<TokenId>(at));
    }
  }
}

TEST_CASE("The first logit that is NaN or infinite is named, wherever it stands, forbidden or not") {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    for (const std::size_t at : {0u, 15u, 16u, 255u, 256u, 700u, 999u}) {
      std::vector<float> logits(1000, 1.0f);
      logits[at] = bad;
      logits[999] = bad;
      const Tokens forbidden = {static_cast<TokenId>(at)};
      for (const bool forbid : {false, true}) {
        ab::OutputSettings settings;
        if (forbid) settings.forbidden = forbidden;
        CHECK(refusal(logits, settings) ==
              "logit of token " + std::to_string(at) + " is " + (std::isnan(bad) ? "nan" : "inf"));
      }
    }
  }
  CHECK(refusal(std::vector<float>(500, kNever<float>), {}) == "no allowed token among 500 has a finite logit");
  CHECK(refusal(std::vector<float>{}, {}) == "no allowed token among 0 has a finite logit");
}

TEST_CASE("Sums of rough weights are as good as they are said to be") {
  std::mt19937 random(5);
  for (const float temperature : {0.1f, 0.7f, 1.0f, 3.0f}) {
    std::array<float, 256> logits, weights;
    for (float& logit : logits) logit = std::normal_distribution<float>(0, 4)(random);
    const float best = *std::max_element(logits.begin(), logits.end());
    ab::impl::rough_weights<float>(logits, best, temperature, weights);
    double exact = 0;
    for (const float logit : logits) exact += std::exp((logit - best) / temperature);
    CHECK(std::abs(ab::impl::rough_sum(weights) - exact) <= ab::impl::kRoughError * exact);
  }
  for (float x = 0; x > -126; x -= 0.01f) REQUIRE(std::abs(ab::impl::rough_exp2(x) / std::exp2(double{x}) - 1) < 3e-7);
}

TEST_CASE("The likeliest are those of all sorted by log-probability, the lower token of equals") {
  std::mt19937 random(9);
  for (int i = 0; i < 40; ++i) {
    INFO("case " << i);
    std::vector<float> logits(3000);
    // In every other case many logits lie closer together than log-probabilities in float can show.
    for (float& logit : logits)
      logit = std::round(std::normal_distribution<float>(0, 40)(random)) * (i % 2 == 0 ? 1e-7f : 0.1f);
    const auto [own, top] = ab::log_probabilities<float>(logits, 0, 3000);
    REQUIRE(top.size() == 3000);
    for (std::size_t k = 1; k < top.size(); ++k) {
      const auto &a = top[k - 1], &b = top[k];
      REQUIRE((a.log_probability != b.log_probability ? a.log_probability > b.log_probability : a.token < b.token));
    }
    for (const std::int32_t n : {1, 5, 40}) {
      const auto few = ab::log_probabilities<float>(logits, 0, n).second;
      REQUIRE(few.size() == static_cast<std::size_t>(n));
      for (std::size_t k = 0; k < few.size(); ++k) REQUIRE(few[k].token == top[k].token);
    }
  }
}
