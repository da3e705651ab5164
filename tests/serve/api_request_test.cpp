#include <api_request.hpp>

#include <string>

#include <nlohmann/json.hpp>

#include <api_error.hpp>

#include "catch.hpp"

using serve::ApiError;
using serve::ApiRequest;
using serve::Endpoint;

namespace {

const serve::ApiLimits kLimits{.vocabulary = 1000, .max_tokens = 300, .max_positions = 8192};
const std::string kChat = R"({"model": "default", "messages": [{"role": "user", "content": "Hi"}])";

ApiRequest chat(const std::string& more) { return read_request(Endpoint::chat, kChat + more + "}", kLimits); }
ApiRequest completion(const std::string& fields) {
  return read_request(Endpoint::completions, R"({"model": "default", )" + fields + "}", kLimits);
}

/// The error that a body is refused with, as JSON.
nlohmann::json refusal(Endpoint endpoint, const std::string& body, int status = 400) {
  try {
    read_request(endpoint, body, kLimits);
  } catch (const ApiError& error) {
    CHECK(error.status() == status);
    return nlohmann::json::parse(error.body())["error"];
  }
  FAIL("was not refused: " << body);
  return {};
}
nlohmann::json chat_refusal(const std::string& more) { return refusal(Endpoint::chat, kChat + more + "}"); }

}  // namespace

TEST_CASE("a chat is read") {
  const ApiRequest request =
      chat(R"(, "temperature": 0.5, "top_p": 0.9, "max_tokens": 20, "n": 3, "seed": -1, "stop": "x",
    "logit_bias": {"7": -100}, "stream": true, "stream_options": {"include_usage": true}, "user": "me")");
  CHECK(request.messages.size() == 1);
  CHECK(request.messages[0].content == "Hi");
  CHECK(request.options.sampling.temperature == 0.5f);
  CHECK(request.options.sampling.top_p == 0.9f);
  CHECK(request.options.max_tokens == 20);
  CHECK(request.n_choices() == 3);
  CHECK(request.options.sampling.seed == ~std::uint64_t{0});
  CHECK(request.options.stop == std::vector<std::string>{"x"});
  REQUIRE(request.options.logit_bias.size() == 1);
  CHECK(request.options.logit_bias[0].token == 7);
  CHECK(request.stream);
  CHECK(request.include_usage);
}

TEST_CASE("what is not said is the server's or the model's") {
  const ApiRequest request = chat("");
  CHECK(request.options.max_tokens == 300);
  CHECK_FALSE(request.options.sampling.temperature);
  CHECK_FALSE(request.stream);
  CHECK(request.n_choices() == 1);
  CHECK(chat(R"(, "temperature": null, "n": null, "stop": null, "logit_bias": null)").n_choices() == 1);
}

TEST_CASE("contents may be parts, and a developer is a system") {
  const ApiRequest request =
      read_request(Endpoint::chat,
                   R"({"model": "default", "messages": [{"role": "developer", "content": [{"type": "text", "text": "a"},
        {"type": "text", "text": "b"}]}, {"role": "user", "content": "", "name": "x"}]})",
                   kLimits);
  CHECK(request.messages[0].role == "system");
  CHECK(request.messages[0].content == "ab");
}

TEST_CASE("prompts are texts or tokens, one or several") {
  CHECK(completion(R"("prompt": "a")").prompts.size() == 1);
  CHECK(completion(R"("prompt": ["a", "b"], "n": 2)").n_choices() == 4);
  CHECK(completion(R"("prompt": [1, 2, 3])").prompts[0].tokens == std::vector<anabranch::TokenId>{1, 2, 3});
  CHECK(completion(R"("prompt": [[1, 2], [3]])").prompts.size() == 2);
  for (const char* bad :
       {"[]", "[[]]", "[1, \"a\"]", "{}", "1", "[1000]", "[-1]", "[1.5]", "null", "[99999999999999999999]"})
    CHECK(refusal(Endpoint::completions, std::string(R"({"model": "default", "prompt": )") + bad + "}")["param"] ==
          "prompt");
}

