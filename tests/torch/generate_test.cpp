// Questions to answers with the real model, SmolLM2-135M-Instruct in float32. Skipped, with the reason, without it.
#include "torch/real_model.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
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
  options.max_branches = 2;
  options.request.max_branch_tokens = 12;
  options.request.sampling.temperature = 0.8f;
  options.request.sampling.seed = 7;
  const std::string first = ab::torch::generate(*real_model(), kQuestion, options).text;
  CHECK(ab::torch::generate(*real_model(), kQuestion, options).text == first);
  options.request.sampling.seed = 8;
  CHECK(ab::torch::generate(*real_model(), kQuestion, options).text != first);
}

TEST_CASE("the same question several times has several answers, of which the first is that of the question alone") {
  if (real_model() == nullptr) return;
  GenerateOptions options = brief();
  options.markup = MarkupKind::serial;
  options.request.max_tokens = 12;
  options.request.sampling = {.temperature = 1.0f, .seed = 3};
  const std::vector<std::string> questions(3, kQuestion);
  const auto answers = ab::torch::generate(*real_model(), questions, options);
  CHECK(answers[0].text != answers[1].text);
  CHECK(answers[1].text != answers[2].text);
  CHECK(ab::torch::generate(*real_model(), kQuestion, options).text == answers[0].text);
}

TEST_CASE("the name of a special token ends an answer, and so does a token's id") {
  if (real_model() == nullptr) return;
  GenerateOptions options = brief();
  options.markup = MarkupKind::serial;
  options.request.max_tokens = 24;
  const Answer whole = ab::torch::generate(*real_model(), kQuestion, options);
  REQUIRE(whole.tokens.size() == 24);
  const ab::hf::Tokenizer& tokenizer = real_model()->text().tokenizer;
  const auto second = std::find(whole.tokens.begin() + 8, whole.tokens.end(), whole.tokens[8]);
  options.request.stop_tokens = {*second};
  const Answer cut = ab::torch::generate(*real_model(), kQuestion, options);
  CHECK(cut.reason == ab::EndReason::stop);
  CHECK(cut.tokens.size() < whole.tokens.size());
  CHECK(std::equal(cut.tokens.begin(), cut.tokens.end(), whole.tokens.begin()));
  // A token that does not end texts by itself, made likely.
  options.request.stop_tokens = {};
  options.request.stop = {"<|im_start|>"};
  options.request.hook = [&](const ab::HookContext& context, std::span<float> logits) {
    if (context.index == 5) logits[static_cast<std::size_t>(tokenizer.added("<|im_start|>"))] = 1000;
  };
  const Answer named = ab::torch::generate(*real_model(), kQuestion, options);
  CHECK(named.reason == ab::EndReason::stop);
  CHECK(named.tokens.size() == 5);
}

TEST_CASE("sampling settings of the model are taken where the options leave them open") {
  const auto folder = ab::test::real_model_folder();
  if (!folder) return;
  // The same model beside a generation_config.json of its own.
  const std::filesystem::path own =
      std::filesystem::temp_directory_path() / ("anabranch_defaults_" + std::to_string(::getpid()));
  std::filesystem::create_directories(own);
  for (const auto& entry : std::filesystem::directory_iterator(*folder))
    if (entry.path().filename() != "generation_config.json")
      std::filesystem::create_symlink(std::filesystem::absolute(entry.path()), own / entry.path().filename());
  const auto write = [&](const std::string& text) { std::ofstream(own / "generation_config.json") << text; };
  const auto load = [&] { return ab::torch::CausalLm::load(own, {.weights = ab::torch::Weights::float32}); };
  const auto text_of = [&](ab::torch::CausalLm& model, GenerateOptions options) {
    options.markup = MarkupKind::serial;
    options.request.max_tokens = 16;
    return ab::torch::generate(model, kQuestion, options).text;
  };
  const auto said = [](ab::SamplingOptions sampling) {
    GenerateOptions options;
    options.request.sampling = sampling;
    return options;
  };
  write(
      R"({"do_sample": true, "temperature": 1.5, "top_k": 30, "top_p": 0.9, "min_p": 0.01, "repetition_penalty": 1.3})");
  ab::torch::CausalLm model = load();
  const ab::SamplingOptions all{
      .temperature = 1.5f, .top_k = 30, .top_p = 0.9f, .min_p = 0.01f, .repetition_penalty = 1.3f, .seed = 4};
  const std::string own_text = text_of(model, said({.seed = 4}));
  GenerateOptions aside = said({.seed = 4});
  aside.model_defaults = false;
  const std::string greedy = text_of(model, aside);
  CHECK(own_text != greedy);
  CHECK(text_of(model, said({.temperature = 0.0f, .repetition_penalty = 1.0f})) == greedy);
  aside.request.sampling = all;
  CHECK(text_of(model, aside) == own_text);
  write(R"({"num_beams": 4})");
  const auto with_beams = [&] {
    ab::torch::CausalLm beams = load();
    text_of(beams, said({}));
  };
  CHECK_THROWS_AS(with_beams(), ab::Error);
  std::error_code ignored;
  std::filesystem::remove_all(own, ignored);
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
