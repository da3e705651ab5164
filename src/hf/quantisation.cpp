#include "quantisation.hpp"

#include <algorithm>
#include <string>
#include <string_view>

namespace anabranch::hf::impl {
namespace {

using Kind = StoredQuantisation::Kind;

void require_one_of(const JsonObject& object, const char* key, const std::string& found,
                    std::initializer_list<std::string_view> supported) {
  if (std::find(supported.begin(), supported.end(), found) != supported.end()) return;
  std::string names;
  for (const std::string_view name : supported) names += (names.empty() ? "\"" : ", \"") + std::string(name) + "\"";
  object.unsupported(key, "\"" + found + "\" is not supported; supported: " + names);
}

void require_bits(const JsonObject& object, const char* key, std::int32_t only) {
  if (const std::int32_t bits = object.integer(key, 1); bits != only)
    object.unsupported(key, std::to_string(bits) + " is not supported, only " + std::to_string(only));
}

void read_block(const JsonObject& object, const char* key, StoredQuantisation& result) {
  const Json& sizes = object.array(key);
  const auto size = [&](std::size_t i) {
    const auto number = sizes.size() == 2 ? token_id(sizes[i]) : std::nullopt;
    if (!number || *number < 1) object.wrong(key, "two sizes from 1", sizes);
    return *number;
  };
  result.block_rows = size(0);
  result.block_columns = size(1);
}

/// As DeepSeek and Qwen write it: blocks, or one scale for a matrix.
StoredQuantisation read_fp8(const JsonObject& object) {
  StoredQuantisation result{Kind::fp8};
  result.scale = "weight_scale_inv";
  if (const auto format = object.optional_text("fmt")) require_one_of(object, "fmt", *format, {"e4m3"});
  if (const auto format = object.optional_text("expert_dtype"))
    require_one_of(object, "expert_dtype", *format, {"fp8"});
  if (object.find("weight_block_size")) read_block(object, "weight_block_size", result);
  return result;
}

/// As vLLM's compressor writes it: one scale for a matrix, for a row, or for a block.
StoredQuantisation read_compressed(const JsonObject& object) {
  StoredQuantisation result{Kind::fp8};
  result.scale = "weight_scale";
  require_one_of(object, "format", object.optional_text("format").value_or(""), {"float-quantized", "naive-quantized"});
  if (object.find("kv_cache_scheme")) object.unsupported("kv_cache_scheme", "scales of K and V are not supported");
  const JsonObject groups = object.object("config_groups");
  for (const auto& [name, value] : groups.json().items()) {
    const JsonObject weights = groups.object(name.c_str()).object("weights");
    require_bits(weights, "num_bits", 8);
    require_one_of(weights, "type", weights.text("type"), {"float"});
    if (!weights.flag_or("symmetric", true)) weights.unsupported("symmetric", "false is not supported, only true");
    const std::string strategy = weights.text("strategy");
    require_one_of(weights, "strategy", strategy, {"tensor", "channel", "block"});
    if (strategy == "block") read_block(weights, "block_structure", result);
  }
  if (const auto sparsity = object.optional_object("sparsity_config"); sparsity && !sparsity->json().empty())
    require_one_of(*sparsity, "format", sparsity->optional_text("format").value_or("dense"), {"dense"});
  return result;
}

void read_group(const JsonObject& object, const char* key, StoredQuantisation& result) {
  const Json& size = object.require(key, "a number of columns, or -1");
  if (size == -1) return;
  const auto number = token_id(size);
  if (!number || *number < 1) object.wrong(key, "a number of columns from 1, or -1", size);
  result.group = *number;
}

StoredQuantisation read_gptq(const JsonObject& object) {
  StoredQuantisation result{Kind::gptq};
  require_bits(object, "bits", 4);
  read_group(object, "group_size", result);
  const char* key = object.find("checkpoint_format") ? "checkpoint_format" : "format";
  const std::string format = object.optional_text(key).value_or("gptq");
  require_one_of(object, key, format, {"gptq", "gptq_v2"});
  result.zeros_less_one = format == "gptq";
  return result;
}

StoredQuantisation read_awq(const JsonObject& object) {
  StoredQuantisation result{Kind::awq};
  require_bits(object, object.find("w_bit") ? "w_bit" : "bits", 4);
  read_group(object, object.find("q_group_size") ? "q_group_size" : "group_size", result);
  const char* key = object.find("version") ? "version" : "format";
  require_one_of(object, key, object.optional_text(key).value_or("gemm"), {"gemm", "GEMM"});
  if (!object.flag_or("zero_point", true)) object.unsupported("zero_point", "false is not supported, only true");
  return result;
}

}  // namespace

std::optional<StoredQuantisation> read_quantisation(const JsonObject& config) {
  const auto object = config.optional_object("quantization_config");
  if (!object) return std::nullopt;
  const std::string method = object->text("quant_method");
  if (method == "fp8") return read_fp8(*object);
  if (method == "compressed-tensors") return read_compressed(*object);
  if (method == "gptq") return read_gptq(*object);
  if (method == "awq") return read_awq(*object);
  object->unsupported("quant_method", "\"" + method +
                                          "\" is not supported; supported are \"fp8\", \"gptq\", \"awq\" "
                                          "and \"compressed-tensors\" with 8-bit floats");
}

}  // namespace anabranch::hf::impl
