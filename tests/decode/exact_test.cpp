// The central statement, over a real (tiny) transformer: decoded in parallel == each branch decoded alone == the dense
// mask oracle, for every policy, with nested blocks, early finishers and several requests in one pass.
#include <cmath>

#include <anabranch/eigen/oracle.hpp>
#include <anabranch/eigen/plan_model.hpp>

#include "scripted.hpp"

using namespace scripted;

namespace {

namespace eigen = ab::eigen;

/// The logits that a branch's token was sampled from, and the slot of the row that they came out of.
struct Sample {
  ab::RequestId request;
  ab::BranchIndex branch;
  std::int64_t index;
  ab::Slot slot;
  std::vector<float> logits;
};

/// Makes the trunk open with `text`, and branches end after a while; leaves the rest to the model.
ab::LogitHook steer(const std::string& trunk, const std::string& nested) {
  return [trunk = tokens(trunk), nested = tokens(nested)](const ab::HookContext& context, std::span<float> logits) {
    const auto push = [&](TokenId token) { logits[static_cast<std::size_t>(token)] += 1000.0f; };
    for (TokenId tag = 0; tag < kFirstLetter; ++tag) logits[static_cast<std::size_t>(tag)] -= 500.0f;
    const auto n = static_cast<std::size_t>(context.index);
    if (context.path.empty()) {
      if (n < trunk.size()) push(trunk[n]);
    } else if (context.path.size() == 1 && context.path[0].branch == 0 && n < nested.size()) {
      push(nested[n]);
    } else if (n > nested.size() + 2 + 2 * static_cast<std::size_t>(context.path.back().branch)) {
      push(kBranchEnd);
    }
  };
}

struct Exact {
  Exact(ab::Positions positions, std::int32_t max_rows, std::int32_t page_size)
      : weights(eigen::random_weights({.qkv_bias = true, .qk_norm = true}, 5)),
        model(weights),
        cache({.n_pages = 2000 / page_size, .page_size = page_size}),
        decoder(cache, aspd(), Letters{},
                {.max_tokens = 150,
                 .max_rows = max_rows,
                 .positions = positions,
                 .end_of_text = {kEnd},
                 .preemptible = true}) {}

  /// `preempted`, if there is one, loses its pages before every fifth pass.
  void run(ab::RequestId preempted = ab::kNoRequest) {
    for (int pass = 1; decoder.has_work(); ++pass) {
      if (preempted != ab::kNoRequest && pass % 5 == 0) decoder.preempt(preempted);
      const auto plan = decoder.plan();
      REQUIRE(plan);
      const ab::LogitsView logits = model(*plan);
      for (std::int32_t k = 0; k < logits.n_outputs; ++k) {
        const auto& output = plan.output_settings()[static_cast<std::size_t>(k)];
        const auto row = static_cast<std::size_t>(plan->outputs[static_cast<std::size_t>(k)].row);
        const auto values = logits.row(k);
        samples.push_back(
            {output.request, output.branch, output.index, plan->slots[row], {values.begin(), values.end()}});
      }
      decoder.commit(logits);
      REQUIRE(cache.snapshot().check() == std::vector<std::string>{});
    }
  }

  eigen::Weights weights;
  eigen::PlanModel model;
  ab::KvCache cache;
  ab::Decoder<ab::markup::Aspd, Letters> decoder;
  std::vector<Sample> samples;
};

/// Who sees whom, read from the tags of a whole history: never a sibling, anything else before.
eigen::Mask mask_of(const Tokens& history) {
  std::vector<std::vector<std::pair<int, int>>> paths;
  std::vector<std::pair<int, int>> path;
  std::vector<std::pair<int, int>> blocks;  // number of the block, branches so far
  int n_blocks = 0;
  for (const TokenId token : history) {
    if (token == kParaEnd) blocks.pop_back();
    if (token == kBranch) path.emplace_back(blocks.back().first, blocks.back().second++);
    paths.push_back(path);
    if (token == kPara) blocks.emplace_back(n_blocks++, 0);
    if (token == kBranchEnd) path.pop_back();
  }
  const auto n = static_cast<Eigen::Index>(history.size());
  eigen::Mask mask = eigen::causal_mask(n);
  for (std::size_t i = 0; i < paths.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      for (const auto& a : paths[i])
        for (const auto& b : paths[j])
          if (a.first == b.first && a.second != b.second)
            mask(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(j)) = false;
  return mask;
}

void check_against_oracle(Exact& exact, ab::RequestId id) {
  const ab::SequenceId sequence = exact.decoder.branch(id, ab::kTrunk).sequence;
  const auto slots = exact.cache.slots_of(sequence);
  const auto positions = exact.cache.positions_of(sequence);
  Tokens history;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    history.push_back(exact.model.content(slots[i]).token);
    CHECK(exact.model.content(slots[i]).position == positions[i]);
  }
  INFO(spelled(history));
  const eigen::Matrix expected = eigen::Oracle{exact.weights}.logits(history, positions, mask_of(history));
  double largest = 0;
  int n_compared = 0;
  for (const Sample& sample : exact.samples) {
    if (sample.request != id) continue;
    const auto at = std::find(slots.begin(), slots.end(), sample.slot) - slots.begin();
    REQUIRE(at < static_cast<std::ptrdiff_t>(slots.size()));
    for (std::size_t t = 0; t < sample.logits.size(); ++t)
      largest = std::max(largest, std::abs(sample.logits[t] - expected(at, static_cast<Eigen::Index>(t))));
    ++n_compared;
  }
  CHECK(n_compared == exact.decoder.statistics(id).n_sampled);
  CHECK(largest < 1e-5);
}

}  // namespace

