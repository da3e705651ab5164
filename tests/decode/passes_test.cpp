// How many forward passes a request takes: the formula of docs/decoding.md.
#include "scripted.hpp"

using namespace scripted;

namespace {
/// `n` sampled tokens, the last one `last`.
std::string x_run(int n, char last) { return std::string(static_cast<std::size_t>(n - 1), 'x') + last; }
}  // namespace

TEST_CASE("The example of the design takes 60 passes") {
  AspdRun run(aspd());
  // 20 sampled serial tokens, <|para|> included
  run.script({}, "(a)(b)(c)" + x_run(11, '{') + x_run(10, '.'));
  run.script({{0, 0}}, x_run(30, ']')).script({{0, 1}}, x_run(12, ']')).script({{0, 2}}, x_run(25, ']'));
  const auto id = run.submit(tokens("prompt"));
  run.run();
  CHECK(run.n_passes() == 60);
  CHECK(run.decoder.statistics(id).n_passes == 60);
  CHECK(run.decoder.statistics(id).n_sampled == 20 + 10 + 30 + 12 + 25);
  CHECK(run.decoder.reason(id) == ab::EndReason::end_of_text);
}

TEST_CASE("Branches that end with end of text take as many passes as those that end with their tag") {
  AspdRun run(aspd());
  run.script({}, "(a)(b)(c)" + x_run(11, '{') + x_run(10, '.'));
  run.script({{0, 0}}, x_run(30, '.')).script({{0, 1}}, x_run(12, '.')).script({{0, 2}}, x_run(25, '.'));
  run.submit(tokens("prompt"));
  run.run();
  CHECK(run.n_passes() == 60);
}

TEST_CASE("The fork's tag and all branch prefixes are rows of one pass, the last end tag and the para end of another") {
  AspdRun run(aspd());
  run.script({}, "(a)(b){z.").script({{0, 0}}, "cd]").script({{0, 1}}, "e]");
  const auto id = run.submit(tokens("p"));
  run.run();
  const auto tokens_of = [&](std::size_t pass) {
    std::string text;
    for (const auto& row : run.passes[pass].rows) text += row.second;
    return text;
  };
  REQUIRE(run.n_passes() == 1 + (7 + 2 - 1) + 3);
  CHECK(tokens_of(0) == "p");
  CHECK(tokens_of(6) == ")");
  CHECK(tokens_of(7) == "{[a:[b:");
  CHECK(run.passes[7].n_outputs == 2);
  CHECK(tokens_of(8) == "ce");
  CHECK(tokens_of(9) == "d]");  // the early finisher's end tag rides along, and asks for nothing
  CHECK(run.passes[9].n_outputs == 1);
  CHECK(tokens_of(10) == "]}");
  CHECK(run.history(id) == "p(a)(b){[a:cd][b:e]}z");
  CHECK(run.decoder.text(id) == "a:cdb:ez");
}

TEST_CASE("A single branch, and a branch that ends at once") {
  AspdRun run(aspd());
  run.script({}, "(a){.").script({{0, 0}}, "]");
  const auto id = run.submit(tokens("p"));
  run.run();
  CHECK(run.n_passes() == 1 + (4 + 1 - 1) + 1);
  CHECK(run.history(id) == "p(a){[a:]}");
}

TEST_CASE("A block whose branches all end at once costs one pass") {
  AspdRun run(aspd());
  run.script({}, "(a)(b){.").script({{0, 0}}, "]").script({{0, 1}}, "]");
  run.submit(tokens("p"));
  run.run();
  CHECK(run.n_passes() == 1 + (8 - 1) + 1);  // 7 serial with <|para|> and the end of text, - 1, + 1
}

TEST_CASE("Nested blocks count recursively") {
  AspdRun run(aspd());
  // Branch 0: 5 tokens to its own <|para|>, inner block of 7 and 3, then 4 more. Branch 1: 9.
  run.script({}, "(a)(b){" + x_run(3, '.'));
  run.script({{0, 0}}, "x(c)(d){" + x_run(4, ']'));
  run.script({{0, 0}, {0, 0}}, x_run(7, ']')).script({{0, 0}, {0, 1}}, x_run(3, ']'));
  run.script({{0, 1}}, x_run(9, ']'));
  const auto id = run.submit(tokens("p"));
  run.run();
  CHECK(run.n_passes() == 1 + (7 + 3 - 1) + std::max(8 + 7 + 4, 9));
  CHECK(run.history(id) == "p(a)(b){[a:x(c)(d){[c:xxxxxx][d:xx]}xxx][b:xxxxxxxx]}xx");
  CHECK(run.decoder.text(id) == "a:xc:xxxxxxd:xxxxxb:xxxxxxxxxx");
}

