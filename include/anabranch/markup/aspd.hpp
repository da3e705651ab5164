// Aspd: the markup of ASPD (arXiv 2508.08895): six control tokens, titles first, then one branch per title.
//
//   <|title|>t1<|/title|><|title|>t2<|/title|><|para|><|branch|>t1: ...<|/branch|><|branch|>t2: ...<|/branch|><|/para|>
//
// The model writes the titles and `<|para|>`. Each branch is forced to start with `<|branch|>`, its title's tokens and
// the separator; `<|/para|>` is forced after the join. Every token sequence has a defined result:
//   repeated title           a branch for each
//   empty title              a branch whose prefix is `<|branch|>` alone, so that it finds its own words
//   title that is not closed a new `<|title|>` or `<|para|>` closes it; when the branch ends, it is dropped
//   `<|para|>` without title an empty block: `<|/para|>` follows at once, in the same pass
//   titles inside a branch   a nested block
//   branch that a limit ends `<|/branch|>` behind the branch separator, unless its text ends in one
//   titles without `<|para|>` are not shown and have no branches
//   any other tag            stays in the history, is not shown, changes nothing; inside a title it is not part of it
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <anabranch/error.hpp>
#include <anabranch/markup/aspd_tags.hpp>
#include <anabranch/markup/impl/title_list.hpp>
#include <anabranch/markup/impl/title_text.hpp>
#include <anabranch/markup/markup.hpp>

namespace anabranch::markup {

/// Constraints on what may be sampled. A host that samples without them gets the results above.
struct AspdOptions {
  /// No title that the branch knows comes again: of its blocks, and of those that its parents had when it was forked.
  /// The last token of a known title is forbidden, and so is closing one. Titles are the same by their tokens, or, with
  /// `text`, by their letters, whatever their case, the blanks around and the `:`, `.`, `*` behind.
  bool unique_titles = false;
  /// Only tags that keep to the grammar (tag_grammar.hpp), no text between titles, no end of text before a branch ends.
  bool well_formed = false;
  std::int32_t max_titles = kNone;        ///< of one block; behind the last one only `<|para|>` may follow; kNone: any
  std::int32_t max_title_tokens = kNone;  ///< a title of so many must be closed, with well_formed; kNone: any number
  std::vector<TokenId> end_of_text = {};  ///< for well_formed
  std::vector<TokenId> not_in_titles = {};  ///< for well_formed: tokens that hold a line break, for example
  /// Appends the text of tokens, so that a title in other tokens is known again; empty: tokens are compared.
  std::function<void(std::span<const TokenId>, std::string&)> text = {};
};

class Aspd {
 public:
  struct State {
    bool in_branch = false;
    bool in_title = false;
    std::vector<TokenId> title;      ///< the open one
    impl::TitleList titles;          ///< the closed ones: all that may not come again, then those of the block
    std::size_t first = 0;           ///< index of the block's first
    std::vector<TokenId> forbidden;  ///< next
    TokenId last = kUnknownToken;    ///< text token that the branch sampled; the separator behind a block
    std::size_t n_titles() const noexcept { return titles.size() - first + (in_title ? 1 : 0); }
  };

  /// Throws bad_markup when a tag is missing, two tags share an id, or an option makes no sense.
  explicit Aspd(AspdTags tags, AspdOptions options = {})
      : tags_(std::move(tags)),
        options_(std::move(options)),
        ids_{tags_.branch, tags_.branch_end, tags_.title, tags_.title_end, tags_.para, tags_.para_end},
        behind_title_{tags_.title, tags_.para} {
    check();
  }
  const AspdTags& tags() const noexcept { return tags_; }
  const AspdOptions& options() const noexcept { return options_; }

  State start() const {
    State s;
    forbid(s);
    return s;
  }
  State child(const State& parent, std::int32_t) const {
    State s;
    s.in_branch = true;
    s.titles = parent.titles;
    s.first = s.titles.size();
    forbid(s);
    return s;
  }

