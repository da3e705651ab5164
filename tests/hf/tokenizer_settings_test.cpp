// What tokenizer_config.json changes in the tokenizer.json beside it. Expected are the tokens of transformers 5.
#include <anabranch/hf/tokenizer.hpp>

#include "catch.hpp"
#include "files.hpp"

namespace hf = anabranch::hf;

namespace {

using Json = nlohmann::json;
using Tokens = std::vector<anabranch::TokenId>;

/// SmolLM2's tokenizer.json beside these settings.
class Settings {
 public:
  Settings() { test::fs::copy_file(test::model_folder() / "tokenizer.json", folder_ / "tokenizer.json"); }
  hf::Tokenizer load(const Json& settings) const {
    test::write(folder_ / "tokenizer_config.json", settings.dump());
    return hf::Tokenizer::load(folder_.path());
  }
  Tokens tokens(const Json& settings, const std::string& text) const {
    return load(settings).encode(text, hf::Special::parse);
  }
  std::string error(const Json& settings) const {
    return test::error_of([&] { load(settings); });
  }

 private:
  test::TemporaryFolder folder_;
};

Json listed(const char* id, const char* content, bool strip) {
  return {{"added_tokens_decoder",
           {{id,
             {{"content", content},
              {"lstrip", strip},
              {"rstrip", strip},
              {"normalized", false},
              {"single_word", false},
              {"special", true}}}}}};
}

bool model_is_there() {
  if (test::model_folder().empty()) WARN(test::kNoModel);
  return !test::model_folder().empty();
}

}  // namespace

TEST_CASE("Tokens of tokenizer_config.json are listed behind those of tokenizer.json, as in transformers") {
  if (!model_is_there()) return;
  const Settings settings;
  const std::string text = "a <|im_end|> b";
  CHECK(settings.tokens(Json::object(), text) == Tokens{81, 216, 2, 278});
  CHECK(settings.tokens(listed("2", "<|im_end|>", false), text) == Tokens{81, 216, 2, 278});
  CHECK(settings.tokens(listed("2", "<|im_end|>", true), text) == Tokens{81, 2, 82});
  CHECK(settings.tokens(Json::object(), "aNEWTOKb") == Tokens{81, 36648, 10179, 59, 82});
  for (const char* id : {"49152", "60000"})  // transformers gives ids of its own
    CHECK(settings.tokens(listed(id, "NEWTOK", false), "aNEWTOKb") == Tokens{81, 49152, 82});
}

TEST_CASE("Named and extra special tokens become added ones where they are not yet") {
  if (!model_is_there()) return;
  const Settings settings;
  for (const Json& config :
       {Json{{"extra_special_tokens", {"XTRA"}}}, Json{{"additional_special_tokens", {"XTRA"}}},
        Json{{"extra_special_tokens", {{"image_token", "XTRA"}}}}, Json{{"pad_token", {{"content", "XTRA"}}}}}) {
    const hf::Tokenizer tokenizer = settings.load(config);
    CHECK(tokenizer.encode("aXTRAb", hf::Special::parse) == Tokens{81, 49152, 82});
    CHECK(tokenizer.encode("aXTRAb", hf::Special::plain).size() > 3);
    CHECK(tokenizer.is_special(49152));
    CHECK(tokenizer.decode(Tokens{81, 49152, 82}) == "aXTRAb");
  }
  CHECK(settings.load({{"eos_token", "<|im_end|>"}, {"pad_token", nullptr}}).n_tokens() == 49152);
}

TEST_CASE("Settings that make no sense or cannot be had are refused") {
  if (!model_is_there()) return;
  const Settings settings;
  const auto ends = [&](const Json& config, const std::string& text) {
    INFO(settings.error(config));
    CHECK(settings.error(config).ends_with("tokenizer_config.json: " + text));
  };
  ends({{"split_special_tokens", true}}, "'split_special_tokens': true is not supported, only false");
  ends({{"added_tokens_decoder", {{"x", Json::object()}}}},
       "'added_tokens_decoder': expected ids as keys, found \"x\"");
  ends({{"eos_token", 7}}, "'eos_token': expected a token, found 7");
  CHECK(settings.error({{"added_tokens_decoder", {{"2", {{"content", 3}}}}}}).find("'content'") != std::string::npos);
}
