// Which files a GGUF model consists of.
#include <algorithm>
#include <cstdio>
#include <fstream>

#include <anabranch/error.hpp>
#include <anabranch/hf/gguf.hpp>

#include "gguf_file.hpp"

namespace anabranch::hf {
namespace impl {
namespace {

namespace fs = std::filesystem;

constexpr const char *kCount = "split.count", *kNumber = "split.no";
constexpr std::int32_t kMostParts = 99999;

/// "-00002-of-00005.gguf" of the second of five.
std::string part_ending(std::int32_t number, std::int32_t count) {
  char text[32];
  std::snprintf(text, sizeof text, "-%05d-of-%05d.gguf", number + 1, count);
  return text;
}

/// All names of a split file's parts.
std::vector<fs::path> part_names(const GgufFile& file, std::int32_t count) {
  const std::int32_t number = file.integer(kNumber).value_or(0);
  const std::string name = file.path().filename().string();
  if (count > kMostParts || number >= count)
    file.wrong(kNumber, "a number below 'split.count', which is at most " + std::to_string(kMostParts),
               std::to_string(number) + " of " + std::to_string(count));
  const std::string ending = part_ending(number, count);
  if (!name.ends_with(ending)) file.wrong(kCount, "a file name that ends in \"" + ending + "\"", "\"" + name + "\"");
  // The other parts are looked for one after the other: a damaged count must not make a long list.
  std::vector<fs::path> names;
  for (std::int32_t i = 0; i < count; ++i) {
    names.push_back(file.path().parent_path() / (name.substr(0, name.size() - ending.size()) + part_ending(i, count)));
    std::error_code error;
    if (!fs::exists(names.back(), error))
      fail(Status::bad_file, file.where(), ": ", "expected its part ", i + 1, " of ", count, " in ",
           names.back().string(), ", found no such file");
  }
  return names;
}

void check_part(const GgufFile& part, std::int32_t number, std::int32_t count) {
  const std::int32_t own = part.integer(kNumber).value_or(0), of = part.integer(kCount).value_or(0);
  if (own != number || of != count)
    part.wrong(kNumber, std::to_string(number) + " of " + std::to_string(count),
               std::to_string(own) + " of " + std::to_string(of));
}

}  // namespace

std::vector<GgufFile> open_gguf(const std::filesystem::path& file) {
  std::vector<GgufFile> files;
  files.emplace_back(file);
  const std::int32_t count = files.front().integer(kCount).value_or(0);
  if (count <= 1) return files;
  const std::vector<fs::path> names = part_names(files.front(), count);
  files.clear();
  for (std::int32_t i = 0; i < count; ++i) {
    files.emplace_back(names[static_cast<std::size_t>(i)]);
    check_part(files.back(), i, count);
  }
  std::size_t n_tensors = 0;
  for (const GgufFile& part : files) n_tensors += part.tensors().size();
  constexpr const char* kTensors = "split.tensors.count";
  if (const auto expected = files.front().integer(kTensors); expected && std::cmp_not_equal(*expected, n_tensors))
    files.front().wrong(kTensors, std::to_string(*expected) + " tensors in all parts", std::to_string(n_tensors));
  return files;
}

}  // namespace impl

bool is_gguf(const std::filesystem::path& path) {
  if (path.extension() == ".gguf") {
    std::error_code error;
    return !std::filesystem::is_directory(path, error);
  }
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return false;
  char magic[4] = {};
  return std::ifstream(path, std::ios::binary).read(magic, sizeof magic) && std::string_view(magic, 4) == "GGUF";
}

std::vector<std::filesystem::path> gguf_files(const std::filesystem::path& file) {
  std::vector<std::filesystem::path> paths;
  for (const impl::GgufFile& part : impl::open_gguf(file)) paths.push_back(part.path());
  return paths;
}

}  // namespace anabranch::hf
