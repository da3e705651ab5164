// The number of branches that are decoded at once changes the passes, and nothing that is written.
#include "scripted.hpp"

using namespace scripted;

namespace {

/// ASPD in which `w` takes itself and the token before it back and says `v` instead.
struct Rewinding : ab::markup::Aspd {
  Rewinding() : Aspd(aspd()) {}
  ab::markup::Action next(State& s, TokenId token) const {
    ab::markup::Action action = Aspd::next(s, token);
    if (token != kFirstLetter + 22 || s.in_title) return action;
    action.forget = 2;
    action.forced = {{kFirstLetter + 21, ab::markup::Role::text}};
    return action;
  }
};
using RewindingRun = Run<Rewinding>;

/// All that is written, by path, because the order of the forks decides the branches' numbers.
std::string written(const RewindingRun& run, ab::RequestId id) {
  std::map<std::string, std::string> branches;
  for (ab::BranchIndex b = 0; b <= run.decoder.n_branches(id); ++b) {
    const ab::Branch branch = run.decoder.branch(id, b);
    std::string path;
    for (const ab::PathStep step : branch.path)
      path += std::to_string(step.block) + "." + std::to_string(step.branch) + " ";
    branches[path] = branch.title + "|" + branch.text + "|" + ab::reason_name(branch.reason) + "\n";
  }
  std::string text = run.history(id) + "\n";
  for (const auto& [path, written] : branches) text += path + written;
  for (const ab::Position p : run.cache.positions_of(run.decoder.branch(id, ab::kTrunk).sequence))
    text += std::to_string(p) + " ";
  return text;
}

/// All but the passes.
ab::Statistics without_passes(ab::Statistics s) {
  s.n_passes = 0;
  return s;
}

std::string tokens_of(const Pass& pass) {
  std::string text;
  for (const auto& row : pass.rows) text += row.second;
  return text;
}

/// An answer sampled from a seed: scripts of tags and letters, or mostly random tokens; three policies.
struct RandomAnswer {
  explicit RandomAnswer(std::uint64_t from) : seed(from) {
    const ab::Positions policies[] = {ab::Positions::sequential, ab::Positions::longest, ab::Positions::reserved(40)};
    options.positions = policies[number(3)];
    options.max_tokens = 100000;
    options.max_branch_tokens = 4 + number(12);
    options.max_depth = 1 + number(3);
    request.sampling.temperature = number(2) == 0 ? 0.0f : 2.0f;
    request.sampling.repetition_penalty = number(2) == 0 ? 1.0f : 1.3f;
    request.no_repeat_ngram = number(2) * (2 + number(3));
    request.sampling.seed = seed;
    add({}, 20);
    for (int block = 0; block < 3; ++block)
      for (int k = 0; k < 4; ++k) {
        add({{block, k}}, 6);
        for (int j = 0; j < 3; ++j) add({{block, k}, {0, j}}, 4);
      }
  }
  /// `n_at_once`: of a request; every third plan is aborted when `aborts`.
  std::pair<std::string, ab::Statistics> run(std::int32_t n_at_once, bool aborts) const {
    RewindingRun run(Rewinding(), options, {.max_sequences = 4096});
    for (const auto& [path, text] : scripts) run.script(path, text);
    ab::RequestOptions own = request;
    own.max_parallel_branches = n_at_once;
    const auto id = run.submit(tokens("prompt"), own);
    for (int n = 0; run.decoder.has_work(); ++n) {
      if (aborts && n % 3 == 0) {
        REQUIRE(run.decoder.plan());
        run.decoder.abort();
      }
      REQUIRE(run.step());
      REQUIRE(run.passes.back().n_outputs <= n_at_once);
    }
    const std::pair<std::string, ab::Statistics> result = {written(run, id), run.decoder.statistics(id)};
    run.decoder.release(id);
    REQUIRE(run.cache.n_free_pages() == run.cache.n_pages());
    return result;
  }

  std::uint64_t seed;
  ab::DecoderOptions options;
  ab::RequestOptions request;
  std::map<Path, std::string> scripts;

