// SmolLM2-135M-Instruct as GGUF files (cmake/setup/convert_gguf.py) is the same model as its folder: configuration,
// weights bit for bit, tokens, prompts. Skipped, with the reason, where the files are not there.
#include <algorithm>
#include <optional>

#include <anabranch/hf/folder.hpp>
#include <anabranch/hf/generation_config.hpp>
#include <anabranch/hf/layer_tensors.hpp>
#include <anabranch/hf/model_weights.hpp>
#include <anabranch/hf/prompt.hpp>

#include "catch.hpp"
#include "hf/files.hpp"

namespace {

namespace hf = anabranch::hf;

/// None, and the test's output says why, when a file is missing. The file is beside the folder: <folder>-TYPE.gguf.
std::optional<test::fs::path> real_gguf(const std::string& type) {
  if (test::model_folder().empty()) {
    WARN(test::kNoModel);
    return {};
  }
  const test::fs::path file = test::model_folder().string() + "-" + type + ".gguf";
  if (test::fs::exists(file)) return file;
  WARN("skipped: no " << file.string() << " (need_gguf in cmake/setup/llama.sh makes it)");
  return {};
}

std::vector<float> values_of(const hf::ModelWeights& weights, const std::string& name) {
  const hf::StoredTensor stored = *weights.find(name);
  std::int64_t n = 1;
  for (const std::int64_t size : stored.shape()) n *= size;
  std::vector<float> values(static_cast<std::size_t>(n));
  stored.read(0, values);
  return values;
}

}  // namespace

TEST_CASE("SmolLM2 as GGUF has the configuration of its folder") {
  const auto file = real_gguf("q4_1");
  if (!file) return;
  const hf::ModelConfig own = hf::ModelConfig::load(*file), of_folder = hf::ModelConfig::load(test::model_folder());
  CHECK(own.architecture == of_folder.architecture);
  CHECK(own.vocabulary == of_folder.vocabulary);
  CHECK(own.hidden == of_folder.hidden);
  CHECK(own.n_layers == of_folder.n_layers);
  CHECK(own.n_heads == of_folder.n_heads);
  CHECK(own.n_kv_heads == of_folder.n_kv_heads);
  CHECK(own.head_dim == of_folder.head_dim);
  CHECK(own.ffn == of_folder.ffn);
  CHECK(own.max_positions == of_folder.max_positions);
  CHECK(own.rms_eps == of_folder.rms_eps);
  CHECK(own.rope == of_folder.rope);
  CHECK(own.tied_embeddings == of_folder.tied_embeddings);
  CHECK(own.bos == of_folder.bos);
  CHECK(own.eos == of_folder.eos);
  CHECK_FALSE(hf::GenerationConfig::load(*file).do_sample);
}

TEST_CASE("SmolLM2 as GGUF has the weights of its folder, bit for bit") {
  for (const char* type : {"q4_1", "f32"}) {
    const auto file = real_gguf(type);
    if (!file) return;
    INFO(type);
    const hf::ModelConfig config = hf::ModelConfig::load(*file);
    const hf::ModelWeights own(hf::Weights::open(*file), config);
    const hf::ModelWeights of_folder(hf::Weights::open(test::model_folder()), config);
    CHECK(own.files().tensors().size() == of_folder.files().tensors().size());
    for (const auto& [name, tensor] : of_folder.files().tensors()) {
      INFO(name);
      REQUIRE(own.find(name));
      CHECK(std::ranges::equal(own.find(name)->shape(), tensor.shape));
      CHECK(values_of(own, name) == values_of(of_folder, name));
    }
  }
}

TEST_CASE("SmolLM2 as GGUF makes the tokens and prompts of its folder") {
  const auto file = real_gguf("q4_1");
  if (!file) return;
  const hf::ModelFolder own = hf::ModelFolder::open(*file), of_folder = hf::ModelFolder::open(test::model_folder());
  CHECK(own.config.eos == of_folder.config.eos);
  CHECK(own.tokenizer.n_tokens() == of_folder.tokenizer.n_tokens());
  for (const std::string& line : test::lines_of(test::recordings() / "lines.jsonl")) {
    const auto text = nlohmann::json::parse(line).get<std::string>();
    INFO(line);
    const std::vector<anabranch::TokenId> tokens = of_folder.tokenizer.encode(text);
    REQUIRE(own.tokenizer.encode(text) == tokens);
    REQUIRE(own.tokenizer.decode(tokens) == of_folder.tokenizer.decode(tokens));
  }
  const std::vector<hf::Message> chat{
      {"user", "What is a river?"}, {"assistant", "Water."}, {"user", "<|im_end|> And?"}};
  CHECK(hf::encode_chat(own.tokenizer, own.chat, chat) == hf::encode_chat(of_folder.tokenizer, of_folder.chat, chat));
}
