// AspdTags: the six tags by token id.
#pragma once

#include <vector>

#include <anabranch/markup/tag_grammar.hpp>
#include <anabranch/types.hpp>

namespace anabranch::markup {

/// All six are needed and must differ.
struct AspdTags {
  TokenId branch = kNone;
  TokenId branch_end = kNone;
  TokenId title = kNone;
  TokenId title_end = kNone;
  TokenId para = kNone;
  TokenId para_end = kNone;
  std::vector<TokenId> title_separator = {};  ///< between a branch's title and its text, usually `:`
  /// Ends the text of a branch that something else than the model ends, usually a line break, with which the model ends
  /// its own; empty: such a text runs into the next branch's.
  std::vector<TokenId> branch_separator = {};

  Symbol symbol(TokenId token) const noexcept {
    if (token == branch) return Symbol::branch;
    if (token == branch_end) return Symbol::branch_end;
    if (token == title) return Symbol::title;
    if (token == title_end) return Symbol::title_end;
    if (token == para) return Symbol::para;
    if (token == para_end) return Symbol::para_end;
    return Symbol::text;
  }
};

}  // namespace anabranch::markup
