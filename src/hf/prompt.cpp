#include <anabranch/hf/prompt.hpp>

#include <algorithm>
#include <string>
#include <string_view>

#include <anabranch/error.hpp>
#include <anabranch/hf/config.hpp>

#include "characters.hpp"
#include "utf8.hpp"

namespace anabranch::hf {
namespace {

std::vector<TokenId> encode(const Tokenizer& tokenizer, const Rendering& chat) {
  return tokenizer.encode(chat.text, chat.contents);
}

/// The rest of it from byte `begin` on.
Rendering tail_of(const Rendering& chat, std::size_t begin) {
  Rendering tail{chat.text.substr(begin), {}};
  for (const TextRange& range : chat.contents)
    if (range.end > begin) tail.contents.push_back({std::max(range.begin, begin) - begin, range.end - begin});
  return tail;
}

std::string_view without_space(std::string_view text) {
  std::size_t begin = text.size(), end = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t first = at;
    if (impl::is_white_space(impl::next_char(text, at))) continue;
    if (begin == text.size()) begin = first;
    end = at;
  }
  return begin < end ? text.substr(begin, end - begin) : std::string_view();
}

/// Where the text of a message ends that begins at byte `begin`, after white space of the template's, or `begin` where
/// no message's text does.
std::size_t end_of_content(const Rendering& chat, std::size_t begin) {
  for (const TextRange& range : chat.contents)
    if (range.end > begin) {
      const std::string_view between =
          std::string_view(chat.text).substr(begin, range.begin - std::min(range.begin, begin));
      return without_space(between).empty() ? range.end : begin;
    }
  return begin;
}

/// transformers adds every named special token to the tokenizer; here one that its file does not have would be text.
void require_added(const Tokenizer& tokenizer, const ChatTemplate& chat, const Rendering& rendered) {
  for (const auto& [key, text] : chat.tokens) {
    if (text.empty() || tokenizer.find_added(text)) continue;
    for (std::size_t at = rendered.text.find(text); at != std::string::npos; at = rendered.text.find(text, at + 1)) {
      const auto touches = [&, &text = text](const TextRange& range) {
        return range.begin < at + text.size() && at < range.end;
      };
      if (std::none_of(rendered.contents.begin(), rendered.contents.end(), touches))
        fail(Status::unsupported, "the chat template writes ", key, ", \"", text,
             "\", which is not among 'added_tokens' of the tokenizer");
    }
  }
}

}  // namespace

std::vector<TokenId> encode_chat(const Tokenizer& tokenizer, const ChatTemplate& chat,
                                 std::span<const Message> messages, RenderOptions options) {
  const Rendering rendered = chat.render_parts(messages, options);
  require_added(tokenizer, chat, rendered);
  std::vector<TokenId> tokens = encode(tokenizer, rendered);
  if (chat.family == ChatFamily::plain)
    tokens.insert(tokens.begin(), tokenizer.tokens_in_front().begin(), tokenizer.tokens_in_front().end());
  return tokens;
}

std::optional<NextTurn> encode_next_turn(const Tokenizer& tokenizer, const ChatTemplate& chat,
                                         std::span<const Message> messages, std::size_t answer, RenderOptions options,
                                         std::optional<RenderOptions> earlier) {
  if (answer == 0 || answer + 1 >= messages.size() || messages[answer].role != "assistant")
    fail(Status::bad_argument, "message ", answer, " of ", messages.size(), " is not an answer between two messages");
  RenderOptions open = earlier.value_or(options);
  open.answer_start = AnswerStart::add;
  const Rendering before = chat.render_parts(messages.first(answer), open),
                  whole = chat.render_parts(messages, options);
  // Does the template leave what came before, and the answer, as they are?
  if (!whole.text.starts_with(before.text)) return std::nullopt;
  const std::size_t begin = before.text.size(), end = end_of_content(whole, begin);
  const std::string_view written = std::string_view(whole.text).substr(begin, end - begin);
  if (without_space(written) != without_space(messages[answer].content)) return std::nullopt;
  const std::vector<TokenId> tokens = encode(tokenizer, tail_of(whole, end));
  if (tokens.size() < 2 || !tokenizer.is_special(tokens.front())) return std::nullopt;  // it could melt into the answer
  return NextTurn{tokens.front(), {tokens.begin() + 1, tokens.end()}};
}

std::vector<TokenId> ends_of_turn(const Tokenizer& tokenizer, const ChatTemplate& chat) {
  std::vector<TokenId> ends;
  if (const auto eos = chat.tokens.find("eos_token"); eos != chat.tokens.end() && !eos->second.empty())
    if (const auto tokens = tokenizer.encode(eos->second, Special::parse); tokens.size() == 1) ends = tokens;
  for (const std::string& text : chat.behind_answers()) {
    const std::vector<TokenId> tokens = tokenizer.encode(text, Special::parse);
    if (!tokens.empty() && tokenizer.is_special(tokens.front())) add_tokens(ends, std::span(tokens).first(1));
  }
  return ends;
}

}  // namespace anabranch::hf
