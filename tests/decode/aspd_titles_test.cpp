// Titles that may be sampled: none twice, and no more than a block may have.
#include <algorithm>
#include <set>

#include "scripted.hpp"

using namespace scripted;

namespace {

std::string sorted(std::span<const TokenId> list) {
  std::string text = spelled({list.begin(), list.end()});
  std::sort(text.begin(), text.end());
  return text;
}
std::string forbidden(const Aspd& markup, const Aspd::State& s) {
  CHECK(markup.constrain(s).allowed.empty());
  return sorted(markup.constrain(s).forbidden);
}
std::string forbidden(const Aspd& markup, const std::string& text) { return forbidden(markup, after(markup, text)); }

/// Letters that every token writes: capitals for those beyond `z`, so that 'a' and 'A' are one letter to a reader.
void shout(std::span<const TokenId> list, std::string& out) {
  for (const TokenId token : list)
    out += static_cast<char>(token >= kFirstLetter + 26 ? 'A' + token - kFirstLetter - 26 : 'a' + token - kFirstLetter);
}

/// The tags that close a title.
std::string closing() {
  const Tokens tags{kTitle, kTitleEnd, kPara};
  return sorted(tags);
}

}  // namespace

TEST_CASE("The last token of an earlier title is forbidden behind its first tokens") {
  const Aspd markup = with({.unique_titles = true});
  CHECK(forbidden(markup, "(abc)(") == "");
  CHECK(forbidden(markup, "(abc)(a") == "");
  CHECK(forbidden(markup, "(abc)(ab") == "c");
  CHECK(forbidden(markup, "(abc)(ad") == "");
  CHECK(forbidden(markup, "(abc)(abd") == "");
  CHECK(forbidden(markup, "(a)(") == "a");
  CHECK(forbidden(markup, "(ab)(ac)(ad)(a") == "bcd");
  CHECK(forbidden(markup, "(abc)") == "");
  CHECK(forbidden(markup, "(abc)x") == "");
}

TEST_CASE("A title that is an earlier one cannot be closed") {
  const Aspd markup = with({.unique_titles = true});
  CHECK(forbidden(markup, "(ab)(ab") == closing());  // sampled by a host that ignores constraints
  CHECK(forbidden(markup, "(ab)(abc") == "");
  CHECK(forbidden(markup, "()(") == closing());
  CHECK(forbidden(markup, "()(a") == "");
  CHECK(forbidden(markup, "(ab)(a[}b") == closing());  // stray tags are not part of a title
  std::string both = closing() + "c";
  std::sort(both.begin(), both.end());
  CHECK(forbidden(markup, "(ab)(abc)(ab") == both);
}

TEST_CASE("Titles closed by the next one, and titles that no para followed, are known too") {
  const Aspd markup = with({.unique_titles = true});
  CHECK(forbidden(markup, "(a(") == "a");
  CHECK(forbidden(markup, "(a)xyz(") == "a");
}

TEST_CASE("Titles of earlier blocks and of the parents are known; those of siblings' own blocks are not") {
  const Aspd markup = with({.unique_titles = true});
  Aspd::State trunk = after(markup, "(a)(b){");
  CHECK(forbidden(markup, after(markup, "(", trunk)) == "ab");
  const Aspd::State branch = markup.child(trunk, 0);
  CHECK(forbidden(markup, after(markup, "x(", branch)) == "ab");
  CHECK(forbidden(markup, after(markup, "x(c)(", branch)) == "abc");
  CHECK(forbidden(markup, after(markup, "(", markup.child(trunk, 1))) == "ab");
  markup.joined(trunk);
  CHECK(forbidden(markup, after(markup, "(c)(", trunk)) == "abc");
}

TEST_CASE("Without the option nothing is forbidden, and a block forgets the titles before it") {
  const Aspd markup = aspd();
  for (const char* text : {"(a)(", "(a)(a", "()(", "(a){(", "(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)"})
    CHECK(forbidden(markup, text) == "");
  CHECK(after(markup, "(a)(b){").titles.size() == 0);
}

TEST_CASE("Where the text is known, a title in other tokens or letters is the same title") {
  const Aspd markup = with({.unique_titles = true, .text = shout});
  Aspd::State s = after(markup, "(ab)(");
  markup.next(s, kFirstLetter + 26);  // A
  CHECK(forbidden(markup, s) == "");
  markup.next(s, kFirstLetter + 1);  // b
  CHECK(forbidden(markup, s) == closing());
  markup.next(s, kFirstLetter + 2);
  CHECK(forbidden(markup, s) == "");
}

TEST_CASE("After the last title that a block may have comes para") {
  const Aspd markup = with({.max_titles = 2});
  const auto only_para = [&](const Aspd::State& s) {
    const ab::markup::Constraint c = markup.constrain(s);
    return c.forbidden.empty() && sorted(c.allowed) == "{";
  };
  CHECK(forbidden(markup, "(a)") == "");
  CHECK(forbidden(markup, "(a)(b") == "(");
  CHECK(forbidden(markup, "(a(b") == "(");
  CHECK(only_para(after(markup, "(a)(b)")));
  CHECK(only_para(after(markup, "(a)x(b)")));
  CHECK(only_para(after(markup, "(a)(b)(c)")));  // sampled by a host that ignores constraints
  const Aspd::State trunk = after(markup, "(a)(b){");
  CHECK(forbidden(markup, trunk) == "");
  CHECK(forbidden(markup, after(markup, "x(c)", trunk)) == "");
  CHECK(only_para(after(markup, "x(c)(d)", trunk)));
  CHECK(forbidden(markup, markup.child(trunk, 1)) == "");
  CHECK(only_para(after(markup, "(c)(d)", markup.child(trunk, 1))));
}

