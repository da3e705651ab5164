#include "reply.hpp"

#include <cmath>
#include <utility>

#include <fmt/format.h>

#include <anabranch/version.hpp>

namespace serve {
namespace {

namespace ab = anabranch;
using nlohmann::json;
using Kind = ab::Event::Kind;

const char* kind_name(Kind kind) {
  switch (kind) {
    case Kind::token: return "token";
    case Kind::fork: return "fork";
    case Kind::branch_end: return "branch_end";
    case Kind::join: return "join";
    case Kind::end: return "end";
  }
  return "";
}

const char* role_name(ab::markup::Role role) {
  switch (role) {
    case ab::markup::Role::text: return "text";
    case ab::markup::Role::title: return "title";
    default: return "tag";
  }
}

json statistics_json(const ab::Statistics& s) {
  return {{"passes", s.n_passes},          {"serial_passes", s.n_serial_passes()},
          {"prefill_passes", s.n_prefill}, {"text_tokens", s.n_text()},
          {"branch_tokens", s.n_branch},   {"blocks", s.n_blocks},
          {"branches", s.n_branches},      {"drafted", s.n_drafted},
          {"accepted", s.n_accepted}};
}

std::string frame(const json& value) { return "data: " + dump(value) + "\n\n"; }

/// A token that was forced was certain.
double log_probability_of(const ab::Event& event) {
  return std::isnan(event.log_probability) ? 0.0 : double{event.log_probability};
}

json bytes_of(const std::string& text) {
  json bytes = json::array();
  for (const char c : text) bytes.push_back(static_cast<unsigned char>(c));
  return bytes;
}

}  // namespace

std::string dump(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

json event_json(std::size_t choice, const ab::Event& event) {
  json result{{"choice", choice}, {"event", kind_name(event.kind)}, {"branch", event.branch}, {"pass", event.pass}};
  if (!event.text.empty()) result["text"] = event.text;
  switch (event.kind) {
    case Kind::token:
      result["role"] = role_name(event.role);
      result["forced"] = event.source == ab::Source::forced;
      break;
    case Kind::fork:
      result["first_branch"] = event.first_branch;
      result["titles"] = event.titles;
      if (event.titles.empty()) result["reason"] = ab::reason_name(event.reason);
      break;
    case Kind::join:
      result["first_branch"] = event.first_branch;
      result["n_branches"] = event.n_branches;
      break;
    case Kind::branch_end: result["reason"] = ab::reason_name(event.reason); break;
    case Kind::end:
      result["reason"] = ab::reason_name(event.reason);
      result["statistics"] = statistics_json(event.statistics);
      break;
  }
  return result;
}

Reply::Reply(const ApiRequest& request, ReplyContext context)
    : is_chat_(request.endpoint == Endpoint::chat),
      streams_(request.stream),
      shows_events_(request.stream && request.show_events),
      shows_log_probabilities_(request.log_probabilities),
      includes_usage_(request.include_usage),
      context_(std::move(context)),
      choices_(request.n_choices()) {}

/// The event as watchers see it; null: it has nothing to show.
json Reply::live_event(std::size_t index, const ab::Event& event) {
  if (event.kind == Kind::token && event.text.empty()) return nullptr;
  std::map<ab::BranchIndex, BranchLabel>& labels = choices_[index].labels;
  json result = event_json(index, event);
  BranchLabel& label = labels[event.branch];
  result["path"] = label.path;
  if (!label.title.empty()) result["title"] = label.title;
  if (event.kind == Kind::fork && !event.titles.empty()) {
    const json path = label.path;
    const std::int32_t block = label.n_blocks++;
    for (std::size_t k = 0; k < event.titles.size(); ++k) {
      BranchLabel& child = labels[event.first_branch + static_cast<ab::BranchIndex>(k)];
      child.path = path;
      child.path.push_back({block, k});
      child.title = event.titles[k];
    }
  }
  return result;
}

json Reply::envelope(bool is_chunk) const {
  const char* object = is_chat_ ? (is_chunk ? "chat.completion.chunk" : "chat.completion") : "text_completion";
  return {{"id", context_.id},
          {"object", object},
          {"created", context_.created},
          {"model", context_.model},
          {"system_fingerprint", fmt::format("anabranch-{}.{}.{}", ANABRANCH_VERSION_MAJOR, ANABRANCH_VERSION_MINOR,
                                             ANABRANCH_VERSION_PATCH)}};
}

json Reply::finish_reason(const Choice& choice) const {
  switch (choice.reason) {
    case ab::EndReason::none: return nullptr;
    case ab::EndReason::end_tag:
    case ab::EndReason::end_of_text:
    case ab::EndReason::finished:
    case ab::EndReason::stop: return "stop";
    default: return "length";
  }
}

/// `delta`: chat: the message's, completions: a text.
json Reply::chunk(std::size_t index, json delta) const {
  json result = envelope(true);
  json choice{{"index", index}, {"logprobs", nullptr}, {"finish_reason", nullptr}};
  choice[is_chat_ ? "delta" : "text"] = std::move(delta);
  result["choices"] = json::array({std::move(choice)});
  if (includes_usage_) result["usage"] = nullptr;
  return result;
}

/// The entry of a token among the choice's log-probabilities.
json Reply::log_probabilities_of(Choice& choice, const ab::Event& event) const {
  const std::string text = context_.text_of(event.token);
  json top = is_chat_ ? json::array() : json::object();
  for (const ab::TokenLogProbability& likely : event.top) {
    const std::string other = context_.text_of(likely.token);
    if (is_chat_)
      top.push_back({{"token", other}, {"logprob", likely.log_probability}, {"bytes", bytes_of(other)}});
    else
      top[other] = likely.log_probability;
  }
  if (is_chat_)
    return {{"token", text}, {"logprob", log_probability_of(event)}, {"bytes", bytes_of(text)}, {"top_logprobs", top}};
  const std::size_t offset = std::exchange(choice.text_offset, choice.text_offset + text.size());
  return {{"token", text}, {"logprob", log_probability_of(event)}, {"top", top}, {"offset", offset}};
}

namespace {

/// Entries as the field `logprobs` has them.
json shown_log_probabilities(bool is_chat, const json& entries) {
  if (is_chat) return {{"content", entries}, {"refusal", nullptr}};
  json result{{"tokens", json::array()},
              {"token_logprobs", json::array()},
              {"top_logprobs", json::array()},
              {"text_offset", json::array()}};
  for (const json& entry : entries) {
    result["tokens"].push_back(entry["token"]);
    result["token_logprobs"].push_back(entry["logprob"]);
    result["top_logprobs"].push_back(entry["top"]);
    result["text_offset"].push_back(entry["offset"]);
  }
  return result;
}

}  // namespace

std::string Reply::add(std::size_t index, ab::Event event) {
  Choice& choice = choices_[index];
  json live;
  if (shows_events_) live = live_event(index, event);
  if (event.kind == Kind::end) {
    ++n_over_;
    choice.reason = event.reason;
    choice.statistics = event.statistics;
  }
  std::string text;
  json entries = json::array();
  choice.order.add(std::move(event), [&](const ab::Event& next) {
    text += next.text;
    if (shows_log_probabilities_ && next.kind == Kind::token && next.role == ab::markup::Role::text)
      entries.push_back(log_probabilities_of(choice, next));
  });
  choice.text += text;
  if (!streams_) {
    for (json& entry : entries) choice.log_probabilities.push_back(std::move(entry));
    return {};
  }
  const bool is_over = choice.reason != ab::EndReason::none;
  if (text.empty() && entries.empty() && !is_over && live.is_null()) return {};
  json delta = is_chat_ ? (text.empty() ? json::object() : json{{"content", text}}) : json(text);
  json result = chunk(index, std::move(delta));
  if (!entries.empty()) result["choices"][0]["logprobs"] = shown_log_probabilities(is_chat_, entries);
  result["choices"][0]["finish_reason"] = finish_reason(choice);
  if (!live.is_null()) result["anabranch"] = std::move(live);
  return frame(result);
}

std::string Reply::begin() const {
  if (!is_chat_) return {};
  std::string result;
  for (std::size_t i = 0; i < choices_.size(); ++i) result += frame(chunk(i, {{"role", "assistant"}, {"content", ""}}));
  return result;
}

json Reply::usage() const {
  std::int64_t n_prompt = 0, n_written = 0, n_kept = 0, n_passes = 0, n_serial = 0, n_drafted = 0, n_accepted = 0;
  for (const Choice& choice : choices_) {
    const ab::Statistics& s = choice.statistics;
    n_prompt += s.n_prompt;
    n_kept += s.n_reused;
    n_written += s.n_serial + s.n_branch + s.n_title + s.n_tag;
    n_passes += s.n_passes;
    n_serial += s.n_serial_passes();
    n_drafted += s.n_drafted;
    n_accepted += s.n_accepted;
  }
  const double speedup = n_passes > 0 ? static_cast<double>(n_serial) / static_cast<double>(n_passes) : 1.0;
  return {{"prompt_tokens", n_prompt},
          {"completion_tokens", n_written},
          {"total_tokens", n_prompt + n_written},
          {"prompt_tokens_details", {{"cached_tokens", n_kept}}},
          {"anabranch",
           {{"passes", n_passes},
            {"serial_passes", n_serial},
            {"speedup", std::round(speedup * 100) / 100},
            {"drafted", n_drafted},
            {"accepted", n_accepted}}}};
}

std::string Reply::end() const {
  std::string result;
  if (includes_usage_) {
    json last = envelope(true);
    last["choices"] = json::array();
    last["usage"] = usage();
    result += frame(last);
  }
  return result + "data: [DONE]\n\n";
}

std::string Reply::broken(const std::string& error_body) { return "data: " + error_body + "\n\ndata: [DONE]\n\n"; }

std::string Reply::document() const {
  json result = envelope(false);
  result["choices"] = json::array();
  for (std::size_t i = 0; i < choices_.size(); ++i) {
    const Choice& choice = choices_[i];
    json shown{{"index", i}, {"finish_reason", finish_reason(choice)}, {"logprobs", nullptr}};
    if (is_chat_)
      shown["message"] = {{"role", "assistant"}, {"content", choice.text}, {"refusal", nullptr}};
    else
      shown["text"] = choice.text;
    if (shows_log_probabilities_) shown["logprobs"] = shown_log_probabilities(is_chat_, choice.log_probabilities);
    shown["anabranch"] = {{"reason", ab::reason_name(choice.reason)},
                          {"statistics", statistics_json(choice.statistics)}};
    result["choices"].push_back(std::move(shown));
  }
  result["usage"] = usage();
  return dump(result);
}

}  // namespace serve
