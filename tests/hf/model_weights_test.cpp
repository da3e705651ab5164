// Which tensors a model is computed with, from its files and an adapter's.
#include <anabranch/hf/adapter.hpp>
#include <anabranch/hf/layer_tensors.hpp>
#include <anabranch/hf/model_weights.hpp>

#include "catch.hpp"
#include "hf/files.hpp"

namespace {

namespace hf = anabranch::hf;
using MatrixValues = std::vector<float>;

/// Three tokens, hidden 2.
hf::ModelConfig three_tokens(bool tied) {
  hf::ModelConfig config;
  config.vocabulary = 3;
  config.hidden = 2;
  config.n_layers = 1;
  config.n_heads = config.n_kv_heads = 1;
  config.head_dim = 2;
  config.ffn = 2;
  config.tied_embeddings = tied;
  return config;
}

const MatrixValues kEmbeddingRows{1, 2, 3, 4, 5, 6}, kOtherHead{1, 2, 3, 4, 5, 7};
constexpr const char* kEmbeddingTensor = "model.embed_tokens.weight";
constexpr const char* kHeadTensor = "lm_head.weight";

struct StoredMatrix {
  const char* name;
  MatrixValues values;
  hf::Dtype dtype = hf::Dtype::f32;
};

class MatrixFiles {
 public:
  explicit MatrixFiles(const std::vector<StoredMatrix>& stored) {
    std::vector<hf::FloatTensor> tensors;
    for (const StoredMatrix& tensor : stored)
      tensors.push_back({tensor.name, {std::ssize(tensor.values) / 2, 2}, tensor.values, tensor.dtype});
    hf::write_safetensors(folder_ / "model.safetensors", tensors);
  }
  hf::Weights open() const { return hf::Weights::open(folder_.path()); }

 private:
  test::TemporaryFolder folder_;
};

MatrixValues matrix_of(const hf::ModelWeights& weights, const char* name) {
  const std::optional<hf::StoredTensor> stored = weights.find(name);
  if (!stored) return {};
  MatrixValues values(static_cast<std::size_t>(stored->shape()[0] * stored->shape()[1]));
  weights.read(name, *stored, values);
  return values;
}

}  // namespace

TEST_CASE("a head in the file counts where it differs from the embedding that the configuration ties it to") {
  const auto head = [](const std::vector<StoredMatrix>& stored) {
    const hf::ModelWeights weights(MatrixFiles(stored).open(), three_tokens(true));
    return std::pair(weights.config().tied_embeddings,
                     matrix_of(weights, hf::head_spec(weights.config()).weight().c_str()));
  };
  CHECK(head({{kEmbeddingTensor, kEmbeddingRows}}) == std::pair(true, kEmbeddingRows));
  CHECK(head({{kEmbeddingTensor, kEmbeddingRows}, {kHeadTensor, kEmbeddingRows}}) == std::pair(true, kEmbeddingRows));
  CHECK(head({{kEmbeddingTensor, kEmbeddingRows}, {kHeadTensor, kEmbeddingRows, hf::Dtype::bf16}}) ==
        std::pair(true, kEmbeddingRows));
  CHECK(head({{kEmbeddingTensor, kEmbeddingRows}, {kHeadTensor, kOtherHead}}) == std::pair(false, kOtherHead));
  CHECK(head({{kHeadTensor, kOtherHead}}) == std::pair(true, kOtherHead));
  const hf::ModelWeights only(MatrixFiles({{kHeadTensor, kOtherHead}}).open(), three_tokens(true));
  CHECK(matrix_of(only, kEmbeddingTensor) == kOtherHead);
  const hf::ModelWeights untied(MatrixFiles({{kEmbeddingTensor, kEmbeddingRows}}).open(), three_tokens(false));
  CHECK_FALSE(untied.config().tied_embeddings);
  CHECK_THAT(test::error_of([&] {
               untied.require(kHeadTensor, {3, 2});
             }),
             Catch::Matchers::StartsWith("bad_file: ") && Catch::Matchers::Contains("lm_head.weight") &&
                 Catch::Matchers::Contains("found no such tensor"));
}

TEST_CASE("a head of another size than the embedding is refused with both") {
  const hf::ModelWeights weights(MatrixFiles({{kEmbeddingTensor, kEmbeddingRows}, {kHeadTensor, {1, 2, 3, 4}}}).open(),
                                 three_tokens(true));
  CHECK_FALSE(weights.config().tied_embeddings);
  CHECK_THAT(test::error_of([&] {
               weights.require(kHeadTensor, {3, 2});
             }),
             Catch::Matchers::StartsWith("bad_file: ") && Catch::Matchers::Contains("lm_head.weight") &&
                 Catch::Matchers::Contains("expected shape [3, 2], found [2, 2]"));
}

TEST_CASE("token rows go to a tied head too, also where the file has another") {
  hf::Adapter adapter;
  adapter.rank = 1;
  adapter.alpha = 1;
  adapter.tokens = {{1}, {8, 9}};
  const hf::ModelWeights tied(MatrixFiles({{kEmbeddingTensor, kEmbeddingRows}}).open(), three_tokens(true), adapter,
                              "an/adapter");
  CHECK(tied.config().tied_embeddings);
  CHECK(matrix_of(tied, kEmbeddingTensor) == MatrixValues{1, 2, 8, 9, 5, 6});
  const hf::ModelWeights other(MatrixFiles({{kEmbeddingTensor, kEmbeddingRows}, {kHeadTensor, kOtherHead}}).open(),
                               three_tokens(true), adapter, "an/adapter");
  CHECK(matrix_of(other, kHeadTensor) == MatrixValues{1, 2, 8, 9, 5, 7});
  const hf::ModelWeights untied(MatrixFiles({{kEmbeddingTensor, kEmbeddingRows}, {kHeadTensor, kOtherHead}}).open(),
                                three_tokens(false), adapter, "an/adapter");
  CHECK(matrix_of(untied, kHeadTensor) == kOtherHead);
  adapter.head_tokens = {{0}, {7, 7}};
  const hf::ModelWeights apart(MatrixFiles({{kEmbeddingTensor, kEmbeddingRows}}).open(), three_tokens(true), adapter,
                               "an/adapter");
  CHECK_FALSE(apart.config().tied_embeddings);
  CHECK(matrix_of(apart, kHeadTensor) == MatrixValues{7, 7, 3, 4, 5, 6});
}

TEST_CASE("factors of the embedding or of a tied head change that one alone") {
  hf::Adapter adapter;
  adapter.rank = 1;
  adapter.alpha = 1;
  adapter.modules["model.embed_tokens"] = {2, 3, {1, 10}, {1, 0, 2}, {}};
  const MatrixFiles files({{kEmbeddingTensor, kEmbeddingRows}});
  const hf::ModelWeights embedding(files.open(), three_tokens(true), adapter, "an/adapter");
  CHECK_FALSE(embedding.config().tied_embeddings);
  CHECK(matrix_of(embedding, kEmbeddingTensor) == MatrixValues{2, 12, 3, 4, 7, 26});
  CHECK(matrix_of(embedding, kHeadTensor) == kEmbeddingRows);
  adapter.modules["lm_head"] = adapter.modules["model.embed_tokens"];
  adapter.modules.erase("model.embed_tokens");
  const hf::ModelWeights head(files.open(), three_tokens(true), adapter, "an/adapter");
  CHECK(matrix_of(head, kEmbeddingTensor) == kEmbeddingRows);
  CHECK(matrix_of(head, kHeadTensor) == MatrixValues{2, 12, 3, 4, 7, 26});
}
