// Whatever a model samples under `well_formed` keeps to the grammar of the tags.
#include <algorithm>
#include <map>
#include <regex>

#include "scripted.hpp"

using namespace scripted;

namespace {

AspdOptions well_formed() {
  AspdOptions options;
  options.well_formed = true;
  options.end_of_text = {kEnd};
  return options;
}

}  // namespace

TEST_CASE("The repetition penalty spares tags") {
  AspdRun run(aspd());
  run.submit(tokens("p"), {.sampling = {.repetition_penalty = 2.0f}});
  const auto plan = run.decoder.plan();
  const auto spared = plan.output_settings()[0].spared;
  CHECK(Tokens(spared.begin(), spared.end()) == Tokens{kBranch, kBranchEnd, kTitle, kTitleEnd, kPara, kParaEnd});
  run.decoder.abort();

  ab::OutputSettings s;
  s.sampling.repetition_penalty = 2.0f;
  const Tokens seen = {0, 1}, one = {1};
  s.seen = seen;
  s.spared = one;
  const std::vector<float> logits{3, 2, 1.75f};
  ab::Sampler sampler;
  CHECK(sampler(logits, s) == 1);
  s.spared = {};
  CHECK(sampler(logits, s) == 2);
  s.spared = one;
  const Tokens all = {0, 1, 2};
  s.allowed = all;  // the sampler's other way, through candidates
  CHECK(sampler(logits, s) == 1);
  s.spared = {};
  CHECK(sampler(logits, s) == 2);
}

TEST_CASE("Whatever is sampled, every branch is a sentence of the grammar") {
  // A branch's own tokens: text and whole blocks without the forced tags, and `]` at its end.
  const std::regex trunk("([a-z]|(\\([a-z]+\\)){2,}\\{\\})*\\.?"), branch("([a-z]|(\\([a-z]+\\)){2,}\\{\\})*\\]");
  std::uint64_t seed = 20251125;
  int n_forks = 0, n_whole = 0;
  for (int round = 0; round < 200; ++round) {
    INFO("seed " << seed);
    seed = ab::mix(seed);
    const ab::LogitHook likely = [](const ab::HookContext&, std::span<float> logits) {
      std::fill(logits.begin(), logits.end(), -20.0f);
      for (const TokenId token : tokens("abcd[](){}.")) logits[static_cast<std::size_t>(token)] = 1.0f;
    };
    AspdOptions options = well_formed();
    options.max_titles = 3;
    options.max_title_tokens = 4;
    AspdRun run(with(options), {.max_tokens = 300, .max_branch_tokens = 60, .max_depth = 2});
    const auto id = run.submit(tokens("p"), {.sampling = {.temperature = 1.0f, .seed = seed}, .hook = likely});
    run.run();
    std::map<ab::BranchIndex, std::string> written;
    std::map<ab::BranchIndex, ab::EndReason> ends;
    for (const ab::Event& event : run.events) {
      if (event.kind == ab::Event::Kind::branch_end) ends[event.branch] = event.reason;
      if (event.kind == ab::Event::Kind::fork) n_forks += event.n_branches;
      const bool seed_of_branch =
          event.source == ab::Source::forced && event.token != kParaEnd && event.token != kBranchEnd;
      if (event.kind == ab::Event::Kind::token && !seed_of_branch) written[event.branch] += spelled({event.token});
    }
    const bool whole = run.decoder.reason(id) == ab::EndReason::end_of_text;
    n_whole += whole ? 1 : 0;
    for (const auto& [index, text] : written) {
      INFO("branch " << index << ": " << text);
      if (index == ab::kTrunk && whole) CHECK(std::regex_match(text, trunk));
      if (index != ab::kTrunk && ends[index] == ab::EndReason::end_tag) CHECK(std::regex_match(text, branch));
      if (index != ab::kTrunk && whole)
        CHECK((ends[index] == ab::EndReason::end_tag || ends[index] == ab::EndReason::limit));
    }
  }
  CHECK(n_forks > 100);
  CHECK(n_whole > 50);
}