 private:
  std::int32_t number(std::uint64_t choices) { return static_cast<std::int32_t>((seed = ab::mix(seed)) % choices); }
  void add(const Path& path, int n) {
    static const std::vector<std::string> words = {"a", "b", "cd", "w", "ew", "(a)(b){", "(c)(d)(e){",
                                                   "(", "{", "}",  "[", "]",  "]",       "."};
    std::string& text = scripts[path];
    for (int i = 0; i < n; ++i) text += words[static_cast<std::size_t>(number(words.size()))];
  }
};

}  // namespace

TEST_CASE("One at a time, a branch is admitted in the pass that holds the end of the one before") {
  AspdRun run(aspd());
  run.script({}, "(a)(b)(c){z.").script({{0, 0}}, "cd]").script({{0, 1}}, "e]").script({{0, 2}}, "fgh]");
  const auto id = run.submit(tokens("p"), {.max_parallel_branches = 1});
  run.run();
  REQUIRE(run.n_passes() == 1 + (10 + 2 - 1) + 3 + 2 + 4);
  const char* expected[] = {"{[a:", "c", "d", "][b:", "e", "][c:", "f", "g", "h", "]}", "z"};
  for (std::size_t k = 0; k < std::size(expected); ++k) {
    CHECK(tokens_of(run.passes[10 + k]) == expected[k]);
    CHECK(run.passes[10 + k].n_outputs == 1);
  }
  CHECK(run.history(id) == "p(a)(b)(c){[a:cd][b:e][c:fgh]}z");
}

TEST_CASE("One at a time, passes are prefill chunks and sampled tokens less one") {
  AspdRun run(aspd(), {.max_rows = 4});
  run.script({}, "x(a)(b){yz(e){u.");
  run.script({{0, 0}}, "(c)(d){f]").script({{0, 1}}, "ggg]").script({{1, 0}}, ".");
  run.script({{0, 0}, {0, 0}}, "hh]").script({{0, 0}, {0, 1}}, "i.");
  const auto id = run.submit(tokens("prompt"), {.max_parallel_branches = 1});
  run.run();
  const ab::Statistics s = run.decoder.statistics(id);
  CHECK(s.n_prefill == 2);
  CHECK(s.n_passes == s.n_prefill + s.n_sampled - 1);
  CHECK(s.n_blocks == 3);
  CHECK(run.history(id) == "promptx(a)(b){[a:(c)(d){[c:hh][d:i]}f][b:ggg]}yz(e){[e:]}u");
}

TEST_CASE("A branch's own blocks come before its siblings") {
  AspdRun run(aspd());
  run.script({}, "(a)(b){z.").script({{0, 0}}, "(c)(d){f]").script({{0, 1}}, "g]");
  run.script({{0, 0}, {0, 0}}, "h]").script({{0, 0}, {0, 1}}, "i]");
  run.submit(tokens("p"), {.max_parallel_branches = 1});
  run.run();
  std::string order;
  for (const ab::Event& event : run.events)
    if (event.kind == ab::Event::Kind::branch_end) order += run.decoder.branch(event.request, event.branch).title;
  CHECK(order == "cdab");
}

TEST_CASE("A branch that waits holds neither rows nor pages") {
  for (const auto& [n_at_once, n_held] : {std::pair{1, 4}, std::pair{2, 8}, std::pair{3, 12}}) {
    AspdRun run(aspd(), {}, {.n_pages = 60, .page_size = 1});
    run.script({}, "(a)(b)(c){z.").script({{0, 0}}, "d]").script({{0, 1}}, "e]").script({{0, 2}}, "f]");
    run.submit(tokens("p"), {.max_parallel_branches = n_at_once});
    for (int pass = 0; pass < 11; ++pass) REQUIRE(run.step());
    // `p`, the trunk's ten, and of each admitted branch its tag, title, separator, and the slot of its end tag
    CHECK(run.cache.n_pages() - run.cache.n_free_pages() == 1 + 10 + n_held);
  }
}

