#include <anabranch/hf/adapter.hpp>
#include <anabranch/hf/markup_settings.hpp>
#include <anabranch/hf/merged_folder.hpp>
#include <anabranch/hf/model_text.hpp>
#include <anabranch/hf/safetensors.hpp>

#include "catch.hpp"
#include "hf/files.hpp"

namespace {

namespace hf = anabranch::hf;

constexpr const char* kConfig = R"({"z": 1, "architectures": ["LlamaForCausalLM"], "model_type": "llama",
  "vocab_size": 3, "hidden_size": 2, "intermediate_size": 3, "num_hidden_layers": 1, "num_attention_heads": 1,
  "tie_word_embeddings": true, "torch_dtype": "float16", "a": 2, "limit": Infinity})";

/// A model whose tensors are few: merging reads those that there are.
class Folders {
 public:
  Folders() {
    test::fs::create_directories(model());
    test::write(model() / "config.json", kConfig);
    test::write(model() / "tokenizer.json", "the tokenizer");
    test::write(model() / "other.txt", "not part of a model");
    hf::write_safetensors(model() / "model.safetensors",
                          std::vector<hf::FloatTensor>{{"model.embed_tokens.weight", {3, 2}, embedding_},
                                                       {"lm_head.weight", {3, 2}, embedding_},
                                                       {"model.norm.weight", {2}, norm_},
                                                       {"model.layers.0.self_attn.q_proj.weight", {2, 2}, query_}});
    hf::Adapter adapter;
    adapter.rank = 1;
    adapter.alpha = 2;
    adapter.modules["model.layers.0.self_attn.q_proj"] = {2, 2, {1, 10}, {1, -1}, {}};
    adapter.tokens = {{1}, {8, 9}};
    adapter.save(this->adapter(), hf::Dtype::f32);
  }
  test::fs::path model() const { return folder_ / "model"; }
  test::fs::path adapter() const { return folder_ / "adapter"; }
  test::fs::path merged() const { return folder_ / "merged"; }
  hf::MergeOptions options() const { return {model(), adapter(), merged(), hf::Dtype::f32}; }

  std::vector<float> tensor(const char* name) const {
    const hf::Weights weights = hf::Weights::open(merged());
    const hf::Tensor* tensor = weights.find(name);
    return tensor == nullptr ? std::vector<float>() : hf::read_floats(*tensor);
  }

 private:
  test::TemporaryFolder folder_;
  std::vector<float> embedding_{1, 1, 2, 2, 3, 3}, norm_{1, 1.001f}, query_{1, 2, 3, 4};
};

}  // namespace

TEST_CASE("a merged folder holds the model's files, the adapter's settings and changed weights") {
  const Folders folders;
  test::write(folders.model() / "anabranch.json", R"({"markup": "serial"})");
  test::write(folders.adapter() / "anabranch.json", R"({"markup": "aspd"})");
  hf::write_merged_folder(folders.options());
  CHECK(test::read(folders.merged() / "tokenizer.json") == "the tokenizer");
  CHECK(test::read(folders.merged() / "anabranch.json") == R"({"markup": "aspd"})");
  CHECK_FALSE(test::fs::exists(folders.merged() / "other.txt"));
  const std::string config = test::read(folders.merged() / "config.json");
  CHECK(nlohmann::json::parse(config)["torch_dtype"] == "float32");
  CHECK(nlohmann::json::parse(config)["limit"]["__float__"] == "Infinity");
  CHECK(config.find("\"z\"") < config.find("\"a\""));
  CHECK(folders.tensor("model.layers.0.self_attn.q_proj.weight") == std::vector<float>{3, 22, 1, -16});
  CHECK(folders.tensor("model.embed_tokens.weight") == std::vector<float>{1, 1, 8, 9, 3, 3});
  CHECK(folders.tensor("model.norm.weight") == std::vector<float>{1, 1.001f});
  CHECK(folders.tensor("lm_head.weight").empty());
}

TEST_CASE("a merged folder in bfloat16 says so, and takes the model's settings where the adapter has none") {
  const Folders folders;
  test::write(folders.model() / "anabranch.json", R"({"markup": "serial"})");
  hf::MergeOptions options = folders.options();
  options.dtype = hf::Dtype::bf16;
  options.merged += "/";
  hf::write_merged_folder(options);
  CHECK(hf::ModelConfig::load(folders.merged()).dtype == hf::Dtype::bf16);
  CHECK(test::read(folders.merged() / "anabranch.json") == R"({"markup": "serial"})");
  CHECK(folders.tensor("model.norm.weight") == std::vector<float>{1, 1});
  CHECK(folders.tensor("model.layers.0.self_attn.q_proj.weight") == std::vector<float>{3, 22, 1, -16});
}

