#include <anabranch/hf/hub_cache.hpp>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>

#include <anabranch/error.hpp>
#include <anabranch/hf/gguf.hpp>

#include "json_file.hpp"

namespace anabranch::hf {
namespace {

namespace fs = std::filesystem;

/// The value of an environment variable with `~` as the home folder; empty: none.
fs::path folder_of(const char* variable) {
  const char* value = std::getenv(variable);
  if (value == nullptr) return {};
  const std::string_view text = value;
  if (text != "~" && !text.starts_with("~/")) return text;
  const char* home = std::getenv("HOME");
  return home == nullptr ? fs::path(text) : fs::path(home) / text.substr(std::min<std::size_t>(text.size(), 2));
}

/// The rules of the hub: letters, digits and `-_.`, none of `-.` at the ends, no `--` and `..`.
bool is_hub_word(std::string_view word) {
  const auto good = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '_' ||
           c == '.';
  };
  const auto end = [](char c) { return c == '-' || c == '.'; };
  return !word.empty() && word.size() <= 96 && std::all_of(word.begin(), word.end(), good) && !end(word.front()) &&
         !end(word.back()) && word.find("--") == word.npos && word.find("..") == word.npos;
}

[[noreturn]] void fail_to_find(const std::string& name, const fs::path& looked_in, const std::string& what) {
  fail(Status::bad_file, "model ", name, ": there is no such folder, and ", what, " in the hub cache ",
       looked_in.string(), "; fetch it with `hf download ", name, "` (pip install huggingface_hub), or name a folder");
}

}  // namespace

fs::path hub_cache() {
  for (const char* variable : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"})
    if (fs::path folder = folder_of(variable); !folder.empty()) return folder;
  if (const fs::path home = folder_of("HF_HOME"); !home.empty()) return home / "hub";
  if (const fs::path caches = folder_of("XDG_CACHE_HOME"); !caches.empty()) return caches / "huggingface" / "hub";
  const char* home = std::getenv("HOME");
  return fs::path(home == nullptr ? "." : home) / ".cache" / "huggingface" / "hub";
}

fs::path find_model(const fs::path& name) {
  std::error_code error;
  if (fs::exists(name, error) || is_gguf(name)) return name;
  const std::string text = name.string();
  const std::size_t slash = text.find('/');
  const std::string_view owner = std::string_view(text).substr(0, slash == text.npos ? 0 : slash),
                         model = std::string_view(text).substr(slash == text.npos ? 0 : slash + 1);
  const bool has_owner = slash != text.npos;
  if (!is_hub_word(model) || (has_owner && !is_hub_word(owner))) return name;
  const fs::path cache = hub_cache();
  const fs::path kept = cache / ("models--" + (has_owner ? std::string(owner) + "--" : "") + std::string(model));
  if (!fs::is_directory(kept, error)) {
    if (!has_owner) return name;  // any name of a file: few models of the hub have no owner
    fail_to_find(text, cache, "it is not");
  }
  const fs::path ref = kept / "refs" / "main";
  if (!fs::is_regular_file(ref, error)) fail_to_find(text, cache, "no `refs/main` of it is");
  std::string revision = impl::read_file(ref);
  revision.erase(std::remove_if(revision.begin(), revision.end(), [](char c) { return c == '\n' || c == '\r'; }),
                 revision.end());
  if (!is_hub_word(revision))
    fail(Status::bad_file, ref.string(), ": expected the name of a snapshot, found \"", revision.substr(0, 80), "\"");
  const fs::path snapshot = kept / "snapshots" / revision;
  if (!fs::exists(snapshot / "config.json", error))
    fail_to_find(text, cache, "no config.json in its snapshot " + revision + " is");
  return snapshot;
}

}  // namespace anabranch::hf
