#include <anabranch/hf/prompt.hpp>

#include <algorithm>
#include <string>
#include <string_view>

#include <anabranch/error.hpp>

namespace anabranch::hf {
namespace {

bool spells_special(const Tokenizer& tokenizer, const std::string& text) {
  const std::vector<TokenId> tokens = tokenizer.encode(text, Special::parse);
  return std::any_of(tokens.begin(), tokens.end(), [&](TokenId t) { return tokenizer.is_special(t); });
}

/// Stands for message i: private-use characters around its number.
std::string mark(std::size_t i) { return "\xEE\x80\x80" + std::to_string(i) + "\xEE\x80\x81"; }

void append(std::vector<TokenId>& out, const std::vector<TokenId>& tokens) {
  out.insert(out.end(), tokens.begin(), tokens.end());
}

/// Messages whose contents are marks that no template treats specially, so that they can be found in a rendering.
std::vector<Message> marked(std::span<const Message> messages) {
  std::vector<Message> result(messages.begin(), messages.end());
  for (std::size_t i = 0; i < result.size(); ++i) result[i].content = mark(i);
  return result;
}

/// Tokens of a rendering, with the contents of `messages` as plain text in the places of their marks.
std::vector<TokenId> encode_marked(const Tokenizer& tokenizer, std::string_view text,
                                   std::span<const Message> messages) {
  std::vector<TokenId> tokens;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const std::size_t found = text.find(mark(i));
    if (found == std::string::npos) continue;  // the template leaves this message out
    append(tokens, tokenizer.encode(text.substr(0, found), Special::parse));
    append(tokens, tokenizer.encode(messages[i].content, Special::plain));
    text.remove_prefix(found + mark(i).size());
  }
  append(tokens, tokenizer.encode(text, Special::parse));
  return tokens;
}

/// The part of `text` behind its beginning `front`; none if it begins in another way.
std::optional<std::string_view> behind(std::string_view text, std::string_view front) {
  if (!text.starts_with(front)) return std::nullopt;
  return text.substr(front.size());
}

/// The same text, but for white space at its ends?
bool same_words(std::string_view a, std::string_view b) {
  const auto words = [](std::string_view text) {
    constexpr std::string_view kBlanks = " \t\n\r\f\v";
    const std::size_t begin = text.find_first_not_of(kBlanks);
    return begin == std::string_view::npos ? std::string_view()
                                           : text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin);
  };
  return words(a) == words(b);
}

}  // namespace

std::vector<TokenId> encode_chat(const Tokenizer& tokenizer, const ChatTemplate& chat,
                                 std::span<const Message> messages, RenderOptions options) {
  const bool plain = std::none_of(messages.begin(), messages.end(),
                                  [&](const Message& m) { return spells_special(tokenizer, m.content); });
  if (plain) return tokenizer.encode(chat.render(messages, options), Special::parse);
  return encode_marked(tokenizer, chat.render(marked(messages), options), messages);
}

std::optional<NextTurn> encode_next_turn(const Tokenizer& tokenizer, const ChatTemplate& chat,
                                         std::span<const Message> messages, std::size_t answer, RenderOptions options) {
  if (answer == 0 || answer + 1 >= messages.size() || messages[answer].role != "assistant")
    fail(Status::bad_argument, "message ", answer, " of ", messages.size(), " is not an answer between two messages");
  std::vector<Message> chatted(messages.begin(), messages.end());
  const auto behind_answer = std::span(chatted).subspan(answer + 1);
  if (std::any_of(behind_answer.begin(), behind_answer.end(),
                  [&](const Message& m) { return spells_special(tokenizer, m.content); }))
    for (std::size_t i = answer + 1; i < chatted.size(); ++i) chatted[i].content = mark(i);
  const std::string before = chat.render(std::span(chatted).first(answer), {AnswerStart::add, options.thinking}),
                    whole = chat.render(chatted, options);
  // The text around the answer, whatever that is.
  chatted[answer].content = mark(answer);
  const std::string whole_around = chat.render(chatted, options);
  const auto tail = behind(whole_around, before + mark(answer)), written = behind(whole, before);
  // Does the template leave the answer as it is?
  if (!tail || !written || !written->ends_with(*tail) ||
      !same_words(written->substr(0, written->size() - tail->size()), messages[answer].content))
    return std::nullopt;
  const std::vector<TokenId> tokens = encode_marked(tokenizer, *tail, messages);
  if (tokens.size() < 2 || !tokenizer.is_special(tokens.front())) return std::nullopt;  // it could melt into the answer
  return NextTurn{tokens.front(), {tokens.begin() + 1, tokens.end()}};
}

}  // namespace anabranch::hf
