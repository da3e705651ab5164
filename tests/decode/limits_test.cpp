// Limits: tokens, branches, depth, positions. A branch or request that reaches one is closed properly and reported.
#include "scripted.hpp"

using namespace scripted;

TEST_CASE("A request ends at its token limit and loses no sampled token") {
  AspdRun run(aspd());
  run.script({}, "abcdefgh.");
  const auto id = run.submit(tokens("p"), {.max_tokens = 4});
  run.run();
  CHECK(run.decoder.reason(id) == ab::EndReason::limit);
  CHECK(run.decoder.text(id) == "abcd");
  CHECK(run.n_passes() == 4);  // the last token is not fed: nothing follows it
  CHECK(run.history(id) == "pabc");
  run.script({}, "z.");
  const auto next = run.submit(tokens("q"), {.after = id});
  run.run();
  CHECK(run.history(next) == "pabcdqz");
}

TEST_CASE("Branches share the request's token limit, never exceed it, and are closed when it is used up") {
  for (int limit = 8; limit <= 20; ++limit) {
    INFO("limit " << limit);
    AspdRun run(aspd());
    run.script({}, "(a)(b){z.").script({{0, 0}}, "cccccccc]").script({{0, 1}}, "dddd]");
    const auto id = run.submit(tokens("p"), {.max_tokens = limit});
    run.run();
    CHECK(run.decoder.statistics(id).n_sampled == std::min(limit, 7 + 9 + 5 + 2));
    CHECK(run.decoder.reason(id) == ab::EndReason::limit);
    run.script({}, "z.");
    const auto next = run.submit(tokens("q"), {.after = id});
    run.run();
    const std::string history = run.history(next);
    CHECK(history.substr(0, 11) == "p(a)(b){[a:");
    CHECK(history.find("][b:") != std::string::npos);
    CHECK(history.substr(history.size() - 2) == "qz");
    CHECK(history.find("]}") != std::string::npos);
    run.decoder.release(next);
    run.decoder.release(id);
    CHECK(run.cache.n_free_pages() == run.cache.n_pages());
  }
}

TEST_CASE("All branches at their limit") {
  AspdRun run(aspd(), {.max_branch_tokens = 2});
  run.script({}, "(a)(b)(c){z.");
  for (int k = 0; k < 3; ++k) run.script({{0, k}}, "xxxxxx]");
  const auto id = run.submit(tokens("p"));
  run.run();
  CHECK(run.history(id) == "p(a)(b)(c){[a:xx][b:xx][c:xx]}z");
  CHECK(run.n_passes() == 1 + (10 + 2 - 1) + 2);
}

namespace {

/// `y` ends the text of a branch. With `text` a token is known by what it writes.
ab::markup::Aspd separated(ab::markup::AspdOptions options = {}) {
  ab::markup::AspdTags tags = aspd().tags();
  tags.branch_separator = tokens("y");
  return ab::markup::Aspd(std::move(tags), std::move(options));
}

/// The text of branches and trunk as their events tell it, put together in reading order.
std::string told(const AspdRun& run) {
  std::map<ab::BranchIndex, std::string> texts;
  for (const ab::Event& event : run.events) {
    texts[event.branch] += event.text;
    if (event.kind != ab::Event::Kind::join) continue;
    for (std::int32_t k = 0; k < event.n_branches; ++k) texts[event.branch] += texts[event.first_branch + k];
  }
  return texts[ab::kTrunk];
}

}  // namespace

TEST_CASE("A branch that a limit ends is closed with the separator, in the text, the events and the history") {
  AspdRun run(separated(), {.max_branch_tokens = 2});
  run.script({}, "(a)(b)(c){z.");
  run.script({{0, 0}}, "xxx]").script({{0, 1}}, "x]").script({{0, 2}}, "xy]");  // `]` is the third token there
  const auto id = run.submit(tokens("p"));
  run.run();
  CHECK(run.history(id) == "p(a)(b)(c){[a:xxy][b:x][c:xy]}z");
  CHECK(run.decoder.text(id) == "a:xxyb:xc:xyz");  // b was not cut, c ends in its own separator
  CHECK(run.branch_reason(id, 3) == ab::EndReason::limit);
  CHECK(told(run) == run.decoder.text(id));
  CHECK(run.decoder.branch(id, 1).text == "a:xxy");
}

TEST_CASE("Branches that a request's limit ends are separated, those that have not started and nested ones too") {
  for (int limit = 7; limit <= 40; ++limit) {
    INFO("limit " << limit);
    AspdRun run(separated(), {.max_branches = 2});
    run.script({}, "(a)(b)(c){z.")
        .script({{0, 0}}, "x(d)(e){xy]")
        .script({{0, 1}}, "xxxxxxy]")
        .script({{0, 2}}, "xxy]");
    run.script({{0, 0}, {0, 0}}, "xxxxy]").script({{0, 0}, {0, 1}}, "xxy]");
    const auto id = run.submit(tokens("p"), {.max_tokens = limit});
    run.run();
    const std::string text = run.decoder.text(id);
    if (text.find(':') == std::string::npos) continue;
    CHECK(text.find("yy") == std::string::npos);
    CHECK(text.find("yb:") != std::string::npos);
    CHECK(text.find("yc:") != std::string::npos);
    CHECK((text.find("e:") == std::string::npos || text.find("ye:") != std::string::npos));
    CHECK(told(run) == text);
  }
}

