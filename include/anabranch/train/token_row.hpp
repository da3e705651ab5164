// A sample as the model is shown it: one row of tokens with positions, visibility and what is to be predicted where.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <anabranch/corpus/parts.hpp>
#include <anabranch/hf/model_text.hpp>
#include <anabranch/markup/aspd.hpp>
#include <anabranch/train/row_layout.hpp>

namespace anabranch::train {

using corpus::Part;
using corpus::Sample;
using Branch = corpus::PartBranch;

/// The part that a token plays in an answer; losses are reported by the kind of the token that is predicted.
enum class TokenKind : std::uint8_t { prompt, serial, title, branch, tag, after_join };
inline constexpr std::int32_t kTokenKinds = 6;
/// "prompt", "serial", "title", "branch", "tag", "after_join".
const char* token_kind_name(TokenKind kind) noexcept;

/// One sample. All arrays have n_tokens() places, in flat order: branch 1 whole, branch 2 whole, ...
struct TokenRow {
  std::string id;
  std::vector<TokenId> tokens;
  std::vector<TokenKind> kinds;
  std::vector<Position> positions;
  /// The token that decoding samples at this token's row, or kNone: in the prompt, and where the next token is forced
  /// (`<|branch|>`, a branch's copied title and separator, `<|/para|>`) or is another line's.
  std::vector<TokenId> targets;
  std::vector<TokenKind> target_kinds;  ///< kind of the target; means nothing where there is none
  std::vector<VisibleRun> runs;
  bool causal = true;  ///< every token sees all before it

  std::int32_t n_tokens() const noexcept { return static_cast<std::int32_t>(tokens.size()); }
  std::int32_t n_targets() const noexcept;
};

enum class Rendering : std::uint8_t {
  aspd,    ///< markup, branches that do not see each other, positions by policy
  serial,  ///< plain reading text: for each branch its title, the separator and its text; every token sees all before
};

struct RenderOptions {
  Rendering rendering = Rendering::aspd;
  Positions positions = Positions::sequential;
};

/// Turns samples into rows. Copyable; calls are safe from several threads.
class Renderer {
 public:
  /// `text`: of the model; its markup settings name the tags and the separator. Throws bad_markup (aspd without tags),
  /// bad_argument (positions `given`).
  Renderer(hf::ModelText text, std::vector<TokenId> end_of_text, const RenderOptions& options);

  /// Prompt, answer, end of the answer. Text is tokenised part by part, as decoding does it; a serial rendering's
  /// answer as one text. Throws bad_argument (no UTF-8) or out_of_range (a branch longer than its reserved range).
  TokenRow render(const Sample& sample) const;

  const markup::AspdTags& tags() const noexcept { return tags_; }
  TokenId end_of_answer() const noexcept { return end_; }

 private:
  hf::ModelText text_;
  RenderOptions options_;
  markup::AspdTags tags_;
  TokenId end_ = kNone;
};

}  // namespace anabranch::train
