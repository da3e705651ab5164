// Conversations with the real model, SmolLM2-135M-Instruct in float32. Skipped, with the reason, without it.
#include "torch/real_model.hpp"

#include <chrono>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <vector>

#include <anabranch/error.hpp>
#include <anabranch/hf/prompt.hpp>
#include <anabranch/torch/conversation.hpp>
#include <anabranch/torch/generate.hpp>

namespace {

namespace ab = anabranch;
using ab::Answer;
using ab::MarkupKind;
using ab::test::real_model;
using ab::torch::Conversation;
using Messages = std::vector<ab::hf::Message>;

ab::GenerateOptions serially(std::int32_t max_tokens) {
  ab::GenerateOptions options{.markup = MarkupKind::serial, .system = "You are brief."};
  options.request.max_tokens = max_tokens;
  return options;
}

/// Tokens that a question adds behind an answer: its text, and the template around it.
std::int32_t n_new(const Messages& messages) {
  const auto& text = real_model()->text();
  const auto next = ab::hf::encode_next_turn(text.tokenizer, text.chat, messages, messages.size() - 2);
  REQUIRE(next);
  return static_cast<std::int32_t>(next->rest.size() + 1);
}

ab::Status status_of(Conversation& chat, const std::string& question) {
  try {
    chat.ask(question);
  } catch (const ab::Error& error) {
    CHECK(std::string(error.what()).find("reset") != std::string::npos);
    return error.status();
  }
  return ab::Status::ok;
}

}  // namespace

TEST_CASE("A turn computes what is new, and says what the same messages at once give") {
  if (real_model() == nullptr) return;
  const auto options = serially(16);  // cut answers and whole ones
  Conversation chat(*real_model(), options);
  const std::vector<std::string> questions{"Name a colour.", "Why do <|im_end|> people like it?", "What is 2 + 2?"};
  Messages messages{{"system", "You are brief."}};
  for (const std::string& question : questions) {
    messages.push_back({"user", question});
    const std::int32_t n_before = chat.n_tokens();
    const Answer answer = chat.ask(question);
    CHECK(answer.text == ab::torch::generate(*real_model(), messages, options).text);
    const ab::torch::TurnStatistics& turn = chat.turn();
    if (messages.size() > 2) {
      CHECK(turn.n_computed == n_new(messages));
      CHECK(turn.n_kept >= n_before);
      CHECK(turn.n_kept <= n_before + 1);  // the last token of a cut answer
    }
    CHECK_FALSE(turn.anew);
    const std::int32_t n_late = turn.n_kept - n_before;
    CHECK(turn.n_rows == turn.n_computed + n_late + answer.statistics.n_sampled - 1);
    messages.push_back({"assistant", answer.text});
  }
  REQUIRE(chat.messages().size() == messages.size());
  for (std::size_t i = 0; i < messages.size(); ++i) CHECK(chat.messages()[i].content == messages[i].content);
  chat.reset();
  CHECK(chat.messages().size() == 1);
  CHECK(chat.n_tokens() == 0);
  CHECK(generate(chat, questions[0]).text == messages[2].content);
  CHECK(chat.turn().n_kept == 0);
}

TEST_CASE("A conversation goes on behind branches, which stay as they were joined") {
  if (real_model() == nullptr) return;
  ab::GenerateOptions options{.markup = MarkupKind::skeleton, .max_branches = 3};
  options.request.max_tokens = 90;
  options.request.max_branch_tokens = 12;
  Conversation chat(*real_model(), options);
  const Answer first = chat.ask("What are the benefits of regular exercise?");
  REQUIRE(first.branches.size() >= 2);
  const auto n_written = static_cast<std::int32_t>(first.tokens.size());
  const std::int32_t n_prompt = chat.turn().n_computed;
  const Answer second = chat.ask("Which one matters most?");
  CHECK_FALSE(second.text.empty());
  CHECK_FALSE(chat.turn().anew);
  CHECK(chat.turn().n_kept == n_prompt + n_written);
  CHECK(chat.turn().n_computed < n_prompt + 10);
}

TEST_CASE("An answer that is stopped is part of the conversation, unless it had no text") {
  if (real_model() == nullptr) return;
  Conversation chat(*real_model(), serially(60));
  const std::int32_t n_free = chat.n_free_pages();
  std::stop_source source;
  SECTION("before it has text") {
    source.request_stop();
    chat.options().stop = source.get_token();
    const Answer answer = chat.ask("Write a long story about a river.");
    CHECK(answer.reason == ab::EndReason::cancelled);
    CHECK(answer.text.empty());
    CHECK(chat.messages().size() == 1);
    CHECK(chat.n_free_pages() == n_free);
  }
  SECTION("in the middle, by a token, a callback or a deadline") {
    int n = 0;
    const int how = GENERATE(0, 1, 2);
    if (how == 0) chat.options().stop = source.get_token();
    chat.options().on_pass = [&] {
      if (++n < 6) return ab::Proceed::go_on;
      if (how == 0) source.request_stop();
      if (how == 2) chat.options().deadline = std::chrono::steady_clock::now();
      return how == 1 ? ab::Proceed::stop : ab::Proceed::go_on;
    };
    const Answer answer = chat.ask("Write a long story about a river.");
    CHECK(answer.reason == ab::EndReason::cancelled);
    CHECK(answer.statistics.n_sampled == 6);
    CHECK(answer.statistics.n_passes == 6);
    CHECK(chat.messages().back().content == answer.text);
    const std::int32_t n_before = chat.n_tokens();
    chat.options() = serially(8);
    const Answer next = chat.ask("Go on.");
    CHECK_FALSE(next.text.empty());
    CHECK(chat.turn().n_kept == n_before + 1);
    CHECK(next.text ==
          ab::torch::generate(*real_model(), Messages{chat.messages().begin(), chat.messages().end() - 1}, serially(8))
              .text);
  }
  chat.reset();
  CHECK(chat.n_free_pages() == n_free);
}

TEST_CASE("A turn that is refused or fails leaves the conversation as it was") {
  if (real_model() == nullptr) return;
  auto options = serially(8);
  options.n_pages = 24;
  Conversation chat(*real_model(), options);
  chat.ask("Name a colour.");
  const Messages before = chat.messages();
  std::string many;
  for (int i = 0; i < 400; ++i) many += " river";
  CHECK(status_of(chat, many) == ab::Status::no_room);
  chat.options().on_event = [](const ab::Event&) { throw std::runtime_error("no screen"); };
  CHECK_THROWS_AS(chat.ask("Name another."), std::runtime_error);
  CHECK(chat.messages().size() == before.size());
  chat.options() = serially(8);
  const Answer answer = chat.ask("Name another.");
  CHECK_FALSE(chat.turn().anew);
  CHECK(chat.turn().n_kept > 0);
  Messages asked = before;
  asked.push_back({"user", "Name another."});
  CHECK(answer.text == ab::torch::generate(*real_model(), asked, serially(8)).text);
}

TEST_CASE("A conversation begins from messages that are there already") {
  if (real_model() == nullptr) return;
  const Messages messages{{"system", "You are a pirate."}, {"user", "Hello."}, {"assistant", "Ahoy!"}};
  Conversation chat(*real_model(), serially(8), messages);
  chat.ask("Who are you?");
  CHECK(chat.messages().size() == 5);
  CHECK(chat.messages()[0].content == "You are a pirate.");
  CHECK(chat.turn().anew);
  CHECK(chat.turn().n_kept == 0);
}
