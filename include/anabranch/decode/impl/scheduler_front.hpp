// SchedulerFront: bodies.
#pragma once

#include <algorithm>

#include <anabranch/decode/scheduler_front.hpp>

namespace anabranch {

template <class S>
Ticket SchedulerFront<S>::submit(Prompt prompt, RequestOptions options, const ScheduleOptions& schedule) {
  const Lock lock(mutex_);
  if (is_closed_ || n_open_ >= max_open_) return kNoTicket;
  const Ticket ticket{last_ticket_ + 1};
  commands_.push_back({Command::Kind::submit, ticket, std::move(prompt), std::move(options), schedule});
  try {
    mailboxes_[ticket];
  } catch (...) {
    commands_.pop_back();
    throw;
  }
  ++last_ticket_;
  ++n_open_;
  has_command_.notify_all();
  return ticket;
}

template <class S>
void SchedulerFront<S>::call(Ticket ticket, typename Command::Kind kind) {
  const Lock lock(mutex_);
  find(ticket);
  commands_.push_back({kind, ticket, {}, {}, {}});
  has_command_.notify_all();
}

template <class S>
void SchedulerFront<S>::release(Ticket ticket) {
  call(ticket, Command::Kind::release);
}

template <class S>
void SchedulerFront<S>::release_closed(Ticket ticket, TokenId token) {
  const Lock lock(mutex_);
  find(ticket);
  commands_.push_back({Command::Kind::release_closed, ticket, std::vector<TokenId>{token}, {}, {}});
  has_command_.notify_all();
}

template <class S>
std::optional<StructuredPrompt> SchedulerFront<S>::history(Ticket ticket) {
  const Lock lock(mutex_);
  return find(ticket).history;
}

/// The first event that lies there. `is_over`: none will come any more.
template <class S>
std::optional<TicketEvent> SchedulerFront<S>::take_event(std::span<const Ticket> tickets, bool& is_over) {
  is_over = true;
  for (std::size_t i = 0; i < tickets.size(); ++i) {
    Mailbox& mailbox = find(tickets[i]);
    if (mailbox.refusal) throw Error(*mailbox.refusal);
    is_over = is_over && mailbox.is_over;
    if (mailbox.events.empty()) continue;
    TicketEvent event{i, std::move(mailbox.events.front())};
    mailbox.events.pop_front();
    return event;
  }
  return {};
}

/// `wait(condition, lock)` waits for a change of the tickets' mailboxes; false: no longer.
template <class S>
template <class Wait>
std::optional<TicketEvent> SchedulerFront<S>::wait_for_event(std::span<const Ticket> tickets, Wait&& wait) {
  Lock lock(mutex_);
  std::condition_variable changed;
  const auto set_waiter = [&](std::condition_variable* waiter) noexcept {
    for (const Ticket ticket : tickets)
      if (const auto found = mailboxes_.find(ticket); found != mailboxes_.end()) found->second.waiter = waiter;
  };
  while (true) {
    bool is_over = false;
    std::optional<TicketEvent> event = take_event(tickets, is_over);
    if (event || is_over || is_closed_) return event;
    set_waiter(&changed);
    const bool goes_on = wait(changed, lock);
    set_waiter(nullptr);
    if (!goes_on) return {};
  }
}

template <class S>
std::optional<Event> SchedulerFront<S>::next_event(Ticket ticket) {
  std::optional<TicketEvent> event =
      wait_for_event(std::span(&ticket, 1), [](std::condition_variable& changed, Lock& lock) {
        changed.wait(lock);
        return true;
      });
  if (!event) return {};
  return std::move(event->event);
}

template <class S>
std::optional<TicketEvent> SchedulerFront<S>::next_event(std::span<const Ticket> tickets,
                                                         std::chrono::steady_clock::time_point until) {
  return wait_for_event(tickets, [&](std::condition_variable& changed, Lock& lock) {
    if (std::chrono::steady_clock::now() >= until) return false;
    changed.wait_until(lock, until);
    return true;
  });
}

template <class S>
void SchedulerFront<S>::close() {
  const Lock lock(mutex_);
  is_closed_ = true;
  has_command_.notify_all();
  for (auto& [ticket, mailbox] : mailboxes_) mailbox.notify();
}

template <class S>
template <Model M>
void SchedulerFront<S>::run(M& model) {
  while (true) {
    const PassOutcome outcome = run_pass(model);
    if (outcome == PassOutcome::no_room)
      fail(Status::no_room,
           "the requests are short of pages, and none of them has any to give: release what else is in the cache");
    if (outcome == PassOutcome::no_work) wait_for_work();
    if (is_closed()) return;
  }
}

template <class S>
void SchedulerFront<S>::wait_for_work() {
  Lock lock(mutex_);
  has_command_.wait(lock, [&] { return is_closed_ || !commands_.empty(); });
}

template <class S>
template <Model M, class Committed>
PassOutcome SchedulerFront<S>::run_pass(M&& model, Committed&& committed) {
  do_commands();
  const DecoderPlan plan = scheduler_->plan(seconds_now());
  deliver(scheduler_->take_events());
  if (!plan) return plan.shortage().n_pages > 0 ? PassOutcome::no_room : PassOutcome::no_work;
  try {
    const LogitsView logits = model(*plan);  // in a statement of its own: the time behind it is what the pass cost
    const std::span<const Event> events = scheduler_->commit(logits, seconds_now());
    committed();
    deliver(events);
  } catch (...) {
    scheduler_->abort();
    throw;
  }
  return PassOutcome::ran;
}

/// Without the lock while the scheduler works, so that nobody waits for it.
template <class S>
void SchedulerFront<S>::do_commands() {
  std::deque<Command> commands;
  {
    const Lock lock(mutex_);
    commands.swap(commands_);
  }
  for (Command& command : commands) obey(command);
  deliver(scheduler_->take_events());
}

template <class S>
void SchedulerFront<S>::obey(Command& command) {
  if (command.kind == Command::Kind::submit) return submit(command);
  RequestId request = kNoRequest;
  {
    const Lock lock(mutex_);
    const auto found = mailboxes_.find(command.ticket);
    if (found == mailboxes_.end()) return;
    request = found->second.request;
    if (command.kind == Command::Kind::release || command.kind == Command::Kind::release_closed) {
      end(found->second);
      found->second.notify();
      tickets_.erase(request);
      mailboxes_.erase(found);
    }
  }
  if (request == kNoRequest) return;  // it was refused
  switch (command.kind) {
    case Command::Kind::cancel: return scheduler_->cancel(request);
    case Command::Kind::finish: try { return scheduler_->finish(request);
      } catch (...) {
        return scheduler_->cancel(request);  // a markup that fails costs it the history, not the others
      }
    case Command::Kind::release_closed: submit_closing(request, std::get<std::vector<TokenId>>(command.prompt)); break;
    default: break;
  }
  scheduler_->release(request);
}

template <class S>
void SchedulerFront<S>::submit_closing(RequestId request, const std::vector<TokenId>& tokens) {
  const auto& decoder = scheduler_->decoder();
  if (decoder.reason(request) == EndReason::none || decoder.n_pages(request) == 0) return;
  try {
    impl::reserve_more(closing_, 1);
    const RequestId closing = scheduler_->submit(tokens, {.after = request, .prefill_only = true});
    if (closing != kNoRequest) closing_.push_back(closing);
  } catch (const Error&) {  // it has no history, or no position for another token
  }
}

template <class S>
void SchedulerFront<S>::submit(Command& command) {
  RequestId request = kNoRequest;
  std::optional<Error> refusal;
  try {
    request =
        std::visit([&](const auto& prompt) { return scheduler_->submit(prompt, command.options, command.schedule); },
                   command.prompt);
    if (request == kNoRequest) refusal = Error(Status::limit_reached, "the scheduler's queue is full");
  } catch (const Error& error) {
    refusal = error;
  }
  const Lock lock(mutex_);
  Mailbox& mailbox = mailboxes_[command.ticket];
  mailbox.request = request;
  mailbox.refusal = std::move(refusal);
  if (request != kNoRequest) {
    tickets_[request] = command.ticket;
    return;
  }
  end(mailbox);
  mailbox.notify();
}

template <class S>
void SchedulerFront<S>::end(Mailbox& mailbox) noexcept {
  if (!mailbox.is_over) --n_open_;
  mailbox.is_over = true;
}

template <class S>
std::optional<StructuredPrompt> SchedulerFront<S>::history_of(RequestId request) const {
  try {
    return scheduler_->decoder().history(request);
  } catch (const Error&) {
    return {};  // it has none
  }
}

template <class S>
void SchedulerFront<S>::deliver(std::span<const Event> events) {
  if (events.empty()) return;
  put_into_mailboxes(events);
  std::vector<RequestId> closed;
  for (const Event& event : events)
    if (event.kind == Event::Kind::end && std::erase(closing_, event.request) > 0) closed.push_back(event.request);
  for (const RequestId request : closed) scheduler_->release(request);
}

template <class S>
void SchedulerFront<S>::put_into_mailboxes(std::span<const Event> events) {
  const Lock lock(mutex_);
  for (const Event& event : events) {
    const auto found = tickets_.find(event.request);
    if (found == tickets_.end()) continue;
    Mailbox& mailbox = mailboxes_[found->second];
    mailbox.events.push_back(event);
    mailbox.notify();
    if (event.kind != Event::Kind::end) continue;
    mailbox.history = history_of(event.request);
    end(mailbox);
  }
}

}  // namespace anabranch