  Action next(State& s, TokenId token) const {
    if (token == tags_.branch_end && s.in_branch) return Action::end_branch();
    if (token == tags_.para) {
      std::vector<Seed> seeds = take_seeds(s);
      forbid(s);
      return Action::fork(std::move(seeds));
    }
    const bool opens = token == tags_.title;
    if (opens || token == tags_.title_end) close_title(s);
    s.in_title = s.in_title || opens;
    const bool named = s.in_title && !is_tag(token);
    if (named) s.title.push_back(token);
    forbid(s);
    if (!named && !is_tag(token)) s.last = token;
    return Action::go_on(is_tag(token) ? Role::tag : named ? Role::title : Role::text);
  }
  Action joined(State& s) const {
    if (!tags_.branch_separator.empty()) s.last = tags_.branch_separator.back();  // its branches end in one
    return Action::force({{tags_.para_end, Role::tag}});
  }
  Forced closing(const State& s) const {
    Forced forced;
    if (!s.in_branch) return forced;
    if (!ends_in_separator(s.last)) push(forced, tags_.branch_separator, Role::text);
    forced.push_back({tags_.branch_end, Role::tag});
    return forced;
  }
  Constraint constrain(const State& s) const {
    if (!s.in_title && full(s)) return {{&tags_.para, 1}, {}, ids_};
    if (options_.well_formed && !s.in_title && s.n_titles() > 0)
      return {std::span(behind_title_).first(keeps_rules(grammar_state(s), Symbol::para) ? 2 : 1), {}, ids_};
    if (must_close(s)) return {{&tags_.title_end, 1}, {}, ids_};
    return {{}, s.forbidden, ids_};
  }
  /// The draft is that a title of two tokens or more ends, and that another one follows it.
  TokenId draft(const State& s) const {
    if (s.in_title) return s.title.size() > 1 && may_close(s) ? tags_.title_end : kUnknownToken;
    return s.n_titles() > 0 && !full(s) ? tags_.title : kUnknownToken;
  }

 private:
  /// By the token, or, with `text`, by what it writes.
  bool ends_in_separator(TokenId last) const {
    const std::vector<TokenId>& separator = tags_.branch_separator;
    if (separator.empty() || last == kUnknownToken) return false;
    if (last == separator.back()) return true;
    if (!options_.text) return false;
    std::string end, written;
    options_.text(separator, end);
    options_.text(std::span(&last, 1), written);
    return !end.empty() && written.ends_with(end);
  }

  bool full(const State& s) const {
    return options_.max_titles != kNone && std::cmp_greater_equal(s.n_titles(), options_.max_titles);
  }

  bool may_close(const State& s) const {
    return s.in_title && std::find(s.forbidden.begin(), s.forbidden.end(), tags_.title_end) == s.forbidden.end();
  }

  bool must_close(const State& s) const {
    return options_.well_formed && options_.max_title_tokens != kNone && may_close(s) &&
           std::ssize(s.title) >= options_.max_title_tokens;
  }

  void close_title(State& s) const {
    if (!s.in_title) return;
    std::string text = text_of(s.title);
    s.titles.push_back({std::exchange(s.title, {}), std::move(text)});
    s.in_title = false;
  }

  std::string text_of(const std::vector<TokenId>& title) const {
    std::string text;
    if (options_.unique_titles && options_.text && !title.empty()) options_.text(title, text);
    return std::string(impl::trim_title(text));
  }

  /// Tokens that may not come next.
  void forbid(State& s) const {
    s.forbidden.clear();
    if (options_.well_formed) forbid_ill_formed(s);
    if (s.in_title) forbid_titles(s);
  }

  /// Where the grammar sees the state. Titles that were closed without `<|/title|>` count.
  TagState grammar_state(const State& s) const {
    TagState at;
    at.in_branch = s.in_branch;
    at.in_title = s.in_title;
    at.title_is_empty = s.title.empty();
    at.n_titles = static_cast<std::int32_t>(s.n_titles());
    return at;
  }

