// An answer whose branches are decoded one after another is the answer whose branches are decoded together: SmolLM2
// with the outline of skeleton markup. Skipped, with the reason, without the model.
#include "torch/real_model.hpp"

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <anabranch/decode/decoder.hpp>
#include <anabranch/hf/prompt.hpp>
#include <anabranch/markup/skeleton.hpp>
#include <anabranch/torch/generate.hpp>

namespace {

namespace ab = anabranch;
using ab::Answer;
using ab::GenerateOptions;
using ab::test::real_model;
using ab::torch::CausalLm;
using ab::torch::Weights;

const std::vector<std::string> kQuestions{"What are the benefits of regular exercise?", "How can I sleep better?"};

GenerateOptions brief(std::int32_t n_at_once) {
  GenerateOptions options;
  options.request.max_parallel_branches = n_at_once;
  options.max_branches = 5;
  options.request.max_branch_tokens = 12;
  options.request.max_tokens = 400;
  return options;
}

/// All but the passes and what else is shared with other requests.
void check_same(const Answer& together, const Answer& one_by_one) {
  CHECK(one_by_one.text == together.text);
  CHECK(one_by_one.reason == together.reason);
  REQUIRE(one_by_one.branches.size() == together.branches.size());
  CHECK(together.branches.size() > 1);
  for (std::size_t k = 0; k < together.branches.size(); ++k) {
    CHECK(one_by_one.branches[k].text == together.branches[k].text);
    CHECK(one_by_one.branches[k].reason == together.branches[k].reason);
  }
  ab::Statistics expected = together.statistics, found = one_by_one.statistics;
  CHECK(found.n_passes == found.n_prefill + found.n_sampled - 1);
  CHECK(found.n_passes > expected.n_passes);
  found.n_passes = expected.n_passes;
  CHECK(found == expected);
}

using Place = std::pair<std::vector<std::pair<int, int>>, std::int64_t>;  // path of the sequence, index in it

/// The bytes of all logits that an answer was sampled from, by sequence and place in it.
std::map<Place, std::string> logits_of(CausalLm& model, std::int32_t n_at_once) {
  std::map<Place, std::string> all;
  ab::KvCache cache({.n_pages = 256, .page_size = 16});
  ab::markup::SkeletonOptions outline;
  outline.max_points = 4;
  outline.n_vocabulary = model.config().vocabulary;
  outline.end_of_text = model.config().eos;
  ab::markup::Skeleton<ab::hf::Tokenizer, ab::hf::Tokenizer> skeleton(model.text().tokenizer, model.text().tokenizer,
                                                                      outline);
  ab::Decoder decoder(cache, skeleton, model.text().tokenizer, {.end_of_text = model.config().eos});
  const auto note = [&](const ab::HookContext& sequence, std::span<float> logits) {
    Place place;
    for (const ab::PathStep step : sequence.path) place.first.emplace_back(step.block, step.branch);
    place.second = sequence.index;
    all[place].assign(reinterpret_cast<const char*>(logits.data()), logits.size_bytes());
  };
  const std::vector<ab::hf::Message> messages{{"user", kQuestions[0]}};
  decoder.submit(ab::hf::encode_chat(model.text().tokenizer, model.text().chat, messages),
                 {.sampling = {.temperature = 0.8f, .seed = 3},
                  .max_tokens = 200,
                  .max_branch_tokens = 16,
                  .max_parallel_branches = n_at_once,
                  .hook = note});
  while (decoder.has_work()) {
    const auto plan = decoder.plan();
    REQUIRE(plan);
    decoder.commit(model(*plan));
  }
  return all;
}

}  // namespace

TEST_CASE("float32: greedy answers are the same, together and one branch after another") {
  if (real_model() == nullptr) return;
  const auto together = ab::torch::generate(*real_model(), kQuestions, brief(ab::kNone));
  const auto one_by_one = ab::torch::generate(*real_model(), kQuestions, brief(1));
  for (std::size_t i = 0; i < kQuestions.size(); ++i) check_same(together[i], one_by_one[i]);
}

TEST_CASE("int8: greedy and sampled answers are the same, however many branches at once") {
  CausalLm* model = real_model(Weights::int8);
  if (model == nullptr) return;
  for (const float temperature : {0.0f, 0.9f}) {
    INFO("temperature " << temperature);
    const auto answer = [&](std::int32_t n_at_once) {
      GenerateOptions options = brief(n_at_once);
      options.request.sampling = {.temperature = temperature, .seed = 11};
      return ab::torch::generate(*model, kQuestions[0], options);
    };
    const Answer together = answer(ab::kNone);
    check_same(together, answer(1));
    CHECK(answer(2).text == together.text);
  }
}

TEST_CASE("int8: every token is sampled from the same bits, together and one branch after another") {
  CausalLm* model = real_model(Weights::int8);
  if (model == nullptr) return;
  CausalLm first = model->with_own_slots(), second = model->with_own_slots();
  const auto together = logits_of(first, ab::kNone), one_by_one = logits_of(second, 1);
  CHECK(together.size() > 40);
  CHECK((together == one_by_one));
}
