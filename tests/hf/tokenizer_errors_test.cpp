// Whatever is wrong with a tokenizer.json, or not supported, is said with file, key, expected and found.

#include <anabranch/hf/tokenizer.hpp>

#include <random>

#include "catch.hpp"
#include "files.hpp"

namespace hf = anabranch::hf;
using Json = nlohmann::json;
using anabranch::TokenId;
using Tokens = std::vector<TokenId>;

namespace {

// a b c ab abc; one special token beside them.
Json tiny() {
  return Json::parse(R"({
    "added_tokens": [{"id": 5, "content": "<end>", "special": true, "normalized": false,
                      "lstrip": false, "rstrip": false, "single_word": false}],
    "normalizer": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
    "post_processor": null,
    "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "ab": 3, "abc": 4}, "merges": ["a b", ["ab", "c"]]}})");
}

std::string error_of(const Json& json) {
  return test::error_of([&] { hf::Tokenizer::parse(json.dump(), "t.json"); });
}

std::string error_with(const std::string& pointer, const Json& value) {
  Json json = tiny();
  json[Json::json_pointer(pointer)] = value;
  return error_of(json);
}

std::string error_without(const std::string& key) {
  Json json = tiny();
  json.erase(key);
  return error_of(json);
}

}  // namespace

TEST_CASE("A tiny tokenizer merges by rank and drops bytes it has no token for") {
  const hf::Tokenizer tokenizer = hf::Tokenizer::parse(tiny().dump(), "t.json");
  CHECK(tokenizer.n_tokens() == 6);
  CHECK(tokenizer.encode("abcab<end>") == Tokens{4, 3, 5});
  CHECK(tokenizer.encode("a!b") == Tokens{0, 1});
  CHECK(tokenizer.encode("<end>", hf::Special::plain).empty());
  CHECK(tokenizer.encode("").empty());
}

TEST_CASE("Unknown bytes become the unknown token, one each or fused") {
  Json json = tiny();
  json["model"]["unk_token"] = "c";
  const auto encode = [&] {
    return hf::Tokenizer::parse(json.dump(), "t.json")
        .encode(
            "a\xC3\xA9"
            "b");
  };
  CHECK(encode() == Tokens{0, 2, 2, 1});
  json["model"]["fuse_unk"] = true;
  CHECK(encode() == Tokens{0, 2, 1});
}

TEST_CASE("With byte fallback a missing byte is spelled by the bytes of its character in the byte alphabet") {
  Json json = tiny();
  json["model"]["byte_fallback"] = true;
  json["model"]["vocab"].update(Json{{"<0xC4>", 6}, {"<0xA0>", 7}});
  CHECK(hf::Tokenizer::parse(json.dump(), "t.json").encode("a b") == Tokens{0, 6, 7, 1});  // a blank is U+0120 there
}

