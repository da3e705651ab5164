// The table of a model's tensors: names as the folders of Hugging Face have them, shapes from the configuration.
#include <anabranch/hf/layer_tensors.hpp>

#include "catch.hpp"

namespace anabranch {
namespace {

hf::ModelConfig model() {
  hf::ModelConfig config;
  config.vocabulary = 10;
  config.hidden = 8;
  config.n_layers = 2;
  config.n_heads = 3;
  config.n_kv_heads = 1;
  config.head_dim = 4;
  config.ffn = 20;
  config.tied_embeddings = true;
  return config;
}

void check_matrix(const hf::MatrixSpec& matrix, const std::string& weight, std::int32_t out, std::int32_t in) {
  CHECK(matrix.weight() == weight);
  CHECK(matrix.out == out);
  CHECK(matrix.in == in);
}

}  // namespace

TEST_CASE("a layer's matrices have the folder's names and the shapes that the configuration gives") {
  const hf::LayerSpec layer = hf::layer_spec(model(), 1);
  check_matrix(layer.qkv[0], "model.layers.1.self_attn.q_proj.weight", 12, 8);
  check_matrix(layer.qkv[1], "model.layers.1.self_attn.k_proj.weight", 4, 8);
  check_matrix(layer.qkv[2], "model.layers.1.self_attn.v_proj.weight", 4, 8);
  check_matrix(layer.out, "model.layers.1.self_attn.o_proj.weight", 8, 12);
  check_matrix(layer.gate_up[0], "model.layers.1.mlp.gate_proj.weight", 20, 8);
  check_matrix(layer.gate_up[1], "model.layers.1.mlp.up_proj.weight", 20, 8);
  check_matrix(layer.down, "model.layers.1.mlp.down_proj.weight", 8, 20);
  CHECK(layer.input_norm.name == "model.layers.1.input_layernorm.weight");
  CHECK(layer.input_norm.size == 8);
  CHECK(layer.ffn_norm.name == "model.layers.1.post_attention_layernorm.weight");
  CHECK(layer.ffn_norm.size == 8);
}

TEST_CASE("biases and norms of q and k are there where the configuration says so") {
  hf::ModelConfig config = model();
  const hf::LayerSpec plain = hf::layer_spec(config, 0);
  CHECK(!plain.qkv[0].has_bias);
  CHECK(!plain.out.has_bias);
  CHECK(!plain.query_norm);
  CHECK(!plain.key_norm);
  config.qkv_bias = config.o_bias = config.qk_norm = true;
  const hf::LayerSpec layer = hf::layer_spec(config, 0);
  for (const hf::MatrixSpec& matrix : layer.qkv) CHECK(matrix.has_bias);
  CHECK(layer.qkv[2].bias() == "model.layers.0.self_attn.v_proj.bias");
  CHECK(layer.out.has_bias);
  CHECK(!layer.down.has_bias);
  REQUIRE(layer.query_norm);
  CHECK(layer.query_norm->name == "model.layers.0.self_attn.q_norm.weight");
  CHECK(layer.query_norm->size == 4);
  REQUIRE(layer.key_norm);
  CHECK(layer.key_norm->name == "model.layers.0.self_attn.k_norm.weight");
}

TEST_CASE("fused matrices are one of the sum of their rows") {
  hf::ModelConfig config = model();
  config.fused_matrices = true;
  const hf::LayerSpec layer = hf::layer_spec(config, 1);
  REQUIRE(layer.qkv.size() == 1);
  check_matrix(layer.qkv[0], "model.layers.1.self_attn.qkv_proj.weight", 12 + 2 * 4, 8);
  REQUIRE(layer.gate_up.size() == 1);
  check_matrix(layer.gate_up[0], "model.layers.1.mlp.gate_up_proj.weight", 40, 8);
  CHECK(layer.matrices().size() == 4);
  CHECK(hf::tensor_shapes(config).contains("model.layers.0.mlp.gate_up_proj.weight"));
  CHECK(!hf::tensor_shapes(config).contains("model.layers.0.mlp.up_proj.weight"));
}

TEST_CASE("norms behind both parts of a layer have Gemma's names, and the offset of the model") {
  hf::ModelConfig config = model();
  config.post_norms = config.mlp_bias = true;
  config.norm_offset = 1.0f;
  const hf::LayerSpec layer = hf::layer_spec(config, 0);
  CHECK(layer.ffn_norm.name == "model.layers.0.pre_feedforward_layernorm.weight");
  REQUIRE(layer.post_attention_norm);
  CHECK(layer.post_attention_norm->name == "model.layers.0.post_attention_layernorm.weight");
  REQUIRE(layer.post_ffn_norm);
  CHECK(layer.post_ffn_norm->name == "model.layers.0.post_feedforward_layernorm.weight");
  for (const hf::NormSpec* norm : layer.norms()) CHECK(norm->offset == 1.0f);
  CHECK(layer.norms().size() == 4);
  CHECK(hf::final_norm_spec(config).offset == 1.0f);
  CHECK(layer.gate_up[1].bias() == "model.layers.0.mlp.up_proj.bias");
  CHECK(layer.down.has_bias);
  CHECK(hf::tensor_shapes(config).at("model.layers.1.post_feedforward_layernorm.weight") ==
        std::vector<std::int64_t>{8});
}

TEST_CASE("a tied head is the embedding; a head of its own is lm_head") {
  hf::ModelConfig config = model();
  check_matrix(hf::embedding_spec(config), "model.embed_tokens.weight", 10, 8);
  check_matrix(hf::head_spec(config), "model.embed_tokens.weight", 10, 8);
  config.tied_embeddings = false;
  check_matrix(hf::head_spec(config), "lm_head.weight", 10, 8);
  CHECK(hf::final_norm_spec(config).name == "model.norm.weight");
  CHECK(hf::final_norm_spec(config).size == 8);
}

}  // namespace anabranch
