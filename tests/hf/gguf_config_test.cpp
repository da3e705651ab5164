// What a GGUF file's metadata says of the model: the same as the config.json of its folder, or a refusal.
#include <cmath>

#include <anabranch/hf/chat_template.hpp>
#include <anabranch/hf/config.hpp>
#include <anabranch/hf/generation_config.hpp>
#include <anabranch/hf/gguf.hpp>

#include "catch.hpp"
#include "hf/files.hpp"
#include "hf/gguf_writer.hpp"

namespace {

namespace hf = anabranch::hf;
using test::GgufWriter;

hf::ModelConfig load_config(const GgufWriter& file) {
  const test::TemporaryFolder folder;
  file.write(folder / "m.gguf");
  return hf::ModelConfig::load(folder / "m.gguf");
}

/// The error of a file, whose path is written as FILE.
std::string refusal(const GgufWriter& file) {
  const test::TemporaryFolder folder;
  file.write(folder / "m.gguf");
  const std::string path = (folder / "m.gguf").string();
  std::string text = test::error_of([&] { hf::ModelConfig::load(path); });
  if (const std::size_t at = text.find(path); at != text.npos) text.replace(at, path.size(), "FILE");
  return text;
}

GgufWriter tiny(const std::string& architecture) {
  GgufWriter file = test::tiny_gguf(architecture);
  add_tiny_tensors(file, architecture);
  return file;
}

}  // namespace

TEST_CASE("GGUF metadata of a Llama is its configuration") {
  const hf::ModelConfig config = load_config(tiny("llama")
                                                 .number("llama.rope.freq_base", 100000.0f)
                                                 .integer("llama.vocab_size", 5)
                                                 .integer("llama.rope.dimension_count", 4)
                                                 .integer("tokenizer.ggml.bos_token_id", 1)
                                                 .integer("tokenizer.ggml.eos_token_id", 2)
                                                 .integer("tokenizer.ggml.eot_token_id", 4));
  CHECK(config.architecture == hf::Architecture::llama);
  CHECK(config.vocabulary == 5);
  CHECK(config.hidden == 8);
  CHECK(config.n_layers == 2);
  CHECK(config.n_heads == 2);
  CHECK(config.n_kv_heads == 1);
  CHECK(config.head_dim == 4);
  CHECK(config.ffn == 12);
  CHECK(config.max_positions == 64);
  CHECK(config.rms_eps == 1e-5);  // the number that the file's float32 was rounded from
  CHECK(config.rope.theta == 100000.0);
  CHECK(config.tied_embeddings);
  CHECK_FALSE(config.qkv_bias);
  CHECK(config.bos == 1);
  CHECK(config.eos == std::vector<anabranch::TokenId>{2, 4});
  CHECK_FALSE(load_config(tiny("llama").floats("output.weight", {5, 8})).tied_embeddings);
}

TEST_CASE("each architecture of a GGUF file is the class of the same name") {
  using hf::Architecture;
  for (const auto& [name, architecture] : {std::pair{"qwen2", Architecture::qwen2},
                                           {"qwen3", Architecture::qwen3},
                                           {"gemma", Architecture::gemma},
                                           {"gemma2", Architecture::gemma2},
                                           {"gemma3", Architecture::gemma3},
                                           {"phi3", Architecture::phi3}}) {
    INFO(name);
    const hf::ModelConfig config = load_config(tiny(name));
    CHECK(config.architecture == architecture);
    CHECK(config.head_dim == 4);
    CHECK(config.qkv_bias == (architecture == Architecture::qwen2));
    CHECK(config.qk_norm == (architecture == Architecture::qwen3 || architecture == Architecture::gemma3));
  }
  CHECK(refusal(test::tiny_gguf("mamba")) ==
        "unsupported: FILE: 'general.architecture': \"mamba\" is not supported; supported are llama, qwen2, qwen3, "
        "gemma, gemma2, gemma3 and phi3");
  CHECK(refusal(GgufWriter().integer("a", 1)) ==
        "bad_file: FILE: 'general.architecture': expected the name of an architecture, found nothing");
  CHECK(refusal(tiny("llama").text("general.type", "adapter")) ==
        "unsupported: FILE: 'general.type': \"adapter\" is not supported, only \"model\"");
}