TEST_CASE("Kinds of tokenizers that are not supported are refused by name") {
  CHECK(error_with("/model/type", "WordPiece") ==
        "unsupported: t.json: 'model': 'type': \"WordPiece\" is not supported, only \"BPE\"");
  CHECK(error_with("/model/dropout", 0.1) ==
        "unsupported: t.json: 'model': 'dropout': 0.1 is not supported, only none");
  CHECK(error_with("/model/end_of_word_suffix", "</w>") ==
        "unsupported: t.json: 'model': 'end_of_word_suffix': \"</w>\" is not supported, only none");
  CHECK(error_with("/normalizer", {{"type", "Lowercase"}}) ==
        "unsupported: t.json: 'normalizer': 'type': \"Lowercase\" is not supported; supported are NFC and Sequence");
  CHECK(error_with("/normalizer", {{"type", "Sequence"}, {"normalizers", {{{"type", "NFKC"}}}}})
            .find("unsupported: t.json: 'normalizer': 'normalizers' 0: 'type': \"NFKC\"") == 0);
  CHECK(error_with("/pre_tokenizer", {{"type", "Metaspace"}})
            .find("unsupported: t.json: 'pre_tokenizer': 'type': \"Metaspace\"") == 0);
  CHECK(error_with("/pre_tokenizer", {{"type", "Digits"}}).find("expected a ByteLevel step, found none") !=
        std::string::npos);
  const Json byte_level{{"type", "ByteLevel"}}, digits{{"type", "Digits"}};
  CHECK(error_with("/pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", {byte_level, digits}}})
            .find("\"Digits\" after ByteLevel") != std::string::npos);
  CHECK(error_with("/decoder", {{"type", "WordPiece"}}).find("unsupported: t.json: 'decoder': 'type': \"WordPiece\"") ==
        0);
  CHECK(error_with("/post_processor", {{"type", "BertProcessing"}})
            .find("unsupported: t.json: 'post_processor': 'type'") == 0);
  CHECK(error_with("/added_tokens/0/single_word", true) ==
        "unsupported: t.json: 'added_tokens' 0: 'single_word': true is not supported");
  const Json removed{{"type", "Split"}, {"behavior", "Removed"}, {"invert", false}, {"pattern", {{"Regex", "a"}}}};
  CHECK(error_with("/pre_tokenizer", removed) ==
        "unsupported: t.json: 'pre_tokenizer': 'behavior': \"Removed\" is not supported, only \"Isolated\"");
  const Json words{{"type", "Split"}, {"behavior", "Isolated"}, {"invert", false}, {"pattern", {{"Regex", "\\w+"}}}};
  CHECK(error_with("/pre_tokenizer", words) ==
        "unsupported: t.json: 'pre_tokenizer': '\\w' in the pattern \\w+ is not supported");
}

TEST_CASE("Missing parts of a tokenizer file are named") {
  CHECK(error_without("model") == "bad_file: t.json: 'model': expected an object, found nothing");
  CHECK(error_without("pre_tokenizer") == "bad_file: t.json: 'pre_tokenizer': expected an object, found nothing");
  CHECK(error_without("decoder") == "bad_file: t.json: 'decoder': expected an object, found nothing");
  CHECK(error_without("added_tokens") == "nothing");
  Json json = tiny();
  json["model"].erase("merges");
  CHECK(error_of(json) == "bad_file: t.json: 'model': 'merges': expected an array, found nothing");
}

TEST_CASE("Damaged vocabularies, merges and added tokens are refused with what was found") {
  CHECK(error_with("/model/vocab/a", -1) ==
        "bad_file: t.json: 'model': 'vocab': 'a': expected a token id from 0 to 4194303, found -1");
  CHECK(error_with("/model/vocab/a", "x").find("found \"x\"") != std::string::npos);
  CHECK(error_with("/model/vocab/a", 4294967296).find("found 4294967296") != std::string::npos);
  CHECK(error_with("/model/vocab/a", 1).find("expected an id of its own") != std::string::npos);
  CHECK(error_with("/model/merges/0", "a  b") ==
        "bad_file: t.json: 'model': 'merges': expected \"left right\" with one space, found \"a  b\"");
  CHECK(error_with("/model/merges/0", "ab").find("with one space, found \"ab\"") != std::string::npos);
  CHECK(error_with("/model/merges/0", {"a"}).find("expected two tokens, found an array of 1 entries") !=
        std::string::npos);
  CHECK(error_with("/model/merges/0", "b a")
            .find("'merges' 0: expected \"b\", \"a\" and \"ba\" in the vocabulary, found no \"ba\"") !=
        std::string::npos);
  CHECK(error_with("/model/unk_token", "<u>").find("'unk_token': expected a token of the vocabulary, found \"<u>\"") !=
        std::string::npos);
  CHECK(error_with("/added_tokens/0/id", 1).find("'id': expected an id of its own for \"<end>\", found 1") !=
        std::string::npos);
  CHECK(error_with("/added_tokens/0/content", "ab").find("'id': expected 3, the vocabulary's id of \"ab\", found 5") !=
        std::string::npos);
  CHECK(error_with("/added_tokens/0/special", 1).find("'special': expected true or false, found 1") !=
        std::string::npos);
  CHECK(error_with("/added_tokens", 7) == "bad_file: t.json: 'added_tokens': expected an array, found 7");
  Json twice = tiny();
  twice["added_tokens"].push_back(twice["added_tokens"][0]);
  CHECK(error_of(twice) == "nothing");
  twice["added_tokens"][1]["id"] = 6;
  CHECK(error_of(twice).find("\"<end>\" is there twice") != std::string::npos);
}

