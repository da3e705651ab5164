// The tokenizer of a GGUF file gives the tokens of the same model's tokenizer.json: as transformers makes it of the
// same metadata (record_gguf_tokenizers.py), and as recorded tokenizer.json files have it.
#include <cstdio>

#include <anabranch/hf/chat_template.hpp>
#include <anabranch/hf/tokenizer.hpp>

#include "catch.hpp"
#include "hf/files.hpp"
#include "hf/gguf_writer.hpp"

namespace {

namespace hf = anabranch::hf;
using anabranch::TokenId;
using test::GgufWriter;
using Json = nlohmann::json;
using Tokens = std::vector<TokenId>;

std::vector<std::string> lines_of_text() {
  std::vector<std::string> lines;
  for (const std::string& line : test::lines_of(test::recordings() / "lines.jsonl"))
    lines.push_back(Json::parse(line).get<std::string>());
  return lines;
}

// As record_gguf_tokenizers.py sums tokens up.
std::string summary_of(const Tokens& tokens) {
  std::uint64_t total = 0xcbf29ce484222325u;
  for (const TokenId token : tokens)
    for (int shift = 0; shift < 32; shift += 8)
      total = (total ^ (static_cast<std::uint32_t>(token) >> shift & 0xffu)) * 0x100000001b3u;
  char text[64];
  std::snprintf(text, sizeof text, "%zu %016llx", tokens.size(), static_cast<unsigned long long>(total));
  return text;
}

GgufWriter of_recorded(const Json& recorded) {
  GgufWriter file;
  file.text("general.architecture", recorded["architecture"].get<std::string>())
      .text("tokenizer.ggml.model", recorded["model"].get<std::string>())
      .text("tokenizer.ggml.pre", recorded["pre"].get<std::string>())
      .texts("tokenizer.ggml.tokens", recorded["tokens"].get<std::vector<std::string>>())
      .integers("tokenizer.ggml.token_type", recorded["types"].get<std::vector<std::int32_t>>())
      .integer("tokenizer.ggml.bos_token_id", recorded["bos"].get<std::uint32_t>())
      .integer("tokenizer.ggml.eos_token_id", recorded["eos"].get<std::uint32_t>());
  if (recorded.contains("scores"))
    file.numbers("tokenizer.ggml.scores", recorded["scores"].get<std::vector<float>>())
        .flag("tokenizer.ggml.add_space_prefix", recorded["add_space_prefix"].get<bool>())
        .integer("tokenizer.ggml.unknown_token_id", recorded["unk"].get<std::uint32_t>());
  if (recorded.contains("merges"))
    file.texts("tokenizer.ggml.merges", recorded["merges"].get<std::vector<std::string>>());
  return file;
}

hf::Tokenizer load_tokenizer(const GgufWriter& file) {
  const test::TemporaryFolder folder;
  file.write(folder / "m.gguf");
  return hf::Tokenizer::load(folder / "m.gguf");
}

std::string refusal_of(const GgufWriter& file) {
  const test::TemporaryFolder folder;
  file.write(folder / "m.gguf");
  const std::string path = (folder / "m.gguf").string();
  std::string text = test::error_of([&] { hf::Tokenizer::load(path); });
  if (const std::size_t at = text.find(path); at != text.npos) text.replace(at, path.size(), "FILE");
  return text;
}

/// A recorded tokenizer.json without what GGUF has no place for: how an added token treats its neighbours.
Json recorded_json(const std::string& name) {
  Json json = Json::parse(test::read(test::recordings() / (name + ".json")));
  for (Json& added : json["added_tokens"])
    for (const char* flag : {"single_word", "lstrip", "rstrip", "normalized"}) added[flag] = false;
  return json;
}

/// The metadata that a conversion writes of a tokenizer.json: its vocabulary, then its added tokens.
GgufWriter of_tokenizer_json(const Json& json, const std::string& pre) {
  std::vector<std::string> tokens, merges;
  std::vector<std::int32_t> kinds;
  const auto set = [&](std::size_t id, const std::string& text, std::int32_t kind) {
    if (tokens.size() <= id) tokens.resize(id + 1), kinds.resize(id + 1, 1);
    tokens[id] = text;
    kinds[id] = kind;
  };
  for (const auto& [text, id] : json["model"]["vocab"].items()) set(id.get<std::size_t>(), text, 1);
  for (const Json& added : json["added_tokens"])
    set(added["id"].get<std::size_t>(), added["content"].get<std::string>(), added["special"].get<bool>() ? 3 : 4);
  for (const Json& merge : json["model"]["merges"])
    merges.push_back(merge.is_string() ? merge.get<std::string>()
                                       : merge[0].get<std::string>() + " " + merge[1].get<std::string>());
  for (std::size_t id = tokens.size(); id % 16 != 0; ++id) set(id, "[PAD" + std::to_string(id) + "]", 5);
  GgufWriter file;
  return file.text("tokenizer.ggml.model", "gpt2")
      .text("tokenizer.ggml.pre", pre)
      .texts("tokenizer.ggml.tokens", tokens)
      .integers("tokenizer.ggml.token_type", kinds)
      .texts("tokenizer.ggml.merges", merges);
}

GgufWriter small_by_scores() {
  GgufWriter file;
  return file.text("tokenizer.ggml.model", "llama")
      .texts("tokenizer.ggml.tokens", {"<unk>", "<s>", "</s>", "\u2581", "a", "b", "ab", "\u2581a", "</", "s>"})
      .integers("tokenizer.ggml.token_type", {2, 3, 3, 1, 1, 1, 1, 1, 1, 1})
      .numbers("tokenizer.ggml.scores", {0, 0, 0, -1, -2, -3, -4, -5, -6, -7});
}

GgufWriter small_by_merges() {
  GgufWriter file;
  return file.text("tokenizer.ggml.model", "gpt2")
      .text("tokenizer.ggml.pre", "gpt-2")
      .texts("tokenizer.ggml.tokens", {"a", "b", "ab", "<|end|>"})
      .integers("tokenizer.ggml.token_type", {1, 1, 1, 3})
      .texts("tokenizer.ggml.merges", {"a b"});
}

}  // namespace

