#include "weight_cache.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include <ATen/ops/from_blob.h>

#include <anabranch/error.hpp>
#include <anabranch/hf/safetensors.hpp>

#include "byte_hash.hpp"
#include "prepared_tensors.hpp"
#include "weight_sources.hpp"

namespace anabranch::torch {
namespace {

namespace fs = std::filesystem;

/// Grows with each change of what a kept file holds, or of the order of bytes in a packed matrix.
constexpr const char* kFormat = "anabranch prepared weights 2";
constexpr const char* kChecksum = "checksum";
constexpr const char* kVocabulary = "vocabulary";  ///< rows, and whether the head is tied to the embedding
constexpr std::size_t kPart = std::size_t{1} << 20;

std::optional<fs::path> folder_of(const WeightCacheOptions& options) {
  if (!options.enabled) return std::nullopt;
  if (!options.folder.empty()) return options.folder;
  const auto variable = [](const char* name) -> std::optional<fs::path> {
    const char* const value = std::getenv(name);
    if (value == nullptr || *value == '\0') return std::nullopt;
    return fs::path(value);
  };
  if (const auto folder = variable("ANABRANCH_WEIGHT_CACHE"))
    return *folder == "off" ? std::nullopt : std::optional(*folder);
  if (const auto cache = variable("ANABRANCH_CACHE")) return *cache / "weights";
  if (const auto cache = variable("XDG_CACHE_HOME")) return *cache / "anabranch" / "weights";
  if (const auto home = variable("HOME")) return *home / ".cache" / "anabranch" / "weights";
  return std::nullopt;
}

/// The name, so that another file of that name and size does not count for it.
void add_name(ByteHash& hash, const std::string& name, std::size_t n_bytes) {
  hash.add(name + " " + std::to_string(n_bytes) + "\n");
}

/// Lists prepared tensors for the writer.
struct Lister {
  std::vector<hf::RawTensor>& list;

  void matrix(std::string name, const Projection& projection, const linear::PackedShape&) const {
    const std::span<const std::byte> bytes = projection.int8().packed();
    list.push_back({std::move(name), "U8", {static_cast<std::int64_t>(bytes.size())}, bytes});
  }
  void norm(std::string name, const at::Tensor& tensor, std::int64_t size) const {
    add(std::move(name), "F32", tensor, {size});
  }
  void table(std::string name, const at::Tensor& tensor, std::int64_t rows, std::int64_t columns) const {
    add(std::move(name), "BF16", tensor, {rows, columns});
  }
  void add(std::string name, std::string dtype, const at::Tensor& tensor, std::vector<std::int64_t> shape) const {
    list.push_back({std::move(name),
                    std::move(dtype),
                    std::move(shape),
                    {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()}});
  }
};

/// Puts prepared tensors where the bytes of a kept file lie in memory.
class Placer {
 public:
  Placer(const hf::Weights& file, const std::byte* from, const std::byte* to) : file_(file), from_(from), to_(to) {}

  void matrix(const std::string& name, Projection& projection, const linear::PackedShape& shape) {
    const auto size = static_cast<std::int64_t>(linear::Int8Matrix::packed_bytes(shape));
    const std::byte* const place = find(name, "U8", {size});
    projection = Projection(linear::Int8Matrix::over(shape, {place, static_cast<std::size_t>(size)}));
  }
  void norm(const std::string& name, at::Tensor& tensor, std::int64_t size) {
    tensor = at::from_blob(const_cast<std::byte*>(find(name, "F32", {size})), {size}, at::kFloat);
  }
  void table(const std::string& name, at::Tensor& tensor, std::int64_t rows, std::int64_t columns) {
    tensor = at::from_blob(const_cast<std::byte*>(find(name, "BF16", {rows, columns})), {rows, columns}, at::kBFloat16);
  }
  std::size_t n_found() const noexcept { return n_found_; }

