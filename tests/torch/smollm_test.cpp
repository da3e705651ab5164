// The runner on a real model, SmolLM2-135M-Instruct in float32: what `transformers` writes, and the same numbers in
// parallel as alone. Skipped, with the reason, where the model folder is not there.
#include "catch.hpp"
#include "torch/real_model.hpp"
#include "torch/tree_script.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <anabranch/cache/kv_cache.hpp>
#include <anabranch/torch/causal_lm.hpp>

namespace {

namespace ab = anabranch;
using ab::Positions;
using ab::test::real_model;
using ab::test::Schedule;
using ab::test::TreeReplay;
using ab::test::TreeScript;
using ab::torch::AttentionPath;
using ab::torch::CausalLm;
using Tokens = std::vector<ab::TokenId>;

constexpr float kTolerance = 1e-3f;
constexpr const char* kRecording = "tests/torch/transformers_greedy.txt";

struct Best {
  ab::TokenId token = 0;
  float margin = 0;  ///< to the second best
};

Best best_of(std::span<const float> logits) {
  const auto first = std::max_element(logits.begin(), logits.end());
  float second = -INFINITY;
  for (auto it = logits.begin(); it != logits.end(); ++it)
    if (it != first) second = std::max(second, *it);
  return {static_cast<ab::TokenId>(first - logits.begin()), *first - second};
}

Tokens first(const Tokens& tokens, std::size_t n) {
  return Tokens(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(n));
}

float difference(std::span<const float> a, std::span<const float> b) {
  float largest = a.size() == b.size() ? 0.0f : INFINITY;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    if (!(std::abs(a[i] - b[i]) <= largest)) largest = std::abs(a[i] - b[i]);
  return largest;
}

struct Recorded {
  std::string prompt;
  Tokens input, output;
  std::vector<float> margins;
  std::vector<std::pair<ab::TokenId, float>> logits;  ///< the ten best after the input
};

std::vector<Recorded> recordings() {
  std::ifstream file(kRecording);
  REQUIRE(file);
  std::vector<Recorded> all;
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string key;
    words >> key;
    if (key == "prompt:") all.emplace_back().prompt = line;
    for (ab::TokenId t; (key == "input:" || key == "output:") && words >> t;)
      (key == "input:" ? all.back().input : all.back().output).push_back(t);
    for (float m; key == "margins:" && words >> m;) all.back().margins.push_back(m);
    ab::TokenId id = 0;
    char colon = ' ';
    for (float v; key == "logits:" && words >> id >> colon >> v;) all.back().logits.emplace_back(id, v);
  }
  return all;
}

/// One pass of a cache through a model; calls `fill(step)` first.
template <class Fill>
ab::LogitsView pass(ab::KvCache& cache, CausalLm& runner, Fill&& fill) {
  ab::Step step = cache.begin_step();
  fill(step);
  const ab::PlanResult plan = step.plan();
  REQUIRE(plan);
  const ab::LogitsView logits = runner(*plan);
  step.commit();
  return logits;
}

/// The greedy continuation of a prompt, and the logits that chose it.
struct Greedy {
  Tokens tokens;
  std::vector<std::vector<float>> logits;
};

/// Decodes one sequence per prefix after a shared prompt: the sequences together, one pass per step.
std::vector<Greedy> decode_branches(CausalLm& runner, const Tokens& prompt, const std::vector<Tokens>& prefixes,
                                    int n) {
  ab::KvCache cache({.n_pages = 128, .page_size = 16});
  const ab::SequenceId trunk = cache.create_sequence();
  std::vector<ab::SequenceId> sequences;
  std::vector<Greedy> out(prefixes.size());
  for (int i = 0; i < n; ++i) {
    const ab::LogitsView logits = pass(cache, runner, [&](ab::Step& step) {
      if (i == 0) {
        step.append(trunk, prompt);
        sequences = step.fork(trunk, static_cast<std::int32_t>(prefixes.size()));
      }
      for (std::size_t k = 0; k < sequences.size(); ++k)
        step.append(sequences[k], i == 0 ? prefixes[k] : Tokens{out[k].tokens.back()}, ab::Logits::last);
    });
    for (std::size_t k = 0; k < out.size(); ++k) {
      const std::span<const float> row = logits.row(static_cast<std::int32_t>(k));
      out[k].logits.emplace_back(row.begin(), row.end());
      out[k].tokens.push_back(best_of(row).token);
    }
  }
  return out;
}

/// Compares as long as the texts are the same; a fork of ways at nearly equal logits is reported, not failed.
void compare(const Greedy& parallel, const Greedy& alone, const std::string& name) {
  float largest = 0;
  for (std::size_t i = 0; i < parallel.tokens.size(); ++i) {
    largest = std::max(largest, difference(parallel.logits[i], alone.logits[i]));
    if (parallel.tokens[i] == alone.tokens[i]) continue;
    const float margin = best_of(alone.logits[i]).margin;
    WARN(name << ": token " << i << " differs at a margin of " << margin);
    CHECK(margin < kTolerance);
    break;
  }
  CHECK(largest < kTolerance);
}

