// A vocabulary of letters and tags, so that tests write token sequences as short strings: "x(a)(b){y." is text, two
// titles, a block, text, and the end of the text.
#pragma once

#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <anabranch/markup/aspd.hpp>

namespace letters {

namespace ab = anabranch;
using ab::TokenId;
using ab::markup::Aspd;
using ab::markup::AspdOptions;
using Tokens = std::vector<TokenId>;

constexpr TokenId kEnd = 0, kBranch = 1, kBranchEnd = 2, kTitle = 3, kTitleEnd = 4, kPara = 5, kParaEnd = 6, kColon = 7;
constexpr TokenId kFirstLetter = 10;  // 'a'
constexpr std::int32_t kVocabulary = 64;

inline Aspd aspd() { return Aspd({kBranch, kBranchEnd, kTitle, kTitleEnd, kPara, kParaEnd, {kColon}}); }
inline Aspd with(AspdOptions options) { return Aspd(aspd().tags(), std::move(options)); }

/// 'a'..'z' for letters, tags as <N>.
struct Letters {
  void operator()(std::span<const TokenId> tokens, std::string& out) const {
    for (const TokenId token : tokens) {
      if (token >= kFirstLetter && token < kFirstLetter + 26)
        out += static_cast<char>('a' + token - kFirstLetter);
      else if (token == kColon)
        out += ':';
      else
        out += "<" + std::to_string(token) + ">";
    }
  }
};

/// "abc" -> tokens; tags by their signs: [ ] branch, ( ) title, { } para, . end of text.
inline Tokens tokens(const std::string& text) {
  static const std::map<char, TokenId> signs = {{'[', kBranch}, {']', kBranchEnd}, {'(', kTitle}, {')', kTitleEnd},
                                                {'{', kPara},   {'}', kParaEnd},   {':', kColon}, {'.', kEnd}};
  Tokens result;
  for (const char c : text) {
    const auto sign = signs.find(c);
    result.push_back(sign != signs.end() ? sign->second : kFirstLetter + (c - 'a'));
  }
  return result;
}
/// The other way round.
inline std::string spelled(const Tokens& list) {
  static const char* kSigns = ".[]()<>:";
  std::string text;
  for (const TokenId token : list)
    text += token == kPara      ? '{'
            : token == kParaEnd ? '}'
            : token < 8         ? kSigns[token]
                                : static_cast<char>('a' + token - kFirstLetter);
  return text;
}

/// The state after `text`, written in signs, was sampled.
inline Aspd::State after(const Aspd& markup, const std::string& text, Aspd::State s) {
  for (const TokenId token : tokens(text)) markup.next(s, token);
  return s;
}
inline Aspd::State after(const Aspd& markup, const std::string& text) { return after(markup, text, markup.start()); }

}  // namespace letters
