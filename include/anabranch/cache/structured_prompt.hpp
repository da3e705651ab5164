// StructuredPrompt: the tokens of a history with the positions that they have, and with the blocks of branches that
// say which of them saw which.
//
// A prompt that came out of a template is linear. What a request has written with branches is not: a branch did not see
// its siblings, so its K and V are others than those of the same tokens read one after another. A structured prompt
// says both alike, in the order of the history:
//
//   StructuredPrompt prompt(question);                                   // linear
//   prompt.begin_block(Positions::sequential, 2);
//   prompt.begin_branch(), prompt.append(left), prompt.end_branch();
//   prompt.begin_branch(), prompt.append(right), prompt.end_branch();
//   prompt.end_block();                                                  // joined
//   prompt.append(next_question);
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <variant>
#include <vector>

#include <anabranch/error.hpp>
#include <anabranch/tree/positions.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

class StructuredPrompt {
 public:
  /// Part of the prompt. Blocks may be nested: what stands between the begin and the end of a branch is the branch's.
  struct Item {
    enum class Kind : std::uint8_t { tokens, begin_block, begin_branch, end_branch, end_block };
    Kind kind = Kind::tokens;
    Position position = 0;  ///< of the first token; of begin_branch: where it starts; of an end: where it goes on
    std::int32_t first_token = 0;  ///< in tokens()
    std::int32_t n_tokens = 0;
    friend bool operator==(const Item&, const Item&) = default;
  };

  /// Without tokens; the first one gets position `first`.
  explicit StructuredPrompt(Position first = 0) : next_(first) {
    if (first < 0) fail(Status::bad_argument, "a prompt at position ", first, "; positions begin at 0");
  }
  explicit StructuredPrompt(std::span<const TokenId> tokens) { append(tokens); }

  /// Adds tokens at the next positions. Throws bad_argument for a negative one, out_of_range past the last position,
  /// wrong_state between the branches of a block. Whatever throws here and below has changed nothing.
  void append(std::span<const TokenId> tokens);
  void append(std::initializer_list<TokenId> tokens) {
    append(std::span<const TokenId>(tokens.begin(), tokens.size()));
  }
  /// A block of `n_branches` is forked here, 0 or more. Throws bad_argument for `given` or for a policy that is not
  /// valid, out_of_range past the last position, wrong_state between the branches of another block.
  void begin_block(const Positions& positions, std::int32_t n_branches);
  /// The block's next branch. Throws wrong_state where none can begin.
  void begin_branch();
  void end_branch();
  /// Joins the block. Throws wrong_state unless all its branches have ended.
  void end_block();

  /// In the order of the history, as `KvCache::tokens_of` gives them once everything is joined.
  std::span<const TokenId> tokens() const noexcept { return tokens_; }
  std::span<const Item> items() const noexcept { return items_; }
  std::int32_t n_tokens() const noexcept { return static_cast<std::int32_t>(tokens_.size()); }
  std::span<const TokenId> tokens_of(const Item& item) const noexcept {
    return tokens().subspan(static_cast<std::size_t>(item.first_token), static_cast<std::size_t>(item.n_tokens));
  }
  /// Position of the token that comes next.
  Position next_position() const noexcept { return next_; }
  /// Every block has been joined.
  bool complete() const noexcept { return levels_.empty(); }
  /// Tokens up to the end of the last block; 0 for a linear prompt. REQUIRES: complete.
  std::int32_t n_structured() const noexcept;
  /// The longest beginning of at most `n_tokens` tokens that does not end inside a block. O(items + tokens).
  StructuredPrompt first(std::int32_t n_tokens) const;
  friend bool operator==(const StructuredPrompt& a, const StructuredPrompt& b) {
    return a.next_ == b.next_ && a.tokens_ == b.tokens_ && a.items_ == b.items_ && a.complete() == b.complete();
  }

 private:
  /// A block that is open.
  struct Level {
    Positions positions;
    std::int32_t n_branches = 0;
    std::int32_t n_begun = 0;
    bool in_branch = false;
    Position fork = 0;                ///< the parent's next position at the fork
    Position parent = 0;              ///< and now
    Position start = 0;               ///< of the branch that is open
    WidePosition limit = kUnlimited;  ///< of the branch that is open: first position refused
  };
  void need_text_level(const char* call) const;
  static Position checked(WidePosition position, const char* call);

  std::vector<TokenId> tokens_;
  std::vector<Item> items_;
  std::vector<Level> levels_;
  Position next_ = 0;
};

/// The prompt of a request: tokens, or a prompt with blocks.
using Prompt = std::variant<std::vector<TokenId>, StructuredPrompt>;

}  // namespace anabranch

#include <anabranch/cache/impl/structured_prompt.hpp>
