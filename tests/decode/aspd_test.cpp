// The ASPD markup: well-formed answers, and every malformed one with its documented result.
#include "scripted.hpp"

using namespace scripted;

namespace {

struct Case {
  const char* what;
  const char* trunk;
  std::vector<std::pair<Path, const char*>> branches;
  const char* history;  // in the cache, without the prompt; the last sampled tokens are not fed
  const char* text;
};

const Case kCases[] = {
    {"no markup at all", "abc.", {}, "abc", "abc"},
    {"two branches", "x(a)(b){yz.", {{{{0, 0}}, "c]"}, {{{0, 1}}, "d]"}}, "x(a)(b){[a:c][b:d]}yz", "xa:cb:dyz"},
    {"repeated titles make a branch each",
     "(a)(a){z.",
     {{{{0, 0}}, "c]"}, {{{0, 1}}, "d]"}},
     "(a)(a){[a:c][a:d]}z",
     "a:ca:dz"},
    {"a first token that is a title keeps its branch", "(a){z.", {{{{0, 0}}, "c]"}}, "(a){[a:c]}z", "a:cz"},
    {"an empty title starts a branch without words",
     "()(b){z.",
     {{{{0, 0}}, "c]"}, {{{0, 1}}, "d]"}},
     "()(b){[c][b:d]}z",
     "cb:dz"},
    {"a title is closed by the next one",
     "(a(b){z.",
     {{{{0, 0}}, "c]"}, {{{0, 1}}, "d]"}},
     "(a(b){[a:c][b:d]}z",
     "a:cb:dz"},
    {"a title is closed by para", "(a)(b{z.", {{{{0, 0}}, "c]"}, {{{0, 1}}, "d]"}}, "(a)(b{[a:c][b:d]}z", "a:cb:dz"},
    {"para without titles is an empty block", "x{yz.", {}, "x{}yz", "xyz"},
    {"titles of an earlier block are used up", "(a){x{y.", {{{{0, 0}}, "c]"}}, "(a){[a:c]}x{}y", "a:cxy"},
    {"stray end tags on the trunk change nothing", "x]y)z}w.", {}, "x]y)z}w", "xyzw"},
    {"a stray branch tag on the trunk changes nothing", "x[y.", {}, "x[y", "xy"},
    {"stray tags inside a title are not part of it", "(a[b}){z.", {{{{0, 0}}, "c]"}}, "(a[b}){[ab:c]}z", "ab:cz"},
    {"stray tags inside a branch change nothing", "(a){z.", {{{{0, 0}}, "c[d}e)f]"}}, "(a){[a:c[d}e)f]}z", "a:cdefz"},
    {"text between titles and para is text",
     "(a)x(b)y{z.",
     {{{{0, 0}}, "c]"}, {{{0, 1}}, "d]"}},
     "(a)x(b)y{[a:c][b:d]}z",
     "xya:cb:dz"},
    {"titles without para are not shown", "x(a)y.", {}, "x(a)y", "xy"},
    {"an answer that ends inside a title", "x(ab.", {}, "x(ab", "x"},
    {"end of text inside a branch becomes its end tag",
     "(a)(b){z.",
     {{{{0, 0}}, "c."}, {{{0, 1}}, "."}},
     "(a)(b){[a:c][b:]}z",
     "a:cb:z"},
    {"a branch that ends inside a title", "(a){z.", {{{{0, 0}}, "c(d]"}}, "(a){[a:c(d]}z", "a:cz"},
    {"para without titles inside a branch", "(a){z.", {{{{0, 0}}, "c{d]"}}, "(a){[a:c{}d]}z", "a:cdz"},
    {"a nested block",
     "(a)(b){z.",
     {{{{0, 0}}, "c(d)(e){f]"}, {{{0, 0}, {0, 0}}, "g]"}, {{{0, 0}, {0, 1}}, "hi]"}, {{{0, 1}}, "j]"}},
     "(a)(b){[a:c(d)(e){[d:g][e:hi]}f][b:j]}z",
     "a:cd:ge:hifb:jz"},
    {"two blocks one after the other",
     "(a){x(b){z.",
     {{{{0, 0}}, "c]"}, {{{1, 0}}, "d]"}},
     "(a){[a:c]}x(b){[b:d]}z",
     "a:cxb:dz"},
};

}  // namespace

TEST_CASE("Every answer, well-formed or not, has its documented result") {
  for (const Case& c : kCases) {
    INFO(c.what);
    AspdRun run(aspd());
    run.script({}, c.trunk);
    for (const auto& [path, text] : c.branches) run.script(path, text);
    const auto id = run.submit(tokens("p"));
    run.run();
    CHECK(run.history(id) == "p" + std::string(c.history));
    CHECK(run.decoder.text(id) == c.text);
    CHECK(run.decoder.reason(id) == ab::EndReason::end_of_text);
    run.decoder.release(id);
    CHECK(run.cache.n_free_pages() == run.cache.n_pages());
  }
}

