// The host against the dense-mask oracle, in double precision, on the real model's weights: what a row sees after a
// join has no counterpart in plain llama.cpp, so that llama.cpp alone cannot be the judge of it.
#include "catch.hpp"

#include <filesystem>
#include <string>
#include <vector>

#include <anabranch/eigen/oracle.hpp>
#include <anabranch/hf/config.hpp>
#include <anabranch/hf/safetensors.hpp>

#include "gguf.hpp"
#include "tree.hpp"

namespace {

namespace ab = anabranch;
using ab::eigen::Matrix;
using ab::eigen::Vector;
using ab::test::Tree;
using ab::test::words;

class Reader {
 public:
  explicit Reader(const std::filesystem::path& folder) : weights_(ab::hf::Weights::open(folder)) {}
  Matrix matrix(const std::string& name) const {
    const ab::hf::Tensor& tensor =
        weights_.require("model." + name + ".weight", weights_.find("model." + name + ".weight")->shape);
    std::vector<float> values = ab::hf::read_floats(tensor);
    const Eigen::Index columns = tensor.shape.back(), rows = tensor.n_elements() / tensor.shape.back();
    return Eigen::Map<Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>(values.data(), rows,
                                                                                             columns)
        .cast<double>();
  }
  Vector vector(const std::string& name) const { return matrix(name).row(0); }

 private:
  ab::hf::Weights weights_;
};

ab::eigen::Weights weights_of(const std::filesystem::path& folder) {
  const ab::hf::ModelConfig config = ab::hf::ModelConfig::load(folder);
  const Reader reader(folder);
  ab::eigen::Weights w;
  w.shape.vocabulary = config.vocabulary;
  w.shape.hidden = config.hidden;
  w.shape.layers = config.n_layers;
  w.shape.query_heads = config.n_heads;
  w.shape.kv_heads = config.n_kv_heads;
  w.shape.head_size = config.head_dim;
  w.shape.ffn = config.ffn;
  w.shape.max_positions = config.max_positions;
  w.shape.rope_theta = config.rope.theta;
  w.shape.norm_epsilon = config.rms_eps;
  w.shape.tied_head = true;
  w.embedding = reader.matrix("embed_tokens");
  w.final_norm = reader.vector("norm");
  for (std::int32_t i = 0; i < config.n_layers; ++i) {
    const std::string at = "layers." + std::to_string(i) + ".";
    ab::eigen::LayerWeights layer;
    layer.input_norm = reader.vector(at + "input_layernorm");
    layer.query = reader.matrix(at + "self_attn.q_proj");
    layer.key = reader.matrix(at + "self_attn.k_proj");
    layer.value = reader.matrix(at + "self_attn.v_proj");
    layer.out = reader.matrix(at + "self_attn.o_proj");
    layer.ffn_norm = reader.vector(at + "post_attention_layernorm");
    layer.gate = reader.matrix(at + "mlp.gate_proj");
    layer.up = reader.matrix(at + "mlp.up_proj");
    layer.down = reader.matrix(at + "mlp.down_proj");
    w.layers.push_back(std::move(layer));
  }
  return w;
}

}  // namespace

TEST_CASE("forks, joins and what sees them agree with the oracle on the real model's weights") {
  ab::llama::GgufModel* model = ab::test::gguf_model("f32");
  const char* folder = std::getenv("ANABRANCH_MODEL");
  if (model == nullptr || folder == nullptr || !std::filesystem::exists(std::filesystem::path(folder) / "config.json"))
    return;
  std::mt19937 random(7);
  Tree t(model->context());
  const ab::SequenceId trunk = t.create();
  t.append(trunk, words(random, 3));
  const auto kids = t.fork(trunk, 3);
  for (int k = 0; k < 3; ++k) t.append(kids[static_cast<std::size_t>(k)], words(random, 1 + k));
  t.pass();
  t.append(kids[0], words(random, 1));
  t.join(trunk, {kids[2], kids[0]});
  t.append(trunk, words(random, 1));
  t.pass();
  t.append(kids[1], words(random, 1));
  t.join(trunk, {kids[1]});
  t.append(trunk, words(random, 2));
  t.pass();
  t.end();

  const auto n = static_cast<Eigen::Index>(t.book.n_fed());
  ab::eigen::Mask mask = ab::eigen::Mask::Constant(n, n, false);
  std::vector<ab::TokenId> tokens;
  std::vector<ab::Position> positions;
  for (int i = 0; i < t.book.n_fed(); ++i) {
    tokens.push_back(t.book.fed(i).token);
    positions.push_back(t.book.fed(i).position);
    mask(i, i) = true;
    for (const int seen : t.book.fed(i).sees) mask(i, seen) = true;
  }
  const Matrix exact = ab::eigen::Oracle(weights_of(folder)).logits(tokens, positions, mask);
  double worst = 0;
  for (const auto& [number, values] : t.logits)
    for (std::size_t v = 0; v < values.size(); ++v)
      worst = std::max(worst, std::abs(values[v] - exact(number, static_cast<Eigen::Index>(v))));
  CHECK(t.logits.size() == 14);
  CHECK(worst < 2e-3);
}
