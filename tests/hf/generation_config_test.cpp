#include <anabranch/hf/generation_config.hpp>

#include "catch.hpp"
#include "files.hpp"

namespace hf = anabranch::hf;

namespace {

hf::GenerationConfig generation_of(const std::string& json) {
  const test::TemporaryFolder folder;
  test::write(folder / "generation_config.json", json);
  return hf::GenerationConfig::load(folder.path());
}

/// Without the folder's name.
std::string generation_error(const std::string& json) {
  std::string text = test::error_of([&] { generation_of(json); });
  const auto begin = text.find('/'), end = text.find("generation_config.json");
  if (begin < end && end != std::string::npos) text.erase(begin, end - begin);
  return text;
}

}  // namespace

TEST_CASE("Sampling settings are read as transformers reads them") {
  const hf::GenerationConfig qwen = generation_of(
      R"({"bos_token_id": 151643, "pad_token_id": 151643, "do_sample": true, "eos_token_id": [151645, 151643],
          "repetition_penalty": 1.1, "temperature": 0.7, "top_p": 0.8, "top_k": 20})");
  CHECK(qwen.do_sample);
  CHECK(qwen.temperature == 0.7f);
  CHECK(qwen.top_k == 20);
  CHECK(qwen.top_p == 0.8f);
  CHECK(qwen.repetition_penalty == 1.1f);
  CHECK(qwen.min_p == std::nullopt);
  const hf::GenerationConfig bare = generation_of(R"({"do_sample": true})");  // what a file leaves out has a default
  CHECK(bare.temperature == 1.0f);
  CHECK(bare.top_k == 50);
  CHECK(bare.top_p == std::nullopt);
  const hf::GenerationConfig all =
      generation_of(R"({"do_sample": true, "top_k": 0, "top_p": 0, "min_p": 0.05, "temperature": 2})");
  CHECK(all.top_k == 0);
  CHECK(all.top_p > 0.0f);
  CHECK(all.top_p < 1e-30f);
  CHECK(all.min_p == 0.05f);
}

TEST_CASE("Without do_sample the likeliest token is taken, whatever the temperature; penalties hold all the same") {
  const hf::GenerationConfig greedy = generation_of(
      R"({"temperature": 0.6, "top_p": 7, "top_k": -1, "repetition_penalty": 1.2, "no_repeat_ngram_size": 3})");
  CHECK_FALSE(greedy.do_sample);
  CHECK(greedy.temperature == std::nullopt);
  CHECK(greedy.top_p == std::nullopt);
  CHECK(greedy.repetition_penalty == 1.2f);
  CHECK(greedy.no_repeat_ngram == 3);
  const test::TemporaryFolder empty;
  CHECK(hf::GenerationConfig::load(empty.path()).repetition_penalty == std::nullopt);
}

TEST_CASE("Without generation_config.json the settings of config.json count, as in transformers") {
  const test::TemporaryFolder folder;
  test::write(folder / "config.json", R"({"model_type": "llama", "do_sample": true, "temperature": 0.5})");
  CHECK(hf::GenerationConfig::load(folder.path()).temperature == 0.5f);
  test::write(folder / "config.json", R"({"model_type": "llama", "num_beams": 2})");
  CHECK(test::error_of([&] { hf::GenerationConfig::load(folder.path()); }).find("config.json: 'num_beams': 2") !=
        std::string::npos);
  test::write(folder / "generation_config.json", "{}");
  CHECK_FALSE(hf::GenerationConfig::load(folder.path()).do_sample);
}

TEST_CASE("Settings that make no sense are refused with key, expected and found") {
  const std::string file = "bad_file: generation_config.json: ";
  CHECK(generation_error("{").rfind("bad_file: generation_config.json: not valid JSON", 0) == 0);
  CHECK(generation_error("[]") == file + "expected a JSON object, found an array of 0 entries");
  CHECK(generation_error(R"({"do_sample": "yes"})") == file + "'do_sample': expected true or false, found \"yes\"");
  const auto sampling = [](const std::string& setting) {
    return generation_error(R"({"do_sample": true, )" + setting + "}");
  };
  CHECK(sampling(R"("temperature": 0)") == file + "'temperature': expected a finite number above 0, found 0");
  CHECK(sampling(R"("temperature": "hot")") == file + "'temperature': expected a finite number above 0, found \"hot\"");
  CHECK(sampling(R"("temperature": 1e300)") == file + "'temperature': expected a finite number above 0, found 1e+300");
  CHECK(sampling(R"("top_p": 1.5)") == file + "'top_p': expected a number from 0 to 1, found 1.5");
  CHECK(sampling(R"("min_p": -0.1)") == file + "'min_p': expected a number from 0 to 1, found -0.1");
  CHECK(sampling(R"("top_k": -1)") == file + "'top_k': expected an integer from 0 to 2147483647, found -1");
  CHECK(generation_error(R"({"repetition_penalty": 0})") ==
        file + "'repetition_penalty': expected a finite number above 0, found 0");
}

TEST_CASE("What would choose other tokens and cannot be had is refused by name; values that change nothing are not") {
  for (const char* setting : {R"("num_beams": 4)", R"("penalty_alpha": 0.6)", R"("guidance_scale": 1.5)",
                              R"("min_new_tokens": 5)", R"("bad_words_ids": [[1]])", R"("suppress_tokens": [3])",
                              R"("stop_strings": "x")", R"("do_sample": true, "typical_p": 0.9)",
                              R"("forced_bos_token_id": 0)", R"("token_healing": true)", R"("dola_layers": "low")"}) {
    const std::string text = generation_error("{" + std::string(setting) + "}");
    INFO(text);
    CHECK(text.rfind("unsupported: generation_config.json: '", 0) == 0);
    CHECK(text.find("supported are do_sample, temperature, top_k") != std::string::npos);
  }
  const hf::GenerationConfig config = generation_of(
      R"({"num_beams": 1, "penalty_alpha": 0, "guidance_scale": 1, "min_length": 0, "bad_words_ids": null,
          "suppress_tokens": [], "token_healing": false, "typical_p": 0.9, "max_new_tokens": 7, "use_cache": true})");
  CHECK_FALSE(config.do_sample);
}
