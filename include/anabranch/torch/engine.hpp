// Engine: one model that answers many requests at once, in a thread of its own: scheduler, decoder and runner put
// together.
//
//   Engine engine(model, {.generate = {.request = {.max_tokens = 300}}});
//   const Ticket ticket = engine.submit({.messages = {{"user", "What is a delta?"}}});   // from any thread
//   while (const std::optional<Event> event = engine.next_event(ticket)) show(*event);
//   engine.release(ticket);
//
// All requests share each pass (decode/scheduler.hpp), and begin with what is there of their prompts
// (cache/prefix_cache.hpp, RequestOptions::reuse_prefix). The texts are those that `generate` writes for each alone:
// with int8 weights, and where nothing was reused, bit for bit.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <anabranch/cache/prefix_source.hpp>
#include <anabranch/decode/generate_options.hpp>
#include <anabranch/decode/scheduler_front.hpp>
#include <anabranch/hf/chat_template.hpp>
#include <anabranch/torch/causal_lm.hpp>

namespace anabranch::torch {

struct EngineOptions {
  /// Markup, positions, branches, drafts, and what requests have of sampling and limits where they do not say. The
  /// callbacks, `stop`, `deadline`, `max_requests` and `n_pages` are not read.
  GenerateOptions generate = {};
  std::int32_t n_tokens = 32768;   ///< that the cache of all requests together holds
  std::int32_t max_open = 64;      ///< requests that are submitted and not over; `submit` refuses more
  SchedulerOptions schedule = {};  ///< how many run at once, and the time that a pass may take
};

/// A request: a chat, or, where there are no messages, a prompt.
struct EngineRequest {
  std::vector<hf::Message> messages = {};
  Prompt prompt = {};
  hf::RenderOptions render = {};  ///< of the messages
  RequestOptions options = {};    ///< what it leaves open is the engine's; `after` and `prefix` are not taken
  ScheduleOptions schedule = {};  ///< a deadline is a time of seconds_now (decode/scheduler_front.hpp)
};

/// A pass, for those who watch.
struct PassRecord {
  std::int64_t number = 0;  ///< from 1
  double seconds = 0;
  std::int32_t n_rows = 0;
  std::vector<RequestShare> requests;  ///< the rows of each request that had some
};

/// The engine's work now, and so far.
struct EngineState {
  SchedulerState scheduler;
  std::int32_t n_pages = 0, n_free_pages = 0, page_size = 0;
  std::int32_t n_kept_pages =
      0;  ///< that hold what prompts may begin with, those that requests share included; may be some passes old
  PrefixStatistics prefixes;
  std::int64_t n_passes = 0, n_rows = 0;
  double pass_seconds = 0;  ///< of all passes
};

class Engine {
 public:
  /// The runner shares the model's weights and has K/V tensors of its own; the model must outlive it. Throws as
  /// `generate`, and bad_argument.
  explicit Engine(const CausalLm& model, const EngineOptions& options = {});
  /// Ends what runs.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // All from any thread.

  /// kNoTicket: max_open requests are open. Throws bad_request and bad_argument for options and messages that make no
  /// sense, out_of_range for a prompt that leaves the model no position for an answer, and what ended the engine.
  Ticket submit(EngineRequest request);
  /// As those of SchedulerFront. They throw what ended the engine, when a pass has failed.
  std::optional<Event> next_event(Ticket ticket);
  std::optional<TicketEvent> next_event(std::span<const Ticket> tickets, std::chrono::steady_clock::time_point until);
  void cancel(Ticket ticket);
  void release(Ticket ticket);
  void release_closed(Ticket ticket, TokenId token);
  std::optional<StructuredPrompt> history(Ticket ticket) const;
  /// Ends all that is open as deadlines would.
  void finish_all();
  /// Requests that are not over.
  std::int32_t n_open() const;

  EngineState state() const;
  /// The passes behind number `after` that it still knows, at most 256, oldest first.
  std::vector<PassRecord> passes(std::int64_t after) const;
  const CausalLm& model() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace anabranch::torch
