// Drafts: tags that the markup expects are fed before they are sampled. They save passes and change nothing else.
#include <random>

#include "scripted.hpp"

using namespace scripted;

namespace {

ab::DecoderOptions drafting(bool draft = true) {
  ab::DecoderOptions options;
  options.draft = draft;
  return options;
}

std::string rows_of(const Pass& pass) {
  std::string text;
  for (const auto& row : pass.rows) text += row.second;
  return text;
}

/// The outcome of a request: everything that must not depend on drafts.
struct Outcome {
  std::string text, tokens, history;
  ab::EndReason reason;
  std::int32_t n_sampled;
  bool operator==(const Outcome&) const = default;
};

/// Runs to the end, or until there is no room.
void run_out(AspdRun& run) {
  for (int n_short = 0; run.decoder.has_work() && n_short < 3;)
    if (!run.step()) ++n_short;
}

/// Runs the scripts and, where there is room, a request after them, which shows what they left in the cache.
Outcome outcome(bool draft, const std::map<Path, std::string>& scripts, const ab::RequestOptions& options,
                ab::CacheOptions cache = {}, std::int32_t* n_passes = nullptr) {
  AspdRun run(aspd(), drafting(draft), cache);
  for (const auto& [path, text] : scripts) run.script(path, text);
  const ab::RequestId id = run.submit(tokens("p"), options);
  run_out(run);
  Outcome result;
  for (const ab::Event& event : run.events)
    if (event.kind == ab::Event::Kind::token) result.tokens += spelled({event.token});
  if (n_passes != nullptr) *n_passes = run.n_passes();
  result.text = run.decoder.text(id);
  result.reason = run.decoder.reason(id);
  result.n_sampled = run.decoder.statistics(id).n_sampled;
  ab::RequestOptions more;
  more.after = id;
  more.max_tokens = 1;
  const ab::RequestId next = run.script({}, "w").submit(tokens("q"), more);
  run_out(run);
  if (!run.decoder.has_work()) result.history = run.history(next);
  return result;
}

const std::map<Path, std::string> kThree = {
    {{}, "x(a)(b)(c){z."}, {{{0, 0}}, "d]"}, {{{0, 1}}, "ef]"}, {{{0, 2}}, "g]"}};

}  // namespace

TEST_CASE("A right draft saves a pass, a wrong one is rejected") {
  AspdRun run(aspd(), drafting());
  for (const auto& [path, text] : kThree) run.script(path, text);
  const auto id = run.submit(tokens("p"));
  run.run();
  std::string passes;
  for (const Pass& pass : run.passes) passes += rows_of(pass) + " ";
  CHECK(passes == "p x ( a )( b )( c )( {[a:[b:[c: deg ]f] ]} z ");
  CHECK(run.passes[3].n_outputs == 1);
  CHECK(run.passes[4].n_outputs == 2);
  CHECK(run.decoder.statistics(id).n_passes == run.n_passes());
  std::int32_t n_without = 0;
  outcome(false, kThree, {}, {}, &n_without);
  CHECK(n_without == run.n_passes() + 2);
  CHECK(run.history(id) == "px(a)(b)(c){[a:d][b:ef][c:g]}z");
}

TEST_CASE("The end of a title is drafted from its second token on, and then the start of the next") {
  const std::map<Path, std::string> scripts = {{{}, "(ab)(cde){."}, {{{0, 0}}, "]"}, {{{0, 1}}, "]"}};
  AspdRun run(aspd(), drafting());
  for (const auto& [path, text] : scripts) run.script(path, text);
  const auto id = run.submit(tokens("p"));
  run.run();
  std::string passes;
  for (const Pass& pass : run.passes) passes += rows_of(pass) + " ";
  CHECK(passes == "p ( a b)( c d)( e)( {[ab:[cde: ]]} ");
  CHECK(run.passes[3].n_outputs == 3);
  CHECK(run.history(id) == "p(ab)(cde){[ab:][cde:]}");
  CHECK(outcome(true, scripts, {}) == outcome(false, scripts, {}));
}

TEST_CASE("Drafts are off by default, and where the markup has none") {
  AspdRun run(aspd());
  for (const auto& [path, text] : kThree) run.script(path, text);
  run.submit(tokens("p"));
  run.run();
  for (const Pass& pass : run.passes) CHECK(rows_of(pass) != "a)(");
  ab::markup::Aspd::State state = aspd().start();
  CHECK(aspd().draft(state) == ab::kUnknownToken);
  aspd().next(state, kTitle);
  CHECK(aspd().draft(state) == ab::kUnknownToken);  // an empty title is not likely
  aspd().next(state, tokens("a").front());
  CHECK(aspd().draft(state) == ab::kUnknownToken);  // nor one of a single token
  ab::RequestOptions one_by_one;
  one_by_one.max_parallel_branches = 1;
  std::int32_t n_passes = 0;
  const Outcome found = outcome(true, kThree, one_by_one, {}, &n_passes);
  CHECK(n_passes == found.n_sampled);  // the prompt, and then one token a pass
}

TEST_CASE("Drafts change no token, wherever a limit cuts the answer") {
  for (std::int32_t limit = 1; limit < 22; ++limit) {
    CAPTURE(limit);
    ab::RequestOptions options;
    options.max_tokens = limit;
    CHECK(outcome(true, kThree, options) == outcome(false, kThree, options));
  }
  ab::RequestOptions stop;
  stop.stop = {"f"};
  CHECK(outcome(true, kThree, stop) == outcome(false, kThree, stop));
}