TEST_CASE("However many branches are decoded at once, the same is written") {
  std::uint64_t seed = 20251109;
  int n_blocks = 0, n_shorter = 0;
  for (int round = 0; round < 250; ++round) {
    seed = ab::mix(seed);
    INFO("seed " << seed);
    const RandomAnswer answer(seed);
    const auto [text, statistics] = answer.run(1000, false);
    for (const std::int32_t n_at_once : {1, 2, 3}) {
      INFO("at once " << n_at_once);
      const auto [own_text, own_statistics] = answer.run(n_at_once, round % 2 == 0);
      CHECK(own_text == text);
      CHECK(without_passes(own_statistics) == without_passes(statistics));
      CHECK(own_statistics.n_passes >= statistics.n_passes);
      if (n_at_once == 1) CHECK(own_statistics.n_passes == own_statistics.n_prefill + own_statistics.n_sampled - 1);
      n_shorter += own_statistics.n_passes > statistics.n_passes ? 1 : 0;
    }
    n_blocks += statistics.n_blocks;
  }
  CHECK(n_blocks > 250);
  CHECK(n_shorter > 100);
}

TEST_CASE("Branches without a prefix wait too, once their first token is sampled") {
  struct Bare : ab::markup::Aspd {
    Bare() : Aspd(aspd()) {}
    ab::markup::Action next(State& s, TokenId token) const {
      ab::markup::Action action = Aspd::next(s, token);
      for (auto& seed : action.seeds) seed.prefix.clear();
      return action;
    }
  };
  for (const std::int32_t n_at_once : {1, 2, 3}) {
    Run<Bare> run{Bare()};
    run.script({}, "(a)(b)(c){z.").script({{0, 1}}, "e(h)(i){]").script({{0, 2}}, "fff]").script({{0, 0}}, "cd]");
    run.script({{0, 1}, {0, 0}}, "jk]").script({{0, 1}, {0, 1}}, "lm]");
    const auto id = run.submit(tokens("p"), {.max_parallel_branches = n_at_once});
    run.run();
    CHECK(run.history(id) == "p(a)(b)(c){cd]e(h)(i){jk]lm]}]fff]}z");
    for (std::size_t k = 0; k < run.passes.size(); ++k) {
      const bool forks = tokens_of(run.passes[k]).find('{') != std::string::npos;
      CHECK((forks || run.passes[k].n_outputs <= n_at_once));
    }
    run.decoder.release(id);
    CHECK(run.cache.n_free_pages() == run.cache.n_pages());
  }
}

TEST_CASE("Each request of a batch has its own max_parallel_branches") {
  AspdRun run(aspd(), {.max_branches = 2});
  const auto submit = [&](std::int32_t n_at_once) {
    run.script({}, "(a)(b)(c){z.").script({{0, 0}}, "dd]").script({{0, 1}}, "ee]").script({{0, 2}}, "ff]");
    return run.submit(tokens("p"), {.max_parallel_branches = n_at_once});
  };
  const auto all = submit(3), single = submit(1), of_decoder = submit(ab::kNone);
  run.run();
  CHECK(run.decoder.statistics(all).n_passes == 1 + (10 + 2 - 1) + 3);
  CHECK(run.decoder.statistics(single).n_passes == 1 + (10 + 2 - 1) + 9);
  CHECK(run.decoder.statistics(of_decoder).n_passes == 1 + (10 + 2 - 1) + 6);
  CHECK(run.history(single) == run.history(all));
  CHECK(run.history(of_decoder) == run.history(all));
}

