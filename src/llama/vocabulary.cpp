#include <anabranch/llama/vocabulary.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <map>
#include <utility>

#include <llama.h>

#include <anabranch/error.hpp>
#include <anabranch/hf/config.hpp>
#include <anabranch/markup/impl/stop_token.hpp>
#include <anabranch/utf8.hpp>

namespace anabranch::llama {
namespace {

/// A length that llama.cpp returned: negative when the buffer was shorter.
std::size_t length(std::int32_t n) { return static_cast<std::size_t>(std::abs(n)); }

hf::ChatTemplate chat_template_of(const llama_model* model, const llama_vocab* vocabulary) {
  const char* text = llama_model_chat_template(model, nullptr);
  if (text == nullptr) return hf::ChatTemplate::of(hf::ChatFamily::plain);
  std::map<std::string, std::string> tokens;
  const auto name = [&](const char* key, TokenId token) {
    if (token != LLAMA_TOKEN_NULL) tokens[key] = llama_vocab_get_text(vocabulary, token);
  };
  name("bos_token", llama_vocab_bos(vocabulary));
  name("eos_token", llama_vocab_eos(vocabulary));
  name("pad_token", llama_vocab_pad(vocabulary));
  return hf::ChatTemplate::parse(text, std::move(tokens), "the model's tokenizer.chat_template");
}

}  // namespace

Vocabulary::Vocabulary(const llama_model* model) : vocabulary_(nullptr) {
  if (model == nullptr) fail(Status::bad_argument, "the llama.cpp model is null");
  vocabulary_ = llama_model_get_vocab(model);
  if (llama_vocab_type(vocabulary_) == LLAMA_VOCAB_TYPE_NONE)
    fail(Status::unsupported, "the model has no vocabulary, so no text can be made of its tokens");
  n_tokens_ = llama_vocab_n_tokens(vocabulary_);
  for (TokenId token = 0; token < n_tokens_; ++token)
    if (llama_vocab_is_eog(vocabulary_, token)) end_of_text_.push_back(token);
  line_break_ = tokenize("\n", Special::plain);
  std::string letter;
  (*this)(tokenize("x", Special::plain), letter);
  puts_blank_ = letter == " x";
  chat_ = std::make_shared<const hf::ChatTemplate>(chat_template_of(model, vocabulary_));
  for (const std::string& text : chat_->behind_answers()) {
    const std::vector<TokenId> tokens = tokenize(text, Special::parse);
    if (!tokens.empty() && llama_vocab_is_control(vocabulary_, tokens.front()))
      hf::add_tokens(end_of_text_, std::span(tokens).first(1));
  }
}

std::vector<TokenId> Vocabulary::tokenize(std::string_view text, Special special) const {
  if (const std::size_t bad = first_bad_utf8(text); bad < text.size())
    fail(Status::bad_argument, "text to encode: not well-formed UTF-8 at byte ", bad, " of ", text.size());
  const auto n_bytes = static_cast<std::int32_t>(text.size());
  const bool parse = special == Special::parse;
  std::vector<TokenId> tokens(text.size() + 8);
  const auto room = [&] { return static_cast<std::int32_t>(tokens.size()); };
  std::int32_t n = llama_tokenize(vocabulary_, text.data(), n_bytes, tokens.data(), room(), false, parse);
  if (n < 0) {
    tokens.resize(length(n));
    n = llama_tokenize(vocabulary_, text.data(), n_bytes, tokens.data(), room(), false, parse);
  }
  tokens.resize(length(std::max(n, 0)));
  return tokens;
}

/// SentencePiece vocabularies put a blank before a text; behind a line break, which is cut off again, they put none.
std::vector<TokenId> Vocabulary::encode(std::string_view text, Special special) const {
  if (text.empty()) return {};
  if (llama_vocab_type(vocabulary_) != LLAMA_VOCAB_TYPE_SPM) return tokenize(text, special);
  std::vector<TokenId> tokens = tokenize("\n" + std::string(text), special);
  const auto n = static_cast<std::ptrdiff_t>(line_break_.size());
  if (tokens.size() < line_break_.size() || !std::equal(line_break_.begin(), line_break_.end(), tokens.begin()))
    return tokenize(text, special);
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

void Vocabulary::decode_beginning(std::span<const TokenId> tokens, std::string& out) const {
  std::string text;
  (*this)(tokens, text);
  out += std::string_view(text).substr(puts_blank_ && text.starts_with(' ') ? 1 : 0);
}

TokenId Vocabulary::stop_token(std::string_view text) const {
  if (first_bad_utf8(text) < text.size()) return kUnknownToken;
  return anabranch::impl::stop_token_of(text, encode(text, Special::parse),
                                        [this](TokenId token) { return llama_vocab_is_control(vocabulary_, token); });
}

std::vector<TokenId> Vocabulary::control_tokens(std::vector<TokenId> tokens) const {
  std::erase_if(tokens, [this](TokenId token) { return !llama_vocab_is_control(vocabulary_, token); });
  return tokens;
}

/// The parts one by one: contents as text, what stands between them with its control tokens.
std::vector<TokenId> Vocabulary::encode_parts(const hf::Rendering& chat) const {
  std::vector<TokenId> tokens;
  std::size_t at = 0;
  const auto add = [&](std::size_t end, Special special) {
    const std::string_view part = std::string_view(chat.text).substr(at, end - at);
    const std::vector<TokenId> more = at == 0 ? tokenize(part, special) : encode(part, special);
    tokens.insert(tokens.end(), more.begin(), more.end());
    at = end;
  };
  for (const hf::TextRange& content : chat.contents) {
    add(content.begin, Special::parse);
    add(content.end, Special::plain);
  }
  add(chat.text.size(), Special::parse);
  return tokens;
}

std::vector<TokenId> Vocabulary::encode_chat(std::span<const Message> messages, hf::RenderOptions options) const {
  const hf::Rendering chat = chat_->render_parts(messages, options);
  std::vector<TokenId> tokens = tokenize(chat.text, Special::parse);
  // As one text, unless a control token of that is not the template's own.
  const std::vector<TokenId> parts = encode_parts(chat);
  if (control_tokens(tokens) != control_tokens(parts)) tokens = parts;
  if (chat_->family == hf::ChatFamily::plain && llama_vocab_get_add_bos(vocabulary_))
    tokens.insert(tokens.begin(), llama_vocab_bos(vocabulary_));
  return tokens;
}

}  // namespace anabranch::llama
