// Training and decoding are the same thing: the decoder, made to sample a sample's answer token by token on the real
// cache, asks the model for each of them with the likelihood that the training row gives it.
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <anabranch/anabranch.hpp>
#include <anabranch/decode/decoder.hpp>
#include <anabranch/eigen/plan_model.hpp>
#include <anabranch/markup/aspd.hpp>

#include "catch.hpp"
#include "train/tiny_training.hpp"

namespace ab = anabranch;
using namespace ab::test;
using ab::Positions;
using ab::TokenId;
using ab::train::Part;

namespace {

using Path = std::vector<std::pair<int, int>>;  // (block, branch) from the trunk

struct NoText {
  void operator()(std::span<const TokenId>, std::string&) const {}
};

/// What each line samples, written down from the sample alone, and the order in which a row holds it.
class Script {
 public:
  Script(const ab::train::Renderer& renderer, const ab::train::Sample& sample) : tags_(renderer.tags()) {
    write(sample.parts, {});
    put({}, renderer.end_of_answer());
  }

  std::map<Path, std::vector<TokenId>> lines;
  std::vector<std::pair<Path, std::size_t>> order;  ///< line, index in it

 private:
  void put(const Path& path, TokenId token) {
    order.emplace_back(path, lines[path].size());
    lines[path].push_back(token);
  }
  void put(const Path& path, const std::string& text) {
    for (const TokenId token : tokenizer_.encode(text, ab::hf::Special::plain)) put(path, token);
  }
  void write(const std::vector<Part>& parts, const Path& path) {
    int block = 0;
    for (const Part& part : parts) {
      put(path, part.text);
      for (const auto& branch : part.branches) {
        put(path, tags_.title);
        put(path, branch.title);
        put(path, tags_.title_end);
      }
      if (part.branches.empty()) continue;
      put(path, tags_.para);
      for (std::size_t k = 0; k < part.branches.size(); ++k) {
        Path inner = path;
        inner.emplace_back(block, static_cast<int>(k));
        write(part.branches[k].parts, inner);
        put(inner, tags_.branch_end);
      }
      ++block;
    }
  }

  ab::markup::AspdTags tags_;
  ab::hf::Tokenizer tokenizer_ = byte_text().tokenizer;
};

/// -log p of every token that the decoder is made to sample, by line and index.
std::map<std::pair<Path, std::size_t>, double> decoded_losses(const ab::eigen::Weights& weights, const Script& script,
                                                              const ab::train::Renderer& renderer,
                                                              Positions positions) {
  ab::eigen::PlanModel model(weights);
  ab::KvCache cache({.n_pages = 64});
  ab::Decoder decoder(cache, ab::markup::Aspd(renderer.tags()), NoText(),
                      {.positions = positions, .end_of_text = {renderer.end_of_answer()}});
  decoder.submit(byte_text().tokenizer.encode("Q"));
  std::map<std::pair<Path, std::size_t>, double> losses;
  while (decoder.has_work()) {
    const auto plan = decoder.plan();
    REQUIRE(plan);
    const ab::LogitsView logits = model(*plan);
    std::vector<TokenId> sampled;
    for (std::size_t o = 0; o < plan.output_settings().size(); ++o) {
      const ab::OutputSettings& output = plan.output_settings()[o];
      Path path;
      for (const ab::PathStep& step : decoder.branch(output.request, output.branch).path)
        path.emplace_back(step.block, step.branch);
      const auto index = static_cast<std::size_t>(output.index);
      sampled.push_back(script.lines.at(path).at(index));
      const std::span<const float> row = logits.row(static_cast<std::int32_t>(o));
      double sum = 0;
      for (const float logit : row) sum += std::exp(static_cast<double>(logit));
      const auto logit = static_cast<double>(row[static_cast<std::size_t>(sampled.back())]);
      REQUIRE(losses.emplace(std::pair(path, index), std::log(sum) - logit).second);
    }
    decoder.commit_sampled(sampled);
  }
  return losses;
}

void expect_same(const ab::train::Sample& sample, Positions positions, const ab::eigen::Shape& shape) {
  const ab::eigen::Weights weights = ab::eigen::random_weights(with_bytes(shape), 81);
  const TinyFolder folder(weights);
  const ab::train::Renderer row_maker = renderer({.positions = positions});
  const ab::train::Model model = ab::train::Model::load(folder.path(), tiny_options());
  const std::vector<float> trained = model.target_losses(row_maker.render(sample));
  const Script script(row_maker, sample);
  const auto decoded = decoded_losses(weights, script, row_maker, positions);
  REQUIRE(trained.size() == script.order.size());
  REQUIRE(trained.size() == decoded.size());
  for (std::size_t i = 0; i < trained.size(); ++i)
    CHECK(static_cast<double>(trained[i]) == Approx(decoded.at(script.order[i])).epsilon(1e-4).margin(1e-4));
}

}  // namespace

TEST_CASE("every token is learned with the likelihood that decoding finds it with, by every position policy") {
  const auto flat = sample_of(R"([{"text": "a"},
                                  {"branches": [{"title": "T", "text": " b\n"}, {"title": "UV", "text": ""},
                                                {"title": "", "text": "xyz"}]},
                                  {"text": "g"},
                                  {"branches": [{"title": "W", "text": " c"}, {"title": "W", "text": " d e"}]}])");
  for (const Positions positions : {Positions::sequential, Positions::longest, Positions::reserved(12)})
    expect_same(flat, positions, llama_shape());
  expect_same(flat, Positions::sequential, qwen3_shape());
}

TEST_CASE("blocks inside branches are learned as they are decoded") {
  for (const Positions positions : {Positions::sequential, Positions::longest})
    expect_same(nested_sample(), positions, llama_shape());
}
