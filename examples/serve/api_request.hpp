// ApiRequest: the body of a POST to /v1/chat/completions or /v1/completions, read and checked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <anabranch/decode/request.hpp>
#include <anabranch/hf/chat_template.hpp>
#include <anabranch/types.hpp>

namespace serve {

enum class Endpoint : std::uint8_t { chat, completions };

/// A prompt of /v1/completions: a text, or tokens.
struct Prompt {
  std::string text;
  std::vector<anabranch::TokenId> tokens;
};

/// What a request may ask for at most, and what holds when it does not say.
struct ApiLimits {
  std::string model = "default";   ///< the name that the model goes by
  std::int32_t vocabulary = 0;     ///< tokens that the model can write
  std::int32_t max_choices = 16;   ///< answers of one request
  std::int32_t max_tokens = 0;     ///< of an answer, when the request does not say
  std::int32_t max_positions = 0;  ///< of the model
  double max_seconds = 0;          ///< that an answer may take; 0: no limit
};

struct ApiRequest {
  Endpoint endpoint = Endpoint::chat;
  std::vector<anabranch::hf::Message> messages;  ///< chat
  std::vector<Prompt> prompts;                   ///< completions: each is answered n times
  std::int32_t n = 1;
  bool stream = false;
  bool include_usage = false;  ///< stream: one more chunk at the end
  bool show_events = true;     ///< stream: with the field `anabranch`
  bool log_probabilities = false;
  anabranch::RequestOptions options;  ///< stop strings, sampling and limits; the k-th answer adds k to its number
  std::int32_t priority = 0;
  double seconds = 0;  ///< after which the answer ends with what is written; 0: none
  bool reuse_prefix = true;

  std::size_t n_choices() const noexcept {
    return (endpoint == Endpoint::chat ? 1 : prompts.size()) * static_cast<std::size_t>(n);
  }
};

/// Throws ApiError: 400 for what is wrong or not offered, 404 for another model's name.
ApiRequest read_request(Endpoint endpoint, std::string_view body, const ApiLimits& limits);

}  // namespace serve