TEST_CASE("a GGUF file's tokenizer gives the tokens that transformers gives") {
  const std::vector<std::string> lines = lines_of_text();
  const Json all = Json::parse(test::read(test::recordings() / "gguf_tokenizers.json"));
  REQUIRE(all.size() == 7);
  for (const Json& recorded : all) {
    INFO(recorded["pre"] << " of " << recorded["architecture"]);
    const hf::Tokenizer tokenizer = load_tokenizer(of_recorded(recorded));
    std::size_t n = 0;
    for (std::size_t i = 0; i < lines.size(); i += 4, ++n) {
      INFO("line " << i << ": " << Json(lines[i]).dump());
      REQUIRE(summary_of(tokenizer.encode(lines[i])) == recorded["lines"][n].get<std::string>());
    }
    CHECK(n == recorded["lines"].size());
    for (const Json& extra : recorded["extra"]) {
      INFO(extra[0]);
      const Tokens tokens = tokenizer.encode(extra[0].get<std::string>());
      CHECK(tokens == extra[1].get<Tokens>());
      CHECK(tokenizer.decode(tokens) == extra[2].get<std::string>());
    }
  }
}

TEST_CASE("a GGUF file's tokenizer gives the tokens of the tokenizer.json that it was made from") {
  const std::vector<std::string> lines = lines_of_text();
  for (const auto& [name, pre] : {std::pair{"llama3", "llama-bpe"}, {"llama3", "llama3"}, {"qwen2", "qwen2"}}) {
    const Json recorded = recorded_json(name);
    const hf::Tokenizer json = hf::Tokenizer::parse(recorded.dump(), name);
    GgufWriter file = of_tokenizer_json(recorded, pre);
    if (std::string_view(name) == "llama3") file.integer("tokenizer.ggml.bos_token_id", 2001);
    const hf::Tokenizer gguf = load_tokenizer(file);
    CHECK(gguf.n_tokens() == json.n_tokens());
    CHECK(gguf.tokens_in_front() == json.tokens_in_front());
    for (std::size_t i = 0; i < lines.size(); i += 3) {
      INFO(pre << " line " << i << ": " << Json(lines[i]).dump());
      const Tokens tokens = json.encode(lines[i]);
      REQUIRE(gguf.encode(lines[i]) == tokens);
      REQUIRE(gguf.decode(tokens) == json.decode(tokens));
      REQUIRE(gguf.encode(lines[i], hf::Special::plain) == json.encode(lines[i], hf::Special::plain));
    }
    for (TokenId id = 0; id < json.n_tokens(); ++id) {
      REQUIRE(gguf.token_bytes(id) == json.token_bytes(id));
      REQUIRE(gguf.is_special(id) == json.is_special(id));
    }
  }
}

TEST_CASE("text does not become a control token of a vocabulary by scores") {
  const hf::Tokenizer tokenizer = load_tokenizer(small_by_scores());
  CHECK(tokenizer.encode("</s>", hf::Special::parse) == Tokens{2});
  const Tokens plain = tokenizer.encode("</s>", hf::Special::plain);
  CHECK(std::find(plain.begin(), plain.end(), 2) == plain.end());
  CHECK(tokenizer.encode("ab a") == Tokens{3, 6, 7});  // "ab" has a better score than "▁a"
}

TEST_CASE("merges beside scores are those that count") {
  const hf::Tokenizer tokenizer = load_tokenizer(small_by_scores().texts("tokenizer.ggml.merges", {"\u2581 a", "a b"}));
  CHECK(tokenizer.encode("ab a") == Tokens{7, 5, 7});
}

