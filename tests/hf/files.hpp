// Files for tests: recordings, the real model's folder, and folders that vanish.
#pragma once

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include <anabranch/error.hpp>

#include "../source_folder.hpp"

namespace test {

namespace fs = std::filesystem;

inline fs::path recordings() { return source_folder() / "tests/hf/recordings"; }

inline std::string read(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) throw std::runtime_error("cannot open " + file.string());
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

inline void write(const fs::path& file, std::string_view content) { std::ofstream(file, std::ios::binary) << content; }

/// Lines without their newline; the text ends in one.
inline std::vector<std::string> lines_of(const fs::path& file) {
  const std::string content = read(file);
  std::vector<std::string> lines;
  for (std::size_t begin = 0, end; (end = content.find('\n', begin)) != std::string::npos; begin = end + 1)
    lines.push_back(content.substr(begin, end - begin));
  return lines;
}

/// A folder of its own, removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    static std::atomic<int> counter{0};
    path_ =
        fs::temp_directory_path() / ("anabranch-test-" + std::to_string(::getpid()) + "-" + std::to_string(counter++));
    fs::create_directories(path_);
  }
  ~TemporaryFolder() {
    std::error_code error;
    fs::remove_all(path_, error);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const fs::path& path() const { return path_; }
  fs::path operator/(std::string_view name) const { return path_ / name; }

 private:
  fs::path path_;
};

/// The converted SmolLM2 folder, or empty if ANABRANCH_MODEL names none that exists.
inline fs::path model_folder() {
  const char* folder = std::getenv("ANABRANCH_MODEL");
  return folder && fs::exists(fs::path(folder) / "tokenizer.json") ? fs::path(folder) : fs::path();
}
constexpr const char* kNoModel =
    "skipped: ANABRANCH_MODEL names no folder with a tokenizer.json (the converted SmolLM2-135M-Instruct)";

/// The folder of the chat templates that llama.cpp carries, or empty if it is not there.
inline fs::path chat_templates() {
  const char* named = std::getenv("ANABRANCH_CHAT_TEMPLATES");
  const fs::path build = source_folder() / "build";
  for (const fs::path& folder :
       {named ? fs::path(named) : build / "jinja/models/templates", build / "llama/models/templates"})
    if (fs::exists(folder)) return folder;
  return {};
}
constexpr const char* kNoChatTemplates =
    "skipped: no chat templates of llama.cpp in build/jinja/models/templates (cmake/setup/jinja.sh puts them there) or "
    "where ANABRANCH_CHAT_TEMPLATES says";
constexpr const char* kNoEngine =
    "skipped: built without the engine for chat templates (ANABRANCH_JINJA_DIR, which cmake/setup/jinja.sh makes)";

/// "status: text" of the Error that a call throws; "nothing" if it throws none.
template <class F>
std::string error_of(F&& call) {
  try {
    call();
  } catch (const anabranch::Error& error) {
    return std::string(anabranch::status_name(error.status())) + ": " + error.what();
  }
  return "nothing";
}

}  // namespace test
