// Skeleton: branches from any instruct model, without training. A short numbered outline first, then every point at
// once.
//
//   Here are the main points:\n\n1. **Title A**\n2. **Title B**\n\n     written by the trunk, point by point
//     1. **Title A**: body ...\n                                        branch, seeded with its own title
//     2. **Title B**: body ...                                          branch
//
// The reader sees the opening and the points; the outline stays in the history, hidden. Its text there is clean:
//   A title ends at `**`. Tokens may hold more than that (`.**`, `**:`, `**\n`): a title that was not closed by `**`
//   exactly is taken back and forced again as its trimmed text and `**`.
//   A title that is repeated, empty, too long, or in which the model ends the text is taken back with its number, and
//   the outline stops. It also stops behind a title that ran into a line break, and at `max_points`.
//   A first title like that is kept as it stands, without a character that its end cuts; without any title there are no
//   points but a plain serial answer. Bytes in a title that are no UTF-8 become U+FFFD.
// A body ends at its first line break (or end of text, or a limit); text in front of the break is kept, even if it is
// part of the same token, as long as it is UTF-8 by itself. The separator is forced at the end of each point but the
// last. Forced text must not end in a blank: tokens carry their leading blank, and a prefix that takes it away gives
// empty or broken bodies.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <anabranch/error.hpp>
#include <anabranch/markup/markup.hpp>

namespace anabranch::markup {

enum class AfterPoints : std::uint8_t { finish, go_on };

struct SkeletonOptions {
  std::string opening = "Here are the main points:\n\n";
  std::string outline_end = "\n\n";  ///< forced between outline and branches; hidden
  std::string separator = "\n";      ///< between points
  std::int32_t max_points = 8;
  std::int32_t max_title_tokens = 16;
  std::int32_t min_body_tokens = 0;  ///< sampled of a body before it may end; a constraint, which needs a vocabulary
  AfterPoints after = AfterPoints::finish;
  std::string after_text = "\n\n";  ///< forced after the points when the answer goes on
  /// Size of the vocabulary, so that a first title and the bodies are kept from starting with a line break (or end of
  /// text) by constraint; 0: `n_tokens()` of the detokenizer. One that has none is asked about each token as it comes:
  /// a token that must not stand there is taken back and forbidden, which costs a pass.
  std::int32_t n_vocabulary = 0;
  std::vector<TokenId> end_of_text = {};  ///< of the decoder; empty: `end_of_text()` of a detokenizer that has it
  std::int32_t max_refused = 16;  ///< tokens taken back like that at one place; then a title or body stays empty
};

/// `Encode` and `Decode` are the two directions of the caller's tokenizer (hf::Tokenizer is both).
template <TextToTokens Encode, Detokenizer Decode>
class Skeleton {
 public:
  enum class Stage : std::uint8_t { outline, body, rest };
  struct State {
    Stage stage = Stage::outline;
    std::vector<std::string> titles;
    std::string title;                ///< text of the open title
    std::int32_t n_title_tokens = 0;  ///< sampled for it
    std::int32_t n_unsettled = 0;     ///< tokens since the last complete title: the number and all behind it
    std::int32_t point = 0;           ///< of a body: its number, from 0
    bool blank = true;                ///< the body has no text yet
    std::int32_t n_body_tokens = 0;   ///< sampled for the body
    std::vector<TokenId> refused;     ///< where the next token stands
  };

  /// Throws bad_markup when an option cannot work.
  Skeleton(Encode encode, Decode decode, SkeletonOptions options = {});
  const SkeletonOptions& options() const noexcept { return options_; }

  State start() const { return {}; }
  State child(const State& s, std::int32_t k) const;
  Action open(State& s) const;
  Action next(State& s, TokenId token) const;
  Action end_of_text(State& s) const;
  Action joined(State& s) const;
  Forced closing(const State& s) const;
  Constraint constrain(const State& s) const;

 private:
  Action next_in_title(State& s, std::string_view text) const;
  Action next_in_body(State& s, std::string_view text) const;
  bool refuses(const State& s, std::string_view text) const;
  Action take_back(State& s, std::span<const TokenId> tokens) const;
  bool settle_title(State& s, Action& action, std::string_view written, std::string_view last) const;
  Action discard_title(State& s) const;
  void finish_outline(State& s, Action& action) const;
  bool repeated(const State& s, std::string_view title) const;
  Forced number(State& s) const;
  std::vector<TokenId> encode(std::string_view text) const;
  std::string text_of(TokenId token) const;
  void check() const;
  void collect_forbidden();

  Encode encode_;
  Decode decode_;
  SkeletonOptions options_;
  std::vector<TokenId> not_first_;  ///< tokens that a first title or a body must not start with
  std::vector<TokenId> no_break_;   ///< tokens that a first title or a body that is too short must not hold
};

}  // namespace anabranch::markup

#include <anabranch/markup/impl/skeleton.hpp>
