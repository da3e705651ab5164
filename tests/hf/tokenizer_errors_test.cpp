// Whatever is wrong with a tokenizer.json, or not supported, is said with file, key, expected and found.

#include <anabranch/hf/tokenizer.hpp>

#include <random>
#include <utility>
#include <vector>

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
  json["model"]["vocab"].update(Json{{"<0xC4>", 5}, {"<0xA0>", 6}});
  json["added_tokens"][0]["id"] = 7;
  CHECK(hf::Tokenizer::parse(json.dump(), "t.json").encode("a b") == Tokens{0, 5, 6, 1});  // a blank is U+0120 there
}

TEST_CASE("Kinds of tokenizers that are not supported are refused by name") {
  for (const char* type : {"Unigram", "WordPiece", "WordLevel"})
    CHECK(error_with("/model/type", type) ==
          "unsupported: t.json: 'model': 'type': \"" + std::string(type) + "\" is not supported, only \"BPE\"");
  CHECK(error_with("/model/dropout", 0.1) ==
        "unsupported: t.json: 'model': 'dropout': 0.1 is not supported, only none");
  CHECK(error_with("/model/dropout", 0.0) == "nothing");
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"})
    CHECK(error_with("/model/" + std::string(key), "</w>") ==
          "unsupported: t.json: 'model': '" + std::string(key) + "': \"</w>\" is not supported, only none");
  CHECK(error_with("/version", "2.0") == "unsupported: t.json: 'version': \"2.0\" is not supported, only \"1.0\"");
}

TEST_CASE("Steps that are not supported are refused by name, with those that are") {
  for (const char* type : {"BertNormalizer", "Nmt", "Precompiled", "StripAccents"})
    CHECK(error_with("/normalizer", {{"type", type}}) ==
          "unsupported: t.json: 'normalizer': 'type': \"" + std::string(type) +
              "\" is not supported; supported are NFC, NFD, NFKC, NFKD, Lowercase, Prepend, Replace, Strip, ByteLevel "
              "and Sequence");
  CHECK(error_with("/normalizer", {{"type", "Sequence"}, {"normalizers", {{{"type", "Nmt"}}}}})
            .find("unsupported: t.json: 'normalizer': 'normalizers' 0: 'type': \"Nmt\"") == 0);
  for (const char* type : {"BertPreTokenizer", "CharDelimiterSplit", "UnicodeScripts", "FixedLength"})
    CHECK(error_with("/pre_tokenizer", {{"type", type}}) ==
          "unsupported: t.json: 'pre_tokenizer': 'type': \"" + std::string(type) +
              "\" is not supported; supported are ByteLevel, Metaspace, Split, Punctuation, Digits, Whitespace, "
              "WhitespaceSplit and Sequence");
  for (const char* type : {"WordPiece", "BPEDecoder", "CTC"})
    CHECK(error_with("/decoder", {{"type", type}}) ==
          "unsupported: t.json: 'decoder': 'type': \"" + std::string(type) +
              "\" is not supported; supported are ByteLevel, Metaspace, Replace, ByteFallback, Fuse, Strip and "
              "Sequence");
  for (const char* type : {"BertProcessing", "RobertaProcessing"})
    CHECK(error_with("/post_processor", {{"type", type}}) ==
          "unsupported: t.json: 'post_processor': 'type': \"" + std::string(type) +
              "\" is not supported; supported are TemplateProcessing, ByteLevel and Sequence");
}

TEST_CASE("Settings of steps that are not supported are refused by name") {
  const auto split = [](const char* behavior, Json pattern) {
    return Json{{"type", "Split"}, {"behavior", behavior}, {"invert", false}, {"pattern", std::move(pattern)}};
  };
  CHECK(error_with("/pre_tokenizer", split("Merged", {{"String", "a"}})) ==
        "unsupported: t.json: 'pre_tokenizer': 'behavior': \"Merged\" is not supported; supported are Removed, "
        "Isolated, MergedWithPrevious, MergedWithNext and Contiguous");
  CHECK(error_with("/pre_tokenizer", split("Isolated", {{"Regex", "\\w+"}})) ==
        "unsupported: t.json: 'pre_tokenizer': '\\w' in the pattern \\w+ is not supported");
  CHECK(error_with("/pre_tokenizer", split("Isolated", {{"String", ""}})) ==
        "unsupported: t.json: 'pre_tokenizer': 'pattern': an empty text is not supported");
  CHECK(error_with("/pre_tokenizer", split("Isolated", {{"Glob", "*"}}))
            .find("unsupported: t.json: 'pre_tokenizer': 'pattern': 'Glob': \"*\" is not supported") == 0);
  const auto metaspace = [](Json changes) {
    Json json{{"type", "Metaspace"}, {"replacement", "_"}, {"prepend_scheme", "always"}, {"split", true}};
    json.update(changes);
    return json;
  };
  for (const char* key : {"/pre_tokenizer", "/decoder"}) {
    CHECK(error_with(key, metaspace({{"prepend_scheme", "last"}}))
              .find("'prepend_scheme': \"last\" is not supported; supported are always, first and never") !=
          std::string::npos);
    CHECK(error_with(key, metaspace({{"replacement", "__"}})).find("'replacement': expected one character") !=
          std::string::npos);
    CHECK(error_with(key, metaspace({{"add_prefix_space", false}})).find("'add_prefix_space': expected true") !=
          std::string::npos);
    CHECK(error_with(key, metaspace({{"add_prefix_space", false}, {"prepend_scheme", "never"}})) == "nothing");
  }
  Json both = tiny();
  both["normalizer"] = {{"type", "NFKC"}};
  both["pre_tokenizer"] = {{"type", "Sequence"},
                           {"pretokenizers", {{{"type", "Whitespace"}}, metaspace({{"prepend_scheme", "first"}})}}};
  CHECK(error_of(both) ==
        "unsupported: t.json: 'pre_tokenizer': 'pretokenizers' 1: 'prepend_scheme': \"first\" is not supported after a "
        "step that cuts the text and NFKC");
  CHECK(error_with("/normalizer", {{"type", "Prepend"}, {"prepend", ""}})
            .find("'prepend': an empty text is not supported") != std::string::npos);
  CHECK(error_with("/normalizer", {{"type", "Replace"}, {"pattern", {{"Regex", "a*"}}}, {"content", "b"}}) ==
        "unsupported: t.json: 'normalizer': 'pattern': one that matches an empty text is not supported");
  CHECK(error_with("/decoder", {{"type", "Strip"}, {"content", " "}, {"start", -1}, {"stop", 0}})
            .find("'start': expected an integer from 0") != std::string::npos);
}