TEST_CASE("An inner block that ends together with its parent's siblings is joined in the same pass") {
  AspdRun run(aspd(), {.max_branch_tokens = 8});
  run.script({}, "(a)(b){z.");
  run.script({{0, 0}}, "(c)(d){").script({{0, 0}, {0, 0}}, "x]").script({{0, 0}, {0, 1}}, "]");
  run.script({{0, 1}}, "xx]");
  const auto id = run.submit(tokens("p"));
  run.run();
  // branch 0 samples 7 to its para, inner 2, then end of text: 10
  CHECK(run.n_passes() == 1 + (7 + 2 - 1) + 10);
  CHECK(run.history(id) == "p(a)(b){[a:(c)(d){[c:x][d:]}][b:xx]}z");
}

TEST_CASE("An answer that forks with its first token") {
  struct AtOnce : ab::markup::Aspd {
    AtOnce() : Aspd(aspd()) {}
    ab::markup::Action open(State&) const {
      return ab::markup::Action::fork(
          {{{{kBranch, ab::markup::Role::tag}}, {}}, {{{kBranch, ab::markup::Role::tag}}, {}}});
    }
  };
  Run<AtOnce> run{AtOnce()};
  run.script({}, ".").script({{0, 0}}, "a]").script({{0, 1}}, "bc]");
  const auto id = run.submit(tokens("p"));
  run.run();
  CHECK(run.n_passes() == 1 + 3);
  CHECK(run.history(id) == "p[a][bc]}");  // its last rows came with the para end
}

TEST_CASE("Two requests share passes, each in its own phase") {
  AspdRun run(aspd());
  run.script({}, "(a)(b){z.").script({{0, 0}}, "cd]").script({{0, 1}}, "e]");
  const auto first = run.submit(tokens("p"));
  run.script({}, "xyz(a){.").script({{0, 0}}, "q]");
  const auto second = run.submit(tokens("pq"));
  run.run();
  CHECK(run.n_passes() == 12);
  CHECK(run.decoder.statistics(first).n_passes == 12);
  CHECK(run.decoder.statistics(second).n_passes == 1 + (7 + 1 - 1) + 2);
  CHECK(run.decoder.text(second) == "xyza:q");
}

TEST_CASE("Prompts are fed in chunks, beside the rows of decoding") {
  Run<ab::markup::Serial> run({}, {.max_rows = 4});
  run.script({}, "ab.");
  const auto first = run.submit(tokens("pqrstuvwxy"));
  run.run();
  CHECK(run.decoder.statistics(first).n_prefill == 3);
  CHECK(run.n_passes() == 3 + 2);
  run.script({}, "abcdef.");
  run.submit(tokens("p"));
  REQUIRE(run.step());
  run.script({}, "x.");
  const auto third = run.submit(tokens("pqrst"));
  run.run();
  CHECK(run.decoder.statistics(third).n_prefill == 2);  // 3 + 2, one row each pass is the other's
  CHECK(run.history(third) == "pqrstx");
}

TEST_CASE("At a branch limit the last sampled token and the tag are two rows of one pass") {
  AspdRun run(aspd(), {.max_branch_tokens = 3});
  run.script({}, "(a)(b){z.").script({{0, 0}}, "cdefg]").script({{0, 1}}, "hijkl]");
  const auto id = run.submit(tokens("p"));
  run.run();
  CHECK(run.n_passes() == 1 + (7 + 2 - 1) + 3);
  CHECK(run.history(id) == "p(a)(b){[a:cde][b:hij]}z");
  CHECK(run.branch_reason(id, 1) == ab::EndReason::limit);
  CHECK(run.branch_reason(id, 2) == ab::EndReason::limit);
}
