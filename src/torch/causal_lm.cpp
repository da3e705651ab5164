#include <anabranch/torch/causal_lm.hpp>

#include <algorithm>
#include <chrono>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>

#include <anabranch/error.hpp>
#include <anabranch/hf/hub_cache.hpp>
#include <anabranch/hf/model_weights.hpp>

#include "fastest_type.hpp"
#include "forward_pass.hpp"
#include "load_report.hpp"
#include "memory.hpp"
#include "pass_layout.hpp"
#include "processors.hpp"
#include "tensors.hpp"
#include "weight_cache.hpp"

namespace anabranch::torch {
namespace {

/// Turns LibTorch's own exceptions into ours, with `status`.
template <class F>
auto guarded(Status status, const std::string& doing, F&& call) {
  const c10::InferenceMode inference;
  try {
    return call();
  } catch (const c10::Error& error) {
    fail(status, doing, " failed in LibTorch: ", error.what_without_backtrace());
  } catch (const std::bad_alloc&) {
    fail(status, doing, " failed: out of memory");
  }
}

void check_options(const LoadOptions& options) {
  const auto require = [](bool holds, const char* name, std::int32_t value, const char* limit) {
    if (!holds) fail(Status::bad_argument, name, " is ", value, ", must be ", limit);
  };
  require(options.n_slots >= 0, "n_slots", options.n_slots, "0 or more");
  require(options.max_rows > 0, "max_rows", options.max_rows, "positive");
  require(options.n_threads >= 0, "n_threads", options.n_threads, "0 or more");
  if (options.memory_limit && *options.memory_limit < 0)
    fail(Status::bad_argument, "memory_limit is ", *options.memory_limit, ", must be 0 or more");
}

void set_threads(std::int32_t wanted) {
  const std::int32_t now = at::get_num_threads(), n = wanted > 0 ? wanted : std::min(now, usable_processors());
  if (n != now) at::set_num_threads(n);
}

void check_path(AttentionPath path, attention::Element kv) {
  if (path != AttentionPath::native && kv == attention::Element::int8)
    fail(Status::bad_argument, "the LibTorch attention paths do not read K and V in int8; take AttentionPath::native");
}

hf::ModelWeights open_weights(const std::filesystem::path& folder, const hf::ModelConfig& config,
                              const LoadOptions& options) {
  if (!options.adapter) return {hf::Weights::open(folder), config};
  return {hf::Weights::open(folder), config, hf::Adapter::load(*options.adapter), options.adapter->string()};
}

/// The type that `automatic` stands for, measured if no clear result was kept here before.
Weights resolve(const LoadOptions& options, const hf::ModelConfig& config, const std::filesystem::path& folder,
                const WeightCache& cache, const LoadReport& report) {
  if (options.weights != Weights::automatic) return options.weights;
  if (const std::optional<Weights> known = cache.fastest(config)) return *known;
  require_memory(estimate_memory(config, options, Weights::int8), options, folder);
  report.stage("measures");
  const FastestType fastest = fastest_weights(folder, config);
  cache.keep_fastest(config, fastest);
  return fastest.weights;
}

/// Puts the tensors into `model` as an earlier load has kept them, else reads them from the model's files and keeps
/// them. The configuration becomes that of the tensors.
void read_tensors(LoadedModel& model, const LoadOptions& options, const WeightCache& cache, LoadReport& report) {
  const hf::ModelConfig of_folder = model.config;
  const auto require_room = [&] {
    require_memory(estimate_memory(model.config, options, model.weights), options, model.folder);
  };
  std::optional<KeptFile> kept;
  if (model.weights == Weights::int8 && prepared_bytes(of_folder) >= options.weight_cache.min_bytes)
    kept = cache.file_of({model.folder, model.adapter});
  if (const auto config = kept ? cache.config_of(*kept, of_folder) : std::nullopt) {
    model.config = *config;
    require_room();
    if (std::optional<ModelTensors> found = cache.read(*kept, model.config, report)) {
      model.tensors = std::move(*found);
      return;
    }
  }
  const hf::ModelWeights source = open_weights(model.folder, of_folder, options);
  model.config = source.config();
  require_room();
  model.tensors = load_tensors(source, model.weights, report);
  if (kept) cache.write(*kept, model.tensors, model.config);
}

}  // namespace

struct CausalLm::Impl {
  Impl(std::shared_ptr<const LoadedModel> loaded, attention::Element element, ThreadUse threads)
      : model(std::move(loaded)), pass(*model, element, threads) {}