TEST_CASE("Templates around a text must hold it once and name known tokens") {
  const auto processor = [](Json single, Json ids) {
    return Json{{"type", "TemplateProcessing"},
                {"single", std::move(single)},
                {"special_tokens", {{"<end>", {{"id", "<end>"}, {"ids", std::move(ids)}, {"tokens", {"<end>"}}}}}}};
  };
  const Json text{{"Sequence", {{"id", "A"}, {"type_id", 0}}}},
      end{{"SpecialToken", {{"id", "<end>"}, {"type_id", 0}}}};
  Json json = tiny();
  json["post_processor"] = processor(Json::array({text, end}), Json::array({5}));
  const hf::Tokenizer tokenizer = hf::Tokenizer::parse(json.dump(), "t.json");
  CHECK(tokenizer.encode("ab", {hf::Special::parse, hf::Surround::as_file_says}) == Tokens{3, 5});
  CHECK(tokenizer.encode("ab") == Tokens{3});
  CHECK(error_with("/post_processor", processor(Json::array({end}), Json::array({5})))
            .find("'single': expected the text \"A\" once") != std::string::npos);
  CHECK(error_with("/post_processor", processor(Json::array({text, text}), Json::array({5}))).find("once") !=
        std::string::npos);
  CHECK(error_with("/post_processor", processor(Json::array({text, end}), Json::array({99})))
            .find("'ids': expected ids of known tokens, found 99") != std::string::npos);
  const Json other{{"SpecialToken", {{"id", "<x>"}, {"type_id", 0}}}};
  CHECK(error_with("/post_processor", processor(Json::array({other, text}), Json::array({5})))
            .find("'<x>': expected an object, found nothing") != std::string::npos);
}

TEST_CASE("A tokenizer file that is no JSON, or missing, is refused with its name") {
  CHECK(test::error_of([] {
          hf::Tokenizer::parse("{\"model\":", "t.json");
        }).find("bad_file: t.json: not valid JSON: ") == 0);
  CHECK(test::error_of([] { hf::Tokenizer::parse("", "t.json"); }).find("bad_file: t.json: not valid JSON: ") == 0);
  CHECK(test::error_of([] { hf::Tokenizer::parse("[1]", "t.json"); }) ==
        "bad_file: t.json: expected a JSON object, found an array of 1 entries");
  CHECK(test::error_of([] {
          hf::Tokenizer::parse(std::string(100000, '['), "t.json");
        }).find("nested deeper than the limit of 64") != std::string::npos);
  const test::TemporaryFolder folder;
  CHECK(test::error_of([&] { hf::Tokenizer::load(folder.path()); }) ==
        "bad_file: cannot open " + (folder / "tokenizer.json").string() + ": No such file or directory");
}

TEST_CASE("A tokenizer file with changed bytes is either refused or works") {
  const std::string good = test::read(test::recordings() / "prefix.json");
  std::mt19937 random(7);
  int refused = 0;
  for (int round = 0; round < 300; ++round) {
    std::string bad = good;
    for (int n = 0; n < 1 + round % 4; ++n) bad[random() % bad.size()] = static_cast<char>(random() % 256);
    if (round % 5 == 0) bad.resize(random() % bad.size());
    try {
      const hf::Tokenizer tokenizer = hf::Tokenizer::parse(bad, "t.json");
      tokenizer.decode(tokenizer.encode("The branch 12 <s> joins\n\xC3\xA9"));
    } catch (const anabranch::Error& error) {
      ++refused;
      const bool expected =
          error.status() == anabranch::Status::bad_file || error.status() == anabranch::Status::unsupported;
      INFO("round " << round << ": " << error.what());
      CHECK(expected);
    }
  }
  CHECK(refused > 100);
}
