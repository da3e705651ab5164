// RequestLoop: prompts in, answers out, over a model that writes the alphabet.
#include <anabranch/decode/request_loop.hpp>

#include <cmath>
#include <string>
#include <vector>

#include "scripted.hpp"

using namespace scripted;

namespace {

using Prompts = std::vector<Tokens>;

/// Writes the letter behind the last one, and ends the text behind `last`. Fails in pass `fails_in`.
struct Alphabet {
  char last = 'e';
  int fails_in = 0;
  int n_passes = 0, n_committed = 0, n_aborted = 0;
  std::size_t most_outputs = 0;
  std::vector<float> logits = {};

  ab::LogitsView operator()(const ab::StepPlan& plan) {
    if (++n_passes == fails_in) throw std::runtime_error("the model failed");
    most_outputs = std::max(most_outputs, plan.outputs.size());
    logits.assign(plan.outputs.size() * kVocabulary, 0.0f);
    for (std::size_t i = 0; i < plan.outputs.size(); ++i) {
      const TokenId token = plan.tokens[static_cast<std::size_t>(plan.outputs[i].row)];
      const TokenId next = token == kFirstLetter + (last - 'a') ? kEnd : token + 1;
      logits[i * kVocabulary + static_cast<std::size_t>(next)] = 10.0f;
    }
    return {logits.data(), static_cast<std::int32_t>(plan.outputs.size()), kVocabulary};
  }
  void committed() { ++n_committed; }
  void aborted() { ++n_aborted; }
};

std::vector<ab::Answer> answers(Alphabet& model, const Prompts& prompts, const ab::GenerateOptions& options,
                                std::int32_t n_pages = 64) {
  ab::KvCache cache({.n_pages = n_pages, .page_size = 4});
  LettersDecoder decoder{cache, ab::markup::Serial(), Letters{}, {.max_tokens = 40, .end_of_text = {kEnd}}};
  return ab::RequestLoop(model, cache, decoder, options).run(prompts);
}

}  // namespace

TEST_CASE("Answers come in the order of their prompts, however long they take") {
  Alphabet model;
  const auto found = answers(model, {tokens("a"), tokens("xd"), tokens("c")}, {});
  REQUIRE(found.size() == 3);
  CHECK(found[0].text == "bcde");
  CHECK(found[1].text == "e");
  CHECK(found[2].text == "de");
  for (const ab::Answer& answer : found) {
    CHECK(answer.reason == ab::EndReason::end_of_text);
    CHECK(answer.branches.empty());
    CHECK(answer.seconds >= answer.prefill_seconds);
    CHECK(answer.statistics.n_prefill == 1);
  }
  CHECK(model.n_committed == model.n_passes);
  CHECK(model.n_aborted == 0);
}

TEST_CASE("No more requests run at once than the options say") {
  for (const std::int32_t n : {1, 2, 3}) {
    Alphabet model;
    const auto found = answers(model, Prompts(5, tokens("a")), {.max_requests = n});
    CHECK(model.most_outputs == static_cast<std::size_t>(n));
    for (const ab::Answer& answer : found) CHECK(answer.text == "bcde");
  }
}

TEST_CASE("The request's options hold for every prompt, and the callbacks see every event and pass") {
  Alphabet model;
  int n_ends = 0, n_passes = 0;
  ab::GenerateOptions options{.request = {.stop = {"d"}, .max_tokens = 2}};
  options.on_event = [&](const ab::Event& event) { n_ends += event.kind == ab::Event::Kind::end ? 1 : 0; };
  options.on_pass = [&] { ++n_passes; };
  const auto found = answers(model, {tokens("a"), tokens("b"), tokens("e")}, options);
  CHECK(found[0].text == "bc");
  CHECK(found[0].reason == ab::EndReason::limit);
  CHECK(found[1].text == "c");
  CHECK(found[1].reason == ab::EndReason::stop);
  CHECK(found[2].text.empty());
  CHECK(n_ends == 3);
  CHECK(n_passes == model.n_passes);
}

TEST_CASE("Requests with options of their own are asked for in turn, and answers are handed over when they end") {
  Alphabet model;
  ab::KvCache cache({.n_pages = 64, .page_size = 4});
  LettersDecoder decoder{cache, ab::markup::Serial(), Letters{}, {.max_tokens = 40, .end_of_text = {kEnd}}};
  const ab::GenerateOptions options{.max_requests = 2};
  ab::RequestLoop loop(model, cache, decoder, options);
  std::string story;
  const std::vector<std::string> prompts = {"a", "c", "d"};
  loop.run(
      prompts.size(),
      [&](std::size_t index) {
        story += "ask " + std::to_string(index) + ", ";
        return decltype(loop)::Request{tokens(prompts[index]), {.max_tokens = index == 1 ? 1 : 3}};
      },
      [&](std::size_t index, ab::Answer&& answer) { story += answer.text + " of " + std::to_string(index) + ", "; });
  CHECK(story == "ask 0, ask 1, d of 1, ask 2, bcd of 0, e of 2, ");
  CHECK(model.most_outputs == 2);
}

