#include <anabranch/hf/hub_cache.hpp>

#include <cstdlib>
#include <initializer_list>
#include <map>
#include <optional>

#include "catch.hpp"
#include "files.hpp"

namespace hf = anabranch::hf;
namespace fs = std::filesystem;

namespace {

/// Sets environment variables, all others of the hub being unset, and puts them back.
class Environment {
 public:
  explicit Environment(const std::map<std::string, std::string>& values) {
    for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HOME"}) {
      const char* before = std::getenv(name);
      before_[name] = before == nullptr ? std::nullopt : std::optional<std::string>(before);
      const auto value = values.find(name);
      set(name, value == values.end() ? std::nullopt : std::optional<std::string>(value->second));
    }
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
  ~Environment() {
    for (const auto& [name, value] : before_) set(name.c_str(), value);
  }

 private:
  static void set(const char* name, const std::optional<std::string>& value) {
    value ? ::setenv(name, value->c_str(), 1) : ::unsetenv(name);
  }
  std::map<std::string, std::optional<std::string>> before_;
};

constexpr const char* kRevision = "7ae557604adf67be50417f59c2c2f167def9a775";

}  // namespace

TEST_CASE("The hub's cache is where Hugging Face's tools have it") {
  const auto cache = [](const std::map<std::string, std::string>& values) {
    const Environment environment(values);
    return hf::hub_cache().string();
  };
  CHECK(cache({{"HOME", "/h"}}) == "/h/.cache/huggingface/hub");
  CHECK(cache({{"HOME", "/h"}, {"XDG_CACHE_HOME", "/x"}}) == "/x/huggingface/hub");
  CHECK(cache({{"HOME", "/h"}, {"XDG_CACHE_HOME", "/x"}, {"HF_HOME", "/f"}}) == "/f/hub");
  CHECK(cache({{"HF_HOME", "/f"}, {"HF_HUB_CACHE", "/c"}}) == "/c");
  CHECK(cache({{"HF_HOME", "/f"}, {"HUGGINGFACE_HUB_CACHE", "/old"}}) == "/old");
  CHECK(cache({{"HOME", "/h"}, {"HF_HOME", "~/models"}}) == "/h/models/hub");
  CHECK(cache({{"HOME", "/h"}, {"HF_HOME", ""}}) == "/h/.cache/huggingface/hub");
}

TEST_CASE("A model named as on a hub is its main snapshot in the cache") {
  const test::TemporaryFolder folder;
  const Environment environment({{"HF_HUB_CACHE", folder.path().string()}, {"HOME", "/nowhere"}});
  const auto put = [&](const std::string& kept, const std::string& ref) {
    fs::create_directories(folder / kept / "refs");
    fs::create_directories(folder / kept / "snapshots" / kRevision);
    test::write(folder / kept / "refs" / "main", ref);
    test::write(folder / kept / "snapshots" / kRevision / "config.json", "{}");
    return folder / kept / "snapshots" / kRevision;
  };
  const fs::path qwen = put("models--Qwen--Qwen2.5-0.5B-Instruct", kRevision);
  CHECK(hf::find_model("Qwen/Qwen2.5-0.5B-Instruct") == qwen);
  CHECK(hf::find_model("gpt2") == "gpt2");  // its reader says that there is none
  const fs::path gpt2 = put("models--gpt2", std::string(kRevision) + "\n");
  CHECK(hf::find_model("gpt2") == gpt2);
  CHECK(hf::find_model(folder.path()) == folder.path());
  for (const char* other : {"/nowhere/model", "./a/b", "a/b/c", "../x", "a b/c", "", "-a/b", "a/b--c"})
    CHECK(hf::find_model(other) == other);
}

TEST_CASE("A model that is not in the cache, or in part, is refused with the way to fetch it") {
  const test::TemporaryFolder folder;
  const Environment environment({{"HF_HOME", folder.path().string()}});
  const auto refused = [](const char* name) { return test::error_of([&] { hf::find_model(name); }); };
  const std::string cache = (folder / "hub").string(),
                    fetch = "; fetch it with `hf download a/b` (pip install huggingface_hub), or name a folder";
  CHECK(refused("a/b") ==
        "bad_file: model a/b: there is no such folder, and it is not in the hub cache " + cache + fetch);
  const fs::path kept = folder / "hub/models--a--b";
  fs::create_directories(kept / "refs");
  CHECK(refused("a/b") ==
        "bad_file: model a/b: there is no such folder, and no `refs/main` of it is in the hub cache " + cache + fetch);
  test::write(kept / "refs/main", kRevision);
  CHECK(refused("a/b").find("no config.json in its snapshot " + std::string(kRevision) + " is in the hub cache") !=
        std::string::npos);
  test::write(kept / "refs/main", "../../../etc");
  CHECK(refused("a/b").find("refs/main: expected the name of a snapshot, found \"../../../etc\"") != std::string::npos);
}
