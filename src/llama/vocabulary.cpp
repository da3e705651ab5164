#include <anabranch/llama/vocabulary.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdlib>

#include <llama.h>

#include <anabranch/decode/text_stream.hpp>
#include <anabranch/error.hpp>

namespace anabranch::llama {
namespace {

/// Stands for message i while the template is rendered: private-use characters around its number.
std::string mark(std::size_t i) { return "\xEE\x80\x80" + std::to_string(i) + "\xEE\x80\x81"; }

void append(std::vector<TokenId>& out, const std::vector<TokenId>& tokens) {
  out.insert(out.end(), tokens.begin(), tokens.end());
}

/// Offset of the first byte that begins no character, or the size. llama.cpp would take it for another.
std::size_t first_bad_utf8(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const auto piece = anabranch::impl::first_utf8_piece(text.substr(at));
    if (piece.kind != anabranch::impl::Utf8Piece::Kind::whole) break;
    at += piece.n_bytes;
  }
  return at;
}

/// A length that llama.cpp returned: negative when the buffer was shorter.
std::size_t length(std::int32_t n) { return static_cast<std::size_t>(std::abs(n)); }

}  // namespace

Vocabulary::Vocabulary(const llama_model* model) : model_(model), vocabulary_(nullptr) {
  if (model == nullptr) fail(Status::bad_argument, "the llama.cpp model is null");
  vocabulary_ = llama_model_get_vocab(model);
  if (llama_vocab_type(vocabulary_) == LLAMA_VOCAB_TYPE_NONE)
    fail(Status::unsupported, "the model has no vocabulary, so no text can be made of its tokens");
  n_tokens_ = llama_vocab_n_tokens(vocabulary_);
  for (TokenId token = 0; token < n_tokens_; ++token)
    if (llama_vocab_is_eog(vocabulary_, token)) end_of_text_.push_back(token);
  line_break_ = tokenize("\n", Special::plain, false);
}

std::vector<TokenId> Vocabulary::tokenize(std::string_view text, Special special, bool at_start) const {
  if (const std::size_t bad = first_bad_utf8(text); bad < text.size())
    fail(Status::bad_argument, "text to encode: not well-formed UTF-8 at byte ", bad, " of ", text.size());
  const auto n_bytes = static_cast<std::int32_t>(text.size());
  const bool parse = special == Special::parse;
  std::vector<TokenId> tokens(text.size() + 8);
  const auto room = [&] { return static_cast<std::int32_t>(tokens.size()); };
  std::int32_t n = llama_tokenize(vocabulary_, text.data(), n_bytes, tokens.data(), room(), at_start, parse);
  if (n < 0) {
    tokens.resize(length(n));
    n = llama_tokenize(vocabulary_, text.data(), n_bytes, tokens.data(), room(), at_start, parse);
  }
  tokens.resize(length(std::max(n, 0)));
  return tokens;
}

/// SentencePiece vocabularies put a blank before a text; behind a line break, which is cut off again, they put none.
std::vector<TokenId> Vocabulary::encode(std::string_view text, Special special) const {
  if (text.empty()) return {};
  if (llama_vocab_type(vocabulary_) != LLAMA_VOCAB_TYPE_SPM) return tokenize(text, special, false);
  std::vector<TokenId> tokens = tokenize("\n" + std::string(text), special, false);
  const auto n = static_cast<std::ptrdiff_t>(line_break_.size());
  if (tokens.size() < line_break_.size() || !std::equal(line_break_.begin(), line_break_.end(), tokens.begin()))
    return tokenize(text, special, false);
  tokens.erase(tokens.begin(), tokens.begin() + n);
  return tokens;
}

void Vocabulary::operator()(std::span<const TokenId> tokens, std::string& out) const {
  char piece[256];
  for (const TokenId token : tokens) {
    if (token < 0 || token >= n_tokens_)
      fail(Status::bad_argument, "token ", token, " is outside the vocabulary [0, ", n_tokens_, ")");
    const std::int32_t n = llama_token_to_piece(vocabulary_, token, piece, sizeof piece, 0, false);
    if (n >= 0) {
      out.append(piece, length(n));
      continue;
    }
    std::string longer(length(n), '\0');
    llama_token_to_piece(vocabulary_, token, longer.data(), -n, 0, false);
    out += longer;
  }
}

TokenId Vocabulary::stop_token(std::string_view text) const {
  if (first_bad_utf8(text) < text.size()) return kUnknownToken;
  const std::vector<TokenId> tokens = encode(text, Special::parse);
  const auto is_control = [&](TokenId token) { return llama_vocab_is_control(vocabulary_, token); };
  const auto control = std::find_if(tokens.begin(), tokens.end(), is_control);
  if (control == tokens.end()) return kUnknownToken;
  if (tokens.size() > 1)
    fail(Status::bad_request, "the stop text \"", text, "\" holds the name of control token ", *control,
         " among other text; it must be the name alone, or text");
  return *control;
}

std::string Vocabulary::render(std::span<const Message> messages) const {
  const char* chat_template = llama_model_chat_template(model_, nullptr);
  if (chat_template == nullptr)
    fail(Status::unsupported, "the model has no chat template; an instruct model is needed");
  std::vector<llama_chat_message> chat;
  std::size_t n_bytes = 1024;
  for (const Message& message : messages) {
    chat.push_back({message.role.c_str(), message.content.c_str()});
    n_bytes += 2 * (message.role.size() + message.content.size());
  }
  std::string text;
  std::int32_t n = static_cast<std::int32_t>(n_bytes);
  do {
    text.resize(length(n));
    n = llama_chat_apply_template(chat_template, chat.data(), chat.size(), true, text.data(), n);
    if (n < 0) fail(Status::unsupported, "llama.cpp does not know the chat template of this model");
  } while (length(n) > text.size());
  text.resize(length(n));
  return text;
}

/// The template is rendered around marks that it treats like any text, then each content is put in its place.
std::vector<TokenId> Vocabulary::encode_chat(std::span<const Message> messages) const {
  const auto is_control = [&](TokenId token) { return llama_vocab_is_control(vocabulary_, token); };
  const auto spells_control = [&](const Message& message) {
    const std::vector<TokenId> tokens = tokenize(message.content, Special::parse, false);
    return std::any_of(tokens.begin(), tokens.end(), is_control);
  };
  if (std::none_of(messages.begin(), messages.end(), spells_control))
    return tokenize(render(messages), Special::parse, true);
  std::vector<Message> marked(messages.begin(), messages.end());
  for (std::size_t i = 0; i < marked.size(); ++i) marked[i].content = mark(i);
  const std::string text = render(marked);
  std::vector<TokenId> tokens;
  std::size_t at = 0;
  for (std::size_t i = 0; i < marked.size(); ++i) {
    const std::size_t found = text.find(mark(i), at);
    if (found == std::string::npos) continue;  // the template leaves this message out
    const std::string_view before = std::string_view(text).substr(at, found - at);
    append(tokens, at == 0 ? tokenize(before, Special::parse, true) : encode(before, Special::parse));
    append(tokens, encode(messages[i].content));
    at = found + mark(i).size();
  }
  const std::string_view rest = std::string_view(text).substr(at);
  append(tokens, at == 0 ? tokenize(rest, Special::parse, true) : encode(rest, Special::parse));
  return tokens;
}

}  // namespace anabranch::llama
