// Reply: what a client gets for its request, in the form of OpenAI's API: one JSON document, or a stream of chunks.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <anabranch/decode/events.hpp>

#include "api_request.hpp"
#include "reading_order.hpp"

namespace serve {

/// What a reply needs to know beside the events.
struct ReplyContext {
  std::string id;                 ///< of the reply
  std::string model = "default";  ///< its name
  std::int64_t created = 0;       ///< seconds since 1970
  /// The text of one token; may end or begin inside a character.
  std::function<std::string(anabranch::TokenId)> text_of;
};

/// What stands beside the events of a branch.
struct BranchLabel {
  nlohmann::json path = nlohmann::json::array();  ///< [[block, branch of the block], ...] from the trunk, from 0
  std::string title;
  std::int32_t n_blocks = 0;  ///< that it has forked into so far
};

/// One answer of the reply, as far as it is written.
struct Choice {
  ReadingOrder order;
  std::map<anabranch::BranchIndex, BranchLabel> labels;
  std::string text;
  nlohmann::json log_probabilities = nlohmann::json::array();  ///< of its tokens, as the endpoint shows them
  std::size_t text_offset = 0;                                 ///< completions: bytes of text before the next token
  anabranch::EndReason reason = anabranch::EndReason::none;
  anabranch::Statistics statistics;
};

class Reply {
 public:
  Reply(const ApiRequest& request, ReplyContext context);

  /// Takes an event of choice `index`. What a stream sends for it, as server-sent events; empty: nothing, or no stream.
  std::string add(std::size_t index, anabranch::Event event);
  bool is_complete() const noexcept { return n_over_ == choices_.size(); }
  Choice& choice(std::size_t index) { return choices_[index]; }
  /// What a stream begins with.
  std::string begin() const;
  /// What a stream ends with: usage where it was asked for, and [DONE].
  std::string end() const;
  /// A mistake in the midst of a stream.
  static std::string broken(const std::string& error_body);
  /// Without a stream: the whole of it.
  std::string document() const;
  nlohmann::json usage() const;

 private:
  nlohmann::json envelope(bool is_chunk) const;
  nlohmann::json chunk(std::size_t index, nlohmann::json delta) const;
  nlohmann::json live_event(std::size_t index, const anabranch::Event& event);
  nlohmann::json log_probabilities_of(Choice& choice, const anabranch::Event& event) const;
  nlohmann::json finish_reason(const Choice& choice) const;

  bool is_chat_;
  bool streams_;
  bool shows_events_;
  bool shows_log_probabilities_;
  bool includes_usage_;
  ReplyContext context_;
  std::vector<Choice> choices_;
  std::size_t n_over_ = 0;
};

/// An event as the field `anabranch` shows it.
nlohmann::json event_json(std::size_t choice, const anabranch::Event& event);

/// A JSON value as text; bytes that are no UTF-8 are replaced.
std::string dump(const nlohmann::json& value);

}  // namespace serve
