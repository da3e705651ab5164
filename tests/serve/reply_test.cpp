#include <reply.hpp>

#include <string>
#include <vector>

#include "catch.hpp"

using anabranch::Event;
using nlohmann::json;
using Kind = Event::Kind;

namespace {

serve::ReplyContext context() {
  return {"id-1", "default", 7, [](anabranch::TokenId token) { return std::string(1, static_cast<char>(token)); }};
}

Event token(anabranch::BranchIndex branch, char letter, float log_probability = -0.5f) {
  Event event;
  event.branch = branch;
  event.text = std::string(1, letter);
  event.token = letter;
  event.log_probability = log_probability;
  event.top = {{letter, log_probability}, {'z', -2.0f}};
  return event;
}
Event fork_of_two() {
  Event event;
  event.kind = Kind::fork;
  event.first_branch = 1;
  event.titles = {"A", "B"};
  return event;
}
Event end_of(anabranch::BranchIndex branch, anabranch::EndReason reason) {
  Event event;
  event.kind = branch == anabranch::kTrunk ? Kind::end : Kind::branch_end;
  event.branch = branch;
  event.reason = reason;
  event.statistics = {.n_serial = 1, .n_branch = 2, .n_prompt = 5, .n_passes = 2};
  return event;
}

/// The JSON of the frames of a stream.
std::vector<json> frames(const std::string& bytes) {
  std::vector<json> result;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t end = bytes.find("\n\n", at);
    REQUIRE(end != std::string::npos);
    REQUIRE(bytes.compare(at, 6, "data: ") == 0);
    const std::string data = bytes.substr(at + 6, end - at - 6);
    result.push_back(data == "[DONE]" ? json("[DONE]") : json::parse(data));
    at = end + 2;
  }
  return result;
}

}  // namespace

TEST_CASE("a stream's contents are the answer in reading order; its events come as they happen") {
  serve::ApiRequest request;
  request.stream = true;
  request.include_usage = true;
  serve::Reply reply(request, context());
  std::string text;
  std::vector<json> live;
  const auto take = [&](const std::string& bytes) {
    for (const json& frame : frames(bytes)) {
      if (frame == "[DONE]" || frame["choices"].empty()) continue;
      CHECK(frame["object"] == "chat.completion.chunk");
      CHECK(frame["usage"].is_null());
      text += frame["choices"][0]["delta"].value("content", "");
      if (frame.contains("anabranch")) live.push_back(frame["anabranch"]);
    }
  };
  take(reply.begin());
  take(reply.add(0, fork_of_two()));
  take(reply.add(0, token(2, 'b')));
  CHECK(text.empty());
  CHECK(live.back()["text"] == "b");
  CHECK(live.back()["branch"] == 2);
  CHECK(live.back()["path"] == json::parse("[[0, 1]]"));
  CHECK(live.back()["title"] == "B");
  take(reply.add(0, token(1, 'a')));
  take(reply.add(0, end_of(1, anabranch::EndReason::end_tag)));
  CHECK(text == "ab");
  take(reply.add(0, end_of(2, anabranch::EndReason::end_tag)));
  CHECK_FALSE(reply.is_complete());
  const auto last = frames(reply.add(0, end_of(0, anabranch::EndReason::limit)));
  CHECK(last.back()["choices"][0]["finish_reason"] == "length");
  CHECK(reply.is_complete());
  const auto end = frames(reply.end());
  REQUIRE(end.size() == 2);
  CHECK(end[0]["usage"]["prompt_tokens"] == 5);
  CHECK(end[0]["usage"]["completion_tokens"] == 3);
  CHECK(end[1] == "[DONE]");
}

TEST_CASE("a document has the same text, and log-probabilities in the same order") {
  serve::ApiRequest request;
  request.log_probabilities = true;
  serve::Reply reply(request, context());
  reply.add(0, fork_of_two());
  reply.add(0, token(2, 'b', -0.25f));
  reply.add(0, token(1, 'a', std::numeric_limits<float>::quiet_NaN()));
  reply.add(0, end_of(2, anabranch::EndReason::end_tag));
  reply.add(0, end_of(1, anabranch::EndReason::end_tag));
  reply.add(0, end_of(0, anabranch::EndReason::end_of_text));
  const json document = json::parse(reply.document());
  const json& choice = document["choices"][0];
  CHECK(choice["message"]["content"] == "ab");
  CHECK(choice["finish_reason"] == "stop");
  const json& content = choice["logprobs"]["content"];
  REQUIRE(content.size() == 2);
  CHECK(content[0]["token"] == "a");
  CHECK(content[0]["logprob"] == 0.0);  // it was forced
  CHECK(content[1]["logprob"] == -0.25);
  CHECK(content[1]["top_logprobs"][1]["token"] == "z");
  CHECK(content[1]["bytes"] == json::array({98}));
}

TEST_CASE("completions show log-probabilities in columns, with offsets") {
  serve::ApiRequest request;
  request.endpoint = serve::Endpoint::completions;
  request.prompts.resize(1);
  request.log_probabilities = true;
  serve::Reply reply(request, context());
  reply.add(0, token(0, 'x'));
  reply.add(0, token(0, 'y'));
  reply.add(0, end_of(0, anabranch::EndReason::stop));
  const json choice = json::parse(reply.document())["choices"][0];
  CHECK(choice["text"] == "xy");
  CHECK(choice["logprobs"]["tokens"] == json::array({"x", "y"}));
  CHECK(choice["logprobs"]["text_offset"] == json::array({0, 1}));
  CHECK(choice["logprobs"]["top_logprobs"][0]["z"] == -2.0);
}

TEST_CASE("choices are kept apart") {
  serve::ApiRequest request;
  request.n = 2;
  serve::Reply reply(request, context());
  reply.add(1, token(0, 'q'));
  reply.add(0, token(0, 'p'));
  reply.add(1, end_of(0, anabranch::EndReason::finished));
  CHECK_FALSE(reply.is_complete());
  reply.add(0, end_of(0, anabranch::EndReason::limit));
  const json document = json::parse(reply.document());
  CHECK(document["choices"][0]["message"]["content"] == "p");
  CHECK(document["choices"][1]["message"]["content"] == "q");
  CHECK(document["usage"]["prompt_tokens"] == 10);
}
