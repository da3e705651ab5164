// Byte pair encoding of characters, as Llama 2, Mistral, Phi-3 and Gemma write it, and tokenizers of all shapes: what
// the Python package `tokenizers` makes of them, in literal cases and in the recording of generate_tokenizers.py.

#include <anabranch/hf/tokenizer.hpp>

#include "catch.hpp"
#include "files.hpp"
#include "generated.hpp"
#include "llama2.hpp"

namespace hf = anabranch::hf;
using Json = nlohmann::json;
using Tokens = std::vector<anabranch::TokenId>;

namespace {

using test::kMeta;
using test::llama2;

hf::Tokenizer made(const Json& json) { return hf::Tokenizer::parse(json.dump(), "t.json"); }

std::vector<std::string> entries(const Json& json, const Tokens& tokens) {
  std::vector<std::string> out;
  for (const auto token : tokens)
    for (const auto& [entry, id] : json["model"]["vocab"].items())
      if (id == token) out.push_back(entry);
  return out;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("Llama 2's kind of tokenizer puts a blank in front, merges characters and spells others in bytes") {
  const Json json = llama2();
  const hf::Tokenizer tokenizer = made(json);
  const auto of = [&](const char* text) { return entries(json, tokenizer.encode(text)); };
  CHECK(of("hello hello") == Texts{kMeta + "hello", kMeta + "hello"});
  CHECK(of(" hello") == Texts{kMeta, kMeta + "hello"});
  CHECK(of("\xC3\xA9<s>hello\n") == Texts{kMeta, "<0xC3>", "<0xA9>", "<s>", kMeta + "hello", "<0x0A>"});
  CHECK(of("").empty());
  CHECK(tokenizer.encode("he", {hf::Special::parse, hf::Surround::as_file_says}).front() == 1);
  CHECK(tokenizer.encode("<s>", hf::Special::plain).front() != 1);
}

TEST_CASE("Its text has one blank less at the beginning, and bytes that are no text become signs") {
  const Json json = llama2();
  const hf::Tokenizer tokenizer = made(json);
  const auto text_of = [&](const Texts& texts) {
    Tokens tokens;
    for (const std::string& text : texts) tokens.push_back(json["model"]["vocab"][text].get<int>());
    return tokenizer.decode(tokens);
  };
  CHECK(tokenizer.decode(tokenizer.encode("  hello \xC3\xA9 \xF0\x9F\x98\x80")) == "  hello \xC3\xA9 \xF0\x9F\x98\x80");
  CHECK(text_of({kMeta, kMeta, "h"}) == " h");
  CHECK(text_of({"<0xE2>", "<0x96>", "h"}) == "\xEF\xBF\xBD\xEF\xBF\xBDh");
  CHECK(text_of({"h", "<0x41>", "<0xC3>"}) == "h\xEF\xBF\xBD\xEF\xBF\xBD");
  CHECK(text_of({"<0x20>", "<s>"}) == "<s>");
  std::string inner;
  tokenizer(tokenizer.encode("hello<s>\xC3\xA9"), inner);
  CHECK(inner == " hello \xC3\xA9");  // in the midst of a text
  CHECK(tokenizer.token_bytes(json["model"]["vocab"]["<0xC3>"].get<int>()) == "\xC3");
}

TEST_CASE("A stream gives text as soon as it is known, and all of it at its end") {
  const Json json = llama2();
  const hf::Tokenizer tokenizer = made(json);
  hf::DecodeStream stream = tokenizer.stream(hf::SpecialText::skip);
  const auto push = [&](const std::string& entry) {
    std::string out;
    stream.push(Tokens{json["model"]["vocab"][entry].get<int>()}, out);
    return out;
  };
  CHECK(push("<s>").empty());
  CHECK(push(kMeta + "hello") == "hello");
  CHECK(push(kMeta) == " ");
  CHECK(push("<0xC3>").empty());
  CHECK(push("<0xA9>").empty());
  CHECK(push("h") == "\xC3\xA9h");
  CHECK(push("<0xC3>").empty());
  std::string rest;
  stream.finish(rest);
  CHECK(rest == "\xEF\xBF\xBD");
  CHECK(push(kMeta + "hello") == "hello");  // a new text
  std::string out = "x";
  CHECK(test::error_of([&] { stream.push(Tokens{3, -1}, out); }).find("found -1") != std::string::npos);
  CHECK(out == "x");
}

TEST_CASE("Metaspace puts its character before every piece, the first one, or none") {
  Json json = llama2();
  json["normalizer"] = nullptr;
  const auto of = [&](const char* scheme, bool split, const char* text) {
    json["pre_tokenizer"] = {
        {"type", "Metaspace"}, {"replacement", kMeta}, {"prepend_scheme", scheme}, {"split", split}};
    return entries(json, made(json).encode(text));
  };
  CHECK(of("always", true, "hello<s>hello") == Texts{kMeta + "hello", "<s>", kMeta + "hello"});
  CHECK(of("first", true, "hello<s>hello") == Texts{kMeta + "hello", "<s>", "hello"});
  CHECK(of("first", true, "<s>hello") == Texts{"<s>", "hello"});
  CHECK(of("never", true, "hello hello") == Texts{"hello", kMeta + "hello"});
  CHECK(of("always", false, " hello") == Texts{kMeta + "hello"});
  json["model"]["merges"].push_back("o " + kMeta);
  json["model"]["vocab"]["o" + kMeta] = json["model"]["vocab"].size();
  CHECK(of("never", true, "o o") == Texts{"o", kMeta, "o"});
  CHECK(of("never", false, "o o") == Texts{"o" + kMeta, "o"});
}

TEST_CASE("Of an added token that is listed twice the last settings count, but it stays special") {
  Json json = llama2();
  const auto listed = [&json](Json changes) {
    Json token{{"id", json["model"]["vocab"].size()}, {"content", "[X]"}, {"normalized", false}};
    token.update(changes);
    json["added_tokens"].push_back(token);
  };
  listed({{"lstrip", true}, {"special", true}});
  listed({{"rstrip", true}, {"special", false}});
  const hf::Tokenizer tokenizer = made(json);
  const auto x = tokenizer.added("[X]");
  const Tokens tokens = tokenizer.encode("h [X] h");
  CHECK(tokens.size() == 6);  // with the blank before it, and that of the normalizer before each text
  CHECK(tokens[3] == x);
  CHECK(tokenizer.decode(Tokens{x}, hf::SpecialText::skip).empty());
}

TEST_CASE("An added token that is a single word is not found inside another") {
  Json json = llama2();
  json["normalizer"] = nullptr;
  json["added_tokens"].push_back({{"id", json["model"]["vocab"].size()}, {"content", "ell"}, {"single_word", true}});
  const hf::Tokenizer tokenizer = made(json);
  const auto ell = tokenizer.added("ell");
  const auto has = [&](const char* text) {
    const Tokens tokens = tokenizer.encode(text);
    return std::count(tokens.begin(), tokens.end(), ell);
  };
  CHECK(has("hello") == 0);
  CHECK(has("ell") == 1);
  CHECK(has("h ell, ell_") == 1);
  CHECK(has("\xC3\xA9"
            "ell") == 0);
}

TEST_CASE("An unknown character is an error only for a file that has no way to write it") {
  Json json = llama2();
  json["model"]["unk_token"] = "<none>";
  CHECK(test::error_of([&] { made(json); }) == "nothing");  // there are bytes for everything
  json["model"]["byte_fallback"] = false;
  CHECK(test::error_of([&] { made(json); }).find("'unk_token': expected a token of the vocabulary") !=
        std::string::npos);
  json["model"]["unk_token"] = "<unk>";
  CHECK(entries(json, made(json).encode("h\xC3\xA9!h")) == Texts{kMeta, "h", "<unk>", "h"});
  json["model"]["fuse_unk"] = false;
  CHECK(entries(json, made(json).encode("h\xC3\xA9!h")) == Texts{kMeta, "h", "<unk>", "<unk>", "h"});
  json["model"]["unk_token"] = nullptr;
  CHECK(entries(json, made(json).encode("h\xC3\xA9!h")) == Texts{kMeta, "h", "h"});
}

TEST_CASE("A text without cuts of 300,000 characters is encoded without quadratic cost") {
  const hf::Tokenizer tokenizer = made(llama2());
  std::string text;
  while (text.size() < 300'000) text += "hello hell \xC3\xA9";
  CHECK(tokenizer.decode(tokenizer.encode(text)) == text);
}

TEST_CASE("Tokenizers of all shapes equal the recorded ones, and their streams the whole text") {
  test::Tally tally;
  for (const std::string& line : test::lines_of(test::recordings() / "generated.jsonl"))
    CHECK(test::first_difference(Json::parse(line), tally) == "");
  CHECK(tally.n_tokenizers >= 18);
  CHECK(tally.n_texts > 150);
  CHECK(tally.n_lists > 250);
}
