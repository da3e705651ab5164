// Skeleton: the outline, the bodies, and the text work between tokens and titles.
#pragma once

#include <algorithm>

#include <anabranch/markup/impl/title_text.hpp>
#include <anabranch/markup/skeleton.hpp>

namespace anabranch::markup {
namespace impl {

inline constexpr std::string_view kBold = "**";

inline bool breaks_line(std::string_view text) { return text.find('\n') != std::string_view::npos; }

/// Would a title or a body that starts with this text be empty, or no title?
inline bool starts_badly(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r");
  return breaks_line(text) || first == std::string_view::npos || text[first] == '*';
}

}  // namespace impl

template <TextToTokens Encode, Detokenizer Decode>
Skeleton<Encode, Decode>::Skeleton(Encode encode, Decode decode, SkeletonOptions options)
    : encode_(std::move(encode)), decode_(std::move(decode)), options_(std::move(options)) {
  if constexpr (anabranch::impl::CountsTokens<Decode>)
    if (options_.n_vocabulary == 0) options_.n_vocabulary = decode_.n_tokens();
  if constexpr (anabranch::impl::KnowsEndOfText<Decode>)
    if (options_.end_of_text.empty()) options_.end_of_text = decode_.end_of_text();
  check();
  collect_forbidden();
}

template <TextToTokens Encode, Detokenizer Decode>
void Skeleton<Encode, Decode>::check() const {
  const auto at_least = [](std::int32_t value, std::int32_t least, const char* name) {
    if (value < least) fail(Status::bad_markup, "skeleton ", name, " is ", value, "; at least ", least);
  };
  at_least(options_.max_points, 1, "max_points");
  at_least(options_.max_title_tokens, 1, "max_title_tokens");
  at_least(options_.min_body_tokens, 0, "min_body_tokens");
  at_least(options_.n_vocabulary, 0, "n_vocabulary");
  at_least(options_.max_refused, 0, "max_refused");
  if (options_.min_body_tokens > 0 && options_.n_vocabulary == 0)
    fail(Status::bad_markup, "skeleton min_body_tokens is ", options_.min_body_tokens,
         ", a constraint, which needs n_vocabulary");
  for (const std::string* text : {&options_.opening, &options_.outline_end, &options_.separator, &options_.after_text})
    if (!text->empty() && text->back() == ' ')
      fail(Status::bad_markup, "skeleton text '", *text, "' ends in a blank, which belongs to the next token");
  std::string number;
  for (const TokenId token : encode("1. **")) number += text_of(token);
  if (number.empty() || encode_(impl::kBold).empty())
    fail(Status::bad_markup, "skeleton: the tokenizer has no tokens for '1. **'");
  if (number == " 1. **")
    fail(Status::bad_markup,
         "skeleton: the tokenizer puts a blank in front of '1. **'; a text in the midst of another "
         "has none (hf::TextPlace::midst)");
  if (options_.after == AfterPoints::go_on && encode(options_.after_text).empty())
    fail(Status::bad_markup, "skeleton after_text '", options_.after_text, "' gives no tokens, but the answer goes on");
}

template <TextToTokens Encode, Detokenizer Decode>
void Skeleton<Encode, Decode>::collect_forbidden() {
  for (TokenId token = 0; token < options_.n_vocabulary; ++token) {
    const std::string text = text_of(token);
    if (impl::breaks_line(text)) no_break_.push_back(token);
    if (impl::starts_badly(text)) not_first_.push_back(token);
  }
  if (options_.n_vocabulary == 0) return;
  for (const TokenId token : options_.end_of_text) {
    no_break_.push_back(token);
    not_first_.push_back(token);
  }
}

template <TextToTokens Encode, Detokenizer Decode>
Constraint Skeleton<Encode, Decode>::constrain(const State& s) const {
  if (!s.refused.empty()) return {{}, s.refused};
  if (s.stage == Stage::body && s.blank) return {{}, not_first_};
  if (s.stage == Stage::body && s.n_body_tokens < options_.min_body_tokens) return {{}, no_break_};
  if (s.stage == Stage::outline && s.titles.empty()) return {{}, s.n_title_tokens == 0 ? not_first_ : no_break_};
  return {};
}

template <TextToTokens Encode, Detokenizer Decode>
typename Skeleton<Encode, Decode>::State Skeleton<Encode, Decode>::child(const State& s, std::int32_t k) const {
  State body;
  body.stage = Stage::body;
  body.titles.resize(s.titles.size());  // only their number matters
  body.point = k;
  return body;
}

/// Opening and first number, encoded as one text where a token border falls between them.
template <TextToTokens Encode, Detokenizer Decode>
Action Skeleton<Encode, Decode>::open(State& s) const {
  Forced forced;
  std::size_t n_bytes = 0;
  bool border = options_.opening.empty();
  for (const TokenId token : encode(options_.opening + "1. **")) {
    forced.push_back({token, n_bytes < options_.opening.size() ? Role::text : Role::tag});
    n_bytes += text_of(token).size();
    border = border || n_bytes == options_.opening.size();
    if (forced.back().role == Role::tag) ++s.n_unsettled;
  }
  if (border) return Action::force(std::move(forced));
  forced.clear();
  s.n_unsettled = 0;
  push(forced, encode(options_.opening), Role::text);
  const Forced first = number(s);
  forced.insert(forced.end(), first.begin(), first.end());
  return Action::force(std::move(forced));
}

template <TextToTokens Encode, Detokenizer Decode>
Forced Skeleton<Encode, Decode>::number(State& s) const {
  const std::string line_break = s.titles.empty() ? "" : "\n";
  Forced forced;
  push(forced, encode(line_break + std::to_string(s.titles.size() + 1) + ". **"), Role::tag);
  s.title.clear();
  s.n_title_tokens = 0;
  s.n_unsettled = static_cast<std::int32_t>(forced.size());
  return forced;
}

template <TextToTokens Encode, Detokenizer Decode>
Action Skeleton<Encode, Decode>::next(State& s, TokenId token) const {
  if (s.stage == Stage::rest) return Action::go_on();
  const std::string text = text_of(token);
  if (refuses(s, text)) return take_back(s, std::span(&token, 1));
  s.refused.clear();
  return s.stage == Stage::body ? next_in_body(s, text) : next_in_title(s, text);
}

/// Without a vocabulary: would a token of this text leave the first title or the body empty, or break that title?
template <TextToTokens Encode, Detokenizer Decode>
bool Skeleton<Encode, Decode>::refuses(const State& s, std::string_view text) const {
  if (options_.n_vocabulary > 0 || std::ssize(s.refused) >= options_.max_refused) return false;
  if (s.stage == Stage::body)
    return s.blank && impl::breaks_line(text) && impl::all_blank(text.substr(0, text.find('\n')));
  if (!s.titles.empty()) return false;
  const std::string title = s.title + std::string(text);
  const std::size_t bold = title.find(impl::kBold);
  return impl::breaks_line(text) ||
         (bold != std::string::npos && impl::trim_title(std::string_view(title).substr(0, bold)).empty());
}

/// The sampled token is not fed; another one than these is to be sampled in its place.
template <TextToTokens Encode, Detokenizer Decode>
Action Skeleton<Encode, Decode>::take_back(State& s, std::span<const TokenId> tokens) const {
  s.refused.insert(s.refused.end(), tokens.begin(), tokens.end());
  Action action = Action::go_on(Role::tag);
  action.forget = 1;
  return action;
}

template <TextToTokens Encode, Detokenizer Decode>
Action Skeleton<Encode, Decode>::next_in_title(State& s, std::string_view text) const {
  s.title += text;
  ++s.n_title_tokens;
  ++s.n_unsettled;
  const std::size_t bold = s.title.find(impl::kBold);
  const std::size_t line_break = s.title.find('\n');
  if (bold == std::string::npos && line_break == std::string::npos)
    return s.n_title_tokens < options_.max_title_tokens ? Action::go_on(Role::title) : discard_title(s);

  Action action = Action::go_on(Role::tag);
  const std::string written = s.title.substr(0, std::min(bold, line_break));
  const bool kept = settle_title(s, action, written, text);
  if (kept && bold < line_break && std::ssize(s.titles) < options_.max_points) {
    const Forced following = number(s);
    action.forced.insert(action.forced.end(), following.begin(), following.end());
  } else {
    finish_outline(s, action);
  }
  return action;
}

/// The open title ended as `written`, with the token whose text is `last`. False: taken back, number included.
template <TextToTokens Encode, Detokenizer Decode>
bool Skeleton<Encode, Decode>::settle_title(State& s, Action& action, std::string_view written,
                                            std::string_view last) const {
  const std::string characters = impl::whole_characters(written);
  const std::string title(impl::trim_title(characters));
  if (title.empty() || repeated(s, title)) {
    action.forget = s.n_unsettled;
    return false;
  }
  if (last != impl::kBold || title != written) {  // not clean: the same title again, closed by `**` exactly
    action.forget = s.n_title_tokens;
    push(action.forced, encode(title), Role::title);
    push(action.forced, encode(impl::kBold), Role::tag);
  }
  s.titles.push_back(title);
  return true;
}

/// The title is too long, or the model ended the text inside it: it is taken back, unless it is the only one.
template <TextToTokens Encode, Detokenizer Decode>
Action Skeleton<Encode, Decode>::discard_title(State& s) const {
  Action action = Action::go_on(Role::tag);
  if (s.titles.empty()) {
    settle_title(s, action, std::string(s.title), std::string_view());
  } else {
    action.forget = s.n_unsettled;
  }
  finish_outline(s, action);
  return action;
}

/// Completes `action` with the fork into the titles, if there are any.
template <TextToTokens Encode, Detokenizer Decode>
void Skeleton<Encode, Decode>::finish_outline(State& s, Action& action) const {
  s.stage = Stage::rest;
  if (s.titles.empty()) return;
  push(action.forced, encode(options_.outline_end), Role::tag);
  for (std::size_t k = 0; k < s.titles.size(); ++k) {
    Seed seed;
    push(seed.prefix, encode(std::to_string(k + 1) + ". **" + s.titles[k] + "**:"), Role::text);
    seed.title = encode(s.titles[k]);
    action.seeds.push_back(std::move(seed));
  }
  action.next = Action::Next::fork;
}

template <TextToTokens Encode, Detokenizer Decode>
Action Skeleton<Encode, Decode>::next_in_body(State& s, std::string_view text) const {
  const std::size_t line_break = text.find('\n');
  if (line_break == std::string_view::npos) {
    s.blank = s.blank && impl::all_blank(text);
    ++s.n_body_tokens;
    return Action::go_on();
  }
  Action action = Action::end_branch(Role::text);
  action.forget = 1;
  const std::string_view before = text.substr(0, line_break);
  if (!impl::all_blank(before) && first_bad_utf8(before) == before.size())
    push(action.forced, encode(before), Role::text);
  const Forced end = closing(s);
  action.forced.insert(action.forced.end(), end.begin(), end.end());
  return action;
}

template <TextToTokens Encode, Detokenizer Decode>
Action Skeleton<Encode, Decode>::end_of_text(State& s) const {
  // Like a line break, where it is known which tokens end a text.
  if (!options_.end_of_text.empty() && s.stage != Stage::rest && refuses(s, "\n"))
    return take_back(s, options_.end_of_text);
  s.refused.clear();
  if (s.stage == Stage::outline) {
    ++s.n_unsettled;  // the end-of-text token itself
    ++s.n_title_tokens;
    return discard_title(s);
  }
  Action action = s.stage == Stage::body ? Action::end_branch() : Action::finish();
  action.forget = 1;
  action.forced = closing(s);
  return action;
}

template <TextToTokens Encode, Detokenizer Decode>
Action Skeleton<Encode, Decode>::joined(State& s) const {
  s.stage = Stage::rest;
  Action action = Action::finish();
  if (options_.after == AfterPoints::go_on) {
    action.next = Action::Next::sample;
    push(action.forced, encode(options_.after_text), Role::text);
  }
  return action;
}

template <TextToTokens Encode, Detokenizer Decode>
Forced Skeleton<Encode, Decode>::closing(const State& s) const {
  Forced forced;
  if (s.stage == Stage::body && s.point + 1 < std::ssize(s.titles))
    push(forced, encode(options_.separator), Role::text);
  return forced;
}

template <TextToTokens Encode, Detokenizer Decode>
bool Skeleton<Encode, Decode>::repeated(const State& s, std::string_view title) const {
  return std::any_of(s.titles.begin(), s.titles.end(),
                     [&](const std::string& other) { return impl::same_letters(title, other); });
}

template <TextToTokens Encode, Detokenizer Decode>
std::vector<TokenId> Skeleton<Encode, Decode>::encode(std::string_view text) const {
  return text.empty() ? std::vector<TokenId>{} : std::vector<TokenId>(encode_(text));
}

template <TextToTokens Encode, Detokenizer Decode>
std::string Skeleton<Encode, Decode>::text_of(TokenId token) const {
  std::string text;
  decode_(std::span<const TokenId>(&token, 1), text);
  return text;
}

}  // namespace anabranch::markup
