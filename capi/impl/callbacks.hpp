// The caller's callbacks as what the core asks for: text of tokens, tokens of text, a markup.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <anabranch/markup/markup.hpp>
#include <anabranch/markup/text.hpp>

#include "anabranch_decoder.h"

namespace anabranch::capi {

/// Tokens to text and back. Without callbacks there is no text.
class CallerText {
 public:
  explicit CallerText(const anb_text& text) noexcept : text_(text) {}
  bool writes_text() const noexcept { return text_.detokenize != nullptr; }
  bool reads_text() const noexcept { return text_.text_to_tokens != nullptr; }
  /// Throws callback_failed.
  void operator()(std::span<const TokenId> tokens, std::string& out) const;
  std::vector<TokenId> operator()(std::string_view text) const;
  TokenId stop_token(std::string_view text) const;

 private:
  anb_text text_;
};
static_assert(Detokenizer<CallerText> && TextToTokens<CallerText> && FindsStopTokens<CallerText>);

/// A markup of callbacks. What they say is checked and copied at once. Every call throws callback_failed.
class CallbackMarkup {
 public:
  struct State {
    std::vector<std::byte> bytes;
  };
  /// Throws bad_markup for a callback that is missing or too large a state.
  explicit CallbackMarkup(const anb_markup_callbacks& callbacks);
  State start() const;
  State child(const State& s, std::int32_t k) const;
  markup::Action next(State& s, TokenId token) const;
  markup::Action joined(State& s) const;
  markup::Forced closing(const State& s) const;
  bool has_open() const noexcept { return callbacks_.open != nullptr; }
  markup::Action open(State& s) const;
  bool has_end_of_text() const noexcept { return callbacks_.end_of_text != nullptr; }
  markup::Action end_of_text(State& s) const;
  markup::Constraint constrain(const State& s) const;

 private:
  anb_markup_callbacks callbacks_;
};
static_assert(Markup<CallbackMarkup>);

}  // namespace anabranch::capi
