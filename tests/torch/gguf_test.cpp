// SmolLM2-135M-Instruct from one GGUF file: the logits and answers of its folder, bit for bit. Skipped, with the
// reason, where the files are not there.
#include "catch.hpp"
#include "torch/load_script.hpp"
#include "torch/real_model.hpp"

#include <unistd.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <anabranch/torch/generate.hpp>

namespace {

namespace ab = anabranch;
namespace fs = std::filesystem;
using ab::torch::CausalLm;
using ab::torch::LoadOptions;
using ab::torch::Weights;

/// Folder and GGUF file of the same weights: <folder>-q4_1.gguf.
struct Pair {
  fs::path folder, file;
};

std::optional<Pair> real_pair() {
  const auto folder = ab::test::real_model_folder();
  if (!folder) return {};
  const fs::path file = folder->string() + "-q4_1.gguf";
  if (fs::exists(file)) return Pair{*folder, file};
  WARN("skipped: no " << file.string() << " (need_gguf in cmake/setup/llama.sh makes it)");
  return {};
}

LoadOptions uncached(Weights weights) {
  LoadOptions options{.weights = weights};
  options.weight_cache.enabled = false;
  return options;
}

}  // namespace

TEST_CASE("a GGUF file is loaded as the folder of the same weights is") {
  const auto pair = real_pair();
  if (!pair) return;
  const LoadOptions options = uncached(Weights::float32);
  CausalLm of_file = CausalLm::load(pair->file, options), of_folder = CausalLm::load(pair->folder, options);
  CHECK((ab::test::logit_bytes(of_file) == ab::test::logit_bytes(of_folder)));
  CHECK(of_file.end_of_text() == of_folder.end_of_text());
  CHECK(of_file.text().markup.markup == ab::MarkupKind::skeleton);
  const std::int64_t file_bytes = CausalLm::estimate(pair->file, options).total();
  CHECK(file_bytes == CausalLm::estimate(pair->folder, options).total());
  ab::GenerateOptions brief;
  brief.max_branches = 2;
  brief.request.max_tokens = 60;
  brief.request.max_branch_tokens = 12;
  const std::string question = "What are the benefits of regular exercise?";
  const ab::Answer answer = ab::torch::generate(of_file, question, brief);
  CHECK(answer.branches.size() == 2);
  CHECK(answer.text == ab::torch::generate(of_folder, question, brief).text);
}

TEST_CASE("packed weights of a GGUF file are kept, and an adapter is merged into it") {
  const auto pair = real_pair();
  if (!pair) return;
  const fs::path kept = fs::temp_directory_path() / ("anabranch_gguf_" + std::to_string(::getpid()));
  std::vector<std::string> lines;
  LoadOptions options{.weights = Weights::int8, .adapter = "examples/train/adapters/aspd"};
  options.weight_cache.folder = kept;
  options.log = [&](std::string_view line) { lines.emplace_back(line); };
  std::vector<std::string> logits;
  for (int i = 0; i < 2; ++i) {
    CausalLm model = CausalLm::load(pair->file, options);
    logits.push_back(ab::test::logit_bytes(model));
    CHECK(model.text().markup.markup == ab::MarkupKind::aspd);
  }
  std::error_code ignored;
  fs::remove_all(kept, ignored);
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].find("weights: kept in ") == 0);
  CHECK(lines[1].find("weights: taken from ") == 0);
  CHECK((logits[0] == logits[1]));
  LoadOptions of_folder = uncached(Weights::int8);
  of_folder.adapter = options.adapter;
  CausalLm model = CausalLm::load(pair->folder, of_folder);
  CHECK((ab::test::logit_bytes(model) == logits[0]));
}
