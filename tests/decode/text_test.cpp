// Text as it becomes printable: whole characters, stop strings over token borders, hidden tokens.
#include "scripted.hpp"

using namespace scripted;

namespace {

/// Token 10 + i is the i-th piece.
struct Pieces {
  std::vector<std::string> pieces;
  void operator()(std::span<const TokenId> list, std::string& out) const {
    for (const TokenId token : list)
      if (token >= kFirstLetter) out += pieces.at(static_cast<std::size_t>(token - kFirstLetter));
  }
};
using PieceRun = Run<ab::markup::Serial, Pieces>;

/// Streams pieces one by one; what came out after each, joined by '|', and the flush.
std::string streamed(const std::vector<std::string>& pieces, const std::vector<std::string>& stops = {}) {
  ab::TextStream stream;
  std::string all;
  for (const std::string& piece : pieces) all += stream.push(piece, stops) + "|";
  return all + stream.flush() + (stream.stopped() ? "!" : "");
}

}  // namespace

TEST_CASE("Characters come out whole, whatever the tokens cut") {
  CHECK(streamed({"a", "\xc3", "\xa4", "b"}) == "a||\xc3\xa4|b|");
  CHECK(streamed({"\xf0\x9f", "\x98", "\x80"}) == "||\xf0\x9f\x98\x80|");
  CHECK(streamed({"x\xe2\x82", "\xacy"}) == "x|\xe2\x82\xacy|");
}

TEST_CASE("Bytes that are no characters become U+FFFD, and never hold back what follows") {
  const std::string replacement = "\xef\xbf\xbd";
  CHECK(streamed({"\x80", "a"}) == replacement + "|a|");
  CHECK(streamed({"\xc3", "a"}) == "|" + replacement + "a|");
  CHECK(streamed({"\xe2\x82"}) == "|" + replacement);
  CHECK(streamed({"\xc0\xaf"}) == replacement + replacement + "|");                    // overlong
  CHECK(streamed({"\xed\xa0\x80"}) == replacement + replacement + replacement + "|");  // surrogate
  CHECK(streamed({"\xf4\x90\x80\x80"}).substr(0, 3) == replacement);                   // beyond U+10FFFF
  CHECK(streamed({"\xff\xfe"}) == replacement + replacement + "|");
}

TEST_CASE("Every cut of a text into bytes gives the same text") {
  const std::string text = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80 z\xe4\xb8\xad";
  for (std::size_t i = 0; i <= text.size(); ++i)
    for (std::size_t j = i; j <= text.size(); ++j) {
      ab::TextStream stream;
      std::string all = stream.push(text.substr(0, i), {});
      all += stream.push(text.substr(i, j - i), {});
      all += stream.push(text.substr(j), {});
      CHECK(all + stream.flush() == text);
    }
}

TEST_CASE("Stop strings match over token borders; the text is cut before them") {
  CHECK(streamed({"ab", "c", "de"}, {"cd"}) == "ab|||!");
  CHECK(streamed({"ab", "c", "e"}, {"cd"}) == "ab||ce|");
  CHECK(streamed({"aXXYb"}, {"XY"}) == "aX|!");
  CHECK(streamed({"a", "\n", "\n", "User", ":"}, {"\n\nUser:"}) == "a|||||!");
  CHECK(streamed({"a", "\n", "\n", "Us", "a"}, {"\n\nUser:"}) == "a||||\n\nUsa|");
  CHECK(streamed({"abcd"}, {"d", "bc"}) == "a|!");
  CHECK(streamed({"aab", "a"}, {"aaa"}) == "aab||a");
  CHECK(streamed({"x", "\xc3", "\xa4y"}, {"\xc3\xa4"}) == "x|||!");
}

TEST_CASE("A stop string ends the request in the pass that completes it") {
  const Pieces pieces{{"Hello", "\n", "\nUs", "er:", " x", "\xc3", "\xa4"}};
  PieceRun run({}, {}, {}, pieces);
  run.script_tokens({}, {10, 11, 12, 13, 14, 14, 14});
  const auto id = run.submit({10}, {.stop = {"\n\nUser:"}});
  run.run();
  CHECK(run.decoder.reason(id) == ab::EndReason::stop);
  CHECK(run.decoder.text(id) == "Hello");
  CHECK(run.n_passes() == 4);
  std::string shown;
  for (const ab::Event& event : run.events) shown += event.text;
  CHECK(shown == "Hello");
}

