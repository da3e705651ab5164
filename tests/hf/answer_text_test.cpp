// Answers of models whose tokenizer puts a blank in front of a text: what the reader gets, and what markups force.
#include <map>
#include <random>

#include <anabranch/decode/decoder.hpp>
#include <anabranch/hf/tokenizer.hpp>
#include <anabranch/markup/serial.hpp>
#include <anabranch/markup/skeleton.hpp>

#include "catch.hpp"
#include "files.hpp"
#include "llama2.hpp"

namespace {

namespace ab = anabranch;
using ab::hf::Tokenizer;
using TokenList = std::vector<ab::TokenId>;

/// The tokenizers of this file: a name, and the tokenizer.json.
std::map<std::string, nlohmann::json> tokenizers_with_prefix() {
  std::map<std::string, nlohmann::json> all;
  all["Prepend"] = test::llama2();
  const nlohmann::json metaspace{{"type", "Metaspace"}, {"replacement", test::kMeta}, {"prepend_scheme", "always"}};
  nlohmann::json json = test::llama2();
  json["normalizer"] = nullptr;
  json["pre_tokenizer"] = metaspace;
  json["decoder"] = {{"type", "Sequence"}, {"decoders", {metaspace, {{"type", "ByteFallback"}}}}};
  all["Metaspace"] = json;
  json["pre_tokenizer"]["prepend_scheme"] = "first";
  all["Metaspace, first"] = json;
  json = test::llama2();
  json["decoder"]["decoders"].back()["start"] = 2;
  all["two blanks taken off"] = json;
  return all;
}

Tokenizer tokenizer_of(const nlohmann::json& json) { return Tokenizer::parse(json.dump(), "t.json"); }

/// What the decoder makes of sampled tokens: its text, and that of its events.
struct Shown {
  std::string text, events;
};
Shown shown(const Tokenizer& tokenizer, const TokenList& sampled) {
  ab::KvCache cache({.n_pages = 64});
  ab::Decoder decoder(cache, ab::markup::Serial(), tokenizer, {.max_tokens = static_cast<int>(sampled.size())});
  const ab::RequestId id = decoder.submit({0});
  Shown out;
  for (const ab::TokenId token : sampled) {
    REQUIRE(decoder.plan());
    for (const ab::Event& event : decoder.commit_sampled(std::span(&token, 1))) out.events += event.text;
  }
  CHECK_FALSE(decoder.has_work());
  out.text = decoder.text(id);
  return out;
}

/// Random tokens; bytes in a row are a character.
TokenList random_tokens(const nlohmann::json& json, std::mt19937& random) {
  const auto& vocabulary = json["model"]["vocab"];
  std::vector<TokenList> choices{
      {0}, {1}, {vocabulary["<0x20>"]}, {vocabulary["<0x0A>"]}, {vocabulary["<0xC3>"], vocabulary["<0xA9>"]}};
  for (const auto& [entry, id] : vocabulary.items())
    if (entry.front() != '<') choices.push_back({id});
  choices.push_back({vocabulary[test::kMeta]});
  TokenList out;
  for (auto n = 1 + random() % 8; n > 0; --n) {
    const TokenList& choice = choices[random() % choices.size()];
    out.insert(out.end(), choice.begin(), choice.end());
  }
  return out;
}

/// An answer in skeleton mode, of a model that writes what `writes` says of a branch (0: the trunk).
using Decoder = ab::Decoder<ab::markup::Skeleton<Tokenizer, Tokenizer>, Tokenizer>;
Decoder skeleton_decoder(ab::KvCache& cache, const Tokenizer& tokenizer) {
  return {cache, ab::markup::Skeleton<Tokenizer, Tokenizer>(tokenizer, tokenizer, {.max_points = 2}), tokenizer};
}

}  // namespace

TEST_CASE("The text of an answer is what its tokens are when they are decoded together") {
  std::mt19937 random(20261);
  for (const auto& [name, json] : tokenizers_with_prefix()) {
    const Tokenizer tokenizer = tokenizer_of(json);
    for (int k = 0; k < 300; ++k) {
      const TokenList tokens = random_tokens(json, random);
      const Shown found = shown(tokenizer, tokens);
      INFO(name << ", tokens " << nlohmann::json(tokens).dump());
      CHECK(found.text == tokenizer.decode(tokens, ab::hf::SpecialText::skip));
      CHECK(found.events == found.text);
    }
  }
}

