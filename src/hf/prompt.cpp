#include <anabranch/hf/prompt.hpp>

#include <algorithm>
#include <string>

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

}  // namespace

std::vector<TokenId> encode_chat(const Tokenizer& tokenizer, const ChatTemplate& chat,
                                 std::span<const Message> messages, RenderOptions options) {
  const bool plain = std::none_of(messages.begin(), messages.end(),
                                  [&](const Message& m) { return spells_special(tokenizer, m.content); });
  if (plain) return tokenizer.encode(chat.render(messages, options), Special::parse);
  // Render around marks that no template treats specially, then put each content in its place as plain text.
  std::vector<Message> marked(messages.begin(), messages.end());
  for (std::size_t i = 0; i < marked.size(); ++i) marked[i].content = mark(i);
  const std::string text = chat.render(marked, options);
  std::vector<TokenId> tokens;
  std::size_t at = 0;
  for (std::size_t i = 0; i < marked.size(); ++i) {
    const std::size_t found = text.find(mark(i), at);
    if (found == std::string::npos) continue;  // the template leaves this message out
    append(tokens, tokenizer.encode(std::string_view(text).substr(at, found - at), Special::parse));
    append(tokens, tokenizer.encode(messages[i].content, Special::plain));
    at = found + mark(i).size();
  }
  append(tokens, tokenizer.encode(std::string_view(text).substr(at), Special::parse));
  return tokens;
}

}  // namespace anabranch::hf
