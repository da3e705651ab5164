#include <anabranch/torch/causal_lm.hpp>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
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

#include "agreement.hpp"
#include "fastest_type.hpp"
#include "forward_pass.hpp"
#include "leader.hpp"
#include "load_report.hpp"
#include "memory.hpp"
#include "pass_layout.hpp"
#include "pass_message.hpp"
#include "processors.hpp"
#include "shard.hpp"
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
Weights resolve_alone(const LoadOptions& options, const hf::ModelConfig& config, const std::filesystem::path& folder,
                      const WeightCache& cache, const LoadReport& report) {
  if (options.weights != Weights::automatic) return options.weights;
  if (const std::optional<Weights> known = cache.fastest(config)) return *known;
  require_memory(estimate_memory(config, options, Weights::int8), options, folder);
  report.stage("measures");
  const FastestType fastest = fastest_weights(folder, config);
  cache.keep_fastest(config, fastest);
  return fastest.weights;
}

/// The same on all ranks: rank 0 chooses.
Weights resolve(const LoadOptions& options, const LoadedModel& model, const WeightCache& cache,
                const LoadReport& report) {
  const bool follows = model.ranks != nullptr && model.ranks->rank() != 0;
  const Weights own = follows ? options.weights : resolve_alone(options, model.config, model.folder, cache, report);
  if (model.ranks == nullptr) return own;
  const Weights first = share_choice(*model.ranks, own);
  return own == Weights::automatic ? first : own;
}

Shard shard_for(const Collective* ranks, const hf::ModelConfig& config, Weights weights) {
  return ranks != nullptr ? shard_of(config, weights, ranks->rank(), ranks->size()) : whole_model(config);
}

/// Puts the tensors into `model` as an earlier load has kept them, else reads them from the model's files and keeps
/// them. The configuration becomes that of the tensors.
void read_tensors(LoadedModel& model, const LoadOptions& options, const WeightCache& cache, LoadReport& report) {
  const hf::ModelConfig of_folder = model.config;
  const auto set_config = [&](const hf::ModelConfig& config) {
    model.config = config;
    model.shard = shard_for(model.ranks, config, model.weights);
    model.part = config_of(config, model.shard);
    model.ranges = ranges_of(config, model.shard);
    require_memory(estimate_memory(model.part, options, model.weights), options, model.folder);
  };
  std::optional<KeptFile> kept;
  if (model.weights == Weights::int8 && model.ranks == nullptr &&
      prepared_bytes(of_folder) >= options.weight_cache.min_bytes)
    kept = cache.file_of({model.folder, model.adapter});
  if (const auto config = kept ? cache.config_of(*kept, of_folder) : std::nullopt) {
    set_config(*config);
    if (std::optional<ModelTensors> found = cache.read(*kept, model.config, report)) {
      model.tensors = std::move(*found);
      return;
    }
  }
  const hf::ModelWeights source = open_weights(model.folder, of_folder, options);
  set_config(source.config());
  model.tensors = load_tensors(source, model.weights, model.shard, report);
  if (kept) cache.write(*kept, model.tensors, model.config);
}

}  // namespace

struct CausalLm::Impl {
  Impl(std::shared_ptr<const LoadedModel> loaded, attention::Element element, ThreadUse threads)
      : model(std::move(loaded)), pass(*model, element, threads) {}

  bool follows() const noexcept { return !model->shard.alone() && model->shard.rank != 0; }
  void obey(const PassMessage& message);

