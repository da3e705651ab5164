#include <anabranch/hf/chat_template.hpp>

#include <optional>

#include "json_file.hpp"

namespace anabranch::hf {
namespace {

using impl::Json;
using impl::JsonObject;

constexpr std::string_view kTurn = "<|im_start|>", kTurnEnd = "<|im_end|>";

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

// A template file is Jinja, where a newline in a string is either "\n" or itself.
std::string with_newlines(std::string_view jinja) {
  std::string text;
  for (std::size_t i = 0; i < jinja.size(); ++i) {
    const bool escaped = jinja[i] == '\\' && i + 1 < jinja.size() && jinja[i + 1] == 'n';
    text.push_back(escaped ? '\n' : jinja[i]);
    if (escaped) ++i;
  }
  return text;
}

// The text that a ChatML template writes between the start and the end of a system turn, where it is one literal.
std::string literal_system(std::string_view text) {
  constexpr std::string_view kStart = "<|im_start|>system\n";
  for (std::size_t at = 0; (at = text.find(kStart, at)) != std::string_view::npos;) {
    at += kStart.size();
    const std::size_t end = text.find(kTurnEnd, at);
    if (end == std::string_view::npos) break;
    const std::string_view between = text.substr(at, end - at);
    if (!contains(between, "'") && !contains(between, "\"") && !contains(between, "{{")) return std::string(between);
  }
  return {};
}

// Jinja's trim and Python's strip of ASCII and Unicode white space; only the former occurs at the ends of messages.
std::string_view trimmed(std::string_view text, std::string_view what = " \t\n\r\f\v\x1c\x1d\x1e\x1f") {
  const std::size_t begin = text.find_first_not_of(what);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(what) + 1 - begin);
}

std::string_view without_leading_newlines(std::string_view text) {
  const std::size_t begin = text.find_first_not_of('\n');
  return begin == std::string_view::npos ? std::string_view() : text.substr(begin);
}

void check_messages(std::span<const Message> messages) {
  if (messages.empty()) fail(Status::bad_argument, "messages: expected at least one, found none");
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const std::string& role = messages[i].role;
    if (role != "system" && role != "user" && role != "assistant")
      fail(Status::bad_argument, "message ", i, ": expected the role system, user or assistant, found \"", role, "\"");
  }
}

void add_turn(std::string& prompt, std::string_view role, std::string_view content) {
  (prompt += kTurn) += role;
  (prompt += "\n") += content;
  (prompt += kTurnEnd) += "\n";
}

// Qwen3 keeps the thoughts only of what the assistant wrote after the last question.
std::string answer_with_thought(std::string_view content, bool after_question, bool last) {
  constexpr std::string_view kOpen = "<think>", kClose = "</think>";
  std::string_view thought, answer = content;
  if (const std::size_t end = content.rfind(kClose); end != std::string_view::npos) {
    answer = without_leading_newlines(content.substr(end + kClose.size()));
    thought = content.substr(0, content.find(kClose));
    while (thought.ends_with('\n')) thought.remove_suffix(1);
    if (const std::size_t open = thought.rfind(kOpen); open != std::string_view::npos)
      thought = thought.substr(open + kOpen.size());
    thought = without_leading_newlines(thought);
  }
  if (!after_question || (!last && thought.empty())) return std::string(answer);
  std::string text = "<think>\n";
  (text += trimmed(thought, "\n")) += "\n</think>\n\n";
  return text += without_leading_newlines(answer);
}

std::string render_chatml(const ChatTemplate& chat, std::span<const Message> messages, RenderOptions options) {
  std::string prompt;
  if (messages[0].role != "system" && !chat.default_system.empty()) add_turn(prompt, "system", chat.default_system);
  std::size_t last_question = messages.size() - 1;
  for (std::size_t i = 0; i < messages.size(); ++i)
    if (messages[i].role == "user") last_question = i;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const Message& message = messages[i];
    if (chat.think_blocks && message.role == "assistant")
      add_turn(prompt, message.role, answer_with_thought(message.content, i > last_question, i + 1 == messages.size()));
    else
      add_turn(prompt, message.role, message.content);
  }
  if (options.answer_start == AnswerStart::none) return prompt;
  (prompt += kTurn) += "assistant\n";
  if (chat.opens_thought)
    prompt += "<think>\n";
  else if (chat.think_blocks && options.thinking == Thinking::off)
    prompt += "<think>\n\n</think>\n\n";
  return prompt;
}

