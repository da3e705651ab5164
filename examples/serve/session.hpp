// Session: one request of a client, from the engine's events to the bytes that it gets.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <anabranch/torch/engine.hpp>

#include "api_request.hpp"
#include "conversations.hpp"
#include "metrics.hpp"
#include "reply.hpp"

namespace serve {

/// Where a session's bytes go.
struct Wire {
  std::function<bool(const std::string&)> write;  ///< false: the client has gone
  std::function<bool()> is_open;
};

/// What all sessions use.
struct Services {
  anabranch::torch::Engine& engine;
  Metrics& metrics;
  Conversations& conversations;
};

class Session {
 public:
  /// Submits the request's answers, all or none. Throws ApiError: 429 when the engine is full, 400 for what it refuses.
  Session(const Services& services, ApiRequest request, ReplyContext context);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  /// Cancels what is not over.
  ~Session();

  /// Waits for the first event of a request without stream, so that what the engine refuses has a status of its own.
  void wait_for_begin();
  /// Sends the answers; false when the client has gone before they were complete.
  bool send(const Wire& wire);

 private:
  using Clock = std::chrono::steady_clock;

  void submit();
  std::optional<anabranch::StructuredPrompt> continued_prompt();
  void remember(std::size_t index);
  void note_closing(const Conversation& conversation, std::size_t index);
  std::string next_events(Clock::time_point until);
  std::string take(anabranch::TicketEvent event);
  void measure(const anabranch::Event& event);
  bool send_stream(const Wire& wire);
  bool send_document(const Wire& wire);
  void end(const char* outcome);

  anabranch::torch::Engine& engine_;
  Metrics& metrics_;
  Conversations& conversations_;
  const ApiRequest request_;
  anabranch::hf::RenderOptions render_;  // of the request's messages
  Reply reply_;
  std::string id_;
  Clock::time_point begin_ = Clock::now();
  std::vector<anabranch::Ticket> tickets_;
  std::map<std::size_t, anabranch::TokenId> closing_;  // of answers that a limit cut: what ends them in the next turn
  std::optional<Clock::time_point> first_text_, last_pass_;
  bool is_ended_ = false;
};

}  // namespace serve
