// Samples as rows: which tokens, of which kind, and what is learned where.
#include <anabranch/train/token_row.hpp>

#include "catch.hpp"
#include "train/support.hpp"

namespace ab = anabranch;
using ab::TokenId;
using ab::test::byte_text;
using ab::test::renderer;
using ab::test::sample_of;
using ab::train::Rendering;
using ab::train::TokenKind;
using ab::train::TokenRow;

namespace {

/// One character per token: tags as [ ] for branches, < > for titles, ( ) for the block, $ for the end.
std::string shown(TokenId token) {
  const ab::hf::ModelText text = byte_text();
  const std::string marks = "[]<>()$";
  for (std::size_t i = 0; i < marks.size(); ++i)
    if (token == text.tokenizer.added(ab::test::kTagTexts[i])) return {marks[i]};
  return token == ab::kNone ? "." : text.tokenizer.decode({{token}});
}

std::string shown(const std::vector<TokenId>& tokens) {
  std::string out;
  for (const TokenId token : tokens) out += shown(token);
  return out;
}

std::string kinds(const TokenRow& row) {
  std::string out;
  for (const TokenKind kind : row.kinds) out += "pstbga"[static_cast<int>(kind)];
  return out;
}

std::string target_kinds(const TokenRow& row) {
  std::string out;
  for (std::size_t i = 0; i < row.targets.size(); ++i)
    out += row.targets[i] == ab::kNone ? '.' : "pstbga"[static_cast<int>(row.target_kinds[i])];
  return out;
}

}  // namespace

TEST_CASE("a block is written as decoding writes it, and only sampled tokens are learned") {
  const TokenRow row = renderer().render(sample_of(R"([{"text": "a"},
                                      {"branches": [{"title": "T", "text": " b"}, {"title": "UV", "text": ""}]},
                                      {"text": "g"}])"));
  CHECK(shown(row.tokens) == "Qa<T><UV>([T: b][UV:])g$");
  CHECK(kinds(row) == "psgtggttgggttbbggtttggaa");
  CHECK(shown(row.targets) == "a<T><UV>(... b]....].g$.");
  CHECK(target_kinds(row) == "sgtggttgg...bbg....g.aa.");
  CHECK(row.positions == std::vector<ab::Position>{0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,
                                                   12, 13, 14, 15, 10, 11, 12, 13, 14, 21, 22, 23});
  CHECK_FALSE(row.causal);
  CHECK(row.n_targets() == 15);
}

TEST_CASE("a block inside a branch follows the same rules, and its branch goes on after it") {
  const TokenRow row = renderer().render(ab::test::nested_sample());
  CHECK(shown(row.tokens) == "Qa<T><U>([T: b\n][U: c<V><W>([V:d][W:e])f])g$");
  CHECK(shown(row.targets) == "a<T><U>(... b\n]... c<V><W>(...d]...e].f].g$.");
}

TEST_CASE("a branch without a title starts with its tag alone, and says nothing of the separator") {
  const TokenRow row = renderer().render(sample_of(R"([{"branches": [{"title": "", "text": "x"}]}])"));
  CHECK(shown(row.tokens) == "Q<>([x])$");
  CHECK(shown(row.targets) == "<>(.x].$.");
}

TEST_CASE("the serial rendering is the reading text, learned from its first to its end token") {
  const TokenRow row = renderer({.rendering = Rendering::serial}).render(ab::test::nested_sample());
  CHECK(shown(row.tokens) == "QaT: b\nU: cV:dW:efg$");
  CHECK(shown(row.targets) == "aT: b\nU: cV:dW:efg$.");
  CHECK(kinds(row) == "psttbbbttbbttbttbbaa");
  CHECK(row.causal);
  for (std::size_t i = 0; i < row.positions.size(); ++i) CHECK(row.positions[i] == static_cast<ab::Position>(i));
}

TEST_CASE("a sample without branches is the same row in both renderings") {
  const auto sample = sample_of(R"([{"text": "one "}, {"text": "two"}])");
  const TokenRow aspd = renderer().render(sample), serial = renderer({.rendering = Rendering::serial}).render(sample);
  CHECK(shown(aspd.tokens) == "Qone two$");
  CHECK(aspd.tokens == serial.tokens);
  CHECK(aspd.targets == serial.targets);
  CHECK(aspd.kinds == serial.kinds);
  CHECK(aspd.causal);
}

TEST_CASE("text that spells a tag stays text") {
  const TokenRow row = renderer().render(sample_of(R"([{"text": "<|para|>"}])", "<|end|>"));
  CHECK(row.n_tokens() == 7 + 8 + 1);
}

TEST_CASE("the answer's end is the token that the chat template puts after an assistant's message") {
  ab::hf::ModelText text = byte_text();
  const TokenId other = text.tokenizer.added("<|/para|>"), end = text.tokenizer.added("<|end|>");
  CHECK(ab::train::Renderer(text, {other, end}, {.rendering = Rendering::serial}).end_of_answer() == other);
  text.chat = ab::hf::ChatTemplate::of(ab::hf::ChatFamily::chatml);
  CHECK(ab::train::Renderer(text, {other, end}, {.rendering = Rendering::serial}).end_of_answer() == other);
}

TEST_CASE("a model without the tags cannot be shown markup, but serial text it can") {
  ab::hf::ModelText text = byte_text();
  text.markup.para = "<none>";
  const std::vector<TokenId> end{ab::test::end_token(text)};
  CHECK_THROWS_AS(ab::train::Renderer(text, end, {}), ab::Error);
  CHECK_NOTHROW(ab::train::Renderer(text, end, {.rendering = Rendering::serial}));
  CHECK_THROWS_AS(ab::train::Renderer(text, {}, {.rendering = Rendering::serial}), ab::Error);
}