TEST_CASE("windows of a GGUF file are those of its architecture, or those that it lists") {
  const auto windows = [](const GgufWriter& file) { return load_config(file).windows; };
  using Windows = std::vector<std::int32_t>;
  CHECK(windows(tiny("gemma3").integer("gemma3.attention.sliding_window", 16)) == Windows{16, 16});
  CHECK(windows(tiny("gemma3")).empty());
  CHECK(windows(tiny("gemma2")) == Windows{4096, 0});
  CHECK(windows(tiny("gemma3")
                    .integer("gemma3.attention.sliding_window", 16)
                    .list<std::uint8_t>("gemma3.attention.sliding_window_pattern", 7, {0, 1})) == Windows{0, 16});
  const hf::ModelConfig mistral = load_config(tiny("llama").integer("llama.attention.sliding_window", 32));
  CHECK(mistral.architecture == hf::Architecture::mistral);
  CHECK(mistral.windows == Windows{32, 32});
  CHECK(refusal(tiny("qwen2").integer("qwen2.attention.sliding_window", 32)) ==
        "unsupported: FILE: 'qwen2.attention.sliding_window': 32 is not supported for \"qwen2\", only 0");
  const hf::ModelConfig gemma =
      load_config(tiny("gemma3").integer("gemma3.attention.sliding_window", 16).number("gemma3.rope.freq_base", 1e6f));
  CHECK(gemma.rope.theta == 1e6);
  REQUIRE(gemma.window_rope);
  CHECK(gemma.window_rope->theta == 10000.0);
  CHECK(gemma.query_scale == 0.5);  // 1 / sqrt(head size of 4)
}

TEST_CASE("rotary embedding that a GGUF file stretches is stretched as a folder says it") {
  // the factors of 'factor' 8, for heads of 16
  hf::RopeConfig rope;
  rope.theta = 500000.0;
  const std::vector<double> plain = hf::rope_inverse_frequencies(rope, 16);
  rope.scaling = hf::RopeScaling::llama3;
  rope.factor = 8;
  rope.original_max_positions = 8192;
  const std::vector<double> stretched = hf::rope_inverse_frequencies(rope, 16);
  std::vector<float> factors;
  for (std::size_t i = 0; i < plain.size(); ++i) factors.push_back(static_cast<float>(plain[i] / stretched[i]));
  const auto llama3 = [&](const std::vector<float>& stored) {
    GgufWriter file = test::tiny_gguf("llama");
    file.integer("llama.attention.key_length", 16).number("llama.rope.freq_base", 500000.0f);
    add_tiny_tensors(file, "llama", 16);
    return file.floats("rope_freqs.weight", {stored.size()}, stored);
  };
  CHECK(load_config(llama3(factors)).rope == rope);
  factors[4] *= 1.01f;
  CHECK_THAT(refusal(llama3(factors)), Catch::Matchers::StartsWith("unsupported: FILE: tensor \"rope_freqs.weight\": "
                                                                   "factors other than those of Llama 3"));
  CHECK_THAT(refusal(llama3({1, 2, std::nanf(""), 1, 1, 1, 1, 1})),
             Catch::Matchers::Contains("expected finite numbers above 0"));
  const hf::ModelConfig linear =
      load_config(tiny("llama").text("llama.rope.scaling.type", "linear").number("llama.rope.scaling.factor", 4));
  CHECK(linear.rope.scaling == hf::RopeScaling::linear);
  CHECK(linear.rope.factor == 4);
  const hf::ModelConfig yarn = load_config(tiny("qwen2")
                                               .text("qwen2.rope.scaling.type", "yarn")
                                               .number("qwen2.rope.scaling.factor", 4)
                                               .integer("qwen2.rope.scaling.original_context_length", 16));
  CHECK(yarn.rope.scaling == hf::RopeScaling::yarn);
  CHECK(yarn.rope.original_max_positions == 16);
  const hf::ModelConfig longrope = load_config(tiny("phi3")
                                                   .integer("phi3.rope.scaling.original_context_length", 16)
                                                   .floats("rope_factors_short.weight", {2}, {1, 1.5f})
                                                   .floats("rope_factors_long.weight", {2}, {2, 2.7f}));
  CHECK(longrope.rope.scaling == hf::RopeScaling::longrope);
  CHECK(longrope.rope.short_factors == std::vector<double>{1, 1.5});
  CHECK(longrope.rope.long_factors == std::vector<double>{2, 2.7});
  CHECK(longrope.rope.attention_factor == std::sqrt(1 + std::log(4.0) / std::log(16.0)));
}

