#include "gguf_weights.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include <anabranch/error.hpp>

#include "gguf_rows.hpp"

namespace anabranch::hf::impl {
namespace {

constexpr std::string_view kFactors[] = {"rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"};

/// A part of a layer: its name in the file, and below "model.layers.N." in a folder.
struct Part {
  std::string_view name, folder_name;
};

std::optional<std::string> folder_part(const GgufArchitecture& a, std::string_view part) {
  constexpr Part kAlways[] = {
      {"attn_norm", "input_layernorm"}, {"attn_output", "self_attn.o_proj"}, {"ffn_down", "mlp.down_proj"}};
  constexpr Part kApart[] = {{"attn_q", "self_attn.q_proj"},
                             {"attn_k", "self_attn.k_proj"},
                             {"attn_v", "self_attn.v_proj"},
                             {"ffn_gate", "mlp.gate_proj"},
                             {"ffn_up", "mlp.up_proj"}};
  constexpr Part kFused[] = {{"attn_qkv", "self_attn.qkv_proj"}, {"ffn_up", "mlp.gate_up_proj"}};
  constexpr Part kHeadNorms[] = {{"attn_q_norm", "self_attn.q_norm"}, {"attn_k_norm", "self_attn.k_norm"}};
  constexpr Part kPreNorm[] = {{"ffn_norm", "post_attention_layernorm"}};
  constexpr Part kPostNorms[] = {{"ffn_norm", "pre_feedforward_layernorm"},
                                 {"post_attention_norm", "post_attention_layernorm"},
                                 {"post_ffw_norm", "post_feedforward_layernorm"}};
  std::optional<std::string> found;
  const auto look = [&](std::span<const Part> parts) {
    for (const Part& known : parts)
      if (known.name == part) found = std::string(known.folder_name);
  };
  look(kAlways);
  a.fused ? look(kFused) : look(kApart);
  if (a.qk_norm) look(kHeadNorms);
  a.post_norms ? look(kPostNorms) : look(kPreNorm);
  return found;
}

/// The name in a folder; none: the architecture has no such tensor.
std::optional<std::string> folder_name(const GgufArchitecture& a, std::string_view name) {
  const std::size_t dot = name.rfind('.');
  if (dot == name.npos) return std::nullopt;
  const std::string_view module = name.substr(0, dot);
  const std::string kind(name.substr(dot));
  if (kind != ".weight" && kind != ".bias") return std::nullopt;
  if (module == "token_embd") return "model.embed_tokens" + kind;
  if (module == "output_norm") return "model.norm" + kind;
  if (module == "output") return "lm_head" + kind;
  constexpr std::string_view kLayer = "blk.";
  const std::size_t end = module.find('.', kLayer.size());
  if (!module.starts_with(kLayer) || end == module.npos) return std::nullopt;
  const std::string_view number = module.substr(kLayer.size(), end - kLayer.size());
  std::int32_t layer = 0;
  const auto parsed = std::from_chars(number.data(), number.data() + number.size(), layer);
  if (parsed.ec != std::errc() || parsed.ptr != number.data() + number.size() || layer < 0 ||
      std::to_string(layer) != number)
    return std::nullopt;
  const auto part = folder_part(a, module.substr(end + 1));
  return part ? std::optional("model.layers." + std::string(number) + "." + *part + kind) : std::nullopt;
}

/// Reads where the file has what a folder has otherwise.
class TensorReader {
 public:
  explicit TensorReader(const GgufFile& file) : file_(file), architecture_(gguf_architecture(file)) {
    if (!architecture_.rotary_pairs) return;
    const std::string prefix = std::string(architecture_.name) + ".attention.";
    q_heads_ = heads(prefix + "head_count", 0);
    k_heads_ = heads(prefix + "head_count_kv", q_heads_);
  }