TEST_CASE("Every token is sampled from the logits of the dense-mask oracle") {
  for (const ab::Positions positions : {ab::Positions::sequential, ab::Positions::longest, ab::Positions::reserved(60)})
    for (const std::int32_t max_rows : {512, 3}) {
      Exact exact(positions, max_rows, max_rows == 3 ? 1 : 16);
      const auto hook = steer("x(ab)(c)(d){yz(e){w.", "f(g)(h){");
      const auto first =
          exact.decoder.submit(tokens("prompt"), {.sampling = {.temperature = 1.0f, .seed = 1}, .hook = hook});
      const auto one_by_one = exact.decoder.submit(
          tokens("prompt"), {.sampling = {.temperature = 1.0f, .seed = 1}, .max_parallel_branches = 1, .hook = hook});
      const auto second = exact.decoder.submit(tokens("another"), {.hook = steer("(a)(b){", "")});
      exact.run();
      check_against_oracle(exact, first);
      check_against_oracle(exact, second);
      check_against_oracle(exact, one_by_one);
      CHECK(exact.decoder.text(one_by_one) == exact.decoder.text(first));
      // a block inside a reserved range would need more positions than the range has: refused
      CHECK(exact.decoder.statistics(first).n_blocks == (positions.kind == ab::Positions::Kind::reserved ? 2 : 4));
      const auto third = exact.decoder.submit(
          tokens("next"), {.sampling = {.seed = 2}, .hook = steer("(q)(r){z.", ""), .after = first});
      exact.run();
      check_against_oracle(exact, third);
    }
}

TEST_CASE("A request that loses its pages again and again is sampled from the same logits") {
  const auto hook = steer("x(ab)(c)(d){yz(e){w.", "f(g)(h){");
  for (const ab::Positions positions : {ab::Positions::sequential, ab::Positions::longest}) {
    Exact plain(positions, 512, 4), preempted(positions, 512, 4);
    for (Exact* exact : {&plain, &preempted}) {
      const auto id =
          exact->decoder.submit(tokens("prompt"), {.sampling = {.temperature = 1.0f, .seed = 1}, .hook = hook});
      exact->run(exact == &preempted ? id : ab::kNoRequest);
    }
    CHECK(preempted.model.n_rows() > 2 * plain.model.n_rows());
    REQUIRE(preempted.samples.size() == plain.samples.size());
    for (const Sample& sample : plain.samples) {
      const auto same = std::find_if(preempted.samples.begin(), preempted.samples.end(), [&](const Sample& other) {
        return other.branch == sample.branch && other.index == sample.index;
      });
      REQUIRE(same != preempted.samples.end());
      for (std::size_t t = 0; t < sample.logits.size(); ++t)
        REQUIRE(std::abs(sample.logits[t] - same->logits[t]) < 1e-5);
    }
  }
}

TEST_CASE("A branch writes the same in parallel as alone") {
  Exact parallel(ab::Positions::sequential, 512, 16);
  const auto id = parallel.decoder.submit(tokens("prompt"), {.hook = steer("(ab)(c)(d){", "")});
  parallel.run();
  const std::vector<std::string> prefixes = {"[ab:", "[c:", "[d:"};
  for (std::size_t k = 0; k < prefixes.size(); ++k) {
    Exact alone(ab::Positions::sequential, 512, 16);
    const auto branch = static_cast<ab::BranchIndex>(k) + 1;
    // The same hook, told that this is branch k of the first block.
    const auto hook = [&, inner = steer("", "")](const ab::HookContext& context, std::span<float> logits) {
      const std::vector<ab::PathStep> path = {{0, static_cast<std::int32_t>(k)}};
      Tokens seen = tokens("prompt(ab)(c)(d){" + prefixes[k]);
      seen.insert(seen.end(), context.seen.begin(), context.seen.end());
      inner({context.request, context.branch, path, context.index, seen}, logits);
    };
    const std::string prompt = "prompt(ab)(c)(d){" + prefixes[k];
    const auto serial = alone.decoder.submit(tokens(prompt), {.max_tokens = 40, .hook = hook});
    while (alone.decoder.has_work() &&
           alone.decoder.statistics(serial).n_sampled < static_cast<std::int32_t>(4 + 2 * k)) {
      const auto plan = alone.decoder.plan();
      const ab::LogitsView logits = alone.model(*plan);
      const auto index = static_cast<std::int64_t>(alone.samples.size());
      alone.samples.push_back({serial, 0, index, 0, {logits.row(0).begin(), logits.row(0).end()}});
      alone.decoder.commit(logits);
    }
    for (const Sample& sample : alone.samples) {
      const auto same = std::find_if(parallel.samples.begin(), parallel.samples.end(), [&](const Sample& other) {
        return other.branch == branch && other.index == sample.index;
      });
      REQUIRE(same != parallel.samples.end());
      for (std::size_t t = 0; t < sample.logits.size(); ++t)
        REQUIRE(std::abs(sample.logits[t] - same->logits[t]) < 1e-5);
    }
    const std::string text = parallel.decoder.branch(id, branch).text;
    CHECK(prefixes[k].substr(1) + alone.decoder.text(serial) == text);
  }
}
