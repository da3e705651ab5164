// The markup of ASPD (arXiv 2508.08895): six control tokens, titles first, then one branch per title.
//
//   <|title|>t1<|/title|><|title|>t2<|/title|><|para|><|branch|>t1: ...<|/branch|><|branch|>t2: ...<|/branch|><|/para|>
//
// The model writes the titles and `<|para|>`; each branch is forced to start with `<|branch|>`, its title's tokens and
// the separator; `<|/para|>` is forced after the join. Every token sequence has a defined result:
//   repeated title        kept: a branch for each
//   empty title           a branch whose prefix is `<|branch|>` alone, so that it finds its own words
//   unclosed title        a new `<|title|>` or `<|para|>` closes it; when the line ends, it is dropped
//   `<|para|>`, no title  an empty block: `<|/para|>` follows at once, in the same pass
//   `<|title|>`, `<|para|>` inside a branch   a nested block
//   stray `<|branch|>`, `<|/para|>`, `<|/title|>`, and `<|/branch|>` on the trunk: stay in the history, are not shown,
//                         change nothing; inside a title they are not part of it
//   titles never followed by `<|para|>`       not shown, no branches
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <anabranch/error.hpp>
#include <anabranch/markup/markup.hpp>

namespace anabranch::markup {

/// The tags by token id; all six are needed and must differ.
struct AspdTags {
  TokenId branch = kNone;
  TokenId branch_end = kNone;
  TokenId title = kNone;
  TokenId title_end = kNone;
  TokenId para = kNone;
  TokenId para_end = kNone;
  std::vector<TokenId> title_separator = {};  ///< between a branch's title and its text, usually `:`
};

class Aspd {
 public:
  struct State {
    bool in_branch = false;
    bool in_title = false;
    std::vector<std::vector<TokenId>> titles;  ///< since the last block; the last one is open while `in_title`
  };

  /// Throws bad_markup when a tag is missing or two tags share an id.
  explicit Aspd(AspdTags tags) : tags_(std::move(tags)) { check(); }
  const AspdTags& tags() const noexcept { return tags_; }

  State start() const { return {}; }
  State child(const State&, std::int32_t) const { return {true, false, {}}; }

  Action next(State& s, TokenId token) const {
    if (token == tags_.branch_end && s.in_branch) return Action::end_branch();
    if (token == tags_.title) {
      s.titles.emplace_back();
      s.in_title = true;
      return Action::go_on(Role::tag);
    }
    if (token == tags_.para) return Action::fork(take_seeds(s));
    if (token == tags_.title_end) s.in_title = false;
    if (is_tag(token)) return Action::go_on(Role::tag);
    if (!s.in_title) return Action::go_on();
    s.titles.back().push_back(token);
    return Action::go_on(Role::title);
  }
  Action joined(State&) const { return Action::force({{tags_.para_end, Role::tag}}); }
  Forced closing(const State& s) const { return s.in_branch ? Forced{{tags_.branch_end, Role::tag}} : Forced{}; }

 private:
  std::vector<Seed> take_seeds(State& s) const {
    std::vector<Seed> seeds;
    for (std::vector<TokenId>& title : s.titles) {
      Seed seed{{{tags_.branch, Role::tag}}, {}};
      push(seed.prefix, title, Role::text);
      if (!title.empty()) push(seed.prefix, tags_.title_separator, Role::text);
      seed.title = std::move(title);
      seeds.push_back(std::move(seed));
    }
    s.titles.clear();
    s.in_title = false;
    return seeds;
  }

  std::array<TokenId, 6> ids() const {
    return {tags_.branch, tags_.branch_end, tags_.title, tags_.title_end, tags_.para, tags_.para_end};
  }
  bool is_tag(TokenId token) const {
    for (const TokenId id : ids())
      if (id == token) return true;
    return false;
  }
  void check() const {
    static constexpr const char* kNames[] = {"branch", "branch_end", "title", "title_end", "para", "para_end"};
    const auto all = ids();
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (all[i] < 0)
        fail(Status::bad_markup,
             std::string("tag ") + kNames[i] + " has id " + std::to_string(all[i]) + "; ids start at 0");
      for (std::size_t j = 0; j < i; ++j)
        if (all[i] == all[j])
          fail(Status::bad_markup,
               std::string("tags ") + kNames[j] + " and " + kNames[i] + " both have id " + std::to_string(all[i]));
    }
    for (const TokenId token : tags_.title_separator)
      if (token < 0 || is_tag(token))
        fail(Status::bad_markup, "title separator holds token " + std::to_string(token) + ", which is no text token");
  }

  AspdTags tags_;
};
static_assert(Markup<Aspd>);

}  // namespace anabranch::markup