TEST_CASE("A text that ends in the separator's text, by whatever token, gets no second one") {
  ab::markup::AspdOptions options;
  options.text = [](std::span<const TokenId> list, std::string& out) {
    for (const TokenId token : list)
      out += token == tokens("y").front() ? "\n" : token == tokens("w").front() ? ".\n" : "x";
  };
  AspdRun run(separated(options), {.max_branch_tokens = 2});
  run.script({}, "(a)(b){z.").script({{0, 0}}, "xw]").script({{0, 1}}, "xx]");
  const auto id = run.submit(tokens("p"));
  run.run();
  CHECK(run.decoder.text(id) == "a:xwb:xxyz");
}

TEST_CASE("A separator that is a tag is refused") {
  ab::markup::AspdTags tags = aspd().tags();
  tags.branch_separator = {kPara};
  CHECK_THROWS_AS(ab::markup::Aspd(tags), ab::Error);
}

TEST_CASE("A branch may end with its tag exactly at its limit") {
  AspdRun run(aspd(), {.max_branch_tokens = 3});
  run.script({}, "(a){z.").script({{0, 0}}, "xx]");
  const auto id = run.submit(tokens("p"));
  run.run();
  CHECK(run.branch_reason(id, 1) == ab::EndReason::end_tag);
  CHECK(run.history(id) == "p(a){[a:xx]}z");
}

TEST_CASE("Branches beyond max_branches wait to be admitted; none is lost") {
  AspdRun run(aspd(), {.max_branches = 2});
  run.script({}, "(a)(b)(c)(d){z.");
  run.script({{0, 0}}, "eee]").script({{0, 1}}, "f]").script({{0, 2}}, "gg]").script({{0, 3}}, "h]");
  const auto id = run.submit(tokens("p"));
  run.run();
  for (const Pass& pass : run.passes) CHECK(pass.n_outputs <= 2);
  CHECK(run.history(id) == "p(a)(b)(c)(d){[a:eee][b:f][c:gg][d:h]}z");
  CHECK(run.n_passes() == 1 + (13 + 2 - 1) + 6);
}

TEST_CASE("Waiting branches and nested blocks cannot lock each other out") {
  AspdRun run(aspd(), {.max_branches = 1});
  run.script({}, "(a)(b){z.");
  run.script({{0, 0}}, "(c)(d){e]").script({{0, 1}}, "(f){g]");
  run.script({{0, 0}, {0, 0}}, "h]").script({{0, 0}, {0, 1}}, "i]").script({{0, 1}, {0, 0}}, "j]");
  const auto id = run.submit(tokens("p"));
  run.run();
  CHECK(run.history(id) == "p(a)(b){[a:(c)(d){[c:h][d:i]}e][b:(f){[f:j]}g]}z");
}

TEST_CASE("A fork below the depth limit is refused: it is an empty block, and the parent goes on") {
  AspdRun run(aspd(), {.max_depth = 1});
  run.script({}, "(a){z.").script({{0, 0}}, "b(c){d]");
  const auto id = run.submit(tokens("p"));
  run.run();
  CHECK(run.history(id) == "p(a){[a:b(c){}d]}z");
  bool refused = false;
  for (const ab::Event& event : run.events)
    refused = refused ||
              (event.kind == ab::Event::Kind::fork && event.reason == ab::EndReason::limit && event.n_branches == 0);
  CHECK(refused);

  AspdRun none(aspd(), {.max_depth = 0});
  none.script({}, "(a){z.");
  const auto flat = none.submit(tokens("p"));
  none.run();
  CHECK(none.history(flat) == "p(a){}z");
}

TEST_CASE("A fork into more sequences than the cache may have is refused") {
  AspdRun run(aspd(), {}, {.max_sequences = 2});
  run.script({}, "(a)(b){z(c){y.").script({{1, 0}}, "d]").script({{0, 0}}, "d]");
  const auto id = run.submit(tokens("p"));
  run.run();
  CHECK(run.history(id) == "p(a)(b){}z(c){[c:d]}y");
}

TEST_CASE("A reserved range closes its branch, which keeps one position for its end tag") {
  AspdRun run(aspd(), {.positions = ab::Positions::reserved(6)});
  run.script({}, "(a)(b){z.").script({{0, 0}}, "cdefghijk]").script({{0, 1}}, "l]");
  const auto id = run.submit(tokens("p"));
  run.run();
  CHECK(run.history(id) == "p(a)(b){[a:cd][b:l]}z");  // [ a : c d ] are six
  CHECK(run.branch_reason(id, 1) == ab::EndReason::range);
  CHECK(run.branch_reason(id, 2) == ab::EndReason::end_tag);
  const auto positions = run.cache.positions_of(run.decoder.branch(id, 0).sequence);
  CHECK(positions ==
        std::vector<ab::Position>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20, 21});
}