TEST_CASE("a refusal names the field, what was expected and what was found") {
  const auto error = chat_refusal(R"(, "temperature": 3)");
  CHECK(error["param"] == "temperature");
  CHECK(error["type"] == "invalid_request_error");
  CHECK(error["message"] == "'temperature' must be a number from 0 to 2, not 3");
  CHECK(chat_refusal(R"(, "n": 0)")["param"] == "n");
  CHECK(chat_refusal(R"(, "n": 17)")["param"] == "n");
  CHECK(chat_refusal(R"(, "n": 1.5)")["param"] == "n");
  CHECK(chat_refusal(R"(, "n": 18446744073709551615)")["param"] == "n");
  CHECK(chat_refusal(R"(, "max_tokens": 0)")["param"] == "max_tokens");
  CHECK(chat_refusal(R"(, "stop": ["a", "b", "c", "d", "e"])")["param"] == "stop");
  CHECK(chat_refusal(R"(, "stop": "")")["param"] == "stop");
  CHECK(chat_refusal(R"(, "stream": 1)")["param"] == "stream");
  CHECK(chat_refusal(R"(, "stream_options": {})")["param"] == "stream_options");
  CHECK(chat_refusal(R"(, "top_logprobs": 3)")["param"] == "top_logprobs");
  CHECK(chat_refusal(R"(, "logit_bias": {"1000": 1})")["param"] == "logit_bias");
  CHECK(chat_refusal(R"(, "logit_bias": {"1": 101})")["param"] == "logit_bias");
  CHECK(chat_refusal(R"(, "logit_bias": {"1": 1, "01": 1})")["param"] == "logit_bias");
  CHECK(chat_refusal(R"(, "logit_bias": {"x": 1})")["param"] == "logit_bias");
  CHECK(chat_refusal(R"(, "anabranch": {"mode": "sideways"})")["param"] == "anabranch.mode");
}

TEST_CASE("what is not offered is refused, not passed over") {
  CHECK(chat_refusal(R"(, "tools": [{"type": "function"}])")["param"] == "tools");
  CHECK(chat_refusal(R"(, "response_format": {"type": "json_object"})")["param"] == "response_format");
  CHECK(chat_refusal(R"(, "audio": {})")["param"] == "audio");
  CHECK(refusal(Endpoint::completions, R"({"model": "default", "prompt": "a", "echo": true})")["param"] == "echo");
  CHECK(chat(R"(, "tools": [], "response_format": {"type": "text"}, "store": false, "tool_choice": "none")").n == 1);
}

TEST_CASE("a field that nobody knows is refused as OpenAI does") {
  const auto error = chat_refusal(R"(, "temprature": 1)");
  CHECK(error["message"] == "Unrecognized request argument supplied: temprature");
  CHECK(chat_refusal(R"(, "anabranch": {"x": 1})")["param"] == "anabranch.x");
  CHECK(refusal(Endpoint::completions, R"({"model": "default", "prompt": "a", "messages": []})")["param"] ==
        "messages");
}

TEST_CASE("bodies that are no request are refused") {
  for (const char* body :
       {"", "{", "[]", "null", "\"a\"", "{\"model\": \"default\"}", "{\"messages\": [], \"model\": \"default\"}",
        "{\"model\": \"\xff\", \"messages\": []}", "{\"model\": 1e999}"})
    refusal(Endpoint::chat, body);
  CHECK(refusal(Endpoint::chat, R"({"model": "gpt-4", "messages": []})", 404)["code"] == "model_not_found");
  CHECK(refusal(Endpoint::chat, std::string(200000, '[')).is_object());
  for (const char* messages :
       {"[1]", R"([{"role": "user"}])", R"([{"role": "tool", "content": "a"}])", R"([{"role": "user", "content": 1}])",
        R"([{"role": "user", "content": [{"type": "image_url"}]}])", R"([{"role": "user", "content": "a", "x": 1}])"})
    refusal(Endpoint::chat, std::string(R"({"model": "default", "messages": )") + messages + "}");
}

TEST_CASE("top_p 0 is the likeliest token alone") {
  const ApiRequest request = chat(R"(, "top_p": 0)");
  CHECK(request.options.sampling.top_k == 1);
  CHECK_FALSE(request.options.sampling.top_p);
}