  void forbid_ill_formed(State& s) const {
    const TagState at = grammar_state(s);
    for (const TokenId tag : ids_)
      if (!keeps_rules(at, tags_.symbol(tag))) s.forbidden.push_back(tag);
    const auto forbid_all = [&s](const std::vector<TokenId>& tokens) {
      s.forbidden.insert(s.forbidden.end(), tokens.begin(), tokens.end());
    };
    if (s.in_branch || s.in_title) forbid_all(options_.end_of_text);
    if (s.in_title) forbid_all(options_.not_in_titles);
  }

  void forbid_titles(State& s) const {
    bool known = false;
    const std::string text = text_of(s.title);
    for (std::size_t i = 0; options_.unique_titles && i < s.titles.size(); ++i) {
      const impl::Title& other = s.titles[i];
      known = known || s.title == other.tokens || (options_.text && impl::same_letters(text, other.text));
      if (s.title.size() + 1 == other.tokens.size() &&
          std::equal(s.title.begin(), s.title.end(), other.tokens.begin()) &&
          std::find(s.forbidden.begin(), s.forbidden.end(), other.tokens.back()) == s.forbidden.end())
        s.forbidden.push_back(other.tokens.back());
    }
    if (known) s.forbidden.insert(s.forbidden.end(), {tags_.title_end, tags_.para});
    if (known || full(s)) s.forbidden.push_back(tags_.title);
  }

  std::vector<Seed> take_seeds(State& s) const {
    close_title(s);
    std::vector<Seed> seeds;
    for (std::size_t i = s.first; i < s.titles.size(); ++i) {
      const std::vector<TokenId>& title = s.titles[i].tokens;
      Seed seed{{{tags_.branch, Role::tag}}, title};
      push(seed.prefix, title, Role::text);
      if (!title.empty()) push(seed.prefix, tags_.title_separator, Role::text);
      seeds.push_back(std::move(seed));
    }
    if (!options_.unique_titles) s.titles.clear();
    s.first = s.titles.size();
    return seeds;
  }

  bool is_tag(TokenId token) const { return std::find(ids_.begin(), ids_.end(), token) != ids_.end(); }
  void check() const {
    if (options_.max_titles != kNone && options_.max_titles < 1)
      fail(Status::bad_markup, "max_titles is ", options_.max_titles, "; at least 1 is needed");
    if (options_.max_title_tokens != kNone && options_.max_title_tokens < 1)
      fail(Status::bad_markup, "max_title_tokens is ", options_.max_title_tokens, "; at least 1 is needed");
    static constexpr const char* kNames[] = {"branch", "branch_end", "title", "title_end", "para", "para_end"};
    for (std::size_t i = 0; i < ids_.size(); ++i) {
      if (ids_[i] < 0) fail(Status::bad_markup, "tag ", kNames[i], " has id ", ids_[i], "; ids start at 0");
      for (std::size_t j = 0; j < i; ++j)
        if (ids_[i] == ids_[j])
          fail(Status::bad_markup, "tags ", kNames[j], " and ", kNames[i], " both have id ", ids_[i]);
    }
    const auto check_text = [this](const std::vector<TokenId>& tokens, const char* name) {
      for (const TokenId token : tokens)
        if (token < 0 || is_tag(token))
          fail(Status::bad_markup, name, " separator holds token ", token, ", which is no text token");
    };
    check_text(tags_.title_separator, "title");
    check_text(tags_.branch_separator, "branch");
  }

  AspdTags tags_;
  AspdOptions options_;
  std::array<TokenId, 6> ids_;
  std::array<TokenId, 2> behind_title_;
};
static_assert(Markup<Aspd> && MarkupWithConstraint<Aspd> && MarkupWithDraft<Aspd>);

}  // namespace anabranch::markup