TEST_CASE("A file that makes much of a little text is refused") {
  const std::string long_text(65, 'b');
  const Json replace{{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", long_text}};
  const Json doubles{{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", "aaaa"}};
  CHECK(error_with("/normalizer", replace).find("'content': more than 64 bytes are not supported") !=
        std::string::npos);
  CHECK(error_with("/decoder", replace).find("'content': more than 16 bytes are not supported") != std::string::npos);
  CHECK(error_with("/normalizer", {{"type", "Sequence"}, {"normalizers", Json(9, doubles)}})
            .find("more than 8 steps are not supported") != std::string::npos);
  CHECK(error_with("/decoder", {{"type", "Sequence"}, {"decoders", Json(9, doubles)}})
            .find("more than 8 steps are not supported") != std::string::npos);
  CHECK(error_with("/decoder", {{"type", "Sequence"}, {"decoders", Json(4, doubles)}})
            .find("unsupported: t.json: 'decoder': token ") == 0);
  Json json = tiny();
  json["normalizer"] = {{"type", "Sequence"}, {"normalizers", Json(8, doubles)}};
  const hf::Tokenizer tokenizer = hf::Tokenizer::parse(json.dump(), "t.json");
  CHECK(test::error_of([&] { tokenizer.encode("a"); }) ==
        "limit_reached: normalising a text of 1 bytes: it becomes one of 256");
}

TEST_CASE("A key that is not known is refused in every section, with those that are") {
  const Json metaspace{{"type", "Metaspace"}, {"replacement", "_"}, {"x", 1}};
  const Json with_x{{"type", "NFC"}, {"x", 1}};
  CHECK(error_with("/x", 1) ==
        "unsupported: t.json: 'x': 1 is not supported; known keys are version, truncation, padding, added_tokens, "
        "normalizer, pre_tokenizer, post_processor, decoder and model");
  CHECK(error_with("/x", nullptr) == "nothing");
  CHECK(error_with("/model/x", true)
            .find("unsupported: t.json: 'model': 'x': true is not supported; known keys are "
                  "type, dropout, unk_token") == 0);
  CHECK(error_with("/added_tokens/0/x", "y").find("unsupported: t.json: 'added_tokens' 0: 'x': \"y\" is not") == 0);
  for (const auto& [section, step] : std::vector<std::pair<const char*, Json>>{
           {"normalizer", with_x},
           {"normalizer", {{"type", "Sequence"}, {"normalizers", Json::array()}, {"x", 1}}},
           {"normalizer", {{"type", "Prepend"}, {"prepend", "a"}, {"x", 1}}},
           {"normalizer", {{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", "b"}, {"x", 1}}},
           {"normalizer", {{"type", "Strip"}, {"strip_left", true}, {"strip_right", true}, {"x", 1}}},
           {"pre_tokenizer", {{"type", "ByteLevel"}, {"x", 1}}},
           {"pre_tokenizer", {{"type", "Digits"}, {"x", 1}}},
           {"pre_tokenizer", {{"type", "Punctuation"}, {"x", 1}}},
           {"pre_tokenizer", {{"type", "Whitespace"}, {"x", 1}}},
           {"pre_tokenizer", {{"type", "WhitespaceSplit"}, {"x", 1}}},
           {"pre_tokenizer", {{"type", "Split"}, {"pattern", {{"String", "a"}}}, {"behavior", "Removed"}, {"x", 1}}},
           {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", Json::array()}, {"x", 1}}},
           {"pre_tokenizer", metaspace},
           {"decoder", metaspace},
           {"decoder", {{"type", "ByteLevel"}, {"x", 1}}},
           {"decoder", {{"type", "Fuse"}, {"x", 1}}},
           {"decoder", {{"type", "ByteFallback"}, {"x", 1}}},
           {"decoder", {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}, {"x", 1}}},
           {"decoder", {{"type", "Sequence"}, {"decoders", Json::array()}, {"x", 1}}},
           {"post_processor", {{"type", "ByteLevel"}, {"x", 1}}},
           {"post_processor", {{"type", "TemplateProcessing"}, {"single", Json::array()}, {"x", 1}}}}) {
    INFO(section << " " << step.dump());
    CHECK(error_with("/" + std::string(section), step)
              .find("unsupported: t.json: '" + std::string(section) + "': 'x': 1 is not supported; known keys are ") ==
          0);
  }
}

TEST_CASE("Missing parts of a tokenizer file are named, or left out like in the reference") {
  CHECK(error_without("model") == "bad_file: t.json: 'model': expected an object, found nothing");
  for (const char* key : {"pre_tokenizer", "decoder", "added_tokens", "normalizer", "post_processor"})
    CHECK(error_without(key) == "nothing");
  Json json = tiny();
  json["model"].erase("merges");
  CHECK(error_of(json) == "bad_file: t.json: 'model': 'merges': expected an array, found nothing");
}

TEST_CASE("Damaged vocabularies, merges and added tokens are refused with what was found") {
  const std::string damaged = error_with("/model/vocab/a", -1);
  CHECK(damaged.find("bad_file: t.json: 'model': 'vocab': 'a': expected a token id from 0 to ") == 0);
  CHECK(damaged.find(", found -1") != std::string::npos);
  CHECK(error_with("/model/vocab/a", 100000).find("found 100000") !=
        std::string::npos);  // more than the file has bytes
  CHECK(error_with("/model/vocab/a", "x").find("found \"x\"") != std::string::npos);
  CHECK(error_with("/model/vocab/a", 4294967296).find("found 4294967296") != std::string::npos);
  CHECK(error_with("/model/vocab/a", 1).find("expected an id of its own") != std::string::npos);
  CHECK(error_with("/model/merges/0", "a  b") ==
        "bad_file: t.json: 'model': 'merges': expected \"left right\" with one space, found \"a  b\"");
  CHECK(error_with("/model/merges/0", "ab").find("with one space, found \"ab\"") != std::string::npos);
  CHECK(error_with("/model/merges/0", {"a"}).find("expected two tokens, found an array of other than two texts") !=
        std::string::npos);
  CHECK(error_with("/model/merges/0", "b a")
            .find("'merges' 0: expected \"b\", \"a\" and \"ba\" in the vocabulary, found no \"ba\"") !=
        std::string::npos);
  CHECK(error_with("/model/unk_token", "<u>").find("'unk_token': expected a token of the vocabulary, found \"<u>\"") !=
        std::string::npos);
  CHECK(error_with("/added_tokens/0/id", 1).find("'id': expected an id of its own for \"<end>\", found 1") !=
        std::string::npos);
  CHECK(
      error_with("/added_tokens/0/content", "ab").find("'id': expected 3, the vocabulary's id, for \"ab\", found 5") !=
      std::string::npos);
  CHECK(error_with("/added_tokens/0/id", 6)
            .find("'id': expected 5, the next id behind the vocabulary and the tokens above, for \"<end>\", found 6") !=
        std::string::npos);
  CHECK(error_with("/added_tokens/0/special", 1).find("'special': expected true or false, found 1") !=
        std::string::npos);
  CHECK(error_with("/added_tokens", 7) == "bad_file: t.json: 'added_tokens': expected an array, found 7");
  Json twice = tiny();
  twice["added_tokens"].push_back(twice["added_tokens"][0]);
  CHECK(error_of(twice) == "nothing");
  twice["added_tokens"][1]["id"] = 6;
  CHECK(error_of(twice).find("'id': expected 5, the id that it has above, for \"<end>\", found 6") !=
        std::string::npos);
  Json blank = tiny();
  blank["normalizer"] = {{"type", "Strip"}, {"strip_left", true}, {"strip_right", false}};
  blank["added_tokens"].push_back({{"id", 6}, {"content", "\t"}, {"normalized", true}});
  CHECK(error_of(blank).find("is empty after normalisation, which is not supported") != std::string::npos);
  Json same = tiny();
  same["normalizer"] = {{"type", "Lowercase"}};
  for (const auto& [id, content] : {std::pair{6, "Xx"}, std::pair{7, "xX"}})
    same["added_tokens"].push_back({{"id", id}, {"content", content}, {"normalized", true}});
  CHECK(error_of(same) ==
        "unsupported: t.json: 'added_tokens': \"xX\" and \"Xx\" are the same after normalisation, which is not "
        "supported");
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
  const Json once = processor(Json::array({text, end}), Json::array({5}));
  CHECK(error_with("/post_processor", {{"type", "Sequence"}, {"processors", {once, once}}}) ==
        "unsupported: t.json: 'post_processor': 'processors': two steps that add tokens are not supported");
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