std::string render_llama3(const ChatTemplate& chat, std::span<const Message> messages, RenderOptions options) {
  std::string prompt = chat.begin_of_text;
  const auto open = [&prompt](std::string_view role) {
    ((prompt += "<|start_header_id|>") += role) += "<|end_header_id|>\n\n";
  };
  if (chat.dated_system) {
    open("system");
    (prompt += "Cutting Knowledge Date: December 2023\nToday Date: ") += chat.today;
    prompt += "\n\n";
    if (messages[0].role == "system") {
      prompt += trimmed(messages[0].content);
      messages = messages.subspan(1);
    }
    prompt += "<|eot_id|>";
  }
  for (const Message& message : messages) {
    open(message.role);
    (prompt += trimmed(message.content)) += "<|eot_id|>";
  }
  if (options.answer_start == AnswerStart::add) open("assistant");
  return prompt;
}

std::string render_plain(std::span<const Message> messages) {
  std::string prompt;
  for (const Message& message : messages) (prompt += prompt.empty() ? "" : "\n\n") += message.content;
  return prompt;
}

// One template, or several by name of which "default" is meant.
std::optional<std::string> template_of(const JsonObject& config) {
  const Json* value = config.find("chat_template");
  if (!value) return std::nullopt;
  if (value->is_string()) return value->get<std::string>();
  if (!value->is_array()) config.wrong("chat_template", "a string or an array of named templates", *value);
  for (const Json& entry : *value) {
    const JsonObject named(entry, config.where() + ": 'chat_template'");
    if (named.text("name") == "default") return named.text("template");
  }
  config.wrong("chat_template", "a template named \"default\"", *value);
}

// A special token is a string or an object with its content.
std::string token_text(const JsonObject& config, const char* key) {
  const Json* value = config.find(key);
  if (!value) return {};
  return value->is_object() ? config.object(key).text("content") : config.text(key);
}

}  // namespace

ChatTemplate ChatTemplate::of(ChatFamily family) {
  ChatTemplate chat;
  chat.family = family;
  if (family == ChatFamily::llama3) chat.begin_of_text = "<|begin_of_text|>";
  return chat;
}

ChatTemplate ChatTemplate::recognise(std::string_view jinja) {
  const std::string text = with_newlines(jinja);
  if (contains(text, "<|start_header_id|>") && contains(text, "<|eot_id|>")) {
    ChatTemplate chat = of(ChatFamily::llama3);
    chat.dated_system = contains(text, "Cutting Knowledge Date: December 2023\n");
    return chat;
  }
  // Templates that put other separators between role and content, or change the contents, are not this family.
  const bool plain_turns = contains(text, kTurn) && contains(text, kTurnEnd) && !contains(text, "<|im_sep|>") &&
                           !contains(text, "|trim") && !contains(text, "| trim");
  if (!plain_turns) return of(ChatFamily::unknown);
  ChatTemplate chat = of(ChatFamily::chatml);
  chat.default_system = literal_system(text);
  chat.think_blocks = contains(text, "</think>");
  const std::size_t answer = text.rfind("add_generation_prompt");
  chat.opens_thought = answer != std::string::npos &&
                       contains(std::string_view(text).substr(answer), "<|im_start|>assistant\n<think>\n'");
  return chat;
}

ChatTemplate ChatTemplate::load(const std::filesystem::path& folder) {
  std::optional<std::string> jinja;
  std::string begin_of_text;
  std::error_code error;
  const std::filesystem::path settings = folder / "tokenizer_config.json", file = folder / "chat_template.jinja";
  if (std::filesystem::exists(settings, error)) {
    const Json json = impl::parse_json(impl::read_file(settings), settings.string());
    const JsonObject config(json, settings.string());
    jinja = template_of(config);
    begin_of_text = token_text(config, "bos_token");
  }
  if (std::filesystem::exists(file, error)) jinja = impl::read_file(file);
  if (!jinja) return of(ChatFamily::plain);
  ChatTemplate chat = recognise(*jinja);
  if (chat.family == ChatFamily::llama3 && !begin_of_text.empty()) chat.begin_of_text = begin_of_text;
  return chat;
}

std::string ChatTemplate::render(std::span<const Message> messages, RenderOptions options) const {
  check_messages(messages);
  switch (family) {
    case ChatFamily::plain: return render_plain(messages);
    case ChatFamily::chatml: return render_chatml(*this, messages, options);
    case ChatFamily::llama3: return render_llama3(*this, messages, options);
    case ChatFamily::unknown: break;
  }
  fail(Status::unsupported, "the model's chat template is of no known family; choose one: plain, chatml or llama3");
}

}  // namespace anabranch::hf
