#include <anabranch/hf/merged_folder.hpp>

#include <unistd.h>

#include <array>
#include <string>
#include <utility>
#include <vector>

#include <anabranch/error.hpp>
#include <anabranch/hf/adapter.hpp>
#include <anabranch/hf/config.hpp>
#include <anabranch/hf/layer_tensors.hpp>
#include <anabranch/hf/safetensors.hpp>

#include "atomic_file.hpp"
#include "json_file.hpp"

namespace anabranch::hf {
namespace {

namespace fs = std::filesystem;

/// Files that stand beside the weights, where a folder has them.
constexpr std::array<const char*, 9> kCopied{"generation_config.json",
                                             "tokenizer.json",
                                             "tokenizer_config.json",
                                             "special_tokens_map.json",
                                             "added_tokens.json",
                                             "vocab.json",
                                             "merges.txt",
                                             "tokenizer.model",
                                             "chat_template.jinja"};
constexpr const char* kSettings = "anabranch.json";

/// A folder beside the one that is wanted; it gets its name when it is complete, else nothing of it stays.
class NewFolder {
 public:
  explicit NewFolder(fs::path folder) : folder_(std::move(folder)) {
    if (!folder_.has_filename()) folder_ = folder_.parent_path();  // "out/"
    temporary_ = folder_;
    temporary_ += ".tmp-" + std::to_string(::getpid());
    std::error_code error;
    if (fs::exists(folder_, error))
      fail(Status::bad_argument, "merged folder ", folder_.string(), ": expected nothing there yet, found something");
    if (!fs::create_directories(temporary_, error)) cannot("create", temporary_, error);
  }
  ~NewFolder() {
    std::error_code ignored;
    if (!done_) fs::remove_all(temporary_, ignored);
  }
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;

  const fs::path& path() const noexcept { return temporary_; }
  void copy(const fs::path& from) const {
    std::error_code error;
    if (!fs::copy_file(from, temporary_ / from.filename(), error)) cannot("copy", from, error);
  }
  void finish() {
    std::error_code error;
    fs::rename(temporary_, folder_, error);
    if (error) cannot("create", folder_, error);
    done_ = true;
  }

 private:
  [[noreturn]] static void cannot(const char* what, const fs::path& path, const std::error_code& error) {
    fail(Status::bad_file, "cannot ", what, " ", path.string(), ": ", error.message());
  }

  fs::path folder_, temporary_;
  bool done_ = false;
};

/// The model's config.json with the type of the new weights.
std::string config_text(const fs::path& file, Dtype dtype) {
  const std::string text = impl::read_file(file);
  impl::parse_json(text, file.string());
  auto config = nlohmann::ordered_json::parse(text);  // keeps the order of its keys
  config[config.contains("dtype") ? "dtype" : "torch_dtype"] = dtype == Dtype::bf16 ? "bfloat16" : "float32";
  return config.dump(2) + "\n";
}

/// The contents of the new weights.
struct Merge {
  const ModelConfig& config;
  const Weights& weights;
  const Adapter& adapter;
};

void write_weights(const fs::path& file, const Merge& merge, Dtype dtype) {
  std::vector<LazyTensor> tensors;
  for (const auto& [name, tensor] : merge.weights.tensors()) {
    if (merge.config.tied_embeddings && name == "lm_head.weight")
      continue;  // a copy that nobody reads, and that would not follow
    tensors.push_back(
        {name, tensor.shape, dtype, [&adapter = merge.adapter, &tensor = tensor](std::span<float> values) {
           read_floats(tensor, values);
           adapter.merge_into(tensor.name, values);
         }});
  }
  write_safetensors(file, tensors, {{"format", "pt"}});
}

void require_matrices(const Merge& merge) {
  const auto& [config, weights, adapter] = merge;
  for (const auto& [module, pair] : adapter.modules) weights.require(module + ".weight", {pair.out, pair.in});
  const auto require = [&](const MatrixSpec& matrix) { weights.require(matrix.weight(), {matrix.out, matrix.in}); };
  if (!adapter.tokens.empty()) require(embedding_spec(config));
  if (!adapter.head_tokens.empty()) require(head_spec(config));
}

}  // namespace

void write_merged_folder(const MergeOptions& options) {
  const ModelConfig config = ModelConfig::load(options.model);
  const Adapter adapter = Adapter::load(options.adapter);
  adapter.require_fit(config, options.adapter.string());
  const Weights weights = Weights::open(options.model);
  require_matrices({config, weights, adapter});
  NewFolder folder(options.merged);
  impl::write_file(folder.path() / "config.json", config_text(options.model / "config.json", options.dtype));
  for (const char* name : kCopied)
    if (fs::exists(options.model / name)) folder.copy(options.model / name);
  for (const fs::path& source : {options.adapter, options.model})
    if (fs::exists(source / kSettings)) {
      folder.copy(source / kSettings);
      break;
    }
  write_weights(folder.path() / "model.safetensors", {config, weights, adapter}, options.dtype);
  folder.finish();
}

}  // namespace anabranch::hf