 private:
  const std::byte* find(const std::string& name, std::string_view dtype, const std::vector<std::int64_t>& shape) {
    const hf::Tensor* const tensor = file_.find(name);
    if (tensor == nullptr || tensor->stored_dtype != dtype || tensor->shape != shape)
      fail(Status::bad_file, "expected tensor \"", name, "\" as ", dtype, " ", hf::shape_text(shape), ", found ",
           (tensor == nullptr ? "none" : tensor->stored_dtype + " " + hf::shape_text(tensor->shape)));
    ++n_found_;
    return to_ + (tensor->bytes.data() - from_);
  }

  const hf::Weights& file_;
  const std::byte *from_, *to_;  ///< the first tensor, in the file and in memory
  std::size_t n_found_ = 0;
};

struct Counter {
  std::int64_t n_bytes = 0;
  void matrix(const std::string&, const Projection&, const linear::PackedShape& shape) {
    n_bytes += static_cast<std::int64_t>(linear::Int8Matrix::packed_bytes(shape));
  }
  void norm(const std::string&, const at::Tensor&, std::int64_t size) { n_bytes += size * 4; }
  void table(const std::string&, const at::Tensor&, std::int64_t rows, std::int64_t columns) {
    n_bytes += rows * columns * 2;
  }
};

/// Throws bad_file unless the file says that it is what this load would make.
void check_description(const hf::Weights& file, const KeptFile& wanted) {
  auto found = file.metadata();
  for (const char* of_tensors : {kChecksum, kVocabulary}) found.erase(of_tensors);
  for (const auto& [key, value] : wanted.description)
    if (const auto it = found.find(key); it == found.end() || it->second != value)
      fail(Status::bad_file, "it was made of or for something else (", key, ")");
  if (found.size() != wanted.description.size()) fail(Status::bad_file, "its metadata have entries of somebody else");
}

std::string vocabulary_text(const hf::ModelConfig& config) {
  return std::to_string(config.vocabulary) + (config.tied_embeddings ? " tied" : " untied");
}

/// The bytes of all tensors, in the order in which they lie in the file, which is one stretch.
std::vector<const hf::Tensor*> in_order(const hf::Weights& file) {
  std::vector<const hf::Tensor*> tensors;
  for (const auto& [name, tensor] : file.tensors()) tensors.push_back(&tensor);
  std::sort(tensors.begin(), tensors.end(),
            [](const hf::Tensor* a, const hf::Tensor* b) { return a->bytes.data() < b->bytes.data(); });
  return tensors;
}

}  // namespace

std::string library_version() {
  return std::to_string(ANABRANCH_VERSION_MAJOR) + "." + std::to_string(ANABRANCH_VERSION_MINOR) + "." +
         std::to_string(ANABRANCH_VERSION_PATCH);
}

std::string kernel_form() {
  const bool blocks = linear::best_quantisation() == linear::Quantisation::per_block;
  return std::string(blocks ? "int8 per block" : "int8 per row") + ", panels of " +
         std::to_string(linear::Int8Matrix::kPanel);
}

std::int64_t prepared_bytes(const hf::ModelConfig& config) {
  Counter counter;
  ModelTensors model;
  model.layers.resize(static_cast<std::size_t>(config.n_layers));
  visit_prepared(model, config, counter);
  return counter.n_bytes;
}

WeightCache::WeightCache(const WeightCacheOptions& options, const LoadReport& report)
    : folder_(folder_of(options)), report_(&report) {}

std::optional<KeptFile> WeightCache::file_of(const ModelSources& sources) const {
  if (!folder_) return std::nullopt;
  const std::optional<std::string> files = describe_sources(sources);
  if (!files) return std::nullopt;
  std::error_code error;
  const fs::path folder = fs::canonical(sources.folder, error);
  ByteHash hash;
  hash.add(folder.string() + "\n" + (sources.adapter ? fs::canonical(*sources.adapter, error).string() : "") + "\n" +
           kernel_form());
  return KeptFile{*folder_ / (folder.filename().string() + "-int8-" + hash.text() + ".safetensors"),
                  {{"format", kFormat}, {"version", library_version()}, {"form", kernel_form()}, {"sources", *files}}};
}

std::optional<hf::ModelConfig> WeightCache::config_of(const KeptFile& kept, const hf::ModelConfig& config) const {
  std::error_code error;
  if (!fs::exists(kept.path, error)) return std::nullopt;
  try {
    const hf::Weights file = hf::Weights::open(kept.path);
    check_description(file, kept);
    const auto found = file.metadata().find(kVocabulary);
    if (found == file.metadata().end()) fail(Status::bad_file, "it does not say its vocabulary");
    hf::ModelConfig result = config;
    const char* const end = found->second.data() + found->second.size();
    const auto number = std::from_chars(found->second.data(), end, result.vocabulary);
    result.tied_embeddings = std::string_view(number.ptr, static_cast<std::size_t>(end - number.ptr)) == " tied";
    const hf::Tensor* const head = file.find("head");
    const bool fits = number.ec == std::errc() && result.vocabulary > 0 && vocabulary_text(result) == found->second &&
                      head != nullptr &&
                      head->bytes.size() == linear::Int8Matrix::packed_bytes({result.vocabulary, result.hidden});
    if (!fits) fail(Status::bad_file, "its vocabulary is ", found->second);
    return result;
  } catch (const Error& problem) {
    report_->log("weights: " + kept.path.string() + " is made anew: " + problem.what());
    return std::nullopt;
  }
}

std::optional<ModelTensors> WeightCache::read(const KeptFile& kept, const hf::ModelConfig& config,
                                              LoadReport& report) const {
  std::error_code error;
  if (!fs::exists(kept.path, error)) return std::nullopt;
  try {
    const hf::Weights file = hf::Weights::open(kept.path);
    check_description(file, kept);
    const auto n_bytes = static_cast<std::size_t>(prepared_bytes(config));
    const std::vector<const hf::Tensor*> tensors = in_order(file);
    ModelTensors model;
    model.memory = std::make_unique<linear::WeightMemory>();
    auto* const memory = static_cast<std::byte*>(model.memory->allocate(n_bytes, linear::Int8Matrix::kAlignment));
    Placer placer(file, tensors.empty() ? nullptr : tensors.front()->bytes.data(), memory);
    model.layers.resize(static_cast<std::size_t>(config.n_layers));
    visit_prepared(model, config, placer);
    if (placer.n_found() != tensors.size()) fail(Status::bad_file, "it has more tensors than the model");
    report.expect(static_cast<std::int64_t>(n_bytes));
    ByteHash hash;
    std::byte* to = memory;
    for (const hf::Tensor* tensor : tensors) {
      add_name(hash, tensor->name, tensor->bytes.size());
      for (auto rest = tensor->bytes; !rest.empty();) {
        report.stage("maps");
        const auto part = rest.first(std::min(kPart, rest.size()));
        std::memcpy(to, part.data(), part.size());
        hf::Weights::forget(part);
        hash.add({to, part.size()});
        report.add(part.size());
        to += part.size();
        rest = rest.subspan(part.size());
      }
    }
    const auto checksum = file.metadata().find(kChecksum);
    if (checksum == file.metadata().end() || checksum->second != hash.text())
      fail(Status::bad_file, "its checksum is wrong");
    report_->log("weights: taken from " + kept.path.string());
    return model;
  } catch (const Error& problem) {
    report_->log("weights: " + kept.path.string() + " is made anew: " + problem.what());
    return std::nullopt;
  }
}

/// Makes the folder, and removes what a writer that was ended left of the same file.
bool WeightCache::make_room(const KeptFile& file, std::uintmax_t n_bytes) const {
  std::error_code error;
  fs::create_directories(*folder_, error);
  if (error) {
    report_->log("weights: not kept: cannot make the folder " + folder_->string() + ": " + error.message());
    return false;
  }
  const std::string unfinished = file.path.filename().string() + ".tmp-";
  for (const fs::directory_entry& entry : fs::directory_iterator(*folder_, error)) {
    std::error_code ignored;
    if (entry.path().filename().string().starts_with(unfinished) &&
        entry.last_write_time(ignored) + std::chrono::hours(1) < fs::file_time_type::clock::now())
      fs::remove(entry.path(), ignored);
  }
  const fs::space_info space = fs::space(*folder_, error);
  if (error || space.available / 2 > n_bytes) return true;
  report_->log("weights: not kept: " + folder_->string() + " has " + std::to_string(space.available >> 20) +
               " MiB free, and twice " + std::to_string(n_bytes >> 20) + " are wanted");
  return false;
}

void WeightCache::write(const KeptFile& file, const ModelTensors& model, const hf::ModelConfig& config) const {
  std::vector<hf::RawTensor> tensors;
  visit_prepared(model, config, Lister{tensors});
  ByteHash hash;
  std::uintmax_t n_bytes = 0;
  for (const hf::RawTensor& tensor : tensors) {
    add_name(hash, tensor.name, tensor.bytes.size());
    for (auto rest = tensor.bytes; !rest.empty(); rest = rest.subspan(std::min(kPart, rest.size())))
      hash.add(rest.first(std::min(kPart, rest.size())));
    n_bytes += tensor.bytes.size();
  }
  if (!make_room(file, n_bytes)) return;
  report_->stage("keeps");
  std::map<std::string, std::string> metadata(file.description.begin(), file.description.end());
  metadata[kChecksum] = hash.text();
  metadata[kVocabulary] = vocabulary_text(config);
  try {
    hf::write_safetensors(file.path, tensors, metadata);
    report_->log("weights: kept in " + file.path.string());
  } catch (const Error& problem) {
    report_->log(std::string("weights: not kept: ") + problem.what());
  }
}

namespace {

constexpr const char* kFastest = "fastest";
constexpr const char* kMeasured = "2";  ///< grows with the way of measuring: what was kept before is measured again

std::string again(const KeptFile& kept) { return "; to measure again, remove " + kept.path.string(); }

}  // namespace

std::optional<KeptFile> WeightCache::file_of_fastest(const hf::ModelConfig& c) const {
  if (!folder_) return std::nullopt;
  std::string model;
  for (const std::int32_t size : {c.hidden, c.q_width(), c.kv_width(), c.ffn}) model += std::to_string(size) + " ";
  std::string machine = describe_machine();
  ByteHash hash;
  hash.add(model + machine);
  return KeptFile{*folder_ / ("fastest-" + hash.text() + ".safetensors"),
                  {{"format", kFormat},
                   {"version", library_version()},
                   {"machine", std::move(machine)},
                   {"model", model},
                   {"measured", kMeasured}}};
}

std::optional<Weights> WeightCache::fastest(const hf::ModelConfig& config) const {
  const std::optional<KeptFile> kept = file_of_fastest(config);
  std::error_code error;
  if (!kept || !fs::exists(kept->path, error)) return std::nullopt;
  try {
    const hf::Weights file = hf::Weights::open(kept->path);
    for (const Weights type : {Weights::float32, Weights::bfloat16, Weights::int8}) {
      KeptFile wanted = *kept;
      wanted.description.emplace(kFastest, weights_name(type));
      if (file.metadata() != wanted.description) continue;
      report_->log(std::string("weights: ") + weights_name(type) + " was the fastest here" + again(*kept));
      return type;
    }
    report_->log("weights: " + kept->path.string() + " is made anew: it is of another version or machine");
  } catch (const Error& problem) {
    report_->log("weights: " + kept->path.string() + " is made anew: " + problem.what());
  }
  return std::nullopt;
}

void WeightCache::keep_fastest(const hf::ModelConfig& config, const FastestType& measured) const {
  const std::string name = weights_name(measured.weights);
  if (!measured.clear) {
    report_->log("weights: " + name +
                 " is taken; the measured times of the types do not differ clearly, as on a busy "
                 "machine, and are not kept: the next load measures again");
    return;
  }
  const std::optional<KeptFile> kept = file_of_fastest(config);
  report_->log("weights: " + name + " is the fastest here, measured" + (kept ? again(*kept) : std::string()));
  if (!kept || !make_room(*kept, 0)) return;
  std::map<std::string, std::string> metadata{{kFastest, name}};
  metadata.insert(kept->description.begin(), kept->description.end());
  try {
    hf::write_safetensors(kept->path, std::span<const hf::RawTensor>(), metadata);
  } catch (const Error& problem) {
    report_->log(std::string("weights: the fastest type is not kept: ") + problem.what());
  }
}

}  // namespace anabranch::torch
