// Tokens that stand beside the vocabulary: found in the text before anything else happens to it.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <anabranch/hf/text_range.hpp>
#include <anabranch/types.hpp>

namespace anabranch::hf::impl {

struct AddedToken {
  TokenId id = 0;
  std::string content;      ///< what is looked for in the text
  bool special = false;     ///< not looked for in plain text, left out of skipped decoding
  bool takes_left = false;  ///< white space before it belongs to it
  bool takes_right = false;
  bool single_word = false;  ///< not found beside a character of a word
};

/// A part of a text: an added token, or (id kNone) text between them.
struct Part {
  TokenId id = kNone;
  std::size_t begin = 0, end = 0;
};

/// Finds added tokens: at each place the longest that starts there, from left to right.
class AddedTokens {
 public:
  /// Contents are non-empty and distinct.
  explicit AddedTokens(std::vector<AddedToken> tokens);
  bool empty() const noexcept { return tokens_.empty(); }
  bool has_special() const noexcept;

  enum class Specials : std::uint8_t { found, passed_over };
  /// Replaces `parts` with those of the text, in order. A special token that is passed over is text, but hides shorter
  /// tokens inside it. One that touches a quoted range (ascending, disjoint) is passed over, too.
  void find(std::string_view text, Specials specials, std::vector<Part>& parts,
            std::span<const TextRange> quoted = {}) const;

 private:
  const AddedToken* longest_at(std::string_view text) const noexcept;
  std::vector<AddedToken> tokens_;        ///< ordered by content
  std::array<bool, 256> starts_token_{};  ///< by first byte
};

}  // namespace anabranch::hf::impl
