// SchedulerFront: a Scheduler for hosts with threads. Any thread submits, cancels and waits for events; one thread, the
// loop, runs the passes.
//
//   SchedulerFront front{scheduler, 1000};
//   std::thread loop([&] { front.run(model); });                            // until front.close()
//   const Ticket ticket = front.submit(prompt, options, {.priority = 1});   // in any thread; kNoTicket: come again
//   later while (const std::optional<Event> event = front.next_event(ticket)) show(*event); front.release(ticket);
//
// The scheduler, its decoder and its cache are the loop's alone: calls of other threads are noted and done between two
// passes. Events lie in a queue for each ticket until they are taken.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <anabranch/decode/scheduler.hpp>

namespace anabranch {

/// Names a request of a front; never used again.
enum class Ticket : std::uint64_t {};
inline constexpr Ticket kNoTicket{0};

/// An event, and which of the tickets that were asked for it is of.
struct TicketEvent {
  std::size_t index = 0;
  Event event;
};

/// Seconds of the clock that deadlines of a front are told in.
inline double seconds_now() noexcept {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

enum class PassOutcome : std::uint8_t {
  ran,      ///< a pass was run
  no_work,  ///< nothing is to be done until something is submitted
  no_room,  ///< pages that are no request's are missing: the loop has to release some
};

/// `S` is a Scheduler, which must outlive the front and be used by nobody else.
template <class S>
class SchedulerFront {
 public:
  /// At most `max_open` requests are submitted and not over at one time.
  explicit SchedulerFront(S& scheduler, std::int32_t max_open = kUnlimited)
      : scheduler_(&scheduler), max_open_(max_open) {
    impl::check_count(max_open, 1, "max_open");
  }

  // From any thread.

  /// kNoTicket: too many are open, or the front is closed. What the decoder refuses, next_event throws.
  /// `options.after` is the request that events of an earlier ticket name. A deadline is a time of `seconds_now`.
  Ticket submit(Prompt prompt, RequestOptions options = {}, const ScheduleOptions& schedule = {});
  /// Ends a request: its last event is on its way. Nothing happens to one that is over. Throws stale_request.
  void cancel(Ticket ticket) { call(ticket, Command::Kind::cancel); }
  /// Ends a request as its deadline would: branches are closed, and its history is kept. Throws stale_request.
  void finish(Ticket ticket) { call(ticket, Command::Kind::finish); }
  /// Forgets a request, its events and its history; cancels it first when it runs. Throws stale_request.
  void release(Ticket ticket);
  /// Releases a request that is over and leaves all of its history to the prefix cache, so that a next turn computes
  /// none of it again: passes feed what the answer had left to feed (ends of branches that a limit had cut, the join),
  /// and `token`, which a next turn begins with. Nothing more than `release` when there are no pages for it. Throws
  /// stale_request.
  void release_closed(Ticket ticket, TokenId token);
  /// Waits for the next event of a request. None: it is over, and all were taken; or the front is closed. Throws
  /// stale_request, and what was wrong with the request. One thread at a time for each ticket; a pass wakes only those
  /// that wait for what it has written.
  std::optional<Event> next_event(Ticket ticket);
  /// Waits until one of several requests has an event, but no longer than `until`. None: nothing came, or all are over.
  std::optional<TicketEvent> next_event(std::span<const Ticket> tickets, std::chrono::steady_clock::time_point until);
  /// Decoder::history of a request that is over, there with its last event: the next turn begins with it. None: it is
  /// not over, or has none (it began with a prefix, or was cancelled inside a block). Throws stale_request.
  std::optional<StructuredPrompt> history(Ticket ticket);
  /// Requests that are not over.
  std::int32_t n_open() const {
    const Lock lock(mutex_);
    return n_open_;
  }
  /// No more requests are taken, `run` returns after the pass that it runs, and nobody waits any more.
  void close();

  // From the loop's thread.

  /// Runs passes until the front is closed; waits while there is nothing to do. Throws no_room when pages that are no
  /// request's are missing, and what model and decoder throw; it may be called again.
  template <Model M>
  void run(M& model);
  /// Waits until something was asked for, or the front is closed.
  void wait_for_work();
  bool is_closed() const {
    const Lock lock(mutex_);
    return is_closed_;
  }
  /// Does what other threads asked for, then runs one pass, if there is work. `committed()` is called before anybody
  /// gets the pass's events, and must not throw. Throws what model and decoder throw.
  template <Model M, class Committed>
  PassOutcome run_pass(M&& model, Committed&& committed);
  template <Model M>
  PassOutcome run_pass(M&& model) {
    return run_pass(model, [] {});
  }

 private:
  using Lock = std::unique_lock<std::mutex>;
  /// A wish of a thread.
  struct Command {
    enum class Kind : std::uint8_t { submit, cancel, finish, release, release_closed };
    Kind kind = Kind::submit;
    Ticket ticket = kNoTicket;
    Prompt prompt;
    RequestOptions options;
    ScheduleOptions schedule;
  };
  struct Mailbox {
    RequestId request = kNoRequest;
    std::deque<Event> events;
    std::optional<Error> refusal;
    std::optional<StructuredPrompt> history;
    bool is_over = false;
    std::condition_variable* waiter = nullptr;  ///< of the thread that waits for the ticket's events, if one does
    void notify() noexcept {
      if (waiter != nullptr) waiter->notify_one();
    }
  };
  Mailbox& find(Ticket ticket) {
    const auto found = mailboxes_.find(ticket);
    if (found == mailboxes_.end())
      fail(Status::stale_request, "ticket ", static_cast<std::uint64_t>(ticket),
           " was released, or is no ticket of this front");
    return found->second;
  }
  void call(Ticket ticket, typename Command::Kind kind);
  void do_commands();
  void obey(Command& command);
  void submit(Command& command);
  void submit_closing(RequestId request, const std::vector<TokenId>& tokens);
  std::optional<TicketEvent> take_event(std::span<const Ticket> tickets, bool& is_over);
  template <class Wait>
  std::optional<TicketEvent> wait_for_event(std::span<const Ticket> tickets, Wait&& wait);
  std::optional<StructuredPrompt> history_of(RequestId request) const;
  void end(Mailbox& mailbox) noexcept;
  void deliver(std::span<const Event> events);
  void put_into_mailboxes(std::span<const Event> events);

  S* scheduler_;
  const std::int32_t max_open_;
  mutable std::mutex mutex_;             // of all that follows
  std::condition_variable has_command_;  // or it is closed
  std::deque<Command> commands_;
  std::map<Ticket, Mailbox> mailboxes_;
  std::map<RequestId, Ticket> tickets_;  // of requests that are not released
  std::vector<RequestId> closing_;       // of the loop's thread: released when they are over
  std::uint64_t last_ticket_ = 0;
  std::int32_t n_open_ = 0;
  bool is_closed_ = false;
};

}  // namespace anabranch

#include <anabranch/decode/impl/scheduler_front.hpp>
