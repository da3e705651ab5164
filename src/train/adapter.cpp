#include <anabranch/train/adapter.hpp>

#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <anabranch/error.hpp>
#include <anabranch/hf/layer_tensors.hpp>
#include <anabranch/hf/safetensors.hpp>

namespace anabranch::train {
namespace {

/// Names of the projections of every layer as `peft` has them: the last word of each module's path.
std::vector<std::string> projection_names(const hf::ModelConfig& config) {
  const hf::LayerSpec layer = hf::layer_spec(config, 0);
  std::vector<std::string> names;
  for (const hf::MatrixSpec* matrix : layer.matrices())
    names.push_back(matrix->module.substr(matrix->module.rfind('.') + 1));
  return names;
}

}  // namespace

hf::Adapter adapter_of(const Model& model, const std::string& base_model) {
  const ModelOptions& options = model.options();
  if (options.tuning != Tuning::lora) fail(Status::bad_argument, "the model was tuned whole: it has no adapter");
  hf::Adapter adapter;
  adapter.rank = options.rank;
  adapter.alpha = options.alpha;
  adapter.base_model = base_model;
  adapter.target_modules = projection_names(model.config());
  for (LoraModule& m : model.lora_modules())
    adapter.modules[m.path] = {
        static_cast<std::int32_t>(m.in), static_cast<std::int32_t>(m.out), std::move(m.a), std::move(m.b), {}};
  if (std::vector<float> rows = model.token_rows(); !rows.empty())
    adapter.tokens = {options.token_rows, std::move(rows)};
  if (std::vector<float> rows = model.head_rows(); !rows.empty())
    adapter.head_tokens = {options.token_rows, std::move(rows)};
  return adapter;
}

void save_model(const Model& model, const std::filesystem::path& base, const std::filesystem::path& folder) {
  if (model.options().tuning != Tuning::full)
    fail(Status::bad_argument, "the model was tuned with low rank: it has an adapter, not new weights");
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail(Status::bad_file, "cannot make ", folder.string(), ": ", error.message());
  for (const char* name : {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
                           "special_tokens_map.json", "chat_template.jinja"}) {
    if (!std::filesystem::exists(base / name)) continue;
    std::filesystem::copy_file(base / name, folder / name, std::filesystem::copy_options::overwrite_existing, error);
    if (error) fail(Status::bad_file, "cannot write ", (folder / name).string(), ": ", error.message());
  }
  const std::vector<ModelTensor> tensors = model.tensors();
  std::vector<hf::FloatTensor> views;
  for (const ModelTensor& t : tensors) views.push_back({t.name, t.shape, t.values});
  hf::write_safetensors(folder / "model.safetensors", views);
}

}  // namespace anabranch::train
