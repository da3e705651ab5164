// Where the reader's text begins: a detokenizer that writes a blank before each word, but not before the first one.
#include "scripted.hpp"

using namespace scripted;

namespace {

/// Letters are words, 'z' is a blank alone, the others are special tokens without text.
struct Words {
  void operator()(std::span<const TokenId> list, std::string& out) const {
    for (const TokenId token : list) {
      if (token >= kFirstLetter) out += ' ';
      if (token >= kFirstLetter && token < kFirstLetter + 25) out += static_cast<char>('a' + token - kFirstLetter);
      if (token == kColon) out += ':';
    }
  }
  void decode_beginning(std::span<const TokenId> list, std::string& out) const {
    std::string text;
    (*this)(list, text);
    out += std::string_view(text).substr(text.starts_with(' ') ? 1 : 0);
  }
  std::string decode(const Tokens& list) const {
    std::string text;
    decode_beginning(list, text);
    return text;
  }
};
static_assert(ab::DecodesBeginning<Words> && !ab::DecodesBeginning<Letters>);

using SerialRun = Run<ab::markup::Serial, Words>;
using BlocksRun = Run<Aspd, Words>;

}  // namespace

TEST_CASE("An answer's text is that of its tokens decoded together, however it begins") {
  for (const char* script : {"ab.", "zab.", "zzab.", "z.", "]ab.", "]z]ab.", "[[.", "."}) {
    SerialRun run({});
    run.script({}, script);
    const auto id = run.submit(tokens("p"));
    run.run();
    std::string shown;
    for (const ab::Event& event : run.events) shown += event.text;
    CHECK(run.decoder.text(id) == Words{}.decode(run.decoder.tokens(id)));
    CHECK(shown == run.decoder.text(id));
  }
}

TEST_CASE("Branches stand in the midst of the text, titles are texts of their own") {
  BlocksRun run(aspd());
  run.script({}, "x(ab)(c){yz.").script({{0, 0}}, "d]").script({{0, 1}}, "ze]");
  const auto id = run.submit(tokens("p"));
  run.run();
  CHECK(run.decoder.text(id) == "x a b: d c:  e y ");
  CHECK(run.decoder.branch(id, 1).text == " a b: d");
  CHECK(run.decoder.branch(id, 1).title == "a b");
  for (const ab::Event& event : run.events)
    if (event.kind == ab::Event::Kind::fork) CHECK(event.titles == std::vector<std::string>{"a b", "c"});
}

TEST_CASE("Where branches come before all text, the first one begins it") {
  BlocksRun run(aspd());
  run.script({}, "z(a)(b){y.").script({{0, 0}}, "d]").script({{0, 1}}, "e]");
  const auto id = run.submit(tokens("p"));
  run.script({}, "(a)(b){y.").script({{0, 0}}, "(c)(d){]").script({{0, 0}, {0, 1}}, "e]");
  const auto nested = run.submit(tokens("p"));
  run.run();
  CHECK(run.decoder.text(id) == " a: d b: e y");
  CHECK(run.decoder.text(nested) == "a: c: d: e b: y");
}

TEST_CASE("An answer that was cut goes on in the midst; a new prompt begins a new text") {
  SerialRun run({});
  run.script({}, "abc.");
  const auto cut = run.submit(tokens("p"), {.max_tokens = 1});
  run.run();
  run.script({}, "b.");
  const auto rest = run.submit({}, {.after = cut});
  run.run();
  run.script({}, "c.");
  const auto next = run.submit(tokens("q"), {.after = rest});
  run.run();
  CHECK(run.decoder.text(cut) == "a");
  CHECK(run.decoder.text(rest) == " b");
  CHECK(run.decoder.text(next) == "c");
}

TEST_CASE("An answer that was cut before its text begins where it goes on") {
  SerialRun run({});
  run.script({}, "z.");
  const auto cut = run.submit(tokens("p"), {.max_tokens = 1});
  run.run();
  run.script({}, "ab.");
  const auto rest = run.submit({}, {.after = cut});
  run.run();
  CHECK(run.decoder.text(cut).empty());
  CHECK(run.decoder.text(rest) == " a b");
}

TEST_CASE("A stop text is looked for in the text as it is shown") {
  SerialRun run({});
  run.script({}, "abc.");
  const auto with_blank = run.submit(tokens("p"), {.stop = {" a"}});
  run.script({}, "abc.");
  const auto without = run.submit(tokens("p"), {.stop = {"a b"}});
  run.run();
  CHECK(run.decoder.text(with_blank) == "a b c");
  CHECK(run.decoder.text(without).empty());
  CHECK(run.decoder.reason(without) == ab::EndReason::stop);
}
