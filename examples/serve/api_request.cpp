#include "api_request.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "api_error.hpp"
#include "json_fields.hpp"

namespace serve {
namespace {

namespace ab = anabranch;
using nlohmann::json;

constexpr std::int64_t kMostTokens = 1 << 30;
constexpr std::size_t kMostStops = 4;

/// The text of a message: a string, or an array of parts of type text.
std::string content_of(JsonFields& message) {
  const json* content = message.find("content");
  if (content == nullptr) return {};
  if (content->is_string()) return content->get<std::string>();
  if (!content->is_array()) message.wrong("content", "a string or an array of parts");
  std::string text;
  for (std::size_t i = 0; i < content->size(); ++i) {
    JsonFields part((*content)[i], fmt::format("{}[{}]", message.name_of("content"), i));
    const std::string type = part.text("type").value_or("");
    if (type != "text") part.wrong("type", "\"text\", the only type of part that this model takes");
    const auto words = part.text("text");
    if (!words) part.wrong("text", "a string");
    text += *words;
    part.refuse_others();
  }
  return text;
}

ab::hf::Message read_message(const json& value, std::size_t index) {
  JsonFields message(value, fmt::format("messages[{}]", index));
  std::string role = message.text("role").value_or("");
  if (role == "developer") role = "system";
  if (role != "system" && role != "user" && role != "assistant")
    message.wrong("role", "\"system\", \"developer\", \"user\" or \"assistant\"");
  for (const char* key : {"tool_calls", "function_call", "audio"})
    if (const json* found = message.find(key); found != nullptr && !found->empty())
      message.wrong(key, "left out: this model calls no tools and has no audio");
  for (const char* key : {"name", "refusal", "annotations", "reasoning_content"}) message.pass_over(key);
  const bool has_content = message.find("content") != nullptr;
  if (!has_content) message.wrong("content", "a string or an array of parts");
  ab::hf::Message result{std::move(role), content_of(message)};
  message.refuse_others();
  return result;
}

std::vector<ab::hf::Message> read_messages(JsonFields& fields) {
  const json* messages = fields.find("messages");
  if (messages == nullptr || !messages->is_array() || messages->empty())
    fields.wrong("messages", "an array of at least one message");
  std::vector<ab::hf::Message> result;
  for (std::size_t i = 0; i < messages->size(); ++i) result.push_back(read_message((*messages)[i], i));
  return result;
}

std::optional<std::vector<ab::TokenId>> read_tokens(const json& value, std::int32_t vocabulary) {
  std::vector<ab::TokenId> tokens;
  for (const json& token : value) {
    if (!token.is_number_integer()) return std::nullopt;
    const std::int64_t id = token.is_number_unsigned() && token.get<std::uint64_t>() > std::uint64_t{INT32_MAX}
                                ? std::int64_t{INT32_MAX}
                                : token.get<std::int64_t>();
    if (id < 0 || id >= vocabulary) return std::nullopt;
    tokens.push_back(static_cast<ab::TokenId>(id));
  }
  return tokens;
}

/// A text, tokens, or an array of either.
std::vector<Prompt> read_prompts(JsonFields& fields, const ApiLimits& limits) {
  const json* prompt = fields.find("prompt");
  const auto wrong = [&] {
    fields.wrong("prompt",
                 fmt::format("a string, an array of token ids from 0 to {}, or an array of at least one of those",
                             limits.vocabulary - 1));
  };
  if (prompt == nullptr) wrong();
  std::vector<Prompt> result;
  const auto add = [&](const json& value) {
    if (value.is_string()) {
      result.push_back({value.get<std::string>(), {}});
    } else if (value.is_array() && !value.empty()) {
      auto tokens = read_tokens(value, limits.vocabulary);
      if (!tokens) wrong();
      result.push_back({{}, std::move(*tokens)});
    } else {
      wrong();
    }
  };
  const bool is_list = prompt->is_array() && !prompt->empty() && !prompt->front().is_number();
  if (!is_list)
    add(*prompt);
  else
    for (const json& value : *prompt) add(value);
  return result;
}

std::vector<std::string> read_stops(JsonFields& fields) {
  const json* stop = fields.find("stop");
  if (stop == nullptr) return {};
  const auto wrong = [&] {
    fields.wrong("stop", fmt::format("a string, or an array of at most {} strings, none empty", kMostStops));
  };
  std::vector<std::string> result;
  const auto add = [&](const json& value) {
    if (!value.is_string() || value.get_ref<const std::string&>().empty()) wrong();
    result.push_back(value.get<std::string>());
  };
  if (stop->is_array()) {
    if (stop->size() > kMostStops) wrong();
    for (const json& value : *stop) add(value);
  } else {
    add(*stop);
  }
  return result;
}

std::vector<ab::LogitBias> read_bias(JsonFields& fields, std::int32_t vocabulary) {
  const json* map = fields.find("logit_bias");
  if (map == nullptr) return {};
  const auto wrong = [&] {
    fields.wrong("logit_bias", fmt::format("an object of token ids from 0 to {}, each with a number from -100 to 100",
                                           vocabulary - 1));
  };
  if (!map->is_object()) wrong();
  std::vector<ab::LogitBias> result;
  for (const auto& [key, value] : map->items()) {
    const bool is_id = !key.empty() && key.size() < 10 && (key == "0" || key.front() != '0') &&
                       std::all_of(key.begin(), key.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!is_id || !value.is_number()) wrong();
    const ab::TokenId token = std::stoi(key);
    const double bias = value.get<double>();
    if (token >= vocabulary || !(bias >= -100.0 && bias <= 100.0)) wrong();
    if (std::any_of(result.begin(), result.end(), [&](const ab::LogitBias& b) { return b.token == token; })) wrong();
    result.push_back({token, static_cast<float>(bias)});
  }
  return result;
}

void read_sampling(JsonFields& fields, ab::SamplingOptions& sampling) {
  const auto set = [&](const char* key, Range<double> range, std::optional<float>& option) {
    if (const auto value = fields.number(key, range)) option = static_cast<float>(*value);
  };
  set("temperature", {0, 2}, sampling.temperature);
  set("top_p", {0, 1}, sampling.top_p);
  set("min_p", {0, 1}, sampling.min_p);
  set("frequency_penalty", {-2, 2}, sampling.frequency_penalty);
  set("presence_penalty", {-2, 2}, sampling.presence_penalty);
  set("repetition_penalty", {0.01, 100}, sampling.repetition_penalty);
  if (const auto k = fields.integer("top_k", {-1, INT32_MAX}))
    sampling.top_k = static_cast<std::int32_t>(std::max<std::int64_t>(*k, 0));
  if (sampling.top_p == 0.0f) sampling.top_k = 1, sampling.top_p.reset();  // the likeliest alone
  sampling.seed = static_cast<std::uint64_t>(fields.integer("seed", {INT64_MIN, INT64_MAX}).value_or(0));
}

/// Chat: `logprobs` and `top_logprobs`; completions: `logprobs`, a number.
void read_log_probabilities(JsonFields& fields, ApiRequest& request) {
  if (request.endpoint == Endpoint::completions) {
    if (const auto n = fields.integer("logprobs", {0, 5}))
      request.options.n_log_probabilities = static_cast<std::int32_t>(*n);
  } else {
    const auto n = fields.integer("top_logprobs", {0, 20});
    const bool wanted = fields.flag("logprobs").value_or(false);
    if (n && !wanted) fields.wrong("top_logprobs", "left out, or 'logprobs' true");
    if (wanted) request.options.n_log_probabilities = static_cast<std::int32_t>(n.value_or(0));
  }
  request.log_probabilities = request.options.n_log_probabilities != ab::kNone;
}

/// Fields that ask for what a language model alone does not do, and what they may hold all the same.
void refuse_what_is_not_offered(JsonFields& fields, Endpoint endpoint) {
  const auto refuse = [&](const char* key, const auto& is_harmless, const char* what) {
    if (const json* value = fields.find(key); value != nullptr && !is_harmless(*value)) fields.wrong(key, what);
  };
  const auto is_empty = [](const json& value) { return value.is_array() && value.empty(); };
  const auto is_false = [](const json& value) { return value == false; };
  if (endpoint == Endpoint::completions) {
    refuse("echo", is_false, "false: prompts are not repeated here");
    refuse(
        "suffix", [](const json& value) { return value == ""; }, "left out: texts are only gone on with here");
    refuse(
        "best_of", [](const json& value) { return value == 1; }, "1 or left out");
    return;
  }
  refuse("tools", is_empty, "left out: this model calls no tools");
  refuse("functions", is_empty, "left out: this model calls no functions");
  refuse(
      "tool_choice", [](const json& v) { return v == "none" || v == "auto"; }, "left out: this model calls no tools");
  refuse(
      "function_call", [](const json& v) { return v == "none" || v == "auto"; },
      "left out: this model calls no functions");
  refuse(
      "response_format", [](const json& v) { return v.is_object() && v.value("type", json()) == "text"; },
      "{\"type\": \"text\"}: other formats are not offered");
  refuse(
      "modalities", [](const json& v) { return v == json::array({"text"}); }, "[\"text\"]");
  refuse(
      "audio", [](const json&) { return false; }, "left out: this model has no audio");
  refuse("store", is_false, "false: nothing is stored here");
  fields.pass_over("parallel_tool_calls");
}

/// What this server has beside OpenAI's fields.
void read_own_fields(JsonFields& fields, const ApiLimits& limits, ApiRequest& request) {
  request.priority = static_cast<std::int32_t>(fields.integer("priority", {-1000, 1000}).value_or(0));
  const double most = limits.max_seconds > 0 ? limits.max_seconds : 86400;
  request.seconds = fields.number("timeout", {0.001, most}).value_or(limits.max_seconds);
  const json* own = fields.find("anabranch");
  if (own == nullptr) return;
  JsonFields branches(*own, "anabranch");
  const std::string mode = branches.text("mode").value_or("parallel");
  if (mode != "parallel" && mode != "serial")
    branches.wrong("mode", "\"parallel\", or \"serial\" for one branch after another");
  if (mode == "serial") request.options.max_parallel_branches = 1;
  request.show_events = branches.flag("events").value_or(true);
  request.reuse_prefix = branches.flag("reuse_prefix").value_or(true);
  branches.refuse_others();
}

void read_limits(JsonFields& fields, const ApiLimits& limits, ApiRequest& request) {
  const auto n = fields.integer("n", {1, limits.max_choices});
  request.n = static_cast<std::int32_t>(n.value_or(1));
  std::optional<std::int64_t> tokens;
  if (request.endpoint == Endpoint::chat) tokens = fields.integer("max_completion_tokens", {1, kMostTokens});
  if (const auto old = fields.integer("max_tokens", {1, kMostTokens}); !tokens) tokens = old;
  request.options.max_tokens =
      static_cast<std::int32_t>(std::min<std::int64_t>(tokens.value_or(limits.max_tokens), limits.max_positions));
  request.options.stop = read_stops(fields);
  request.options.logit_bias = read_bias(fields, limits.vocabulary);
}

json parse(std::string_view body) {
  json value = json::parse(body, nullptr, false);
  if (value.is_discarded()) throw ApiError(400, "the body is not JSON in UTF-8");
  return value;
}

}  // namespace

ApiRequest read_request(Endpoint endpoint, std::string_view body, const ApiLimits& limits) {
  const json value = parse(body);
  JsonFields fields(value, "");
  ApiRequest request;
  request.endpoint = endpoint;
  const auto model = fields.text("model");
  if (!model) fields.wrong("model", fmt::format("a string, such as \"{}\"", limits.model));
  if (*model != limits.model)
    throw ApiError(404, fmt::format("The model '{}' does not exist; this server has '{}'", shown(*model), limits.model),
                   "model", "model_not_found");
  read_limits(fields, limits, request);
  if (endpoint == Endpoint::chat)
    request.messages = read_messages(fields);
  else
    request.prompts = read_prompts(fields, limits);
  if (request.n_choices() > static_cast<std::size_t>(limits.max_choices))
    throw ApiError(400,
                   fmt::format("'prompt' and 'n' ask for {} answers; at most {} are given", request.n_choices(),
                               limits.max_choices),
                   "n");
  request.stream = fields.flag("stream").value_or(false);
  if (const json* options = fields.find("stream_options")) {
    if (!request.stream) fields.wrong("stream_options", "left out, or 'stream' true");
    JsonFields stream(*options, "stream_options");
    request.include_usage = stream.flag("include_usage").value_or(false);
    stream.pass_over("include_obfuscation");
    stream.refuse_others();
  }
  read_sampling(fields, request.options.sampling);
  read_log_probabilities(fields, request);
  refuse_what_is_not_offered(fields, endpoint);
  read_own_fields(fields, limits, request);
  for (const char* key :
       {"user", "metadata", "service_tier", "prompt_cache_key", "safety_identifier", "reasoning_effort", "verbosity"})
    fields.pass_over(key);
  fields.refuse_others();
  return request;
}

}  // namespace serve
