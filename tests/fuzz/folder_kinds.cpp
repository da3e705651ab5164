// Kinds of files that are read from a folder: they never take more memory than a multiple of their size, and a refusal
// names the folder.
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <anabranch/error.hpp>
#include <anabranch/hf/adapter.hpp>
#include <anabranch/hf/chat_template.hpp>
#include <anabranch/hf/config.hpp>
#include <anabranch/hf/generation_config.hpp>
#include <anabranch/hf/layer_tensors.hpp>
#include <anabranch/hf/model_weights.hpp>
#include <anabranch/hf/safetensors.hpp>
#include <anabranch/hf/tokenizer.hpp>

#include "check.hpp"
#include "file_kinds.hpp"
#include "operator_new.hpp"

namespace fuzz {
namespace {

namespace fs = std::filesystem;
namespace hf = anabranch::hf;

/// Bytes in use at once while a file of n bytes is read: this many for each of its bytes, and some for messages.
constexpr std::size_t kBytesPerByte = 256;
constexpr std::size_t kBytesAlways = std::size_t{1} << 18;

/// A folder of its own for one kind of file, removed at the end.
class FileFolder {
 public:
  explicit FileFolder(const char* file) : file_(file) {
    const fs::path root = fs::exists("/dev/shm") ? fs::path("/dev/shm") : fs::temp_directory_path();
    folder_ = root / ("anabranch-fuzz-" + std::to_string(::getpid()) + "-" + file);
    fs::create_directories(folder_);
  }
  ~FileFolder() {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  FileFolder(const FileFolder&) = delete;
  FileFolder& operator=(const FileFolder&) = delete;
  const fs::path& path() const noexcept { return folder_; }

  /// `read` gets the folder with the file in it.
  template <class Read>
  void with(std::string_view bytes, Read&& read) const {
    std::ofstream(folder_ / file_, std::ios::binary | std::ios::trunc)
        .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    const MemoryUse memory;
    const auto check_memory = [&] {
      const std::size_t limit = kBytesAlways + kBytesPerByte * bytes.size();
      FUZZ_CHECK(memory.most() <= limit, "%zu bytes at once for a file of %zu, expected at most %zu", memory.most(),
                 bytes.size(), limit);
    };
    try {
      read(folder_);
      check_memory();
    } catch (const anabranch::Error& error) {
      check_memory();
      std::string text = error.what();
      const std::size_t at = text.find(folder_.string());
      const bool expected =
          error.status() == anabranch::Status::bad_file || error.status() == anabranch::Status::unsupported;
      FUZZ_CHECK(expected && at != std::string::npos, "%s: %s", anabranch::status_name(error.status()), text.c_str());
      throw anabranch::Error(error.status(), text.erase(at, folder_.string().size()));
    }
  }

 private:
  const char* file_;
  fs::path folder_;
};

hf::ModelConfig small_model() {
  hf::ModelConfig config;
  config.vocabulary = 4;
  config.hidden = 2;
  config.n_layers = 2;
  config.n_heads = config.n_kv_heads = 1;
  config.head_dim = 2;
  config.ffn = 3;
  config.qkv_bias = true;
  return config;
}

/// Factors and tensors of most kinds, so that there is something that a configuration can fit or not.
void write_adapter_tensors(const fs::path& folder) {
  const std::vector<float> values(12, 0.5f);
  std::vector<hf::FloatTensor> tensors;
  const auto add = [&](const char* name, std::vector<std::int64_t> shape) {
    std::size_t n = 1;
    for (const std::int64_t size : shape) n *= static_cast<std::size_t>(size);
    tensors.push_back({std::string("base_model.model.") + name, std::move(shape), std::span(values).first(n)});
  };
  for (const char* layer : {"model.layers.0.self_attn.", "model.layers.1.self_attn."}) {
    add((std::string(layer) + "q_proj.lora_A.weight").c_str(), {1, 2});
    add((std::string(layer) + "q_proj.lora_B.weight").c_str(), {2, 1});
  }
  add("model.layers.0.self_attn.v_proj.bias", {2});
  add("lm_head.weight", {4, 2});
  add("model.embed_tokens.token_adapter.trainable_tokens_delta", {1, 2});
  hf::write_safetensors(folder / "adapter_model.safetensors", tensors);
}

}  // namespace

void read_config(std::string_view bytes) {
  static const FileFolder folder("config.json");
  folder.with(bytes, [](const fs::path& path) {
    const hf::ModelConfig config = hf::ModelConfig::load(path);
    FUZZ_CHECK(config.n_layers > 0 && config.vocabulary > 0 && config.n_heads % config.n_kv_heads == 0,
               "%d layers, vocabulary %d, %d heads over %d", config.n_layers, config.vocabulary, config.n_heads,
               config.n_kv_heads);
    hf::layer_spec(config, config.n_layers - 1);
    hf::ModelConfig longest = config;
    longest.set_max_positions(config.most_positions);
    for (const hf::ModelConfig& model : {config, longest})
      for (const std::size_t layer : {std::size_t{0}, static_cast<std::size_t>(config.n_layers) - 1}) {
        FUZZ_CHECK(model.window_of(layer) >= 0, "a window of %d", model.window_of(layer));
        const hf::RopeConfig* const rope = model.rope_of(layer);
        if (rope == nullptr) continue;
        const std::vector<double> turns = hf::rope_inverse_frequencies(*rope, model.head_dim);
        FUZZ_CHECK(static_cast<std::int32_t>(turns.size()) * 2 == hf::rotary_width(*rope, model.head_dim),
                   "%zu pairs turn, of heads of %d", turns.size(), model.head_dim);
      }
  });
}

void read_adapter_config(std::string_view bytes) {
  static const FileFolder folder("adapter_config.json");
  static const bool written = (write_adapter_tensors(folder.path()), true);
  static_cast<void>(written);
  folder.with(bytes, [](const fs::path& path) {
    const hf::Adapter adapter = hf::Adapter::load(path);
    adapter.require_fit(small_model(), path.string());
    std::vector<float> matrix(4, 1.0f);
    adapter.merge_into("model.layers.1.self_attn.q_proj.weight", matrix);
  });
}

void read_tensors(std::string_view bytes) {
  static const FileFolder folder("model.safetensors");
  folder.with(bytes, [](const fs::path& path) {
    const hf::Weights weights = hf::Weights::open(path);
    for (const auto& [name, tensor] : weights.tensors())
      if (tensor.dtype != hf::Dtype::other) hf::read_floats(tensor);
  });
}

/// Everything that is read of a GGUF file; its tokenizer last, so that the rest is read where that is refused.
void read_gguf(std::string_view bytes) {
  static const FileFolder folder("model.gguf");
  folder.with(bytes, [](const fs::path& path) {
    const fs::path file = path / "model.gguf";
    const hf::ModelConfig config = hf::ModelConfig::load(file);
    const hf::ModelWeights weights(hf::Weights::open(file), config);
    std::vector<float> values;
    for (const auto& [name, tensor] : weights.files().tensors()) {
      const hf::StoredTensor stored = *weights.find(name);
      std::int64_t n = 1;
      for (const std::int64_t size : stored.shape()) n *= size;
      values.resize(static_cast<std::size_t>(n));
      stored.read(0, values);
    }
    hf::GenerationConfig::load(file);
    hf::ChatTemplate::load(file);
    const hf::Tokenizer tokenizer = hf::Tokenizer::load(file);
    tokenizer.decode(tokenizer.encode("ab \n\n<|end|>  a\tb"));
  });
}

}  // namespace fuzz
