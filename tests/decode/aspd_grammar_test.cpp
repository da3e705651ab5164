// What a model may sample keeps to the grammar of the tags: `well_formed`.
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

/// Those of the tags, the end of text and a letter that may come next, as signs.
std::string next(const Aspd& markup, const Aspd::State& s) {
  const ab::markup::Constraint c = markup.constrain(s);
  const auto has = [](std::span<const TokenId> list, TokenId token) {
    return std::find(list.begin(), list.end(), token) != list.end();
  };
  std::string may;
  for (const char sign : std::string("[](){}.x"))
    if (const TokenId token = tokens(std::string(1, sign))[0];
        (c.allowed.empty() || has(c.allowed, token)) && !has(c.forbidden, token))
      may += sign;
  return may;
}

}  // namespace

TEST_CASE("The grammar says what may come next on the trunk, in a title, between titles and in a branch") {
  const Aspd markup = with(well_formed());
  const auto on_trunk = [&](const std::string& text) { return next(markup, after(markup, text, markup.start())); };
  CHECK(on_trunk("") == "(.x");
  CHECK(on_trunk("xyz") == "(.x");
  CHECK(on_trunk("(") == "x");
  CHECK(on_trunk("(a") == ")x");
  CHECK(on_trunk("(a)") == "(");
  CHECK(on_trunk("(a)(") == "x");
  CHECK(on_trunk("(a)(b)") == "({");
  CHECK(on_trunk("(a)(b)(c") == ")x");
  CHECK(on_trunk("(a)(b){") == "(.x");  // after the join
  CHECK(on_trunk("(a)(b){x(c)") == "(");
  const auto in_branch = [&](const std::string& text) {
    return next(markup, after(markup, text, markup.child(after(markup, "(a)(b){", markup.start()), 0)));
  };
  CHECK(in_branch("") == "](x");
  CHECK(in_branch("xy") == "](x");
  CHECK(in_branch("x(") == "x");
  CHECK(in_branch("x(a)") == "(");
  CHECK(in_branch("x(a)(b)") == "({");
}

TEST_CASE("The grammar goes with the other options") {
  AspdOptions options = well_formed();
  options.unique_titles = true;
  options.max_titles = 2;
  options.max_title_tokens = 3;
  const Aspd markup = with(options);
  const auto on_trunk = [&](const std::string& text) { return next(markup, after(markup, text, markup.start())); };
  CHECK(on_trunk("(ab") == ")x");
  CHECK(on_trunk("(abc") == ")");  // as long as a title may be
  CHECK(on_trunk("(abc)(a") == ")x");
  CHECK(on_trunk("(abc)(abc") == "x");  // not closed, for it would come twice
  CHECK(on_trunk("(abc)(abcd") == ")");
  CHECK(on_trunk("(abc)(d)") == "{");  // as many as a block may have
  options.not_in_titles = tokens("x");
  const Aspd without_x = with(options);
  CHECK(next(without_x, after(without_x, "(a", without_x.start())) == ")");
  CHECK(next(without_x, after(without_x, "a", without_x.start())) == "(.x");
  options.max_title_tokens = 0;
  CHECK_THROWS_AS(with(options), ab::Error);
}

TEST_CASE("The repetition penalty spares tags") {
  AspdRun run(aspd());
  run.submit(tokens("p"), {.repetition_penalty = 2.0f});
  const auto plan = run.decoder.plan();
  const auto spared = plan.outputs()[0].spared;
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

TEST_CASE("Whatever is sampled, every sequence is a sentence of the grammar") {
  // A sequence's own tokens: text and whole blocks; forced tags apart, a branch's `]` at its end.
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
    const auto id = run.submit(tokens("p"), {.temperature = 1.0f, .seed = seed, .hook = likely});
    run.run();
    std::map<ab::BranchIndex, std::string> sequences;
    std::map<ab::BranchIndex, ab::EndReason> ends;
    for (const ab::Event& event : run.events) {
      if (event.kind == ab::Event::Kind::branch_end) ends[event.branch] = event.reason;
      if (event.kind == ab::Event::Kind::fork) n_forks += event.n_branches;
      const bool seed_of_branch =
          event.source == ab::Source::forced && event.token != kParaEnd && event.token != kBranchEnd;
      if (event.kind == ab::Event::Kind::token && !seed_of_branch) sequences[event.branch] += spelled({event.token});
    }
    const bool whole = run.decoder.reason(id) == ab::EndReason::end_of_text;
    n_whole += whole ? 1 : 0;
    for (const auto& [index, sequence] : sequences) {
      INFO("line " << index << ": " << sequence);
      if (index == ab::kTrunk && whole) CHECK(std::regex_match(sequence, trunk));
      if (index != ab::kTrunk && ends[index] == ab::EndReason::end_tag) CHECK(std::regex_match(sequence, branch));
      if (index != ab::kTrunk && whole)
        CHECK((ends[index] == ab::EndReason::end_tag || ends[index] == ab::EndReason::limit));
    }
  }
  CHECK(n_forks > 100);
  CHECK(n_whole > 50);
}
