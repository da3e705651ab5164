// SmolLM2 loaded from its files and from kept weights, and the memory that it takes. Skipped, with the reason, without
// the model.
#include "catch.hpp"
#include "torch/load_script.hpp"
#include "torch/real_model.hpp"

#include <fstream>
#include <string>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace {

namespace ab = anabranch;
namespace fs = std::filesystem;
using ab::test::HandPlan;
using ab::torch::CausalLm;
using ab::torch::LoadOptions;
using ab::torch::Weights;

/// A folder for kept weights that lives as long as this object.
class KeptFolder {
 public:
  KeptFolder() : path_(fs::temp_directory_path() / ("anabranch_kept_" + std::to_string(::getpid()))) {}
  KeptFolder(const KeptFolder&) = delete;
  KeptFolder& operator=(const KeptFolder&) = delete;
  ~KeptFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  const fs::path& path() const noexcept { return path_; }

 private:
  fs::path path_;
};

/// Memory of this process that is no file's, in bytes.
std::int64_t own_memory() {
#if defined(__GLIBC__)
  ::malloc_trim(0);
#endif
  std::ifstream status("/proc/self/status");
  std::int64_t kib = 0;
  for (std::string key, rest; status >> key; std::getline(status, rest))
    if (key == "RssAnon:") status >> kib;
  return kib * 1024;
}

/// A prompt of `n_rows` rows that fills all slots, with logits of the last 16.
void fill_slots(CausalLm& model, std::int32_t n_rows) {
  HandPlan plan(n_rows);
  for (std::int32_t i = 0; i < n_rows; ++i) plan.row(i, i, i);
  plan.group(0, n_rows, {{0, n_rows, 0}}, ab::Visibility::causal);
  for (std::int32_t i = 0; i < 16; ++i) plan.output(n_rows - 16 + i);
  model(plan.plan());
}

}  // namespace

TEST_CASE("kept weights of a real model with an adapter give the logits of a fresh load, bit for bit") {
  const auto folder = ab::test::real_model_folder();
  if (!folder) return;
  const KeptFolder kept;
  std::vector<std::string> lines;
  LoadOptions options{.weights = Weights::int8, .adapter = "examples/train/adapters/aspd"};
  options.weight_cache.folder = kept.path();
  options.log = [&](std::string_view line) { lines.emplace_back(line); };
  std::vector<std::string> logits;
  for (int i = 0; i < 2; ++i) {
    CausalLm model = CausalLm::load(*folder, options);
    logits.push_back(ab::test::logit_bytes(model));
  }
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].find("weights: kept in " + kept.path().string()) == 0);
  CHECK(lines[1].find("weights: taken from " + kept.path().string()) == 0);
  options.weight_cache.enabled = false;
  CausalLm fresh = CausalLm::load(*folder, options);
  CHECK((ab::test::logit_bytes(fresh) == logits[0]));
  CHECK((logits[1] == logits[0]));
}

TEST_CASE("the estimate of a real model is within a tenth of the memory that it takes") {
  const auto folder = ab::test::real_model_folder();
  if (!folder) return;
  const KeptFolder kept;
  LoadOptions options{.weights = Weights::int8, .n_slots = 256, .max_rows = 256};
  options.weight_cache.folder = kept.path();
  { CausalLm::load(*folder, options); }  // LibTorch's own memory comes with the first load
  for (const char* const load : {"a load of kept weights", "a fresh load"}) {
    INFO(load);
    const ab::torch::MemoryEstimate estimate = CausalLm::estimate(*folder, options);
    const std::int64_t before = own_memory();
    CausalLm model = CausalLm::load(*folder, options);
    const std::int64_t loaded = own_memory() - before;
    fill_slots(model, options.max_rows);
    const std::int64_t all = own_memory() - before;
    CHECK(std::abs(static_cast<double>(loaded - estimate.weights)) < 0.1 * static_cast<double>(estimate.weights));
    CHECK(std::abs(static_cast<double>(all - estimate.total())) < 0.1 * static_cast<double>(estimate.total()));
    options.weight_cache.enabled = false;
  }
}

TEST_CASE("a real model that does not fit is refused before it is read") {
  const auto folder = ab::test::real_model_folder();
  if (!folder) return;
  bool told = false;
  LoadOptions options{.weights = Weights::int8, .memory_limit = 100 << 20};
  options.on_progress = [&](const ab::torch::LoadProgress&) { told = true; };
  const auto load = [&] { CausalLm::load(*folder, options); };
  CHECK(ab::test::status_of(load) == ab::Status::out_of_memory);
  CHECK_FALSE(told);
  CHECK(ab::test::text_of(load).find("LoadOptions::memory_limit has 100") != std::string::npos);
}
