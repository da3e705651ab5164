// no_repeat_ngram: a branch does not write n tokens in a row that the answer holds already.
#include <algorithm>
#include <map>

#include "scripted.hpp"

using namespace scripted;

namespace {

Tokens repeats(const std::string& seen, std::ptrdiff_t n, const std::string& spared = "") {
  Tokens out;
  ab::impl::append_ngram_repeats(tokens(seen), n, tokens(spared), out);
  return out;
}

bool is_tag(TokenId token) {
  constexpr TokenId tags[] = {kBranch, kBranchEnd, kTitle, kTitleEnd, kPara, kParaEnd};
  return std::find(std::begin(tags), std::end(tags), token) != std::end(tags);
}

/// Do the last n tokens occur before?
bool repeats_itself(std::span<const TokenId> seen, std::size_t n) {
  if (seen.size() <= n) return false;
  const auto last = seen.last(n), before = seen.first(seen.size() - 1);
  return std::search(before.begin(), before.end(), last.begin(), last.end()) != before.end();
}

/// Makes few tokens likely, so that the samples repeat themselves wherever they may.
void few_are_likely(std::span<float> logits) {
  std::fill(logits.begin(), logits.end(), -20.0f);
  for (const TokenId token : tokens("ab](){")) logits[static_cast<std::size_t>(token)] = 1.0f;
}

}  // namespace

TEST_CASE("The tokens that would repeat a group are those that followed its beginning before") {
  CHECK(repeats("", 1).empty());
  CHECK(repeats("abcab", 3) == tokens("c"));
  CHECK(repeats("abcabdab", 3) == tokens("cd"));
  CHECK(repeats("abcab", 5).empty());
  CHECK(repeats("abcab", 6).empty());
  CHECK(repeats("aaa", 3) == tokens("a"));
  CHECK(repeats("ab", 1) == tokens("ab"));
  CHECK(repeats("(a)(a", 3) == tokens(")"));
  CHECK(repeats("(a)(a", 3, ")").empty());
  CHECK(repeats("abcab", 0).empty());
}

TEST_CASE("No branch samples a token that repeats a group which it sees, whatever its siblings write") {
  std::uint64_t seed = 20261125;
  int n_repeated_freely = 0, n_branches = 0;
  for (int round = 0; round < 60; ++round) {
    seed = ab::mix(seed);
    const auto n = static_cast<std::size_t>(1 + seed % 5);
    for (const bool on : {false, true}) {
      INFO("seed " << seed << ", n " << n);
      std::map<ab::BranchIndex, std::size_t> seen_before;
      int n_repeated = 0;
      const ab::LogitHook look = [&](const ab::HookContext& context, std::span<float> logits) {
        few_are_likely(logits);
        const auto before = seen_before.find(context.branch);
        const bool sampled =
            before != seen_before.end() && before->second + 1 == context.seen.size();  // no fork between
        if (sampled && !is_tag(context.seen.back()) && repeats_itself(context.seen, n)) ++n_repeated;
        seen_before[context.branch] = context.seen.size();
        n_branches += context.branch != ab::kTrunk;
      };
      AspdRun run(aspd(), {.max_tokens = 200, .max_branch_tokens = 40, .max_depth = 1});
      run.submit(tokens("p"), {.sampling = {.temperature = 1.0f, .seed = seed},
                               .no_repeat_ngram = on ? static_cast<std::int32_t>(n) : 0,
                               .hook = look});
      run.run();
      if (on)
        CHECK(n_repeated == 0);
      else
        n_repeated_freely += n_repeated;
    }
  }
  CHECK(n_repeated_freely > 1000);
  CHECK(n_branches > 100);
}

TEST_CASE("A token that would repeat a group is forbidden in the plan, and refused when a host samples it") {
  AspdRun run(aspd());
  run.submit(tokens("p"), {.no_repeat_ngram = 2});
  for (const char letter : std::string("xyx")) {
    REQUIRE(run.decoder.plan());
    run.decoder.commit_sampled(tokens(std::string(1, letter)));
  }
  const auto plan = run.decoder.plan();
  const auto forbidden = plan.output_settings()[0].forbidden;
  CHECK(Tokens(forbidden.begin(), forbidden.end()) == tokens("y"));
  CHECK_THROWS_AS(run.decoder.commit_sampled(tokens("y")), ab::Error);
  run.decoder.commit_sampled(tokens("z"));
}
