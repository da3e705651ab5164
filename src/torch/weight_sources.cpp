#include "weight_sources.hpp"

#include <algorithm>
#include <fstream>
#include <string_view>
#include <vector>

#include <ATen/Parallel.h>

#include <anabranch/hf/gguf.hpp>
#include <anabranch/simd.hpp>

#include "byte_hash.hpp"

namespace anabranch::torch {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kHashedWhole = std::uintmax_t{16} << 20;
constexpr std::uintmax_t kHashedFirst = std::uintmax_t{1} << 20;

/// The model's configuration and tensors, in a fixed order. A folder with shards counts with all of them.
void list_model(const fs::path& folder, std::vector<fs::path>& files) {
  if (hf::is_gguf(folder)) {
    files = hf::gguf_files(folder);
    return;
  }
  files.push_back(folder / "config.json");
  std::error_code error;
  if (fs::exists(folder / "model.safetensors", error)) {
    files.push_back(folder / "model.safetensors");
    return;
  }
  files.push_back(folder / "model.safetensors.index.json");
  std::vector<fs::path> shards;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error))
    if (entry.path().extension() == ".safetensors") shards.push_back(entry.path());
  std::sort(shards.begin(), shards.end());
  files.insert(files.end(), shards.begin(), shards.end());
}

bool add_hash(const fs::path& file, std::uintmax_t n_bytes, ByteHash& hash) {
  std::ifstream in(file, std::ios::binary);
  std::vector<char> part(kHashedFirst);
  for (std::uintmax_t left = n_bytes; left > 0;) {
    const std::uintmax_t n = std::min<std::uintmax_t>(left, part.size());
    if (!in.read(part.data(), static_cast<std::streamsize>(n))) return false;
    hash.add(std::string_view(part.data(), n));
    left -= n;
  }
  return true;
}

std::optional<std::string> describe(const fs::path& file) {
  std::error_code error;
  const fs::path real = fs::canonical(file, error);
  if (error) return std::nullopt;
  const std::uintmax_t size = fs::file_size(real, error);
  if (error) return std::nullopt;
  const auto changed = fs::last_write_time(real, error).time_since_epoch().count();
  ByteHash hash;
  if (error || !add_hash(real, size <= kHashedWhole ? size : kHashedFirst, hash)) return std::nullopt;
  return real.string() + " " + std::to_string(size) + " " + std::to_string(changed) + " " + hash.text() + "\n";
}

}  // namespace

std::optional<std::string> describe_sources(const ModelSources& sources) {
  std::vector<fs::path> files;
  list_model(sources.folder, files);
  if (sources.adapter) {
    files.push_back(*sources.adapter / "adapter_config.json");
    files.push_back(*sources.adapter / "adapter_model.safetensors");
  }
  std::string all;
  for (const fs::path& file : files) {
    const std::optional<std::string> line = describe(file);
    if (!line) return std::nullopt;
    all += *line;
  }
  return all;
}

std::string describe_machine() {
  std::string text;
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line) && !line.empty();)
    for (const std::string_view key : {"vendor_id", "cpu family", "model", "stepping", "flags", "Features", "CPU "})
      if (line.starts_with(key)) {
        text += line + "\n";
        break;
      }
  simd::prepare();
  return text + std::string(simd::in_use()) + "\n" + std::to_string(at::get_num_threads()) + " threads\n";
}

}  // namespace anabranch::torch