TEST_CASE("what a GGUF file says and cannot be run is refused by its key") {
  CHECK(refusal(tiny("llama").integer("llama.expert_count", 8)) ==
        "unsupported: FILE: 'llama.expert_count': 8 is not supported: mixtures of experts cannot be run");
  CHECK(
      refusal(tiny("llama").number("llama.logit_scale", 2)) ==
      "unsupported: FILE: 'llama.logit_scale': 2.000000 is not supported: no such setting of \"llama\" is known here");
  CHECK(refusal(tiny("llama").flag("llama.attention.causal", false)) ==
        "unsupported: FILE: 'llama.attention.causal': false is not supported");
  CHECK(refusal(tiny("llama").integer("llama.attention.value_length", 6)) ==
        "unsupported: FILE: 'llama.attention.value_length': 6 is not supported, only the length of keys, 4");
  CHECK(refusal(tiny("llama").integer("llama.vocab_size", 6)) ==
        "bad_file: FILE: 'llama.vocab_size': expected 5, the rows of \"token_embd.weight\", found 6");
  CHECK_THAT(refusal(tiny("llama").texts("tokenizer.ggml.tokens", std::vector<std::string>(6, "a"))),
             Catch::Matchers::Contains("'tokenizer.ggml.tokens': expected at most 5 tokens"));
  CHECK_THAT(refusal(tiny("qwen2").floats("blk.0.attn_output.bias", {8})),
             Catch::Matchers::StartsWith("unsupported: FILE"));
  CHECK_THAT(refusal(tiny("llama").floats("blk.0.attn_q_norm.weight", {4})),
             Catch::Matchers::Contains("tensor \"blk.0.attn_q_norm.weight\": the architecture \"llama\" has no such"));
  CHECK_THAT(refusal(tiny("llama").floats("blk.2.attn_norm.weight", {8})),
             Catch::Matchers::Contains("a LlamaForCausalLM of 2 layers has no such tensor"));
  CHECK_THAT(refusal(tiny("llama").text("llama.rope.scaling.type", "longrope")),
             Catch::Matchers::Contains("'llama.rope.scaling.type': \"longrope\" is not supported here"));
  GgufWriter layers = test::tiny_gguf("llama");
  CHECK_THAT(refusal(layers), Catch::Matchers::Contains("tensor \"token_embd.weight\": expected a matrix"));
  CHECK_THAT(refusal(layers.floats("token_embd.weight", {5, 8})),
             Catch::Matchers::Contains("'llama.block_count': expected at most a layer for each 6 of the 1 tensors"));
  GgufWriter differing;
  differing.text("general.architecture", "llama")
      .integers("llama.attention.head_count", {2, 4})
      .integer("llama.block_count", 2)
      .integer("llama.embedding_length", 8)
      .integer("llama.context_length", 8)
      .integer("llama.feed_forward_length", 12)
      .number("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  add_tiny_tensors(differing, "llama");
  CHECK(refusal(differing) ==
        "unsupported: FILE: 'llama.attention.head_count': layers that differ (2, 4) are not supported");
}

TEST_CASE("sampling settings of a GGUF file are taken where it samples") {
  const test::TemporaryFolder folder;
  const auto settings = [&](const GgufWriter& file) {
    file.write(folder / "m.gguf");
    return hf::GenerationConfig::load(folder / "m.gguf");
  };
  const auto of_all = [](float temperature) {
    return tiny("llama")
        .number("general.sampling.temp", temperature)
        .integer("general.sampling.top_k", 40)
        .number("general.sampling.top_p", 0.9f)
        .number("general.sampling.min_p", 0.05f)
        .number("general.sampling.penalty_repeat", 1.1f);
  };
  const hf::GenerationConfig sampled = settings(of_all(0.7f));
  CHECK(sampled.do_sample);
  CHECK(sampled.temperature == 0.7f);
  CHECK(sampled.top_k == 40);
  CHECK(sampled.top_p == 0.9f);
  CHECK(sampled.min_p == 0.05f);
  CHECK(sampled.repetition_penalty == 1.1f);
  const hf::GenerationConfig greedy = settings(of_all(0.0f));
  CHECK_FALSE(greedy.do_sample);
  CHECK_FALSE(greedy.top_k);
  CHECK(greedy.repetition_penalty == 1.1f);
  CHECK_FALSE(settings(tiny("llama")).do_sample);
  CHECK_THAT(
      test::error_of([&] { settings(tiny("llama").integer("general.sampling.mirostat", 2)); }),
      Catch::Matchers::Contains("'general.sampling.mirostat': 2") && Catch::Matchers::StartsWith("unsupported: "));
  CHECK_THAT(test::error_of([&] { settings(tiny("llama").number("general.sampling.top_p", 1.5f)); }),
             Catch::Matchers::Contains("'general.sampling.top_p': expected a number from"));
}