TEST_CASE("Prompts of one run that are the same draw different numbers; the first is that of the prompt alone") {
  /// Every letter is as likely as any other.
  struct Even {
    std::vector<float> logits = {};
    ab::LogitsView operator()(const ab::StepPlan& plan) {
      logits.assign(plan.outputs.size() * kVocabulary, -30.0f);
      for (std::size_t i = 0; i < plan.outputs.size(); ++i)
        for (std::size_t t = kFirstLetter; t < kFirstLetter + 26; ++t) logits[i * kVocabulary + t] = 0.0f;
      return {logits.data(), static_cast<std::int32_t>(plan.outputs.size()), kVocabulary};
    }
  };
  const auto texts = [](std::size_t n, std::uint64_t number, std::int32_t max_requests) {
    Even model;
    ab::KvCache cache({.n_pages = 64, .page_size = 4});
    LettersDecoder decoder{cache, ab::markup::Serial(), Letters{}, {.max_tokens = 12, .end_of_text = {kEnd}}};
    const ab::GenerateOptions options{.request = {.sampling = {.temperature = 1.0f, .seed = 5, .number = number}},
                                      .max_requests = max_requests};
    std::vector<std::string> result;
    for (const ab::Answer& answer : ab::RequestLoop(model, cache, decoder, options).run(Prompts(n, tokens("a"))))
      result.push_back(answer.text);
    return result;
  };
  const auto three = texts(3, 0, 2);
  CHECK(three[0] != three[1]);
  CHECK(three[1] != three[2]);
  CHECK(three[0] != three[2]);
  CHECK(texts(3, 0, 3) == three);
  CHECK(texts(1, 0, 1)[0] == three[0]);
  CHECK(texts(1, 2, 1)[0] == three[2]);
}

TEST_CASE("No answers at once are refused, not taken for one") {
  for (const std::int32_t n : {0, -1}) {
    Alphabet model;
    try {
      answers(model, {tokens("a")}, {.max_requests = n});
      FAIL("answered");
    } catch (const ab::Error& error) {
      CHECK(error.status() == ab::Status::bad_request);
      CHECK(std::string(error.what()).find("max_requests is " + std::to_string(n)) != std::string::npos);
    }
  }
}

TEST_CASE("Answers have the log-probabilities that are asked for") {
  Alphabet model;
  const ab::Answer answer = answers(model, {tokens("a")}, {.request = {.n_log_probabilities = 1}})[0];
  REQUIRE(answer.log_probabilities.size() == answer.tokens.size());
  CHECK(answer.log_probabilities[0] == Approx(-std::log1p((kVocabulary - 1) * std::exp(-10.0))).margin(1e-5));
  CHECK(answer.likeliest[3][0].token == answer.tokens[3]);
  CHECK(answers(model, {tokens("a")}, {})[0].log_probabilities.empty());
}

TEST_CASE("A model that fails is told that its pass was aborted") {
  Alphabet model{.fails_in = 2};
  CHECK_THROWS_AS(answers(model, {tokens("a")}, {}), std::runtime_error);
  CHECK(model.n_committed == 1);
  CHECK(model.n_aborted == 1);
}

TEST_CASE("Answers that do not fit together are refused, one that cannot fit alone ends with no_room") {
  Alphabet model{.last = 'z'};
  try {
    answers(model, Prompts(4, tokens("a")), {}, 8);
    FAIL("32 slots are too few for four answers of 26 tokens");
  } catch (const ab::Error& error) {
    CHECK(error.status() == ab::Status::no_room);
    CHECK(std::string(error.what()).find("lower max_requests") != std::string::npos);
  }
  CHECK(answers(model, {tokens("a")}, {}, 2)[0].reason == ab::EndReason::no_room);
}

TEST_CASE("The branches of an answer are described in the order of their forks, without a sequence of the cache") {
  ab::KvCache cache({.n_pages = 64, .page_size = 4});
  LettersDecoder decoder{cache, aspd(), Letters{}, {.end_of_text = {kEnd}}};
  // Every row has its next token in this list; the trunk writes two titles and a block, each branch ends at once.
  struct Script {
    std::vector<float> logits = {};
    ab::LogitsView operator()(const ab::StepPlan& plan) {
      logits.assign(plan.outputs.size() * kVocabulary, 0.0f);
      for (std::size_t i = 0; i < plan.outputs.size(); ++i) {
        const auto row = static_cast<std::size_t>(plan.outputs[i].row);
        const TokenId next = plan.tokens[row] == kColon ? kBranchEnd
                             : plan.tokens[row] == kParaEnd
                                 ? kEnd
                                 : tokens("(a)(b){")[static_cast<std::size_t>(plan.positions[row])];
        logits[i * kVocabulary + static_cast<std::size_t>(next)] = 10.0f;
      }
      return {logits.data(), static_cast<std::int32_t>(plan.outputs.size()), kVocabulary};
    }
  } model;
  const ab::GenerateOptions options;
  const auto found = ab::RequestLoop(model, cache, decoder, options).run({tokens("p")});
  REQUIRE(found.size() == 1);
  REQUIRE(found[0].branches.size() == 2);
  CHECK(found[0].text == "a:b:");
  CHECK(found[0].branches[0].title == "a");
  CHECK(found[0].branches[1].text == "b:");
  CHECK(found[0].branches[1].path == std::vector<ab::PathStep>{{0, 1}});
  CHECK(found[0].branches[1].reason == ab::EndReason::end_tag);
  CHECK(found[0].branches[1].sequence == ab::kNoSequence);
  CHECK(found[0].parallel_seconds > 0);
}
