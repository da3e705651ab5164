// A model that learns: a Hugging Face folder in LibTorch with gradients, of low-rank adapters or of every weight.
//
// Several rows (samples) go through the products at once, one after another; attention runs for each by itself, with
// its mask, so that packed samples cannot see each other and nothing is computed for pairs that are masked out between
// them. Logits are made for rows with a target only, some hundred at a time. No torch header is needed to use it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <anabranch/hf/config.hpp>
#include <anabranch/train/losses.hpp>
#include <anabranch/train/token_row.hpp>

namespace anabranch::train {

/// In what the products with the base model's matrices run. All else is float32 always: adapters, norms, attention,
/// softmax, loss, optimiser.
enum class Compute : std::uint8_t {
  automatic,  ///< bfloat16 where the CPU multiplies it in hardware, else float32
  float32,
  bfloat16,  ///< inputs, weights and results of base products rounded to 8 significant bits, summed in float32
};
const char* compute_name(Compute compute) noexcept;

enum class Tuning : std::uint8_t {
  lora,  ///< low-rank adapters on all seven projections and the named rows of the embedding
  full,  ///< every weight
};

struct ModelOptions {
  Tuning tuning = Tuning::lora;
  std::int32_t rank = 16;
  float alpha = 32;  ///< an adapter adds alpha / rank * B A x
  Compute compute = Compute::automatic;
  std::vector<TokenId> token_rows = {};  ///< of `lora`: rows of the embedding that are trained, and of the head
  std::vector<float> initial_rows = {};  ///< [token_rows, hidden]; empty: as the model has them
  std::uint64_t seed = 0;                ///< of the adapters' first values
  std::int32_t n_threads = 0;            ///< threads of LibTorch, of the whole process; 0 leaves what is set
};

/// A trained array, row-major; borrowed from the model.
struct Parameter {
  std::string name;
  std::vector<std::int64_t> shape;
  std::span<float> values;
  std::span<float> gradient;  ///< of the passes since zero_gradients(); empty before the first
};

/// The adapter of one projection, a copy.
struct LoraModule {
  std::string path;      ///< such as "model.layers.0.self_attn.q_proj"
  std::int64_t in = 0;   ///< width of the input
  std::int64_t out = 0;  ///< width of the output
  std::vector<float> a;  ///< [rank, in]
  std::vector<float> b;  ///< [out, rank]
};

/// A tensor of the whole model under its name in Hugging Face folders, a copy.
struct ModelTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  std::vector<float> values;
};

class Optimizer;

class Model {
 public:
  /// B of every adapter starts at zero, A as Hugging Face's `peft` has it (uniform in +-1/sqrt(in)). Throws bad_file,
  /// unsupported, or bad_argument (options).
  static Model load(const std::filesystem::path& folder, const ModelOptions& options);

  Model(Model&&) noexcept;
  Model& operator=(Model&&) noexcept;
  ~Model();

  /// Losses of the rows, packed into one pass. Throws bad_argument for a token or position outside the model.
  Losses evaluate(std::span<const TokenRow* const> rows) const;
  /// The same, and adds the gradient of scale * (sum of the losses) to the parameters'.
  Losses accumulate(std::span<const TokenRow* const> rows, double scale);
  /// -log p of each target of one row, in the order of its tokens.
  std::vector<float> target_losses(const TokenRow& row) const;

  void zero_gradients();
  /// Always in the same order. Values may be written; call parameters_changed() then.
  std::vector<Parameter> parameters();
  void parameters_changed();

  const hf::ModelConfig& config() const noexcept;
  Compute compute() const noexcept;  ///< what was chosen: never `automatic`
  const ModelOptions& options() const noexcept;

  std::vector<LoraModule> lora_modules() const;  ///< of `lora`, layer by layer
  std::vector<float> token_rows() const;         ///< of `lora`: [options().token_rows, hidden]
  std::vector<float> head_rows() const;          ///< the same of the head; empty where it is the embedding
  std::vector<ModelTensor> tensors() const;      ///< of `full`: all weights

 private:
  friend class Optimizer;
  struct Impl;
  explicit Model(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

}  // namespace anabranch::train