TEST_CASE("A token limit keeps one token for every branch that waits") {
  for (int limit = 11; limit <= 22; ++limit) {
    INFO("limit " << limit);
    AspdRun run(aspd());
    run.script({}, "(a)(b)(c){z.").script({{0, 0}}, "ddddd]").script({{0, 1}}, "eee]").script({{0, 2}}, "f]");
    const auto id = run.submit(tokens("p"), {.max_tokens = limit, .max_parallel_branches = 1});
    run.run();
    CHECK(run.decoder.reason(id) == ab::EndReason::limit);
    CHECK(run.decoder.statistics(id).n_sampled == limit);
    run.script({}, "y.");
    const auto next = run.submit(tokens("q"), {.after = id});
    run.run();
    const std::string history = run.history(next);
    if (limit == 14) CHECK(history == "p(a)(b)(c){[a:dd][b:e][c:f]}qy");
    for (const char* part : {"{[a:", "][b:", "][c:", "]}"}) CHECK(history.find(part) != std::string::npos);
    run.decoder.release(next);
    run.decoder.release(id);
    CHECK(run.cache.n_free_pages() == run.cache.n_pages());
  }
}

TEST_CASE("Branches that still wait when a request ends are closed with it, and fed by what goes on") {
  AspdRun run(aspd());
  run.script({}, "(a)(b)(c){z.").script({{0, 0}}, "dst]").script({{0, 1}}, "e]");
  const auto id = run.submit(tokens("p"), {.stop = {"st"}, .max_parallel_branches = 1});
  run.run();
  CHECK(run.decoder.reason(id) == ab::EndReason::stop);
  CHECK(run.branch_reason(id, 3) == ab::EndReason::stop);
  run.script({}, "y.");
  const auto next = run.submit(tokens("q"), {.after = id});
  run.run();
  CHECK(run.history(next) == "p(a)(b)(c){[a:dst][b:][c:]}qy");
}

TEST_CASE("A request is cancelled while branches wait, planned or not") {
  for (int n_passes = 9; n_passes < 16; ++n_passes)
    for (const bool planned : {false, true}) {
      AspdRun run(aspd(), {}, {.page_size = 2});
      run.script({}, "(a)(b)(c){z.").script({{0, 0}}, "dd]").script({{0, 1}}, "ee]").script({{0, 2}}, "ff]");
      const auto id = run.submit(tokens("p"), {.max_parallel_branches = 1});
      for (int k = 0; k < n_passes; ++k) REQUIRE(run.step());
      if (planned) {
        const auto plan = run.decoder.plan();
        REQUIRE(plan);
        run.decoder.cancel(id);
        run.decoder.abort();
      } else {
        run.decoder.cancel(id);
      }
      CHECK(run.decoder.reason(id) == ab::EndReason::cancelled);
      CHECK_FALSE(run.decoder.has_work());
      CHECK(run.cache.n_free_pages() == run.cache.n_pages());
      CHECK(run.cache.snapshot().check() == std::vector<std::string>{});
    }
}

TEST_CASE("A branch that can never be admitted for want of pages ends its request, and all pages are returned") {
  for (int n_pages = 11; n_pages < 40; ++n_pages) {
    INFO("pages " << n_pages);
    AspdRun run(aspd(), {}, {.n_pages = n_pages, .page_size = 1});
    run.script({}, "(a)(b)(c){z.").script({{0, 0}}, "dd]").script({{0, 1}}, "ee]").script({{0, 2}}, "ff]");
    const auto id = run.submit(tokens("p"), {.max_parallel_branches = 1});
    while (run.decoder.has_work())
      if (!run.step()) REQUIRE_FALSE(run.decoder.has_work());
    // p, ten of the trunk, six of each branch, para end, z
    CHECK(run.decoder.reason(id) == (n_pages >= 31 ? ab::EndReason::end_of_text : ab::EndReason::no_room));
    run.decoder.release(id);
    CHECK(run.cache.n_free_pages() == run.cache.n_pages());
  }
}

TEST_CASE("A number of branches that makes no sense is refused with its value") {
  AspdRun run(aspd());
  for (const std::int32_t bad : {0, -2}) {
    try {
      run.submit(tokens("p"), {.max_parallel_branches = bad});
      FAIL("not refused");
    } catch (const ab::Error& error) {
      CHECK(error.status() == ab::Status::bad_request);
      CHECK(std::string(error.what()).find("max_parallel_branches is " + std::to_string(bad)) != std::string::npos);
    }
  }
}
