#include "added_tokens.hpp"

#include <algorithm>

#include "characters.hpp"

namespace anabranch::hf::impl {
namespace {

bool touches(std::span<const TextRange> ranges, std::size_t begin, std::size_t end) noexcept {
  const auto after =
      std::partition_point(ranges.begin(), ranges.end(), [&](const TextRange& r) { return r.end <= begin; });
  return after != ranges.end() && after->begin < end;
}

unsigned char byte_of(const std::string& content, std::size_t depth) noexcept {
  return static_cast<unsigned char>(content[depth]);
}

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  std::sort(tokens_.begin(), tokens_.end(),
            [](const AddedToken& a, const AddedToken& b) { return a.content < b.content; });
  for (const AddedToken& token : tokens_) starts_token_[byte_of(token.content, 0)] = true;
}

// Narrows the range of tokens that agree with the text byte by byte; a complete one is first in its range.
const AddedToken* AddedTokens::longest_at(std::string_view text) const noexcept {
  const AddedToken* longest = nullptr;
  auto begin = tokens_.begin(), end = tokens_.end();
  for (std::size_t depth = 0; depth < text.size() && begin != end; ++depth) {
    const auto wanted = static_cast<unsigned char>(text[depth]);
    begin = std::partition_point(begin, end, [&](const AddedToken& token) {
      return token.content.size() <= depth || byte_of(token.content, depth) < wanted;
    });
    end = std::partition_point(begin, end,
                               [&](const AddedToken& token) { return byte_of(token.content, depth) == wanted; });
    if (begin != end && begin->content.size() == depth + 1) longest = &*begin;
  }
  return longest;
}

bool AddedTokens::has_special() const noexcept {
  return std::any_of(tokens_.begin(), tokens_.end(), [](const AddedToken& token) { return token.special; });
}

void AddedTokens::find(std::string_view text, Specials specials, std::vector<Part>& parts,
                       std::span<const TextRange> quoted) const {
  parts.clear();
  std::size_t done = 0, at = 0;
  while (!tokens_.empty() && at < text.size()) {
    const bool possible = starts_token_[static_cast<unsigned char>(text[at])];
    const AddedToken* token = possible ? longest_at(text.substr(at)) : nullptr;
    if (!token) {
      ++at;
      continue;
    }
    std::size_t begin = at, end = at + token->content.size();
    at = end;
    if (token->special && (specials == Specials::passed_over || touches(quoted, begin, end))) continue;
    if (token->single_word && (ends_with_word(text.substr(0, begin)) || starts_with_word(text.substr(end)))) continue;
    if (token->takes_left) begin = std::max(trailing_space(text.substr(0, begin)), done);
    if (token->takes_right) end += leading_space(text.substr(end));
    if (begin >= end) continue;  // the one before it took all of it: it was white space
    if (done < begin) parts.push_back({kNone, done, begin});
    parts.push_back({token->id, begin, end});
    done = end;
  }
  if (done < text.size()) parts.push_back({kNone, done, text.size()});
}

}  // namespace anabranch::hf::impl