TEST_CASE("tokens around a text are those that the file asks for") {
  CHECK(load_tokenizer(small_by_scores()).tokens_in_front() == Tokens{1});
  CHECK(load_tokenizer(small_by_scores().flag("tokenizer.ggml.add_bos_token", false)).tokens_in_front().empty());
  const hf::Tokenizer both = load_tokenizer(small_by_merges()
                                                .integer("tokenizer.ggml.bos_token_id", 3)
                                                .integer("tokenizer.ggml.eos_token_id", 3)
                                                .flag("tokenizer.ggml.add_bos_token", true)
                                                .flag("tokenizer.ggml.add_eos_token", true));
  CHECK(both.encode("ab", {hf::Special::plain, hf::Surround::as_file_says}) == Tokens{3, 2, 3});
  CHECK(load_tokenizer(small_by_merges()).tokens_in_front().empty());
}

TEST_CASE("tokenizers of GGUF files that are not known are refused by key and name") {
  CHECK(refusal_of(GgufWriter().text("tokenizer.ggml.model", "t5")) ==
        "unsupported: FILE: 'tokenizer.ggml.model': \"t5\" is not supported; supported are \"gpt2\" (byte pair "
        "encoding) and \"llama\" (SentencePiece by scores)");
  CHECK_THAT(refusal_of(GgufWriter()), Catch::Matchers::Contains("'tokenizer.ggml.model': nothing is not supported"));
  const auto by_merges = [](const std::string& pre) {
    return GgufWriter()
        .text("tokenizer.ggml.model", "gpt2")
        .text("tokenizer.ggml.pre", pre)
        .texts("tokenizer.ggml.tokens", {"a", "b"});
  };
  CHECK(
      refusal_of(by_merges("default")) ==
      "unsupported: FILE: 'tokenizer.ggml.pre': \"default\" is not supported; supported are gpt-2, smollm, llama-bpe, "
      "llama3, llama-v3, qwen2, tekken, dbrx and gpt-4o");
  CHECK(refusal_of(by_merges("gpt-2")) ==
        "bad_file: FILE: 'tokenizer.ggml.merges': expected the merges of the vocabulary, found nothing");
  CHECK_THAT(
      refusal_of(by_merges("gpt-2").texts("tokenizer.ggml.merges", {"ab"})),
      Catch::Matchers::Contains("'tokenizer.ggml.merges': expected two tokens with a space between, found \"ab\""));
  CHECK_THAT(refusal_of(by_merges("gpt-2").texts("tokenizer.ggml.merges", {"a b"})),
             Catch::Matchers::StartsWith("bad_file: FILE: its tokenizer") && Catch::Matchers::Contains("\"ab\""));
  const auto tokens = [](const std::vector<std::string>& all) {
    return GgufWriter()
        .text("tokenizer.ggml.model", "gpt2")
        .text("tokenizer.ggml.pre", "gpt-2")
        .texts("tokenizer.ggml.tokens", all);
  };
  CHECK_THAT(refusal_of(tokens({"a", "b", "a"})), Catch::Matchers::Contains("found \"a\" for 0 and 2"));
  CHECK_THAT(refusal_of(tokens({"a", ""})), Catch::Matchers::Contains("found none for token 1"));
  CHECK_THAT(refusal_of(tokens({"a", "\xff"})), Catch::Matchers::Contains("found other bytes for token 1"));
  CHECK_THAT(
      refusal_of(tokens({"a", "b"}).integers("tokenizer.ggml.token_type", {1})),
      Catch::Matchers::Contains("'tokenizer.ggml.token_type': expected 2 of them, as there are tokens, found 1"));
  CHECK_THAT(refusal_of(small_by_scores().text("tokenizer.ggml.pre", "qwen2")),
             Catch::Matchers::Contains("'tokenizer.ggml.pre': \"qwen2\" is not supported for"));
  CHECK_THAT(refusal_of(small_by_scores().integer("tokenizer.ggml.bos_token_id", 99)),
             Catch::Matchers::Contains("'tokenizer.ggml.bos_token_id': expected a token below 10, found 99"));
  CHECK_THAT(refusal_of(small_by_merges().flag("tokenizer.ggml.add_bos_token", true)),
             Catch::Matchers::Contains("'tokenizer.ggml.bos_token_id': expected a token, because of"));
}

TEST_CASE("a GGUF file's chat template is run with the tokens that it names") {
  const test::TemporaryFolder folder;
  const auto chat = [&](const GgufWriter& file) {
    file.write(folder / "m.gguf");
    return hf::ChatTemplate::load(folder / "m.gguf");
  };
  CHECK(chat(small_by_scores()).family == hf::ChatFamily::plain);
  const hf::ChatTemplate own =
      chat(small_by_scores()
               .integer("tokenizer.ggml.bos_token_id", 1)
               .integer("tokenizer.ggml.eos_token_id", 2)
               .text("tokenizer.chat_template", "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}"));
  CHECK(own.tokens.at("eos_token") == "</s>");
  if (own.family != hf::ChatFamily::jinja) {
    WARN(test::kNoEngine);
    return;
  }
  const std::vector<hf::Message> messages{{"user", "hi"}};
  CHECK(own.render(messages) == "<s>hi</s>");
}
