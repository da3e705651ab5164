#include "session.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <anabranch/error.hpp>

#include "api_error.hpp"
#include "log.hpp"

namespace serve {
namespace {

namespace ab = anabranch;

constexpr std::chrono::milliseconds kLook{200};  // how long a client that has gone may stay unnoticed
constexpr std::chrono::seconds kSilence{10};     // then a stream sends a comment, for proxies that close quiet ones

double seconds_between(std::chrono::steady_clock::time_point from, std::chrono::steady_clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

/// The engine's refusal of a request, as the client is told.
ApiError refusal(const ab::Error& error) {
  switch (error.status()) {
    case ab::Status::out_of_range:
    case ab::Status::no_room: return {400, error.what(), "", "context_length_exceeded"};
    case ab::Status::limit_reached: return {429, error.what()};
    case ab::Status::bad_argument:
    case ab::Status::bad_request:
    case ab::Status::unsupported: return {400, error.what()};
    default: return {500, error.what()};
  }
}

/// The prompt of a chat that begins with an earlier one. None: the template writes that in another way now, or what was
/// decoded, which is longer than its text, leaves no position for an answer.
std::optional<ab::StructuredPrompt> prompt_behind(const Conversation& earlier, const ab::torch::CausalLm& model,
                                                  std::span<const ab::hf::Message> messages,
                                                  const ab::hf::RenderOptions& render) {
  const ab::hf::ModelText& text = model.text();
  const std::optional<ab::hf::NextTurn> next = ab::hf::encode_next_turn(
      text.tokenizer, text.chat, messages, earlier.messages.size() - 1, render, earlier.render);
  if (!next) return {};
  ab::StructuredPrompt prompt = earlier.history;
  prompt.append({next->closing});
  prompt.append(next->rest);
  if (prompt.next_position() >= model.config().max_positions) return {};
  return prompt;
}

}  // namespace

Session::Session(const Services& services, ApiRequest request, ReplyContext context)
    : engine_(services.engine),
      metrics_(services.metrics),
      conversations_(services.conversations),
      request_(std::move(request)),
      reply_(request_, context),
      id_(context.id) {
  render_.now = context.created;
  try {
    submit();
  } catch (...) {
    for (const ab::Ticket ticket : tickets_) engine_.release(ticket);
    throw;
  }
}

Session::~Session() { end("disconnected"); }

void Session::submit() {
  try {
    const std::optional<ab::StructuredPrompt> continued = continued_prompt();
    for (std::size_t i = 0; i < request_.n_choices(); ++i) {
      ab::torch::EngineRequest next;
      if (request_.endpoint == Endpoint::completions) {
        const Prompt& prompt = request_.prompts[i / static_cast<std::size_t>(request_.n)];
        next.prompt = prompt.tokens.empty() ? engine_.model().text().tokenizer.encode(prompt.text) : prompt.tokens;
      } else if (continued) {
        next.prompt = *continued;
      } else {
        next.messages = request_.messages;
        next.render = render_;
      }
      next.options = request_.options;
      next.options.reuse_prefix = request_.reuse_prefix;
      next.options.sampling.number = i;
      next.schedule.priority = request_.priority;
      if (request_.seconds > 0) next.schedule.deadline = ab::seconds_now() + request_.seconds;
      const ab::Ticket ticket = engine_.submit(std::move(next));
      if (ticket == ab::kNoTicket)
        throw ApiError(429, "too many requests are open here; try again in a moment", "", "rate_limit_exceeded");
      tickets_.push_back(ticket);
    }
  } catch (const ab::Error& error) {
    throw refusal(error);
  }
}

/// The prompt of a chat's next turn, behind its last answer as that was decoded. None: the chat is encoded as a whole.
std::optional<ab::StructuredPrompt> Session::continued_prompt() {
  const auto is_answer = [](const ab::hf::Message& message) { return message.role == "assistant"; };
  if (!request_.reuse_prefix || std::none_of(request_.messages.begin(), request_.messages.end(), is_answer)) return {};
  std::optional<ab::StructuredPrompt> prompt;
  if (const std::shared_ptr<const Conversation> earlier = conversations_.find(request_.messages))
    prompt = prompt_behind(*earlier, engine_.model(), request_.messages, render_);
  metrics_.count_next_turn(prompt ? TurnStart::answer : TurnStart::messages);
  return prompt;
}

/// Keeps an answer that is over for the chat's next turn, unless the client has not all of it: a stop string was cut.
void Session::remember(std::size_t index) {
  const Choice& choice = reply_.choice(index);
  const bool is_whole = choice.reason != ab::EndReason::stop;
  if (request_.endpoint != Endpoint::chat || !request_.reuse_prefix || !is_whole) return;
  std::optional<ab::StructuredPrompt> history = engine_.history(tickets_[index]);
  if (!history) return;
  Conversation conversation{request_.messages, render_, std::move(*history)};
  conversation.messages.push_back({"assistant", choice.text});
  if (choice.reason == ab::EndReason::limit || choice.reason == ab::EndReason::cancelled)
    note_closing(conversation, index);
  conversations_.add(std::move(conversation));
}

/// What ends of branches and joins an answer was cut short of is in the cache before the next turn needs it.
void Session::note_closing(const Conversation& conversation, std::size_t index) {
  std::vector<ab::hf::Message> messages = conversation.messages;
  messages.push_back({"user", "."});
  const ab::hf::ModelText& text = engine_.model().text();
  if (const std::optional<ab::hf::NextTurn> next =
          ab::hf::encode_next_turn(text.tokenizer, text.chat, messages, messages.size() - 2, render_))
    closing_[index] = next->closing;
}

void Session::measure(const ab::Event& event) {
  const Clock::time_point now = Clock::now();
  if (event.kind != ab::Event::Kind::token || event.source != ab::Source::sampled) return;
  metrics_.count_token();
  if (!first_text_) {
    first_text_ = now;
    metrics_.add_first_token(seconds_between(begin_, now));
  } else if (last_pass_ && now - *last_pass_ > std::chrono::microseconds(200)) {
    metrics_.add_between_tokens(seconds_between(*last_pass_, now));
  }
  last_pass_ = now;
}

std::string Session::take(ab::TicketEvent event) {
  measure(event.event);
  const bool is_last = event.event.kind == ab::Event::Kind::end;
  std::string bytes = reply_.add(event.index, std::move(event.event));
  if (is_last) remember(event.index);  // before the client has all of it, and can go on
  return bytes;
}

/// What the events that are there send; waits for the first of them.
std::string Session::next_events(Clock::time_point until) {
  std::string bytes;
  for (auto event = engine_.next_event(tickets_, until); event; event = engine_.next_event(tickets_, Clock::now())) {
    bytes += take(std::move(*event));
    if (reply_.is_complete()) break;
  }
  return bytes;
}

void Session::wait_for_begin() {
  try {
    while (true)
      if (auto event = engine_.next_event(tickets_, Clock::now() + std::chrono::seconds(1))) {
        take(std::move(*event));
        return;
      }
  } catch (const ab::Error& error) {
    throw refusal(error);
  }
}

bool Session::send_stream(const Wire& wire) {
  if (!wire.write(reply_.begin())) return false;
  Clock::time_point last = Clock::now();
  while (!reply_.is_complete()) {
    std::string bytes;
    try {
      bytes = next_events(Clock::now() + kLook);
    } catch (const ab::Error& error) {
      return wire.write(Reply::broken(refusal(error).body()));
    }
    if (bytes.empty() && Clock::now() - last > kSilence) bytes = ": still at work\n\n";
    if (bytes.empty() ? !wire.is_open() : !wire.write(bytes)) return false;
    if (!bytes.empty()) last = Clock::now();
  }
  return wire.write(reply_.end());
}

bool Session::send_document(const Wire& wire) {
  while (!reply_.is_complete()) {
    try {
      next_events(Clock::now() + kLook);
    } catch (const ab::Error& error) {
      return wire.write(refusal(error).body());
    }
    if (!wire.is_open()) return false;
  }
  return wire.write(reply_.document());
}

bool Session::send(const Wire& wire) {
  const bool is_sent = request_.stream ? send_stream(wire) : send_document(wire);
  if (!is_sent) metrics_.count_disconnect();
  end(is_sent ? "answered" : "disconnected");
  return is_sent;
}

void Session::end(const char* outcome) {
  if (std::exchange(is_ended_, true)) return;
  for (std::size_t i = 0; i < tickets_.size(); ++i) {
    const auto closing = closing_.find(i);
    closing == closing_.end() ? engine_.release(tickets_[i]) : engine_.release_closed(tickets_[i], closing->second);
  }
  const Clock::time_point now = Clock::now();
  metrics_.add_whole(seconds_between(begin_, now));
  nlohmann::json fields{
      {"request", id_}, {"outcome", outcome}, {"answers", tickets_.size()}, {"seconds", seconds_between(begin_, now)}};
  if (first_text_) fields["first_token_seconds"] = seconds_between(begin_, *first_text_);
  fields["usage"] = reply_.usage();
  log("request", std::move(fields));
}

}  // namespace serve
