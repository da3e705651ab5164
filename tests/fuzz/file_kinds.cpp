#include "file_kinds.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>

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

namespace fuzz {
namespace {

namespace fs = std::filesystem;
namespace hf = anabranch::hf;

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

void nothing(const fs::path&) {}

void read_config(const fs::path& folder) {
  const hf::ModelConfig config = hf::ModelConfig::load(folder);
  FUZZ_CHECK(config.n_layers > 0 && config.vocabulary > 0 && config.n_heads % config.n_kv_heads == 0,
             "%d layers, vocabulary %d, %d heads over %d", config.n_layers, config.vocabulary, config.n_heads,
             config.n_kv_heads);
  hf::layer_spec(config, config.n_layers - 1);
  hf::ModelConfig longest = config;
  longest.set_max_positions(config.most_positions);
  for (const hf::ModelConfig& model : {config, longest})
    for (std::size_t layer : {std::size_t{0}, static_cast<std::size_t>(config.n_layers) - 1}) {
      const std::vector<double> turns = hf::rope_inverse_frequencies(model.rope_of(layer), model.head_dim);
      FUZZ_CHECK(static_cast<std::int32_t>(turns.size()) * 2 == hf::rotary_width(model.rope_of(layer), model.head_dim),
                 "%zu pairs turn, of heads of %d", turns.size(), model.head_dim);
      FUZZ_CHECK(model.window_of(layer) >= 0, "a window of %d", model.window_of(layer));
    }
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

void read_adapter(const fs::path& folder) {
  const hf::Adapter adapter = hf::Adapter::load(folder);
  adapter.require_fit(small_model(), folder.string());
  std::vector<float> matrix(4, 1.0f);
  adapter.merge_into("model.layers.1.self_attn.q_proj.weight", matrix);
}

void read_tensors(const fs::path& folder) {
  const hf::Weights weights = hf::Weights::open(folder);
  for (const auto& [name, tensor] : weights.tensors())
    if (tensor.dtype != hf::Dtype::other) hf::read_floats(tensor);
}

/// Everything that is read of a GGUF file. Without a tokenizer the rest is read all the same.
void read_gguf(const fs::path& folder) {
  const fs::path file = folder / "model.gguf";
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
}

constexpr std::array<FileKind, 4> kKinds{
    {{"config", "config.json", nothing, read_config},
     {"adapter_config", "adapter_config.json", write_adapter_tensors, read_adapter},
     {"gguf", "model.gguf", nothing, read_gguf},
     {"safetensors", "model.safetensors", nothing, read_tensors}}};

}  // namespace

std::span<const FileKind> file_kinds() { return kKinds; }

FileReader::FileReader(const FileKind& kind) : kind_(kind) {
  const fs::path root = fs::exists("/dev/shm") ? fs::path("/dev/shm") : fs::temp_directory_path();
  folder_ = root / ("anabranch-fuzz-" + std::to_string(::getpid()) + "-" + std::string(kind.name));
  fs::create_directories(folder_);
  kind.prepare(folder_);
}

FileReader::~FileReader() {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

bool FileReader::read(const std::uint8_t* bytes, std::size_t n) const {
  std::ofstream(folder_ / kind_.file, std::ios::binary | std::ios::trunc)
      .write(reinterpret_cast<const char*>(bytes), static_cast<std::streamsize>(n));
  bool taken = true;
  MemoryUse::begin();
  try {
    kind_.read(folder_);
  } catch (const anabranch::Error& error) {
    taken = false;
    const bool expected =
        error.status() == anabranch::Status::bad_file || error.status() == anabranch::Status::unsupported;
    FUZZ_CHECK(expected && std::string_view(error.what()).find(folder_.string()) != std::string_view::npos, "%s: %s",
               anabranch::status_name(error.status()), error.what());
  }
  const std::size_t most = MemoryUse::most(), limit = kBytesAlways + kBytesPerByte * n;
  FUZZ_CHECK(most <= limit, "%zu bytes at once for a file of %zu, expected at most %zu", most, n, limit);
  return taken;
}

}  // namespace fuzz