/// Each recorded text is written in a sequence of its own; all of them take part in each pass.
void check_greedy(const std::vector<Recorded>& recorded) {
  CausalLm runner = real_model()->with_own_slots();
  ab::KvCache cache({.n_pages = 128, .page_size = 16});
  std::vector<ab::SequenceId> sequences;
  std::vector<Tokens> next;
  for (const Recorded& r : recorded) {
    sequences.push_back(cache.create_sequence());
    next.push_back(r.input);
  }
  for (std::size_t i = 0;; ++i) {
    std::vector<std::size_t> open;
    for (std::size_t k = 0; k < recorded.size(); ++k)
      if (i < recorded[k].output.size() && !next[k].empty()) open.push_back(k);
    if (open.empty()) return;
    const ab::LogitsView logits = pass(cache, runner, [&](ab::Step& step) {
      for (const std::size_t k : open) step.append(sequences[k], next[k], ab::Logits::last);
    });
    for (std::size_t row = 0; row < open.size(); ++row) {
      const Recorded& r = recorded[open[row]];
      INFO(r.prompt);
      const std::span<const float> values = logits.row(static_cast<std::int32_t>(row));
      if (i == 0)
        for (const auto& [token, value] : r.logits)
          CHECK(std::abs(values[static_cast<std::size_t>(token)] - value) < kTolerance);
      const ab::TokenId token = best_of(values).token;
      const bool other_way = token != r.output[i] && r.margins[i] < kTolerance;
      if (other_way) WARN("token " << i << " differs at a margin of " << r.margins[i]);
      if (!other_way) REQUIRE(token == r.output[i]);
      next[open[row]] = other_way ? Tokens{} : Tokens{token};  // none: this text is given up
    }
  }
}

}  // namespace

TEST_CASE("serial greedy text is what transformers writes with the same weights") {
  if (real_model() == nullptr) return;
  const std::vector<Recorded> all = recordings();
  check_greedy({all.begin(), all.begin() + 1});
  check_greedy({all.begin() + 1, all.end()});
}

TEST_CASE("branches decoded together write what each writes alone") {
  if (real_model() == nullptr) return;
  const Recorded recorded = recordings().front();
  const Tokens opening = first(recorded.output, 10);
  Tokens prompt = recorded.input;
  prompt.insert(prompt.end(), opening.begin(), opening.end());
  const std::vector<Tokens> prefixes = {{198, 33, 30}, {198}, {198, 34, 30, 1330, 5195}, {198, 35}};
  CausalLm together = real_model()->with_own_slots();
  const std::vector<Greedy> parallel = decode_branches(together, prompt, prefixes, 16);
  for (std::size_t k = 0; k < prefixes.size(); ++k) {
    CausalLm single = real_model()->with_own_slots();
    compare(parallel[k], decode_branches(single, prompt, {prefixes[k]}, 16).front(), "branch " + std::to_string(k));
  }
}

TEST_CASE("a tree with fork and join has the same logits together, alone and through the dense mask") {
  if (real_model() == nullptr) return;
  const std::vector<Recorded> recorded = recordings();
  for (const Positions policy : {Positions::sequential, Positions::longest, Positions::reserved(64)}) {
    TreeScript s;
    const int trunk = s.create();
    s.append(trunk, first(recorded[0].input, 8));
    const auto kids = s.fork(trunk, 3, policy);
    for (std::size_t k = 0; k < kids.size(); ++k) s.append(kids[k], first(recorded[k + 1].output, 1 + 2 * k));
    s.pass();
    for (std::size_t i = 5; i < 10; ++i) {
      for (std::size_t k = 0; k < kids.size(); ++k)
        if (i < 6 + 2 * k) s.append(kids[k], {recorded[k + 1].output[i]});
      s.pass();
    }
    s.join(trunk, {kids[2], kids[0]});
    s.append(trunk, {198, 504});
    s.pass();
    s.join(trunk, {kids[1]});
    s.append(trunk, {260});
    CausalLm groups = real_model()->with_own_slots();
    CausalLm dense = real_model()->with_own_slots();
    CausalLm single = real_model()->with_own_slots();
    dense.set_attention(AttentionPath::dense);
    const ab::CacheOptions options{.n_pages = 32, .page_size = 16};
    TreeReplay together(s, Schedule::together, {std::ref(groups), std::ref(dense)}, options);
    TreeReplay alone(s, Schedule::alone, {std::ref(single)}, options);
    float to_dense = 0, to_alone = 0;
    for (std::size_t i = 0; i < together.tokens().size(); ++i) {
      to_dense = std::max(to_dense, difference(together.logits(0, i), together.logits(1, i)));
      to_alone = std::max(to_alone, difference(together.logits(0, i), alone.logits(0, i)));
    }
    CHECK(to_dense < kTolerance);
    CHECK(to_alone < kTolerance);
  }
}