TEST_CASE("Text that was held back comes with the end") {
  const Pieces pieces{{"Hello", "\n", "\nUs", "\xc3"}};
  PieceRun run({}, {}, {}, pieces);
  run.script_tokens({}, {10, 11, 12, kEnd});
  const auto id = run.submit({10}, {.stop = {"\n\nUser:"}});
  run.run();
  CHECK(run.decoder.text(id) == "Hello\n\nUs");
  CHECK(run.events.back().text == "\n\nUs");
  run.script_tokens({}, {10, 13, kEnd});
  const auto cut = run.submit({10});
  run.run();
  CHECK(run.decoder.text(cut) == "Hello\xef\xbf\xbd");
}

TEST_CASE("A stop string in a branch ends the whole request; forced text never stops it") {
  AspdRun run(aspd());
  run.script({}, "(ab)(c){z.").script({{0, 0}}, "deab").script({{0, 1}}, "fghijk]");
  const auto id = run.submit(tokens("p"), {.stop = {"ab", "c:"}});
  run.run();
  CHECK(run.decoder.reason(id) == ab::EndReason::stop);
  CHECK(run.branch_reason(id, 1) == ab::EndReason::stop);
  CHECK(run.branch_reason(id, 2) == ab::EndReason::stop);
  CHECK(run.decoder.text(id) == "ab:dec:fgh");
}

TEST_CASE("A stop token ends the request and is not fed; one that ends a text anyway goes on to do that") {
  AspdRun run(aspd());
  run.script({}, "abyc.");
  const auto id = run.submit(tokens("p"), {.stop_tokens = tokens("xy")});
  run.script({}, "abc.");
  const auto ended = run.submit(tokens("p"), {.stop_tokens = {kEnd}});
  run.run();
  CHECK(run.decoder.reason(id) == ab::EndReason::stop);
  CHECK(run.decoder.text(id) == "ab");
  CHECK(run.decoder.tokens(id) == tokens("ab"));
  CHECK(run.decoder.statistics(id).n_sampled == 3);
  CHECK(run.decoder.statistics(id).n_forgotten == 1);
  CHECK(run.decoder.reason(ended) == ab::EndReason::end_of_text);
  run.script({}, "d.");
  const auto next = run.submit(tokens("q"), {.after = id});
  run.run();
  CHECK(run.history(next) == "pabqd");
}

TEST_CASE("A stop token in a branch ends the whole request, also where tags are drafted") {
  for (const bool draft : {false, true}) {
    AspdRun run(aspd(), {.draft = draft});
    run.script({}, "(a)(b){z.").script({{0, 0}}, "deyf]").script({{0, 1}}, "ghijk]");
    const auto id = run.submit(tokens("p"), {.stop_tokens = tokens("y")});
    run.script({}, "(ab)(cd){z.");
    const auto at_tag = run.submit(tokens("p"), {.stop_tokens = {kTitleEnd}});
    run.run();
    CHECK(run.decoder.reason(id) == ab::EndReason::stop);
    CHECK(run.branch_reason(id, 2) == ab::EndReason::stop);
    CHECK(run.decoder.text(id) == "a:deb:gh");
    CHECK(run.decoder.reason(at_tag) == ab::EndReason::stop);
    CHECK(run.decoder.tokens(at_tag) == tokens("(ab"));
  }
}

TEST_CASE("A stop that names a special token is that token, where the text knows the name") {
  struct Named : Letters {
    TokenId stop_token(std::string_view text) const {
      if (text.find("<stop>") == text.npos) return ab::kUnknownToken;
      if (text != "<stop>") ab::fail(ab::Status::bad_request, "among other text");
      return tokens("y").front();
    }
  };
  Run<Aspd, Named> run(aspd());
  run.script({}, "abyc.");
  const auto id = run.submit(tokens("p"), {.stop = {"c", "<stop>"}});
  run.run();
  CHECK(run.decoder.text(id) == "ab");
  CHECK(run.decoder.reason(id) == ab::EndReason::stop);
  CHECK_THROWS_AS(run.decoder.submit(tokens("p"), {.stop = {"c<stop>"}}), ab::Error);
  CHECK_FALSE(run.decoder.has_work());
}

TEST_CASE("The events of all branches, put together in reading order, are the answer") {
  AspdRun run(aspd());
  run.script({}, "x(a)(b){yz.").script({{0, 0}}, "c(d){e]").script({{0, 0}, {0, 0}}, "ff]").script({{0, 1}}, "g]");
  const auto id = run.submit(tokens("p"));
  run.run();
  std::map<ab::BranchIndex, std::string> branches;
  for (const ab::Event& event : run.events) {
    if (event.kind == ab::Event::Kind::token && event.role != ab::markup::Role::text) CHECK(event.text.empty());
    branches[event.branch] += event.text;
  }
  CHECK(branches[0] == "xyz");
  CHECK(branches[1] == "a:ce");
  CHECK(branches[2] == "b:g");
  CHECK(branches[3] == "d:ff");
  CHECK(run.decoder.text(id) == "xa:cd:ffeb:gyz");
}