TEST_CASE("Bytes that are no character do not hold the text back, and become signs") {
  const nlohmann::json json = test::llama2();
  const Tokenizer tokenizer = tokenizer_of(json);
  const auto text_of = [&](std::initializer_list<const char*> entries) {
    TokenList tokens;
    for (const char* entry : entries) tokens.push_back(json["model"]["vocab"][entry]);
    return shown(tokenizer, tokens).text;
  };
  CHECK(text_of({"<0x20>", "h", "<0xC3>"}) == "h\xEF\xBF\xBD");
  CHECK(text_of({"<0x0A>", "<0xFF>", "h"}) == "\n\xEF\xBF\xBDh");  // decode, which sees all of it, has two signs
}

TEST_CASE("A text in the midst of another is encoded without a blank of its own, and decoded to itself") {
  for (const auto& [name, json] : tokenizers_with_prefix()) {
    const Tokenizer tokenizer = tokenizer_of(json);
    INFO(name);
    for (const std::string text :
         {"hello hello", "1. **", "\n\n", ":", " hello", "  h", "\xC3\xA9", "", "hello<s>hello"}) {
      std::string decoded;
      tokenizer(tokenizer(text), decoded);
      CHECK(decoded == text);
    }
    TokenList whole = tokenizer.encode("hello"), rest = tokenizer(" hello");
    whole.insert(whole.end(), rest.begin(), rest.end());
    CHECK(whole == tokenizer.encode("hello hello"));
  }
}

TEST_CASE(
    "Only the beginning of a text in the midst is without a blank: what follows an added token is as the file says") {
  nlohmann::json json = test::llama2();
  const int id = static_cast<int>(json["model"]["vocab"].size());
  json["added_tokens"].push_back({{"id", id}, {"content", "[X]"}, {"normalized", false}});
  const Tokenizer tokenizer = tokenizer_of(json);
  const auto at = [&](const std::string& entry) { return json["model"]["vocab"][entry].get<int>(); };
  CHECK(tokenizer("hello[X]hello") == TokenList{at("hello"), id, at(test::kMeta + "hello")});
  CHECK(tokenizer("[X]hello") == TokenList{id, at(test::kMeta + "hello")});
}

TEST_CASE("A file that strips texts and puts a space before words does neither in the midst") {
  nlohmann::json json = test::llama2();
  json["normalizer"] = {{"type", "Sequence"},
                        {"normalizers",
                         {{{"type", "Strip"}, {"strip_left", true}, {"strip_right", false}},
                          {{"type", "Prepend"}, {"prepend", test::kMeta}},
                          {{"type", "NFC"}},
                          {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", test::kMeta}}}}};
  const Tokenizer tokenizer = tokenizer_of(json);
  CHECK(tokenizer(" hello") == tokenizer.encode("hello"));
  CHECK(tokenizer.encode("  hello") == tokenizer.encode("hello"));
  const auto at = [&](const std::string& entry) { return json["model"]["vocab"][entry].get<int>(); };
  CHECK(tokenizer("hello") == TokenList{at("hello")});
}

TEST_CASE("What a skeleton forces reads as it is written, whatever the tokenizer puts in front of a text") {
  for (const auto& [name, json] : tokenizers_with_prefix()) {
    INFO(name);
    const Tokenizer tokenizer = tokenizer_of(json);
    ab::KvCache cache({.n_pages = 256});
    Decoder decoder = skeleton_decoder(cache, tokenizer);
    const ab::RequestId id = decoder.submit({0});
    const TokenList trunk = tokenizer("hello**hell**"), body = tokenizer(" hello\n");
    while (decoder.has_work()) {
      const auto plan = decoder.plan();
      REQUIRE(plan);
      TokenList next;
      for (const ab::OutputSettings& output : plan.output_settings())
        next.push_back((output.branch == ab::kTrunk ? trunk : body).at(static_cast<std::size_t>(output.index)));
      decoder.commit_sampled(next);
    }
    CHECK(decoder.text(id) == "Here are the main points:\n\n1. **hello**: hello\n2. **hell**: hello");
    CHECK(decoder.branch(id, 1).title == "hello");
    CHECK(decoder.statistics(id).n_tag > 0);
    CHECK(decoder.reason(id) == ab::EndReason::finished);
  }
}

TEST_CASE("A skeleton refuses a tokenizer that puts a blank in front of what stands in the midst") {
  const Tokenizer tokenizer = tokenizer_of(test::llama2());
  const auto encode = [&](std::string_view text) { return tokenizer.encode(text, ab::hf::Special::plain); };
  CHECK(test::error_of([&] { ab::markup::Skeleton(encode, tokenizer); }).find("puts a blank in front of '1. **'") !=
        std::string::npos);
}
