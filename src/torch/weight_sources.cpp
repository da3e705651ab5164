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
constexpr std::uintmax_t kHashedPiece = std::uintmax_t{64} << 10, kHashedPieces = 64;  ///< of a large file's contents

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

void list_adapter(const fs::path& folder, std::vector<fs::path>& files) {
  files.push_back(folder / "adapter_config.json");
  files.push_back(folder / "adapter_model.safetensors");
}

bool add_hash(const fs::path& file, std::uintmax_t n_bytes, ByteHash& hash, std::uintmax_t begin = 0) {
  std::ifstream in(file, std::ios::binary);
  in.seekg(static_cast<std::streamoff>(begin));
  std::vector<char> part(std::min(n_bytes, kHashedFirst));
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

/// Of files that are there; a missing one is found when it is read.
std::string describe_contents(const std::vector<fs::path>& files) {
  std::string all;
  for (const fs::path& file : files) {
    std::error_code error;
    const std::uintmax_t size = fs::file_size(file, error);
    if (error) continue;
    ByteHash hash;
    if (size <= kHashedWhole)
      add_hash(file, size, hash);
    else
      for (std::uintmax_t i = 0; i < kHashedPieces; ++i)
        add_hash(file, kHashedPiece, hash, (size - kHashedPiece) / (kHashedPieces - 1) * i);
    all += file.filename().string() + " " + std::to_string(size) + " " + hash.text() + "\n";
  }
  return all;
}

}  // namespace

std::string describe_model(const fs::path& folder) {
  std::vector<fs::path> files;
  list_model(folder, files);
  return describe_contents(files);
}

std::string describe_adapter(const fs::path& folder) {
  std::vector<fs::path> files;
  list_adapter(folder, files);
  return describe_contents(files);
}

std::optional<std::string> describe_sources(const ModelSources& sources) {
  std::vector<fs::path> files;
  list_model(sources.folder, files);
  if (sources.adapter) list_adapter(*sources.adapter, files);
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