  std::shared_ptr<const LoadedModel> model;
  ForwardPass pass;
  AttentionPath path = AttentionPath::native;
  std::int32_t max_rows = 0;
  std::int64_t n_passes = 0;
  PassTimes times;
  std::shared_ptr<const hf::ModelText> text;
  std::optional<hf::GenerationConfig> generation;
  std::unique_ptr<LedRunner> led;                  ///< rank 0 of several
  std::map<std::uint32_t, ForwardPass> followers;  ///< other ranks: for each of rank 0's runners
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
  if (options.ranks != nullptr && options.ranks->size() > 1) model->ranks = options.ranks;
  guarded(Status::internal, "loading a model", [&] {
    model->weights = resolve(options, *model, cache, report);
    if (model->ranks != nullptr)
      require_agreement(*model->ranks, facts_of({folder, options.adapter}, model->config, options, model->weights));
    check_path(options.attention, kv_for(options, model->weights));
    read_tensors(*model, options, cache, report);
  });
  const attention::Element kv = kv_for(options, model->weights);
  auto impl = std::make_unique<Impl>(std::move(model), kv, options.thread_use);
  impl->path = options.attention;
  impl->max_rows = options.max_rows;
  if (Collective* const ranks = impl->model->ranks; ranks != nullptr) {
    ranks->barrier(options.load_limit);
    if (ranks->rank() == 0) impl->led = std::make_unique<LedRunner>(std::make_shared<Leader>(*ranks));
  }
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
  return estimate_memory(config_of(config, shard_for(options.ranks, config, weights)), options, weights);
}

CausalLm CausalLm::with_own_slots() const {
  auto impl = std::make_unique<Impl>(impl_->model, kv(), impl_->pass.threads());
  impl->path = impl_->path;
  impl->max_rows = impl_->max_rows;
  impl->text = impl_->text;
  impl->generation = impl_->generation;
  if (impl_->led != nullptr) impl->led = std::make_unique<LedRunner>(impl_->led->leader());
  CausalLm runner(std::move(impl));
  runner.reserve(n_slots());
  return runner;
}

LogitsView CausalLm::operator()(const StepPlan& plan) {
  const auto begin = std::chrono::steady_clock::now();
  const hf::ModelConfig& config = impl_->model->config;
  if (impl_->follows())
    fail(Status::wrong_state, "rank ", impl_->model->shard.rank, " runs the passes of rank 0; call follow");
  check_plan(plan, {config.vocabulary, config.max_positions, std::max(n_slots(), plan.n_slots)});
  reserve(plan.n_slots);
  if (impl_->led != nullptr && plan.n_rows() > 0) impl_->led->run(impl_->path, plan);
  const LogitsView logits =
      guarded(Status::internal, "running a pass", [&] { return impl_->pass.run(plan, impl_->path, impl_->times); });
  ++impl_->n_passes;
  impl_->times.total += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return logits;
}

/// Does what rank 0 says, but for stopping.
void CausalLm::Impl::obey(const PassMessage& message) {
  if (message.order == PassOrder::forget) {
    followers.erase(message.runner);
    return;
  }
  const auto begin = std::chrono::steady_clock::now();
  ForwardPass& follower =
      followers.try_emplace(message.runner, *model, pass.kv().element(), pass.threads()).first->second;
  const PlanOverArrays arrays(message.plan);
  const StepPlan& plan = arrays.plan();
  follower.kv().reserve(plan.n_slots);
  check_plan(plan, {model->config.vocabulary, model->config.max_positions, follower.kv().n_slots()});
  follower.run(plan, message.path, times);
  ++n_passes;
  times.total += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void CausalLm::follow() {
  if (!impl_->follows()) fail(Status::wrong_state, "only ranks other than 0 of several follow");
  std::vector<std::byte> bytes;
  for (;;) {
    impl_->model->ranks->broadcast(bytes);
    const PassMessage message = pass_message(bytes);
    if (message.order == PassOrder::stop) return;
    guarded(Status::internal, "running a pass", [&] { impl_->obey(message); });
  }
}

void CausalLm::reserve(std::int32_t n_slots) {
  if (n_slots < 0) fail(Status::bad_argument, "n_slots is ", n_slots, ", must be 0 or more");
  guarded(Status::bad_argument, "room for K and V of " + std::to_string(n_slots) + " slots",
          [&] { impl_->pass.kv().reserve(n_slots); });
}

KvBytes CausalLm::kv_bytes(const std::string& name) {
  const hf::ModelConfig& c = config();
  if (!impl_->model->shard.alone())
    fail(Status::unsupported, "K and V of a model on ", impl_->model->shard.n_ranks, " ranks as bytes");
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
