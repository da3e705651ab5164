// SmolLM2-135M-Instruct on a handful of samples: the tags exist, the prompt is what generation feeds, the loss falls.
#include <anabranch/train/tag_rows.hpp>
#include <anabranch/train/training.hpp>

#include <algorithm>
#include <cmath>

#include <anabranch/hf/prompt.hpp>
#include <anabranch/hf/safetensors.hpp>
#include <anabranch/hf/samples.hpp>

#include "catch.hpp"
#include "hf/files.hpp"

namespace ab = anabranch;
namespace hf = anabranch::hf;
using ab::train::Model;
using ab::train::Rendering;
using ab::train::RenderOptions;
using ab::train::TokenRow;
using ab::train::Training;

namespace {

/// The model's folder with the tags of examples/train; empty, with a word why, without a model.
std::filesystem::path folder_or_skip() {
  const std::filesystem::path folder = ::test::model_folder();
  if (folder.empty()) WARN(::test::kNoModel);
  return folder;
}

hf::ModelText text_of(const std::filesystem::path& folder) {
  hf::ModelText text = hf::ModelText::load(folder);
  text.markup = hf::MarkupSettings::load("examples/train/smollm2");
  return text;
}

std::vector<TokenRow> rows_of(const std::filesystem::path& folder, const RenderOptions& options) {
  const ab::train::Renderer renderer(text_of(folder), hf::ModelConfig::load(folder).eos, options);
  std::vector<TokenRow> rows;
  for (const auto& sample : ab::hf::read_samples("tests/train/samples.jsonl")) rows.push_back(renderer.render(sample));
  return rows;
}

struct MeanLoss {
  double before = 0, after = 0;
};

MeanLoss train(const std::filesystem::path& folder, const RenderOptions& options) {
  const hf::ModelText text = text_of(folder);
  ab::train::ModelOptions tuning;
  if (options.rendering == Rendering::aspd) {
    tuning.token_rows = ab::train::tag_tokens(text.markup.tags(text.tokenizer));
    tuning.initial_rows =
        ab::train::initial_tag_rows(folder, hf::ModelConfig::load(folder), text.tokenizer, tuning.token_rows);
  }
  Model model = Model::load(folder, tuning);
  const std::vector<TokenRow> rows = rows_of(folder, options);
  Training training(model, rows, {.schedule = {.epochs = 5}, .rate = {.peak = 2e-3}});
  MeanLoss loss{training.evaluate(rows).mean(), 0};
  while (!training.done()) training.step();
  loss.after = training.evaluate(rows).mean();
  return loss;
}

}  // namespace

TEST_CASE("a row starts with the prompt that generation feeds and ends with the template's end of an answer") {
  const std::filesystem::path folder = folder_or_skip();
  if (folder.empty()) return;
  const hf::ModelText text = text_of(folder);
  const std::vector<TokenRow> rows = rows_of(folder, {});
  REQUIRE(rows.size() == 5);
  const hf::Message question{"user", "How do I keep bread fresh?"};
  const std::vector<ab::TokenId> prompt = hf::encode_chat(text.tokenizer, text.chat, {&question, 1});
  REQUIRE(rows[0].tokens.size() > prompt.size());
  CHECK(std::equal(prompt.begin(), prompt.end(), rows[0].tokens.begin()));
  CHECK(rows[0].tokens.back() == text.tokenizer.added("<|im_end|>"));
  CHECK_FALSE(rows[0].causal);
  CHECK(rows[1].causal);
}

TEST_CASE("the tags start as the unused rows that they take plus what each tag's words have of their own") {
  const std::filesystem::path folder = folder_or_skip();
  if (folder.empty()) return;
  const hf::ModelText text = text_of(folder);
  const hf::ModelConfig config = hf::ModelConfig::load(folder);
  const std::vector<ab::TokenId> tags = ab::train::tag_tokens(text.markup.tags(text.tokenizer));
  const std::vector<float> rows = ab::train::initial_tag_rows(folder, config, text.tokenizer, tags);
  const auto width = static_cast<std::size_t>(config.hidden);
  REQUIRE(rows.size() == 6 * width);
  std::vector<float> table(static_cast<std::size_t>(config.vocabulary) * width);
  const hf::Weights weights = hf::Weights::open(folder);
  hf::read_floats(weights.require("model.embed_tokens.weight", {config.vocabulary, config.hidden}), table);
  double largest_sum = 0;
  for (std::size_t i = 0; i < width; ++i) {
    double sum = 0;
    for (std::size_t k = 0; k < 6; ++k)
      sum += static_cast<double>(rows[k * width + i] - table[static_cast<std::size_t>(tags[k]) * width + i]);
    largest_sum = std::max(largest_sum, std::abs(sum));
  }
  CHECK(largest_sum < 1e-4);  // what all tags' words share is in none of them
  for (std::size_t a = 0; a < 6; ++a)
    for (std::size_t b = 0; b < a; ++b) {
      double apart = 0;
      for (std::size_t i = 0; i < width; ++i) {
        const double x = static_cast<double>(rows[a * width + i] - rows[b * width + i]);
        apart += x * x;
      }
      CHECK(apart > 1);
    }
}

TEST_CASE("five passes over a handful of samples lower the loss of the real model, with markup and without") {
  const std::filesystem::path folder = folder_or_skip();
  if (folder.empty()) return;
  const MeanLoss branched = train(folder, {}), serial = train(folder, {.rendering = Rendering::serial});
  CHECK(branched.after < 0.7 * branched.before);
  CHECK(serial.after < 0.9 * serial.before);
}