TEST_CASE("A maximum below one is refused with its value") {
  for (const std::int32_t bad : {0, -2}) {
    try {
      with({.max_titles = bad});
      FAIL("not refused");
    } catch (const ab::Error& error) {
      CHECK(error.status() == ab::Status::bad_markup);
      CHECK(std::string(error.what()).find("max_titles is " + std::to_string(bad)) != std::string::npos);
    }
  }
}

TEST_CASE("A host that ignores constraints gets the documented result for repeated titles and for too many") {
  const Aspd markup = with({.unique_titles = true, .max_titles = 2});
  Aspd::State s = after(markup, "(a)(a)(b");
  const ab::markup::Action action = markup.next(s, kPara);
  REQUIRE(action.seeds.size() == 3);
  CHECK(action.seeds[1].title == tokens("a"));
  CHECK(action.seeds[2].title == tokens("b"));
  Aspd::State open = after(markup, "(a)(b");
  CHECK(ab::markup::Forced(markup.closing(open)).empty());
}

TEST_CASE("Copies of a state are independent") {
  const Aspd markup = with({.unique_titles = true});
  const Aspd::State s = after(markup, "(a)");
  const Aspd::State left = after(markup, "(b)", s), right = after(markup, "(c)", s);
  CHECK(forbidden(markup, after(markup, "(", s)) == "a");
  CHECK(forbidden(markup, after(markup, "(", left)) == "ab");
  CHECK(forbidden(markup, after(markup, "(", right)) == "ac");
}

TEST_CASE("Whatever is sampled, no title comes twice and no block has too many") {
  std::uint64_t seed = 20251110;
  int n_forks = 0;
  for (int round = 0; round < 200; ++round) {
    INFO("seed " << seed);
    const std::int32_t n_at_once = 1 + static_cast<std::int32_t>((seed = ab::mix(seed)) % 4);
    // Four letters and the tags are likely, so that titles would come again and again.
    const ab::LogitHook likely = [](const ab::HookContext&, std::span<float> logits) {
      std::fill(logits.begin(), logits.end(), -20.0f);
      for (const TokenId token : tokens("aabbcd(())){]]."))
        logits[static_cast<std::size_t>(token)] = token >= kFirstLetter ? 1.0f : 0.5f;
      logits[kEnd] = -3.0f;
    };
    AspdRun run(with({.unique_titles = true, .max_titles = 3}), {.max_tokens = 300, .max_branch_tokens = 40});
    const auto id = run.submit(
        tokens("p"),
        {.sampling = {.temperature = 1.0f, .seed = seed}, .max_parallel_branches = n_at_once, .hook = likely});
    run.run();
    // Titles by the path of the branch that wrote them: the titled branch's path without its last step.
    std::map<Path, std::vector<std::string>> titles;
    for (ab::BranchIndex b = 1; b <= run.decoder.n_branches(id); ++b) {
      const ab::Branch branch = run.decoder.branch(id, b);
      Path writer;
      for (const ab::PathStep step : branch.path) writer.emplace_back(step.block, step.branch);
      CHECK(writer.back().second < 3);
      writer.pop_back();
      titles[writer].push_back(branch.title);
      ++n_forks;
    }
    for (const auto& [writer, own] : titles) {
      std::set<std::string> known;
      for (const std::string& title : own) CHECK(known.insert(title).second);
      for (Path above = writer; !above.empty();) {  // no title that the branch above knew when it forked this one
        const int block = above.back().first;
        above.pop_back();
        for (ab::BranchIndex b = 1; b <= run.decoder.n_branches(id); ++b) {
          const ab::Branch branch = run.decoder.branch(id, b);
          Path of;
          for (const ab::PathStep step : branch.path) of.emplace_back(step.block, step.branch);
          const int its_block = of.back().first;
          of.pop_back();
          if (of == above && its_block <= block) CHECK(known.count(branch.title) == 0);
        }
      }
    }
    run.decoder.release(id);
    REQUIRE(run.cache.n_free_pages() == run.cache.n_pages());
  }
  CHECK(n_forks > 300);
}

TEST_CASE("The decoder's plan tells hosts that sample themselves what they may sample") {
  AspdRun run(with({.unique_titles = true}));
  run.script({}, "(ab)(ab");
  run.submit(tokens("p"));
  for (int pass = 0; pass < 6; ++pass) REQUIRE(run.step());
  const auto plan = run.decoder.plan();
  REQUIRE(plan);
  REQUIRE(plan.output_settings().size() == 1);
  CHECK(sorted(plan.output_settings()[0].forbidden) == "b");
  const Tokens sampled = tokens("b");
  CHECK_THROWS_AS(run.decoder.commit_sampled(sampled), ab::Error);
  run.decoder.commit_sampled(tokens("c"));
}