TEST_CASE("Drafts change no token of any script") {
  std::mt19937 random(5);
  const std::string signs = "()()(){xab.";
  std::int32_t n_saved = 0;
  for (int round = 0; round < 300; ++round) {
    std::map<Path, std::string> scripts;
    for (const Path& path : {Path{}, Path{{0, 0}}, Path{{0, 1}}, Path{{1, 0}}, Path{{0, 0}, {0, 0}}}) {
      std::string& text = scripts[path];
      for (int i = 0; i < 24; ++i) text += signs[random() % signs.size()];
    }
    CAPTURE(scripts[{}]);
    ab::RequestOptions options;
    options.max_tokens = static_cast<std::int32_t>(1 + random() % 60);
    options.max_parallel_branches = static_cast<std::int32_t>(2 + random() % 3);
    std::int32_t n_with = 0, n_without = 0;
    const Outcome with = outcome(true, scripts, options, {}, &n_with);
    REQUIRE(with == outcome(false, scripts, options, {}, &n_without));
    REQUIRE(n_with <= n_without);
    n_saved += n_without - n_with;
  }
  CHECK(n_saved > 100);
}

TEST_CASE("Nothing is drafted that the grammar forbids") {
  ab::markup::AspdOptions options;
  options.unique_titles = true;
  options.max_titles = 2;
  const ab::markup::Aspd markup({kBranch, kBranchEnd, kTitle, kTitleEnd, kPara, kParaEnd, {kColon}}, options);
  auto state = markup.start();
  const auto take = [&](const std::string& text) {
    for (const TokenId token : tokens(text)) markup.next(state, token);
  };
  take("(ab");
  CHECK(markup.draft(state) == kTitleEnd);
  take(")");
  CHECK(markup.draft(state) == kTitle);
  take("(ab");
  CHECK(markup.draft(state) == ab::kUnknownToken);  // it must go on: there is a title `ab`
  take("c");
  CHECK(markup.draft(state) == kTitleEnd);
  take(")");
  CHECK(markup.draft(state) == ab::kUnknownToken);  // two are all
}

TEST_CASE("Drafts that find no page are left out of the pass") {
  ab::CacheOptions cache;
  cache.page_size = 1;
  std::int32_t enough = 0, enough_without = 0;
  for (cache.n_pages = 40; cache.n_pages > 1; --cache.n_pages) {
    CAPTURE(cache.n_pages);
    const Outcome with = outcome(true, kThree, {}, cache), without = outcome(false, kThree, {}, cache);
    if (with.reason == ab::EndReason::end_of_text) {
      CHECK(with == without);
      enough = cache.n_pages;
    }
    if (without.reason == ab::EndReason::end_of_text) enough_without = cache.n_pages;
  }
  CHECK(enough_without > 0);
  CHECK(enough == enough_without);
}

TEST_CASE(
    "Rows behind drafts have the settings that they would have if the drafts were right; samples behind a wrong one "
    "are discarded") {
  AspdRun run(aspd(), drafting());
  run.script({}, "(ab){").script({{0, 0}}, "]");
  ab::RequestOptions options;
  options.sampling.repetition_penalty = 1.5f;
  const auto id = run.submit(tokens("p"), options);
  for (int i = 0; i < 3; ++i) REQUIRE(run.step());  // p, (, a
  {
    const auto plan = run.decoder.plan();
    REQUIRE(plan);
    REQUIRE(plan.output_settings().size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
      const ab::OutputSettings& output = plan.output_settings()[i];
      CHECK(spelled(Tokens(output.seen.begin(), output.seen.end())) == std::string("(ab)(").substr(0, 3 + i));
      CHECK(output.index == static_cast<std::int64_t>(3 + i));
      CHECK(output.request == id);
    }
  }
  run.decoder.abort();
  const auto again = run.decoder.plan();
  REQUIRE(again);
  run.note(again);
  CHECK_THROWS_AS(run.decoder.commit_sampled(std::vector<TokenId>{kTitleEnd, kTitle, -1}), ab::Error);
  CHECK_THROWS_AS(run.decoder.commit_sampled(std::vector<TokenId>{kTitleEnd, -1, -1}), ab::Error);
  run.decoder.commit_sampled(
      std::vector<TokenId>{kTitleEnd, kPara, -1});  // the sample behind a wrong draft is not even checked
  run.run();
  CHECK(run.history(id) == "p(ab){[ab:]}");
}

TEST_CASE("A request may be cancelled while a draft is in the pass") {
  AspdRun run(aspd(), drafting());
  run.script({}, "(ab)(c){");
  const auto id = run.submit(tokens("p"));
  for (int i = 0; i < 3; ++i) REQUIRE(run.step());
  const auto plan = run.decoder.plan();
  REQUIRE(plan.output_settings().size() == 3);
  run.decoder.cancel(id);
  const std::vector<float> values(3 * kVocabulary, 0.0f);
  run.decoder.commit({values.data(), 3, kVocabulary});
  CHECK(run.decoder.reason(id) == ab::EndReason::cancelled);
  run.decoder.release(id);
  CHECK_FALSE(run.decoder.has_work());
}
