#include <anabranch/hf/folder.hpp>

#include "catch.hpp"
#include "files.hpp"

namespace hf = anabranch::hf;
using Json = nlohmann::json;

namespace {

void fill(const test::TemporaryFolder& folder) {
  const Json config{{"architectures", {"LlamaForCausalLM"}},
                    {"hidden_size", 8},
                    {"intermediate_size", 16},
                    {"num_hidden_layers", 1},
                    {"num_attention_heads", 2},
                    {"vocab_size", 2100}};
  test::write(folder / "config.json", config.dump());
  test::fs::copy_file(test::recordings() / "llama3.json", folder / "tokenizer.json");
  const std::vector<float> norm(8, 1.0f);
  hf::write_safetensors(folder / "model.safetensors", std::vector<hf::FloatTensor>{{"model.norm.weight", {8}, norm}});
}

}  // namespace

TEST_CASE("A model folder opens with its configuration, tokenizer, template and weights") {
  const test::TemporaryFolder folder;
  fill(folder);
  const hf::ModelFolder model = hf::ModelFolder::open(folder.path());
  CHECK(model.config.hidden == 8);
  CHECK(model.tokenizer.find_added("<|eot_id|>"));
  CHECK(model.chat.family == hf::ChatFamily::plain);
  CHECK(model.weights.require("model.norm.weight", {8}).n_elements() == 8);
}

TEST_CASE("An answer ends with what any file of the folder ends it with") {
  const test::TemporaryFolder folder;
  fill(folder);
  Json config = Json::parse(test::read(folder / "config.json"));
  config["eos_token_id"] = 7;
  test::write(folder / "config.json", config.dump());
  test::write(folder / "generation_config.json", R"({"eos_token_id": [7, 9]})");
  test::write(folder / "tokenizer_config.json", R"({"eos_token": {"content": "<|im_end|>"}})");
  const auto eos = [&] { return hf::ModelFolder::open(folder.path()).config.eos; };
  const hf::Tokenizer tokenizer = hf::Tokenizer::load(folder.path());
  std::vector<anabranch::TokenId> expected{7, 9, tokenizer.added("<|im_end|>")};
  CHECK(eos() == expected);
  if (hf::ChatTemplate::parse("", {}, "").family != hf::ChatFamily::jinja) {
    WARN(test::kNoEngine);
    return;
  }
  test::write(folder / "chat_template.jinja", "{% for m in messages %}{{ m.content }}<|eot_id|>{% endfor %}");
  expected.push_back(tokenizer.added("<|eot_id|>"));
  CHECK(eos() == expected);
}

TEST_CASE("What is missing from a model folder is named") {
  for (const char* file : {"config.json", "tokenizer.json", "model.safetensors"}) {
    const test::TemporaryFolder folder;
    fill(folder);
    test::fs::remove(folder / file);
    const std::string error = test::error_of([&] { hf::ModelFolder::open(folder.path()); });
    INFO(error);
    CHECK(error.find("bad_file: ") == 0);
    CHECK(error.find(folder.path().string()) != std::string::npos);
    CHECK(error.find(file) != std::string::npos);
  }
  const test::TemporaryFolder folder;
  CHECK(test::error_of([&] { hf::ModelFolder::open(folder / "none"); }) ==
        "bad_file: model folder " + (folder / "none").string() + ": expected a folder, found nothing");
  test::write(folder / "file", "");
  CHECK(test::error_of([&] { hf::ModelFolder::open(folder / "file"); }).find("expected a folder, found a file") !=
        std::string::npos);
}

TEST_CASE("A tokenizer may have tokens behind the model's vocabulary, as Gemma 3's has") {
  const test::TemporaryFolder folder;
  fill(folder);
  Json config = Json::parse(test::read(folder / "config.json"));
  config["vocab_size"] = 2000;
  test::write(folder / "config.json", config.dump());
  const hf::ModelFolder model = hf::ModelFolder::open(folder.path());
  CHECK(model.config.vocabulary == 2000);
  CHECK(model.tokenizer.n_tokens() > 2000);
}

TEST_CASE("The SmolLM2 folder opens and holds what its configuration says") {
  if (test::model_folder().empty()) {
    WARN(test::kNoModel);
    return;
  }
  const hf::ModelFolder model = hf::ModelFolder::open(test::model_folder());
  CHECK(model.config.n_layers == 30);
  CHECK(model.config.head_dim == 64);
  CHECK(model.config.rope.theta == 100000);
  CHECK(model.tokenizer.n_tokens() == 49152);
  CHECK(model.chat.family != hf::ChatFamily::unknown);
  CHECK(model.config.eos == std::vector<anabranch::TokenId>{model.tokenizer.added("<|im_end|>")});
  model.weights.require("model.embed_tokens.weight", {49152, 576});
  model.weights.require("model.layers.29.self_attn.k_proj.weight", {192, 576});
}
