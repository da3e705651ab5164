// Tokens equal those that the Python package `tokenizers` gives: recordings made by record_tokenizer.py.

#include <anabranch/hf/tokenizer.hpp>

#include <cstdio>
#include <thread>

#include <anabranch/decode/model.hpp>

#include "catch.hpp"
#include "files.hpp"

namespace hf = anabranch::hf;
using anabranch::TokenId;
using Tokens = std::vector<TokenId>;

static_assert(anabranch::Detokenizer<hf::Tokenizer>);

namespace {

const std::vector<std::string>& recorded_lines() {
  static const std::vector<std::string> lines = [] {
    std::vector<std::string> result;
    for (const std::string& line : test::lines_of(test::recordings() / "lines.jsonl"))
      result.push_back(nlohmann::json::parse(line).get<std::string>());
    return result;
  }();
  return lines;
}

std::string numbers(const Tokens& tokens) {
  std::string text;
  for (const TokenId token : tokens) (text += text.empty() ? "" : " ") += std::to_string(token);
  return text;
}

// As record_tokenizer.py sums them up.
std::string summary(const Tokens& tokens) {
  std::uint64_t total = 0xcbf29ce484222325u;
  for (const TokenId token : tokens)
    for (int shift = 0; shift < 32; shift += 8)
      total = (total ^ (static_cast<std::uint32_t>(token) >> shift & 0xffu)) * 0x100000001b3u;
  char text[64];
  std::snprintf(text, sizeof text, "%zu %016llx", tokens.size(), static_cast<unsigned long long>(total));
  return text;
}

template <class Shown>
void compare(const hf::Tokenizer& tokenizer, const std::string& recording, Shown shown) {
  const auto expected = test::lines_of(test::recordings() / recording);
  const auto& lines = recorded_lines();
  REQUIRE(expected.size() == lines.size());
  REQUIRE(lines.size() > 3000);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    INFO("line " << i << ": " << nlohmann::json(lines[i]).dump());
    REQUIRE(shown(tokenizer.encode(lines[i])) == expected[i]);
  }
}

hf::Tokenizer small(const std::string& name) { return hf::Tokenizer::load(test::recordings() / (name + ".json")); }

}  // namespace

TEST_CASE("Tokens of SmolLM2 equal the recorded ones on mixed text") {
  if (test::model_folder().empty()) {
    WARN(test::kNoModel);
    return;
  }
  compare(hf::Tokenizer::load(test::model_folder()), "smollm2.ids", numbers);
}

TEST_CASE("Tokens of a Qwen2-shaped tokenizer equal the recorded ones on mixed text") {
  compare(small("qwen2"), "qwen2.sums", summary);
}

TEST_CASE("Tokens of a Llama-3-shaped tokenizer equal the recorded ones on mixed text") {
  compare(small("llama3"), "llama3.sums", summary);
}

TEST_CASE("Tokens of a tokenizer with prefix space, joined digits and an unknown token equal the recorded ones") {
  compare(small("prefix"), "prefix.sums", summary);
}

TEST_CASE("Tokens around a text, special tokens as text and skipped decoding equal the recorded ones") {
  for (const std::string& line : test::lines_of(test::recordings() / "surround.jsonl")) {
    const auto row = nlohmann::json::parse(line);
    const hf::Tokenizer tokenizer = small(row["tokenizer"]);
    INFO(line);
    const std::string text = row["text"];
    const Tokens tokens = tokenizer.encode(text, {hf::Special::parse, hf::Surround::as_file_says});
    CHECK(tokens == row["ids"].get<Tokens>());
    CHECK(tokenizer.encode(text, hf::Special::plain) == row["plain"].get<Tokens>());
    if (!row["skipped"].is_null())
      CHECK(tokenizer.decode(tokens, hf::SpecialText::skip) == row["skipped"].get<std::string>());
  }
}

TEST_CASE("Decoding gives back the bytes of every recorded line") {
  const hf::Tokenizer tokenizer = small("llama3");
  for (const std::string& line : recorded_lines()) CHECK(tokenizer.decode(tokenizer.encode(line)) == line);
}

TEST_CASE("An added token's text is decoded like any other: letters of the byte alphabet stand for bytes") {
  const hf::Tokenizer tokenizer = small("qwen2");
  const Tokens tokens{tokenizer.added("caf\xC3\xA9!")};
  CHECK(tokenizer.decode(tokens) == "caf\xE9!");       // the Python package has U+FFFD there
  CHECK(tokenizer.encode("cafe\xCC\x81!") == tokens);  // found after composition
  CHECK(tokenizer.decode(tokenizer.encode("<tool>")) == "<tool>");
}

