#include "chat_families.hpp"

#include <ctime>
#include <utility>

#include "characters.hpp"
#include "utf8.hpp"

namespace anabranch::hf::impl {
namespace {

// Python's str.isspace(): Unicode's white space, and four separators.
bool is_python_space(char32_t c) { return is_white_space(c) || (c >= 0x1c && c <= 0x1f); }

// Jinja's trim, which is Python's strip.
std::string_view trimmed(std::string_view text) {
  std::size_t begin = text.size(), end = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t first = at;
    if (is_python_space(next_char(text, at))) continue;
    if (begin == text.size()) begin = first;
    end = at;
  }
  return begin < end ? text.substr(begin, end - begin) : std::string_view();
}

std::string_view without_newlines(std::string_view text) {
  const std::size_t begin = text.find_first_not_of('\n');
  return begin == std::string_view::npos ? std::string_view()
                                         : text.substr(begin, text.find_last_not_of('\n') + 1 - begin);
}

std::string_view without_leading_newlines(std::string_view text) {
  const std::size_t begin = text.find_first_not_of('\n');
  return begin == std::string_view::npos ? std::string_view() : text.substr(begin);
}

void add(Rendering& out, std::string_view text) { out.text += text; }

void add_content(Rendering& out, std::string_view content) {
  const std::size_t begin = out.text.size();
  out.text += content;
  if (!content.empty()) out.add_content(begin, out.text.size());
}

void open_chatml(Rendering& out, std::string_view role) {
  add(out, "<|im_start|>");
  add(out, role);
  add(out, "\n");
}

void close_chatml(Rendering& out) { add(out, "<|im_end|>\n"); }

// Qwen3 keeps the thoughts only of what the assistant wrote after the last question.
void add_answer_with_thought(Rendering& out, std::string_view content, bool after_question, bool last) {
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
  if (!after_question || (!last && thought.empty())) return add_content(out, answer);
  add(out, "<think>\n");
  add_content(out, without_newlines(thought));
  add(out, "\n</think>\n\n");
  add_content(out, without_leading_newlines(answer));
}

// A tool's answer is given to Qwen3 as a user's message, and is no question.
bool is_question(const Message& message) {
  return message.role == "user" &&
         !(message.content.starts_with("<tool_response>") && message.content.ends_with("</tool_response>"));
}

std::string today(const RenderOptions& options) {
  const std::time_t now = options.now ? static_cast<std::time_t>(*options.now) : std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  char text[64];
  return std::string(text, std::strftime(text, sizeof text, "%d %b %Y", &local));
}

}  // namespace

Rendering render_plain(std::span<const Message> messages) {
  Rendering out;
  for (const Message& message : messages) {
    if (!out.text.empty()) add(out, "\n\n");
    add_content(out, message.content);
  }
  return out;
}

Rendering render_chatml(const ChatTemplate& chat, std::span<const Message> messages, const RenderOptions& options) {
  Rendering out;
  if (messages[0].role != "system" && !chat.default_system.empty()) {
    open_chatml(out, "system");
    add(out, chat.default_system);
    close_chatml(out);
  }
  std::size_t last_question = messages.size() - 1;
  for (std::size_t i = 0; i < messages.size(); ++i)
    if (is_question(messages[i])) last_question = i;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    open_chatml(out, messages[i].role);
    if (chat.think_blocks && messages[i].role == "assistant")
      add_answer_with_thought(out, messages[i].content, i > last_question, i + 1 == messages.size());
    else
      add_content(out, messages[i].content);
    close_chatml(out);
  }
  if (options.answer_start == AnswerStart::none) return out;
  open_chatml(out, "assistant");
  if (chat.opens_thought)
    add(out, "<think>\n");
  else if (chat.think_blocks && options.thinking == Thinking::off)
    add(out, "<think>\n\n</think>\n\n");
  return out;
}

Rendering render_llama3(const ChatTemplate& chat, std::span<const Message> messages, const RenderOptions& options) {
  Rendering out;
  add(out, chat.begin_of_text);
  const auto open = [&out](std::string_view role) {
    add(out, "<|start_header_id|>");
    add(out, role);
    add(out, "<|end_header_id|>\n\n");
  };
  if (chat.dated_system) {
    open("system");
    add(out, "Cutting Knowledge Date: December 2023\nToday Date: ");
    add(out, chat.today.empty() ? today(options) : chat.today);
    add(out, "\n\n");
    if (messages[0].role == "system") {
      add_content(out, trimmed(messages[0].content));
      messages = messages.subspan(1);
    }
    add(out, "<|eot_id|>");
  }
  for (const Message& message : messages) {
    open(message.role);
    add_content(out, trimmed(message.content));
    add(out, "<|eot_id|>");
  }
  if (options.answer_start == AnswerStart::add) open("assistant");
  return out;
}

}  // namespace anabranch::hf::impl
