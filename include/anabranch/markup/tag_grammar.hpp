// TagGrammar: the grammar of the six tags of ASPD, stated once. `Aspd` derives from it which tags may be sampled, the
// evaluation (examples/train/evaluate) which rules a model broke, and `corpus::count_tokens` the fault of an answer.
//
// It follows one branch, or the trunk. A branch inside a block, its end tag included, has a state of its own:
//
//   branch  = (text | title* para (`<|branch|>` branch `<|/branch|>`)* `<|/para|>`)*
//   title   = `<|title|>` text+ `<|/title|>`           two or more before a `<|para|>`
#pragma once

#include <cstdint>

#include <anabranch/types.hpp>

namespace anabranch::markup {

/// A token as the grammar sees it.
enum class Symbol : std::uint8_t { text, title, title_end, para, para_end, branch, branch_end };

/// A broken rule.
enum class Breach : std::uint8_t {
  title_not_closed,  ///< another tag where `<|/title|>` is due
  empty_title,       ///< a title without text
  stray_title_end,   ///< `<|/title|>` outside of a title
  few_titles,        ///< `<|para|>` behind fewer than two titles
  text_in_block,     ///< text between the branches of a block
  tag_in_block,      ///< `<|title|>` or `<|para|>` between the branches of a block
  stray_branch,      ///< `<|branch|>` outside of a block
  stray_branch_end,  ///< `<|/branch|>` outside of a branch, or inside its open block
  stray_para_end,    ///< `<|/para|>` outside of a block
};

/// How far a branch has got.
struct TagState {
  bool in_branch = false;  ///< it is no trunk
  bool in_title = false;
  bool in_block = false;        ///< behind `<|para|>`, before `<|/para|>`
  bool title_is_empty = false;  ///< of the open title
  std::int32_t n_titles = 0;    ///< closed since the last block
};

/// Takes the symbol and calls note(Breach) for each rule that it breaks. A tag that does not belong where it stands
/// changes nothing; a title that another tag follows ends without counting.
template <class Note>
constexpr void advance(TagState& s, Symbol symbol, Note&& note) {
  switch (symbol) {
    case Symbol::text:
      if (s.in_block) note(Breach::text_in_block);
      s.title_is_empty = false;
      return;
    case Symbol::title:
      if (s.in_title) note(Breach::title_not_closed);
      if (s.in_block) return note(Breach::tag_in_block);
      s.in_title = s.title_is_empty = true;
      return;
    case Symbol::title_end:
      if (!s.in_title) return note(Breach::stray_title_end);
      if (s.title_is_empty) note(Breach::empty_title);
      s.in_title = false;
      ++s.n_titles;
      return;
    case Symbol::para:
      if (s.in_block) return note(Breach::tag_in_block);
      if (s.in_title) note(Breach::title_not_closed);
      if (s.n_titles < 2) note(Breach::few_titles);
      s.in_block = true;
      s.in_title = false;
      s.n_titles = 0;
      return;
    case Symbol::para_end:
      if (!s.in_block) return note(Breach::stray_para_end);
      s.in_block = false;
      return;
    case Symbol::branch:
      if (!s.in_block) note(Breach::stray_branch);
      return;
    case Symbol::branch_end:
      if (!s.in_branch || s.in_block) return note(Breach::stray_branch_end);
      if (s.in_title) note(Breach::title_not_closed);
      return;
  }
}

/// May the symbol come next?
constexpr bool keeps_rules(TagState s, Symbol symbol) {
  bool kept = true;
  advance(s, symbol, [&kept](Breach) { kept = false; });
  return kept;
}

/// Where the branch may end: no title is open, and none waits for its block.
constexpr bool may_end(const TagState& s) noexcept { return !s.in_title && !s.in_block && s.n_titles == 0; }

}  // namespace anabranch::markup