TEST_CASE("A title longer than its range is cut, closed and reported") {
  AspdRun run(aspd(), {.positions = ab::Positions::reserved(4)});
  run.script({}, "(abcdef)(g){z.").script({{0, 1}}, "l]");
  const auto id = run.submit(tokens("p"));
  run.run();
  CHECK(run.history(id) == "p(abcdef)(g){[ab][g:]}z");
  CHECK(run.branch_reason(id, 1) == ab::EndReason::range);
  CHECK(run.branch_reason(id, 2) == ab::EndReason::range);
}

TEST_CASE(
    "Under sequential positions siblings share the positions that the model's maximum leaves, para end included") {
  for (int maximum = 9; maximum < 40; ++maximum) {
    INFO("maximum " << maximum);
    AspdRun run(aspd(), {}, {.max_position = maximum});
    run.script({}, "(a)(b){z.").script({{0, 0}}, "cccccc]").script({{0, 1}}, "dddd]");
    const auto id = run.submit(tokens("p"));
    run.run();
    const std::string text = run.decoder.text(id);
    const auto positions = run.cache.positions_of(run.decoder.branch(id, 0).sequence);
    for (const ab::Position p : positions) CHECK(p < maximum);
    if (maximum >= 29) {
      CHECK(run.decoder.reason(id) == ab::EndReason::end_of_text);
      CHECK(text == "a:ccccccb:ddddz");
    } else {
      CHECK(run.decoder.reason(id) == ab::EndReason::range);
    }
    run.decoder.release(id);
    CHECK(run.cache.n_free_pages() == run.cache.n_pages());
  }
}

TEST_CASE("Nested blocks never pass the range of the branch they are in") {
  for (int extent = 4; extent < 30; ++extent) {
    INFO("extent " << extent);
    AspdRun run(aspd(), {.positions = ab::Positions::reserved(extent)}, {.max_position = 200});
    run.script({}, "(a)(b){z.");
    run.script({{0, 0}}, "(c)(d){eee]").script({{0, 1}}, "ffffffffff]");
    run.script({{0, 0}, {0, 0}}, "ggg]").script({{0, 0}, {0, 1}}, "hhhhh]");
    const auto id = run.submit(tokens("p"));
    run.run();
    CHECK(run.decoder.reason(id) == ab::EndReason::end_of_text);
    const std::string history = run.history(id);
    CHECK(history.substr(history.size() - 3) == "]}z");
  }
  for (int maximum = 9; maximum < 60; ++maximum) {  // sequential: one supply for all levels
    INFO("maximum " << maximum);
    AspdRun run(aspd(), {}, {.max_position = maximum});
    run.script({}, "(a)(b){z.");
    run.script({{0, 0}}, "(c)(d){eee]").script({{0, 1}}, "ffffffffff]");
    run.script({{0, 0}, {0, 0}}, "ggg]").script({{0, 0}, {0, 1}}, "hhhhh]");
    const auto id = run.submit(tokens("p"));
    run.run();
    CHECK(run.decoder.reason(id) == (maximum >= 56 ? ab::EndReason::end_of_text : ab::EndReason::range));
  }
}

TEST_CASE("Longest positions go on after the longest branch") {
  AspdRun run(aspd(), {.positions = ab::Positions::longest});
  run.script({}, "(a)(b){z.").script({{0, 0}}, "cde]").script({{0, 1}}, "f]");
  const auto id = run.submit(tokens("p"));
  run.run();
  const auto positions = run.cache.positions_of(run.decoder.branch(id, 0).sequence);
  CHECK(positions ==
        std::vector<ab::Position>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 8, 9, 10, 11, 12, 15, 16});
}

TEST_CASE("Options that make no sense are refused with their value") {
  const auto status = [](ab::DecoderOptions options) {
    try {
      AspdRun run(aspd(), options);
      return ab::Status::ok;
    } catch (const ab::Error& error) {
      return error.status();
    }
  };
  CHECK(status({.max_branches = 0}) == ab::Status::bad_request);
  CHECK(status({.max_tokens = 0}) == ab::Status::bad_request);
  CHECK(status({.max_branch_tokens = 0}) == ab::Status::bad_request);
  CHECK(status({.max_depth = -1}) == ab::Status::bad_request);
  CHECK(status({.max_rows = 0}) == ab::Status::bad_request);
  CHECK(status({.positions = ab::Positions::given}) == ab::Status::bad_request);
  CHECK(status({.positions = ab::Positions::reserved(0)}) == ab::Status::bad_request);
  CHECK(status({}) == ab::Status::ok);
}
