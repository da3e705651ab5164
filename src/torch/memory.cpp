#include "memory.hpp"

#include <algorithm>
#include <fstream>
#include <limits>

#include <anabranch/error.hpp>
#include <anabranch/linear/quantised_rows.hpp>

#include "control_groups.hpp"
#include "kv_store.hpp"
#include "weight_cache.hpp"

namespace anabranch::torch {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kFloat = sizeof(float);
constexpr std::int64_t kMaxOutputs = 16;  ///< rows of a pass whose logits are counted

/// Weights of the products of all layers and of the head.
std::int64_t n_multiplied(const hf::ModelConfig& c) {
  const std::int64_t attention = std::int64_t{c.hidden} * (2 * c.q_width() + 2 * c.kv_width());
  return c.n_layers * (attention + 3 * std::int64_t{c.hidden} * c.ffn) + std::int64_t{c.vocabulary} * c.hidden;
}

std::int64_t weight_bytes(const hf::ModelConfig& c, Weights weights) {
  if (weights == Weights::int8) return prepared_bytes(c);
  const std::int64_t size = weights == Weights::float32 ? 4 : 2;
  const std::int64_t of_heads = c.qk_norm ? 2 * std::int64_t{c.head_dim} : 0;
  const std::int64_t of_rows = (c.post_norms ? 4 : 2) * std::int64_t{c.hidden};
  const std::int64_t norms = c.n_layers * (of_rows + of_heads) + c.hidden;
  const std::int64_t biases = (c.qkv_bias ? c.q_width() + 2 * c.kv_width() : 0) + (c.o_bias ? c.hidden : 0) +
                              (c.mlp_bias ? 2 * std::int64_t{c.ffn} + c.hidden : 0);
  return size * (n_multiplied(c) + c.n_layers * biases + std::int64_t{c.vocabulary} * c.hidden) + norms * kFloat;
}

std::int64_t kv_bytes(const hf::ModelConfig& c, const LoadOptions& options, attention::Element element) {
  const std::int64_t scales = element == attention::Element::int8 ? std::int64_t{c.n_kv_heads} * kFloat : 0;
  const std::int64_t slot = c.kv_width() * static_cast<std::int64_t>(element_size(element)) + scales;
  return 2 * slot * c.n_layers * options.n_slots;
}

std::int64_t scratch_bytes(const hf::ModelConfig& c, std::int64_t n_rows, Weights weights) {
  const std::int64_t outputs = std::min(n_rows, kMaxOutputs) * std::int64_t{c.vocabulary} * kFloat;
  const std::int64_t widest = std::max({c.hidden, c.q_width(), c.ffn});
  std::int64_t row = (c.hidden + c.q_width() + 2 * c.kv_width() + c.q_width() + c.ffn) * kFloat;
  if (c.adds_apart()) row += c.hidden * kFloat;
  if (weights == Weights::int8)
    row += (widest + std::max(c.hidden, c.q_width())) * 2;  // rounded: of this product and of the next
  else
    row += (widest + 3 * std::int64_t{c.ffn}) * kFloat;  // results of LibTorch's products
  return outputs + n_rows * row;
}

std::optional<std::int64_t> first_number(const fs::path& file) {
  std::int64_t number = 0;
  std::ifstream in(file);
  if (in >> number) return number;
  return std::nullopt;  // absent, or "max"
}

/// The number behind `key` at the beginning of a line.
std::int64_t number_of(const fs::path& file, const std::string& key) {
  std::ifstream in(file);
  for (std::string name, rest; in >> name; std::getline(in, rest))
    if (std::int64_t number = 0; name == key && in >> number) return number;
  return 0;
}

void consider(std::optional<FreeMemory>& least, std::int64_t bytes, const std::string& where) {
  if (!least || bytes < least->bytes) least = FreeMemory{std::max<std::int64_t>(bytes, 0), where};
}

/// The names of a group's files in one of the two versions of control groups.
struct MemoryFiles {
  const char *limit, *used, *file_cache;
};
constexpr MemoryFiles kVersion1{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"};
constexpr MemoryFiles kVersion2{"memory.max", "memory.current", "inactive_file"};

void consider_group(std::optional<FreeMemory>& least, const ControlGroup& group) {
  const MemoryFiles& files = group.version == GroupVersion::one ? kVersion1 : kVersion2;
  const auto limit = first_number(group.folder / files.limit), used = first_number(group.folder / files.used);
  if (limit && used)
    consider(least, *limit - *used + number_of(group.folder / "memory.stat", files.file_cache),
             "the control group " + group.name);
}

}  // namespace

MemoryEstimate estimate_memory(const hf::ModelConfig& config, const LoadOptions& options, Weights weights) {
  return {weight_bytes(config, weights), kv_bytes(config, options, kv_for(options, weights)),
          scratch_bytes(config, options.max_rows, weights)};
}

std::optional<FreeMemory> free_memory() {
  std::optional<FreeMemory> least;
  if (const std::int64_t kib = number_of("/proc/meminfo", "MemAvailable:"); kib > 0)
    consider(least, kib * 1024, "this machine");
  for (const ControlGroup& group : control_groups("memory")) consider_group(least, group);
  return least;
}

void require_memory(const MemoryEstimate& need, const LoadOptions& options, const fs::path& folder) {
  std::optional<FreeMemory> there;
  if (options.memory_limit)
    there = FreeMemory{*options.memory_limit, "LoadOptions::memory_limit"};
  else
    there = free_memory();
  if (!there || need.total() <= there->bytes) return;
  const auto mib = [](std::int64_t bytes) { return (bytes + (1 << 20) - 1) >> 20; };
  fail(Status::out_of_memory, folder.string(), ": the model needs ", mib(need.total()), " MiB (weights ",
       mib(need.weights), ", K and V of ", options.n_slots, " slots ", mib(need.kv), ", buffers of ", options.max_rows,
       " rows ", mib(need.scratch), "), ", there->where, " has ", there->bytes >> 20);
}

}  // namespace anabranch::torch
