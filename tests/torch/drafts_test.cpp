// SmolLM2 with int8 weights: with drafts every token is sampled from the same bits as without, and answers are the same
// in fewer passes. Skipped, with the reason, without the model.
#include "torch/real_model.hpp"

#include <functional>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <anabranch/decode/decoder.hpp>
#include <anabranch/decode/draft/copy_drafter.hpp>
#include <anabranch/hf/prompt.hpp>
#include <anabranch/markup/skeleton.hpp>
#include <anabranch/torch/generate.hpp>

namespace {

namespace ab = anabranch;
using ab::torch::CausalLm;

const std::string kNotice =
    "The town library opens at nine in the morning and closes at six in the evening. On Saturdays the town library "
    "closes at one. Readers may borrow five books for three weeks. A book that is late costs ten cents a day. "
    "The reading room on the second floor is quiet, and meals are not allowed there. ";

const std::vector<std::string> kDrafted{
    kNotice + "Repeat the first two sentences of this text word for word.",
    kNotice + "When does the library close? Quote the text.",
    kNotice + "List the rules of the library, one after another.",
    kNotice + "What does a late book cost?",
    "Count from one to fifteen in words.",
    "Write the alphabet, one letter a line.",
    "What are the benefits of regular exercise?",
    "How can I sleep better?",
    "Write a Python function that adds two numbers, and one that multiplies two numbers.",
    "Repeat the sentence 'The quick brown fox jumps over the lazy dog' three times.",
    "Name five fruits and their colours.",
    "Why is the sky blue?"};

/// Feeds all that a copy drafter proposes, whatever it costs, and now and then anything at all.
class EagerDrafts final : public ab::DraftSource {
 public:
  explicit EagerDrafts(std::int32_t n_vocabulary) : n_vocabulary_(static_cast<std::uint32_t>(n_vocabulary)) {}
  void propose(const ab::DraftContext& context, ab::DraftChain& chain) override {
    drafter_.propose(context, chain);
    if (random_() % 4 == 0) chain.tokens.push_back(static_cast<ab::TokenId>(random_() % n_vocabulary_));
  }
  void choose(std::span<ab::DraftOffer> offers, std::int32_t, std::int32_t) override {
    for (ab::DraftOffer& offer : offers) offer.n_rows = offer.n_tokens;
  }
  void learn(const ab::RowCost&) noexcept override {}

 private:
  ab::CopyDrafter drafter_;
  std::mt19937 random_;
  std::uint32_t n_vocabulary_;
};

/// An answer, and hashes of all logits that it was sampled from, by branch path and place.
struct Drafted {
  std::string text;
  std::map<std::string, std::size_t> bits;
  ab::Statistics statistics;
};

Drafted answer_with(CausalLm& lm, std::size_t question, float temperature, bool has_drafts) {
  CausalLm model = lm.with_own_slots();
  ab::KvCache cache({.n_pages = 256, .page_size = 16});
  ab::markup::SkeletonOptions outline;
  outline.max_points = 3;
  outline.n_vocabulary = model.config().vocabulary;
  outline.end_of_text = model.config().eos;
  const ab::hf::Tokenizer& tokenizer = model.text().tokenizer;
  ab::Decoder decoder(cache, ab::markup::Skeleton<ab::hf::Tokenizer, ab::hf::Tokenizer>(tokenizer, tokenizer, outline),
                      tokenizer, {.end_of_text = model.config().eos});
  EagerDrafts drafts(model.config().vocabulary);
  if (has_drafts) decoder.draft_with(&drafts);
  Drafted result;
  ab::RequestOptions options;
  options.sampling = {.temperature = temperature, .repetition_penalty = 1.1f, .seed = question};
  options.max_tokens = 90;
  options.max_branch_tokens = 24;
  options.hook = [&](const ab::HookContext& context, std::span<float> logits) {
    std::string place = std::to_string(context.index);
    for (const ab::PathStep step : context.path)
      place += "/" + std::to_string(step.block) + "." + std::to_string(step.branch);
    const std::string_view bytes(reinterpret_cast<const char*>(logits.data()), logits.size_bytes());
    result.bits[place] = std::hash<std::string_view>()(bytes);
  };
  const std::vector<ab::hf::Message> messages{{"user", kDrafted[question]}};
  const ab::RequestId id = decoder.submit(ab::hf::encode_chat(tokenizer, model.text().chat, messages), options);
  while (decoder.has_work()) {
    const auto plan = decoder.plan();
    REQUIRE(plan);
    decoder.commit(model(*plan));
  }
  result.text = decoder.text(id);
  result.statistics = decoder.statistics(id);
  return result;
}

}  // namespace

TEST_CASE("int8: with drafts every token of a dozen answers is sampled from the same bits") {
  CausalLm* const lm = ab::test::real_model(ab::torch::Weights::int8);
  if (lm == nullptr) return;
  std::int32_t n_accepted = 0, n_drafted = 0;
  for (std::size_t question = 0; question < kDrafted.size(); ++question) {
    const float temperature = question % 2 == 0 ? 0.0f : 0.6f;
    INFO(kDrafted[question]);
    const Drafted without = answer_with(*lm, question, temperature, false);
    const Drafted with = answer_with(*lm, question, temperature, true);
    CHECK(with.text == without.text);
    CHECK(with.statistics.n_sampled == without.statistics.n_sampled);
    CHECK(with.statistics.n_passes + with.statistics.n_passes_saved == without.statistics.n_passes);
    for (const auto& [place, bits] : without.bits) CHECK(with.bits.at(place) == bits);
    n_drafted += with.statistics.n_drafted;
    n_accepted += with.statistics.n_accepted;
  }
  INFO(n_drafted << " drafted, " << n_accepted << " accepted");
  CHECK(n_accepted > 10);
  CHECK(n_drafted > n_accepted);
}

TEST_CASE("int8: generate writes the same with drafts, log-probabilities included, and needs no more passes") {
  CausalLm* const lm = ab::test::real_model(ab::torch::Weights::int8);
  if (lm == nullptr) return;
  ab::GenerateOptions options;
  options.markup = ab::MarkupKind::serial;
  options.request.max_tokens = 80;
  options.request.n_log_probabilities = 1;
  options.max_requests = 2;
  const std::vector<std::string> questions(kDrafted.begin(), kDrafted.begin() + 4);
  const std::vector<ab::Answer> without = ab::torch::generate(*lm, questions, options);
  options.drafts = ab::DraftKind::copy;
  const std::vector<ab::Answer> with = ab::torch::generate(*lm, questions, options);
  std::int32_t n_saved = 0;
  for (std::size_t i = 0; i < questions.size(); ++i) {
    INFO(questions[i]);
    CHECK(with[i].text == without[i].text);
    CHECK(with[i].tokens == without[i].tokens);
    CHECK(with[i].log_probabilities == without[i].log_probabilities);
    CHECK(with[i].reason == without[i].reason);
    CHECK(with[i].statistics.n_passes <= without[i].statistics.n_passes);
    n_saved += with[i].statistics.n_passes_saved;
  }
  CHECK(n_saved > 10);
}