TEST_CASE("Decoding appends, token by token, the bytes of characters that span tokens") {
  const hf::Tokenizer tokenizer = small("llama3");
  const std::string text = "a \xF0\xA0\x80\x80 \xF0\x9F\xAB\xA0!";  // an ideograph and a face, each of 4 bytes
  std::string bytes = "seen: ", joined;
  for (const TokenId token : tokenizer.encode(text)) {
    tokenizer.decode(std::vector<TokenId>{token}, bytes);
    joined += tokenizer.token_bytes(token);
  }
  CHECK(bytes == "seen: " + text);
  CHECK(joined == text);
}

TEST_CASE("As tokens-to-text a tokenizer leaves special tokens out") {
  const hf::Tokenizer tokenizer = small("qwen2");
  std::string text;
  tokenizer(tokenizer.encode("<|im_start|>user<|im_end|> <tool_call>"), text);
  CHECK(text == "user <tool_call>");
}

TEST_CASE("Added tokens are found by their text and know whether they are special") {
  const hf::Tokenizer tokenizer = small("qwen2");
  const TokenId end = tokenizer.added("<|im_end|>"), call = tokenizer.added("<tool_call>");
  CHECK(tokenizer.encode("<|im_end|><tool_call>") == Tokens{end, call});
  CHECK(tokenizer.is_special(end));
  CHECK_FALSE(tokenizer.is_special(call));
  CHECK_FALSE(tokenizer.is_special(-1));
  CHECK_FALSE(tokenizer.is_special(tokenizer.n_tokens()));
  CHECK_FALSE(tokenizer.find_added("<none>"));
  CHECK(test::error_of([&] { tokenizer.added("<none>"); }).find("bad_argument: added token: expected one of") == 0);
  CHECK(tokenizer.token_bytes(end) == "<|im_end|>");
}

TEST_CASE("A stop that is the name of a special token is that token, other text is none") {
  const hf::Tokenizer tokenizer = small("qwen2");
  CHECK(tokenizer.stop_token("<|im_end|>") == tokenizer.added("<|im_end|>"));
  for (const char* text : {"User:", "\n\n", "<tool_call>", "<|im_en", "\xff", "a\xc3"})
    CHECK(tokenizer.stop_token(text) == anabranch::kUnknownToken);
  CHECK(
      test::error_of([&] { tokenizer.stop_token("<|im_end|>\n"); }) ==
      "bad_request: the stop text \"<|im_end|>\n\" holds the name of a special token among other text; it must be the "
      "name alone, or text");
}

TEST_CASE("Ids outside the vocabulary decode to nothing, negative ones are refused before anything is written") {
  const hf::Tokenizer tokenizer = small("qwen2");
  const Tokens padded{tokenizer.n_tokens(), 1 << 30};
  CHECK(tokenizer.decode(padded).empty());
  std::string out = "x";
  const Tokens bad{5, -1};
  CHECK(test::error_of([&] { tokenizer.decode(bad, out); }) ==
        "bad_argument: token to decode: expected an id of at least 0, found -1");
  CHECK(out == "x");
  CHECK(test::error_of([&] {
          tokenizer.token_bytes(tokenizer.n_tokens());
        }).find("bad_argument: token id: expected 0 to ") == 0);
}

TEST_CASE("Text that is not UTF-8 is refused with the offset of the first bad byte") {
  const hf::Tokenizer tokenizer = small("qwen2");
  CHECK(test::error_of([&] { tokenizer.encode("ab\xC3"); }) ==
        "bad_argument: text to encode: not well-formed UTF-8 at byte 2 of 3");
  CHECK(test::error_of([&] { tokenizer.encode("\xED\xA0\x80"); }).find("at byte 0 of 3") != std::string::npos);
}

TEST_CASE("Several threads can encode with one tokenizer") {
  const hf::Tokenizer tokenizer = small("qwen2");
  const auto& lines = recorded_lines();
  std::vector<std::vector<Tokens>> results(4);
  std::vector<std::thread> threads;
  for (auto& result : results)
    threads.emplace_back([&result, &lines, copy = tokenizer] {
      for (std::size_t i = 0; i < 300; ++i) result.push_back(copy.encode(lines[i]));
    });
  for (std::thread& thread : threads) thread.join();
  for (std::size_t t = 1; t < results.size(); ++t) CHECK(results[t] == results[0]);
}

TEST_CASE("A word and a run of spaces of 300,000 bytes are encoded without quadratic cost") {
  const hf::Tokenizer tokenizer = small("llama3");
  for (const char c : {'a', ' ', '\n', '7', '-'}) {
    const std::string text(300'000, c);
    CHECK(tokenizer.decode(tokenizer.encode(text)) == text);
  }
}
