#include <anabranch/hf/merged_folder.hpp>

#include <unistd.h>

#include <array>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <anabranch/error.hpp>
#include <anabranch/hf/adapter.hpp>
#include <anabranch/hf/config.hpp>
#include <anabranch/hf/gguf.hpp>
#include <anabranch/hf/layer_tensors.hpp>
#include <anabranch/hf/model_text.hpp>
#include <anabranch/hf/model_weights.hpp>
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
constexpr const char* kMergedHead = "lm_head.weight";
constexpr std::string_view kGeneration = "generation_config.json";

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

/// The model's config.json with the type of the new weights, and what else the new tensors have made of it.
std::string config_text(const fs::path& file, const ModelConfig& merged, Dtype dtype) {
  const std::string text = impl::with_tagged_floats(impl::read_file(file));
  impl::parse_json(text, file.string());
  auto config = nlohmann::ordered_json::parse(text);  // keeps the order of its keys
  config["vocab_size"] = merged.vocabulary;
  config.erase("quantization_config");
  if (config.contains("tie_word_embeddings") || merged.tied_embeddings)
    config["tie_word_embeddings"] = merged.tied_embeddings;
  config[config.contains("dtype") ? "dtype" : "torch_dtype"] = dtype == Dtype::bf16 ? "bfloat16" : "float32";
  return config.dump(2) + "\n";
}

struct Stopped {};  ///< leaves the writer of a file, which removes what it has written

void write_weights(const fs::path& file, const ModelWeights& weights, const MergeOptions& options) {
  std::set<std::string, std::less<>> names;
  for (const auto& [name, shape] : tensor_shapes(weights.config()))
    if (name != kMergedHead || !weights.config().tied_embeddings) names.insert(name);
  if (!weights.config().quantisation)  // else they are parts of matrices
    for (const auto& [name, tensor] : weights.files().tensors())
      if (name != kMergedHead) names.insert(name);  // of a tied head: a copy that nobody reads
  std::vector<LazyTensor> tensors;
  std::size_t n_read = 0;
  for (const std::string& name : names) {
    const std::optional<StoredTensor> stored = weights.find(name);
    if (!stored) continue;
    tensors.push_back({name,
                       {stored->shape().begin(), stored->shape().end()},
                       options.dtype,
                       [&, name, stored](std::span<float> values) {
                         if (n_read > 0 && options.on_tensor && !options.on_tensor(n_read, tensors.size()))
                           throw Stopped();
                         weights.read(name, *stored, values);
                         ++n_read;
                       }});
  }
  write_safetensors(file, tensors, {{"format", "pt"}});
  if (options.on_tensor && !options.on_tensor(tensors.size(), tensors.size())) throw Stopped();
}

/// That what the adapter changes is there, in its size.
void require_changed(const ModelWeights& weights) {
  for (const auto& [name, shape] : tensor_shapes(weights.config()))
    if (weights.is_changed(name)) weights.require(name, shape);
}

}  // namespace

bool write_merged_folder(const MergeOptions& options) {
  if (is_gguf(options.model))
    fail(Status::unsupported, options.model.string(),
         ": an adapter cannot be merged into a GGUF file; expected a Hugging Face folder of the same model");
  const ModelConfig config = ModelConfig::load(options.model);
  if (config.text_part)
    fail(Status::unsupported, (options.model / "config.json").string(),
         ": 'architectures': an adapter cannot be merged into the text part of a model of pictures and text");
  const ModelWeights weights(Weights::open(options.model), config, Adapter::load(options.adapter),
                             options.adapter.string());
  require_changed(weights);
  NewFolder folder(options.merged);
  impl::write_file(folder.path() / "config.json",
                   config_text(options.model / "config.json", weights.config(), options.dtype));
  const fs::path text = text_folder(options.model, options.adapter);
  for (const char* name : kCopied) {
    const fs::path& source = std::string_view(name) == kGeneration ? options.model : text;
    if (fs::exists(source / name)) folder.copy(source / name);
  }
  for (const fs::path& source : {options.adapter, options.model})
    if (fs::exists(source / kSettings)) {
      folder.copy(source / kSettings);
      break;
    }
  try {
    write_weights(folder.path() / "model.safetensors", weights, options);
  } catch (const Stopped&) {
    return false;
  }
  folder.finish();
  return true;
}

}  // namespace anabranch::hf
