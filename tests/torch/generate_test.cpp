// Questions to answers with the real model, SmolLM2-135M-Instruct in float32. Skipped, with the reason, without it.
#include "torch/real_model.hpp"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <anabranch/error.hpp>
#include <anabranch/hf/adapter.hpp>
#include <anabranch/hf/markup_settings.hpp>
#include <anabranch/torch/generate.hpp>

namespace {

namespace ab = anabranch;
using ab::Answer;
using ab::GenerateOptions;
using ab::MarkupKind;
using ab::test::real_model;

constexpr const char* kQuestion = "What are the benefits of regular exercise?";

GenerateOptions brief() {
  GenerateOptions options;
  options.max_branches = 4;
  options.request.max_branch_tokens = 24;
  options.request.max_tokens = 160;
  return options;
}

}  // namespace

TEST_CASE("an instruct model answers in branches without having been trained to") {
  if (real_model() == nullptr) return;
  GenerateOptions options = brief();
  std::int32_t n_forks = 0, n_ends = 0, n_passes = 0;
  options.on_event = [&](const ab::Event& event) {
    n_forks += event.kind == ab::Event::Kind::fork ? 1 : 0;
    n_ends += event.kind == ab::Event::Kind::branch_end ? 1 : 0;
  };
  options.on_pass = [&] { ++n_passes; };
  const Answer answer = ab::torch::generate(*real_model(), kQuestion, options);
  CHECK(answer.text.rfind("Here are the main points:\n\n1. **", 0) == 0);
  REQUIRE(answer.branches.size() >= 2);
  CHECK(n_forks == 1);
  CHECK(static_cast<std::size_t>(n_ends) == answer.branches.size());
  CHECK(n_passes == answer.statistics.n_passes);
  CHECK(answer.statistics.n_passes < answer.statistics.n_serial_passes());
  std::string joined = "Here are the main points:\n\n";
  for (std::size_t k = 0; k < answer.branches.size(); ++k) {
    const auto& branch = answer.branches[k];
    CHECK_FALSE(branch.title.empty());
    CHECK(branch.text.rfind(std::to_string(k + 1) + ". **" + branch.title + "**:", 0) == 0);
    joined += branch.text;
  }
  CHECK(answer.text == joined);
}

TEST_CASE("the same seed gives the same sampled answer, another seed another one") {
  if (real_model() == nullptr) return;
  GenerateOptions options = brief();
  options.request.sampling.temperature = 0.8f;
  options.request.sampling.seed = 7;
  const std::string first = ab::torch::generate(*real_model(), kQuestion, options).text;
  CHECK(ab::torch::generate(*real_model(), kQuestion, options).text == first);
  options.request.sampling.seed = 8;
  CHECK(ab::torch::generate(*real_model(), kQuestion, options).text != first);
}

TEST_CASE("several questions are answered in one decoder, in their order") {
  if (real_model() == nullptr) return;
  GenerateOptions options = brief();
  options.markup = MarkupKind::serial;
  options.request.max_tokens = 16;
  options.max_requests = 2;
  const std::vector<std::string> questions{"What is the capital of France?", "Name a colour.", "What is 2 + 2?"};
  const auto answers = ab::torch::generate(*real_model(), questions, options);
  REQUIRE(answers.size() == 3);
  CHECK(answers[0].text.find("Paris") != std::string::npos);
  for (const Answer& answer : answers) {
    CHECK(answer.reason != ab::EndReason::none);
    CHECK(answer.statistics.n_sampled <= 16);
    CHECK(answer.branches.empty());
    CHECK(answer.seconds > 0);
  }
}

TEST_CASE("what cannot be answered is refused by name") {
  if (real_model() == nullptr) return;
  const auto status = [&](const GenerateOptions& options, const std::string& question) {
    try {
      ab::torch::generate(*real_model(), question, options);
    } catch (const ab::Error& error) {
      return error.status();
    }
    return ab::Status::ok;
  };
  GenerateOptions options = brief();
  options.markup = MarkupKind::aspd;  // the checkpoint has no tags
  CHECK(status(options, kQuestion) == ab::Status::bad_markup);
  options = brief();
  CHECK(status(options, "\xff\xfe") == ab::Status::bad_argument);
  options.request.max_tokens = -5;
  CHECK(status(options, kQuestion) == ab::Status::bad_request);
  options = brief();
  options.n_pages = 1;  // the prompt alone needs more: the answer ends, nothing throws
  CHECK(ab::torch::generate(*real_model(), kQuestion, options).reason == ab::EndReason::no_room);
}

TEST_CASE("an adapter that was taught a markup decides what the model writes") {
  if (real_model() == nullptr) return;
  const char* named = std::getenv("ANABRANCH_MODEL");
  const std::filesystem::path model = named != nullptr ? named : "build/models/smollm2-135m";
  const auto folder = std::filesystem::temp_directory_path() / ("anabranch_adapter_" + std::to_string(::getpid()));
  ab::hf::Adapter adapter;
  adapter.rank = 1;
  adapter.alpha = 1;
  adapter.tokens = {{7}, std::vector<float>(576, 0.01f)};
  adapter.save(folder, ab::hf::Dtype::f32);
  ab::hf::MarkupSettings settings;
  settings.markup = MarkupKind::aspd;
  settings.positions = ab::Positions::longest;
  settings.branch = "<jupyter_start>";
  settings.branch_end = "<jupyter_text>";
  settings.title = "<issue_start>";
  settings.title_end = "<issue_comment>";
  settings.para = "<gh_stars>";
  settings.para_end = "<issue_closed>";
  settings.save(folder);
  ab::torch::CausalLm taught =
      ab::torch::CausalLm::load(model, {.weights = ab::torch::Weights::float32, .adapter = folder});
  CHECK(taught.text().markup.markup == MarkupKind::aspd);
  CHECK(taught.text().markup.positions == ab::Positions::longest);
  std::filesystem::remove_all(folder);
  GenerateOptions options = brief();
  options.request.max_tokens = 8;
  CHECK_FALSE(ab::torch::generate(taught, kQuestion, options).text.empty());
}