TEST_CASE("Any sequence of tags and letters gives an answer, never an exception") {
  const std::string alphabet = "abc[](){}.";
  std::uint64_t seed = 20251108;
  INFO("seed " << seed);
  for (int round = 0; round < 300; ++round) {
    AspdRun run(aspd(), {.max_branches = 3, .max_tokens = 60, .max_branch_tokens = 12, .max_depth = 3});
    const auto random_text = [&] {
      std::string text;
      for (int i = 0; i < 30; ++i) text += alphabet[(seed = ab::mix(seed)) % alphabet.size()];
      return text;
    };
    run.script({}, random_text());
    for (int k = 0; k < 4; ++k) {
      run.script({{0, k}}, random_text()).script({{1, k}}, random_text());
      for (int j = 0; j < 4; ++j) run.script({{0, k}, {0, j}}, random_text());
    }
    const auto id = run.submit(tokens("p"));
    run.run();
    CHECK(run.decoder.reason(id) != ab::EndReason::none);
    CHECK(run.decoder.reason(id) != ab::EndReason::malformed);
    run.decoder.release(id);
    REQUIRE(run.cache.n_free_pages() == run.cache.n_pages());
  }
}

TEST_CASE("Tags are refused when one is missing, negative or used twice") {
  const auto status = [](ab::markup::AspdTags tags) {
    try {
      ab::markup::Aspd markup(tags);
      return ab::Status::ok;
    } catch (const ab::Error& error) {
      INFO(error.what());
      CHECK(std::string(error.what()).find("t") != std::string::npos);
      return error.status();
    }
  };
  CHECK(status({1, 2, 3, 4, 5, 6, {}}) == ab::Status::ok);
  CHECK(status({}) == ab::Status::bad_markup);
  CHECK(status({1, 2, 3, 4, 5, -6, {}}) == ab::Status::bad_markup);
  CHECK(status({1, 2, 3, 4, 5, 1, {}}) == ab::Status::bad_markup);
  CHECK(status({1, 2, 3, 4, 5, 6, {-1}}) == ab::Status::bad_markup);
  CHECK(status({1, 2, 3, 4, 5, 6, {3}}) == ab::Status::bad_markup);
}

TEST_CASE("Fork, branch end, join and end are reported in order, with titles and reasons") {
  AspdRun run(aspd());
  run.script({}, "(a)(b){z.").script({{0, 0}}, "cd.").script({{0, 1}}, "e]");
  const auto id = run.submit(tokens("p"));
  run.run();
  std::string order;
  for (const ab::Event& event : run.events) {
    CHECK(event.request == id);
    if (event.kind == ab::Event::Kind::fork) {
      CHECK(event.titles == std::vector<std::string>{"a", "b"});
      CHECK(event.first_branch == 1);
      order += "fork ";
    }
    if (event.kind == ab::Event::Kind::branch_end)
      order += std::to_string(event.branch) + ":" + ab::reason_name(event.reason) + " ";
    if (event.kind == ab::Event::Kind::join) order += "join ";
    if (event.kind == ab::Event::Kind::end) {
      order += std::string("end:") + ab::reason_name(event.reason);
      CHECK(event.statistics == run.decoder.statistics(id));
    }
  }
  CHECK(order == "fork 2:end_tag 1:end_of_text join end:end_of_text");
  CHECK(run.decoder.branch(id, 1).title == "a");
  CHECK(run.decoder.branch(id, 2).text == "b:e");
  CHECK(run.decoder.branch(id, 2).path == std::vector<ab::PathStep>{{0, 1}});
  CHECK(run.decoder.n_branches(id) == 2);
  CHECK_THROWS_AS(run.decoder.branch(id, 3), ab::Error);
}

TEST_CASE("Statistics count every token once, by kind") {
  AspdRun run(aspd());
  run.script({}, "xy(a)(b){z.").script({{0, 0}}, "cd.").script({{0, 1}}, "e]");
  const auto id = run.submit(tokens("pq"));
  run.run();
  const ab::Statistics s = run.decoder.statistics(id);
  CHECK(s.n_prompt == 2);
  CHECK(s.n_serial == 3);              // x y z
  CHECK(s.n_branch == 2 + 2 + 2 + 1);  // a : c d   b : e
  CHECK(s.n_title == 2);
  CHECK(s.n_tag == 4 + 1 + 4 + 1);
  CHECK(s.n_sampled == 11 + 3 + 2);
  CHECK(s.n_forced == 6 + 1 + 1);  // prefixes, the end tag in place of end of text, para end
  CHECK(s.n_blocks == 1);
  CHECK(s.n_branches == 2);
  CHECK(s.n_text() == 10);
  CHECK(s.n_serial_passes() == 1 + 11 - 1);
  CHECK(s.parallel());
  CHECK(s.branches_per_block() == 2.0);
  CHECK(s.branch_share() == Approx(0.7));
  CHECK(s.branch_efficiency() == Approx(5.0 / 7.0));
}
