// The shipped adapter: SmolLM2 branches by itself where an answer has parts, and only there. Questions of our own that
// are in no training data. Skipped, with the reason, without the model.
#include "torch/real_model.hpp"

#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <anabranch/torch/generate.hpp>

namespace {

namespace ab = anabranch;
using ab::Answer;
using ab::GenerateOptions;
using ab::torch::CausalLm;

const std::vector<std::string> kWithParts{
    "What are the advantages of living in a small town?",    "How can a school save water?",
    "What should I think about before I adopt an old dog?",  "Which skills does a good nurse need?",
    "What would change if nobody needed to sleep any more?", "Why do people collect stamps?"};
const std::vector<std::string> kWithout{"What is the capital of Finland?", "What is 6 plus 13?",
                                        "Is iron heavier than cork? Answer yes or no.",
                                        "Write a haiku about an umbrella.", "Who composed The Magic Flute?"};

CausalLm* trained_model() {
  static const std::unique_ptr<CausalLm> model = [] {
    const std::optional<std::filesystem::path> folder = ab::test::real_model_folder();
    if (!folder) return std::unique_ptr<CausalLm>();
    ab::torch::LoadOptions options{.weights = ab::torch::Weights::int8};
    options.adapter = "examples/train/adapters/aspd";
    return std::make_unique<CausalLm>(CausalLm::load(*folder, options));
  }();
  return model.get();
}

std::vector<Answer> answers(const std::vector<std::string>& questions, std::int32_t at_once) {
  GenerateOptions options;
  options.request.sampling.repetition_penalty = 1.1f;
  options.request.max_branch_tokens = 32;  // whether and how an answer branches shows before
  options.request.max_parallel_branches = at_once;
  return ab::torch::generate(*trained_model(), questions, options);
}

}  // namespace

TEST_CASE("a trained model branches where an answer has parts, and the answer is the same one branch after another") {
  if (trained_model() == nullptr) return;
  const auto together = answers(kWithParts, ab::kNone);
  const auto one_by_one = answers({kWithParts.begin(), kWithParts.begin() + 2}, 1);  // the slow way, so not for all
  int n_branched = 0;
  for (std::size_t i = 0; i < kWithParts.size(); ++i) {
    INFO(kWithParts[i] << "\n" << together[i].text);
    if (i < one_by_one.size()) CHECK(together[i].text == one_by_one[i].text);
    CHECK(together[i].text.find("<|") == std::string::npos);
    CHECK(together[i].text.find("jupyter") == std::string::npos);
    if (together[i].branches.empty()) continue;
    ++n_branched;
    CHECK(together[i].branches.size() >= 2);
    if (i < one_by_one.size()) CHECK(together[i].statistics.n_passes < one_by_one[i].statistics.n_passes);
    std::set<std::string> titles;
    for (const auto& branch : together[i].branches) {
      CHECK_FALSE(branch.title.empty());
      CHECK(titles.insert(branch.title).second);
    }
  }
  CHECK(n_branched >= 5);
}

TEST_CASE("a trained model does not branch where an answer has no parts") {
  if (trained_model() == nullptr) return;
  int n_branched = 0;
  for (const Answer& answer : answers(kWithout, ab::kNone)) {
    INFO(answer.text);
    CHECK_FALSE(answer.text.empty());
    n_branched += answer.branches.empty() ? 0 : 1;
  }
  CHECK(n_branched <= 1);
}
