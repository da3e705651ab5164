#include <conversations.hpp>

#include <string>

#include "catch.hpp"

using anabranch::StructuredPrompt;
using anabranch::TokenId;
using anabranch::hf::Message;
using serve::Conversation;
using serve::Conversations;
using Messages = std::vector<Message>;

namespace {

/// A chat whose history has one token, `number`.
Conversation chat(Messages messages, TokenId number) {
  StructuredPrompt history;
  history.append({number});
  return {std::move(messages), {}, std::move(history)};
}

Messages then(Messages messages, const std::string& answer, const std::string& question) {
  messages.push_back({"assistant", answer});
  messages.push_back({"user", question});
  return messages;
}

/// The number of the conversation that is found; 0: none.
TokenId found(Conversations& conversations, const Messages& messages) {
  const auto conversation = conversations.find(messages);
  return conversation == nullptr ? 0 : conversation->history.tokens().front();
}

const Messages kAsked = {{"system", "Be brief."}, {"user", "Hi"}};
const Messages kAnswered = {{"system", "Be brief."}, {"user", "Hi"}, {"assistant", "Hello"}};

}  // namespace

TEST_CASE("a chat finds the longest conversation that it goes on behind") {
  Conversations conversations(1 << 20);
  conversations.add(chat(kAnswered, 1));
  const Messages second = then(kAsked, "Hello", "More");
  CHECK(found(conversations, second) == 1);
  Messages answered = second;
  answered.push_back({"assistant", "Yes"});
  conversations.add(chat(answered, 2));
  CHECK(found(conversations, then(second, "Yes", "And?")) == 2);
  CHECK(found(conversations, then(second, "No", "And?")) == 1);
  CHECK(found(conversations, answered) == 1);  // nothing follows the whole of it
  CHECK(found(conversations, kAnswered) == 0);
  CHECK(found(conversations, kAsked) == 0);
}

TEST_CASE("a conversation of which any byte differs is not found") {
  Conversations conversations(1 << 20);
  conversations.add(chat(kAnswered, 1));
  CHECK(found(conversations, then(kAsked, "Hello ", "More")) == 0);
  CHECK(found(conversations, then({{"system", "Be brief"}, {"user", "Hi"}}, "Hello", "More")) == 0);
  CHECK(found(conversations, then({{"user", "Be brief."}, {"user", "Hi"}}, "Hello", "More")) == 0);
  CHECK(found(conversations, then({{"user", "Hi"}}, "Hello", "More")) == 0);
  CHECK(found(conversations, then({{"system", "Be brief.Hi"}, {"user", ""}}, "Hello", "More")) == 0);
}

TEST_CASE("an answer that was given again takes the place of the first") {
  Conversations conversations(1 << 20);
  conversations.add(chat(kAnswered, 1));
  conversations.add(chat(kAnswered, 2));
  CHECK(found(conversations, then(kAsked, "Hello", "More")) == 2);
  CHECK(conversations.metrics().find("anabranch_conversations 1\n") != std::string::npos);
}

TEST_CASE("what was used least recently goes when there are too many bytes, and what is too large is not kept") {
  const auto asked = [](int i) { return Messages{{"user", "Question " + std::to_string(i) + std::string(1000, '.')}}; };
  const auto answered = [&](int i) {
    Messages messages = asked(i);
    messages.push_back({"assistant", "a"});
    return messages;
  };
  Conversations conversations(5000);
  for (int i = 1; i <= 3; ++i) conversations.add(chat(answered(i), i));
  for (int i = 1; i <= 3; ++i) CHECK(found(conversations, then(asked(i), "a", "b")) == i);
  CHECK(found(conversations, then(asked(1), "a", "b")) == 1);
  conversations.add(chat(answered(4), 4));
  CHECK(found(conversations, then(asked(2), "a", "b")) == 0);
  for (const int i : {1, 3, 4}) CHECK(found(conversations, then(asked(i), "a", "b")) == i);
  conversations.add(chat({{"user", std::string(6000, 'x')}, {"assistant", "a"}}, 5));
  CHECK(found(conversations, then({{"user", std::string(6000, 'x')}}, "a", "b")) == 0);
  CHECK(found(conversations, then(asked(1), "a", "b")) == 1);
  Conversations none(0);
  none.add(chat(kAnswered, 1));
  CHECK(found(none, then(kAsked, "Hello", "More")) == 0);
}