  Tensor read(const GgufTensor& stored, const GgufFile& part) const {
    const auto name = folder_name(architecture_, stored.name);
    const std::string where = part.where() + ": tensor \"" + std::string(stored.name) + "\"";
    if (!name)
      fail(Status::unsupported, where, ": the architecture \"", architecture_.name, "\" has no such tensor here");
    Tensor tensor;
    tensor.name = *name;
    tensor.stored_dtype = stored.type->name;
    tensor.shape = stored.shape;
    tensor.bytes = stored.bytes;
    tensor.file = part.path();
    GgufStorage storage{stored.type, heads_of(*name), is_norm(*name) && architecture_.norms_less_one ? -1.0f : 0.0f};
    if (tensor.shape.size() > 2 || (tensor.shape.size() == 1 && stored.type->values > 1))
      fail(Status::unsupported, where, ": expected a matrix, or a vector of F32, F16 or BF16, found ",
           stored.type->name, " ", shape_text(tensor.shape));
    if (storage.paired_heads > 0 && tensor.shape[0] % (2 * storage.paired_heads) != 0)
      fail(Status::bad_file, where, ": expected rows of ", storage.paired_heads, " heads of rotary pairs, found ",
           tensor.shape[0]);
    const Dtype dtype = dtype_of(*stored.type);
    if (storage.paired_heads > 0) tensor.stored_dtype += " in rotary pairs";
    if (storage.added != 0.0f) tensor.stored_dtype += " with 1 added";
    if (dtype == Dtype::other || storage.paired_heads > 0 || storage.added != 0.0f)
      tensor.gguf = storage;
    else
      tensor.dtype = dtype;
    return tensor;
  }

 private:
  std::int32_t heads(const std::string& key, std::int32_t otherwise) const {
    const std::int32_t n = file_.integer(key).value_or(otherwise);
    if (n < 1 || n > 65536)
      file_.wrong(key, "a number of heads from 1 to 65536", file_.has(key) ? std::to_string(n) : "nothing");
    return n;
  }
  std::int32_t heads_of(std::string_view name) const {
    return name.find(".q_proj.") != name.npos ? q_heads_ : name.find(".k_proj.") != name.npos ? k_heads_ : 0;
  }
  static bool is_norm(std::string_view name) { return name.ends_with("norm.weight"); }
  static Dtype dtype_of(const GgmlType& type) {
    for (const Dtype dtype : {Dtype::f32, Dtype::f16, Dtype::bf16})
      if (dtype_name(dtype) == type.name) return dtype;
    return Dtype::other;
  }

  const GgufFile& file_;
  const GgufArchitecture& architecture_;
  std::int32_t q_heads_ = 0, k_heads_ = 0;
};

}  // namespace

const GgufArchitecture& gguf_architecture(const GgufFile& file) {
  constexpr const char* kKey = "general.architecture";
  const auto name = file.text(kKey);
  if (!name) file.wrong(kKey, "the name of an architecture", "nothing");
  if (const auto type = file.text("general.type"); type && *type != "model")
    file.unsupported("general.type", "\"" + std::string(*type) + "\" is not supported, only \"model\"");
  if (const GgufArchitecture* found = find_gguf_architecture(*name)) return *found;
  file.unsupported(kKey, "\"" + std::string(name->substr(0, 80)) + "\" is not supported; supported are " +
                             gguf_architecture_names());
}

std::map<std::string, Tensor, std::less<>> gguf_tensors(const std::vector<GgufFile>& files) {
  const TensorReader reader(files.front());
  std::map<std::string, Tensor, std::less<>> tensors;
  for (const GgufFile& file : files)
    for (const GgufTensor& stored : file.tensors()) {
      if (std::find(std::begin(kFactors), std::end(kFactors), stored.name) != std::end(kFactors)) continue;
      Tensor tensor = reader.read(stored, file);
      std::string name = tensor.name;
      if (!tensors.emplace(std::move(name), std::move(tensor)).second)
        fail(Status::bad_file, file.where(), ": tensor \"", stored.name, "\": expected it once, found it again");
    }
  return tensors;
}

std::vector<float> read_values(const GgufTensor& tensor) {
  std::vector<float> values(tensor.bytes.size() / tensor.type->n_bytes * tensor.type->values);
  read_blocks(*tensor.type, tensor.bytes, values);
  return values;
}

}  // namespace anabranch::hf::impl