TEST_CASE("a merged folder keeps a head of its own, and says that it is not tied") {
  const Folders folders;
  std::vector<float> head{1, 1, 2, 2, 3, 4}, embedding{1, 1, 2, 2, 3, 3}, norm{1, 1}, query{1, 2, 3, 4};
  hf::write_safetensors(folders.model() / "model.safetensors",
                        std::vector<hf::FloatTensor>{{"model.embed_tokens.weight", {3, 2}, embedding},
                                                     {"lm_head.weight", {3, 2}, head},
                                                     {"model.norm.weight", {2}, norm},
                                                     {"model.layers.0.self_attn.q_proj.weight", {2, 2}, query}});
  test::write(folders.adapter() / "tokenizer.json", "the adapter's tokenizer");
  hf::write_merged_folder(folders.options());
  CHECK(folders.tensor("lm_head.weight") == std::vector<float>{1, 1, 8, 9, 3, 4});
  CHECK(folders.tensor("model.embed_tokens.weight") == std::vector<float>{1, 1, 8, 9, 3, 3});
  CHECK_FALSE(hf::ModelConfig::load(folders.merged()).tied_embeddings);
  CHECK(test::read(folders.merged() / "tokenizer.json") == "the adapter's tokenizer");
}

TEST_CASE("a merge that cannot be leaves nothing behind") {
  const Folders folders;
  const auto error = [&](const hf::MergeOptions& options) {
    return test::error_of([&] { hf::write_merged_folder(options); });
  };
  const auto n_entries = [&] {
    return std::distance(test::fs::directory_iterator(folders.merged().parent_path()), test::fs::directory_iterator());
  };
  hf::MergeOptions options = folders.options();
  options.dtype = hf::Dtype::f16;
  CHECK_THAT(error(options), Catch::Matchers::StartsWith("bad_argument: ") && Catch::Matchers::Contains("F16"));
  options = folders.options();
  options.adapter = folders.model();
  CHECK_THAT(error(options), Catch::Matchers::Contains("adapter_config.json"));
  hf::Adapter wrong = hf::Adapter::load(folders.adapter());
  wrong.modules["model.layers.0.self_attn.k_proj"] = wrong.modules.begin()->second;
  wrong.target_modules.clear();
  wrong.save(folders.adapter(), hf::Dtype::f32);
  CHECK_THAT(error(folders.options()),
             Catch::Matchers::Contains("k_proj.weight") && Catch::Matchers::Contains("found no such tensor"));
  CHECK(n_entries() == 2);
  wrong.modules.erase("model.layers.0.self_attn.k_proj");
  wrong.save(folders.adapter(), hf::Dtype::f32);
  test::fs::create_directory(folders.merged());
  CHECK_THAT(error(folders.options()),
             Catch::Matchers::StartsWith("bad_argument: ") && Catch::Matchers::Contains("found something"));
}

TEST_CASE("a merge tells how many tensors are written, and one that is stopped leaves nothing behind") {
  const Folders folders;
  const auto n_entries = [&] {
    return std::distance(test::fs::directory_iterator(folders.merged().parent_path()), test::fs::directory_iterator());
  };
  hf::MergeOptions options = folders.options();
  std::size_t n_told = 0;
  for (const std::size_t last : {std::size_t{1}, std::size_t{3}}) {
    n_told = 0;
    options.on_tensor = [&](std::size_t n_written, std::size_t n_tensors) {
      CHECK(n_tensors == 3);
      CHECK(n_written == ++n_told);
      return n_written < last;
    };
    CHECK_FALSE(hf::write_merged_folder(options));
    CHECK(n_told == last);
    CHECK(n_entries() == 2);
  }
  n_told = 0;
  options.on_tensor = [&](std::size_t, std::size_t) { return ++n_told > 0; };
  CHECK(hf::write_merged_folder(options));
  CHECK(n_told == 3);
  CHECK(n_entries() == 3);
}

TEST_CASE("an adapter's markup settings come before its model's") {
  if (test::model_folder().empty()) {
    WARN(test::kNoModel);
    return;
  }
  const test::TemporaryFolder adapter;
  CHECK(hf::ModelText::load(test::model_folder(), adapter.path()).markup.markup == anabranch::MarkupKind::skeleton);
  hf::MarkupSettings settings;
  settings.markup = anabranch::MarkupKind::aspd;
  settings.para = "<gh_stars>";
  settings.save(adapter.path());
  const hf::ModelText text = hf::ModelText::load(test::model_folder(), adapter.path());
  CHECK(text.markup.markup == anabranch::MarkupKind::aspd);
  CHECK(text.markup.para == "<gh_stars>");
}