  std::shared_ptr<const LoadedModel> model;
  ForwardPass pass;
  AttentionPath path = AttentionPath::native;
  std::int32_t max_rows = 0;
  std::int64_t n_passes = 0;
  PassTimes times;
  std::shared_ptr<const hf::ModelText> text;
  std::optional<hf::GenerationConfig> generation;
};

CausalLm::CausalLm(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
CausalLm::CausalLm(CausalLm&&) noexcept = default;
CausalLm& CausalLm::operator=(CausalLm&&) noexcept = default;
CausalLm::~CausalLm() = default;

CausalLm CausalLm::load(const std::filesystem::path& name, const LoadOptions& options) {
  check_options(options);
  const std::filesystem::path folder = hf::find_model(name);
  auto model = std::make_shared<LoadedModel>();
  model->folder = folder;
  model->adapter = options.adapter;
  model->config = hf::ModelConfig::load(folder);
  if (options.max_positions) model->config.set_max_positions(*options.max_positions);
  model->kinds = layer_kinds(model->config);
  set_threads(options.n_threads);
  LoadReport report(options);
  const WeightCache cache(options.weight_cache, report);
  guarded(Status::internal, "loading a model", [&] {
    model->weights = resolve(options, model->config, folder, cache, report);
    check_path(options.attention, kv_for(options, model->weights));
    read_tensors(*model, options, cache, report);
  });
  const attention::Element kv = kv_for(options, model->weights);
  auto impl = std::make_unique<Impl>(std::move(model), kv, options.thread_use);
  impl->path = options.attention;
  impl->max_rows = options.max_rows;
  CausalLm runner(std::move(impl));
  runner.reserve(options.n_slots);
  report.ready();
  return runner;
}

MemoryEstimate CausalLm::estimate(const std::filesystem::path& name, const LoadOptions& options) {
  check_options(options);
  const std::filesystem::path folder = hf::find_model(name);
  const hf::ModelConfig config = open_weights(folder, hf::ModelConfig::load(folder), options).config();
  const LoadReport report;
  const WeightCache cache(options.weight_cache, report);
  Weights weights = options.weights;
  if (weights == Weights::automatic) weights = cache.fastest(config).value_or(Weights::int8);
  return estimate_memory(config, options, weights);
}

CausalLm CausalLm::with_own_slots() const {
  auto impl = std::make_unique<Impl>(impl_->model, kv(), impl_->pass.threads());
  impl->path = impl_->path;
  impl->max_rows = impl_->max_rows;
  impl->text = impl_->text;
  impl->generation = impl_->generation;
  CausalLm runner(std::move(impl));
  runner.reserve(n_slots());
  return runner;
}

LogitsView CausalLm::operator()(const StepPlan& plan) {
  const auto begin = std::chrono::steady_clock::now();
  const hf::ModelConfig& config = impl_->model->config;
  check_plan(plan, {config.vocabulary, config.max_positions, std::max(n_slots(), plan.n_slots)});
  reserve(plan.n_slots);
  const LogitsView logits =
      guarded(Status::internal, "running a pass", [&] { return impl_->pass.run(plan, impl_->path, impl_->times); });
  ++impl_->n_passes;
  impl_->times.total += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return logits;
}

void CausalLm::reserve(std::int32_t n_slots) {
  if (n_slots < 0) fail(Status::bad_argument, "n_slots is ", n_slots, ", must be 0 or more");
  guarded(Status::bad_argument, "room for K and V of " + std::to_string(n_slots) + " slots",
          [&] { impl_->pass.kv().reserve(n_slots); });
}

KvBytes CausalLm::kv_bytes(const std::string& name) {
  const hf::ModelConfig& c = config();
  Impl* const impl = impl_.get();
  KvBytes bytes;
  bytes.model = name + "; weights " + std::to_string(static_cast<int>(weights())) + ", K and V " +
                std::to_string(static_cast<int>(kv())) + ", layers " + std::to_string(c.n_layers) + ", heads " +
                std::to_string(c.n_kv_heads) + " of " + std::to_string(c.head_dim);
  bytes.bytes_per_slot = impl->pass.kv().bytes_per_slot();
  bytes.read = [impl](Slot first, std::int32_t count, std::span<std::byte> to) {
    impl->pass.kv().read(first, count, to);
  };
  bytes.write = [impl](Slot first, std::int32_t count, std::span<const std::byte> from) {
    KvStore& kv = impl->pass.kv();
    if (first >= 0 && count >= 0 && count <= kUnlimited - first) kv.reserve(first + count);
    kv.write(first, count, from);
  };
  return bytes;
}

void CausalLm::set_attention(AttentionPath path) {
  check_path(path, kv());
  impl_->path = path;
}
const hf::ModelConfig& CausalLm::config() const noexcept { return impl_->model->config; }
const hf::ModelText& CausalLm::text() const {
  const LoadedModel& model = *impl_->model;
  if (!impl_->text) {
    auto loaded = std::make_shared<hf::ModelText>(model.adapter ? hf::ModelText::load(model.folder, *model.adapter)
                                                                : hf::ModelText::load(model.folder));
    hf::add_tokens(loaded->ends, model.config.eos);
    impl_->text = std::move(loaded);
  }
  return *impl_->text;
}
const hf::GenerationConfig& CausalLm::generation() const {
  if (!impl_->generation) impl_->generation = hf::GenerationConfig::load(impl_->model->folder);
  return *impl_->generation;
}
const std::vector<TokenId>& CausalLm::end_of_text() const { return text().ends; }
Weights CausalLm::weights() const noexcept { return impl_->model->weights; }
attention::Element CausalLm::kv() const noexcept { return impl_->pass.kv().element(); }
AttentionPath CausalLm::attention() const noexcept { return impl_->path; }
std::int32_t CausalLm::max_rows() const noexcept { return impl_->max_rows; }
std::int32_t CausalLm::n_threads() const noexcept { return at::get_num_threads(); }
std::int32_t CausalLm::n_slots() const noexcept { return impl_->pass.kv().n_slots(); }
std::int64_t CausalLm::n_passes() const noexcept { return impl_->n_passes; }
const PassTimes& CausalLm::times() const noexcept { return impl_->times; }
std::int64_t CausalLm::weight_bytes() const noexcept {
  const ModelTensors& tensors = impl_->model->tensors;
  std::int64_t bytes = tensors.head.bytes();
  for (const LayerTensors& layer : tensors.layers)
    bytes += layer.qkv.bytes() + layer.out.bytes() + layer.gate_up.bytes() + layer.down.bytes();
  return bytes;
}

}  // namespace anabranch::torch
