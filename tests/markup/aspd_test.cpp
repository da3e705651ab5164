// The ASPD markup as a state machine, token by token; tests/decode runs it in a decoder.
#include <anabranch/markup/aspd.hpp>

#include <algorithm>
#include <string>

#include "catch.hpp"
#include "letters.hpp"

namespace {

using namespace letters;
using ab::markup::Action;
using ab::markup::Role;

AspdOptions well_formed() {
  AspdOptions options;
  options.well_formed = true;
  options.end_of_text = {kEnd};
  return options;
}
/// The signs of those tokens that may come next, of all tags, the end of text and a letter.
std::string next(const Aspd& markup, const Aspd::State& s) {
  const ab::markup::Constraint c = markup.constrain(s);
  const auto has = [](std::span<const TokenId> list, TokenId token) {
    return std::find(list.begin(), list.end(), token) != list.end();
  };
  std::string may;
  for (const char sign : std::string("[](){}.x"))
    if (const TokenId token = tokens(std::string(1, sign))[0];
        (c.allowed.empty() || has(c.allowed, token)) && !has(c.forbidden, token))
      may += sign;
  return may;
}

/// Tokens of a forced sequence, spelled.
std::string spelled(const ab::markup::Forced& forced) {
  Tokens list;
  for (const ab::markup::ForcedToken& token : forced) list.push_back(token.token);
  return letters::spelled(list);
}

/// The action of the last token of `text`.
Action last_action(const std::string& text, Aspd::State s) {
  Action action;
  for (const TokenId token : tokens(text)) action = aspd().next(s, token);
  return action;
}
Action last_action(const std::string& text) { return last_action(text, aspd().start()); }

}  // namespace

TEST_CASE("Text is text, tags are tags, and words inside a title are its name") {
  CHECK(last_action("x").role == Role::text);
  CHECK(last_action("x(").role == Role::tag);
  CHECK(last_action("x(a").role == Role::title);
  CHECK(last_action("x(a)").role == Role::tag);
  CHECK(last_action("x(a)y").role == Role::text);
  for (const char* text : {"x", "x(", "x(a", "x(a)", "x(a)y", "]", "}", "["}) {
    INFO(text);
    CHECK(last_action(text).next == Action::Next::sample);
    CHECK(last_action(text).forced.empty());
  }
}

TEST_CASE("A para tag forks into a branch per title, which starts with its tag, title and separator") {
  const Action action = last_action("x(ab)(c){");
  CHECK(action.next == Action::Next::fork);
  CHECK(action.role == Role::tag);
  REQUIRE(action.seeds.size() == 2);
  CHECK(letters::spelled(action.seeds[0].title) == "ab");
  CHECK(spelled(action.seeds[0].prefix) == "[ab:");
  CHECK(action.seeds[0].prefix[0].role == Role::tag);
  CHECK(action.seeds[0].prefix[1].role == Role::text);
  CHECK(spelled(action.seeds[1].prefix) == "[c:");
}

TEST_CASE("An empty title gives a branch without words, and no title no branch") {
  CHECK(spelled(last_action("(){").seeds[0].prefix) == "[");
  CHECK(last_action("{").next == Action::Next::fork);
  CHECK(last_action("{").seeds.empty());
}

TEST_CASE("A branch ends with its own tag, or is given one; a trunk does not and is not") {
  const Aspd markup = aspd();
  Aspd::State trunk = markup.start();
  markup.next(trunk, kPara);
  const Aspd::State branch = markup.child(trunk, 0);
  CHECK(last_action("x]", branch).next == Action::Next::end_branch);
  CHECK(last_action("x]").next == Action::Next::sample);
  CHECK(spelled(markup.closing(branch)) == "]");
  CHECK(markup.closing(trunk).empty());
  CHECK(spelled(markup.joined(trunk).forced) == "}");
  CHECK(markup.joined(trunk).next == Action::Next::sample);
}

TEST_CASE("The end of a long title and a next title are drafted") {
  const Aspd markup = aspd();
  const auto draft = [&](const std::string& text) { return markup.draft(after(markup, text, markup.start())); };
  CHECK(draft("") == ab::kUnknownToken);
  CHECK(draft("(") == ab::kUnknownToken);
  CHECK(draft("(a") == ab::kUnknownToken);
  CHECK(draft("(ab") == kTitleEnd);
  CHECK(draft("(ab)") == kTitle);
}

TEST_CASE("Tags that are missing, equal or part of the separator are refused by name") {
  const auto message = [](ab::markup::AspdTags tags) {
    try {
      Aspd{std::move(tags)};
    } catch (const ab::Error& error) {
      CHECK(error.status() == ab::Status::bad_markup);
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(message({}).find("tag branch has id -1") != std::string::npos);
  CHECK(message({1, 2, 3, 4, 5, 1}).find("tags branch and para_end both have id 1") != std::string::npos);
  CHECK(message({1, 2, 3, 4, 5, 6, {3}}).find("title separator holds token 3") != std::string::npos);
  CHECK(message({1, 2, 3, 4, 5, 6, {7}}).empty());
}

TEST_CASE("The grammar says what may come next on the trunk, in a title, between titles and in a branch") {
  const Aspd markup = with(well_formed());
  const auto on_trunk = [&](const std::string& text) { return next(markup, after(markup, text, markup.start())); };
  CHECK(on_trunk("") == "(.x");
  CHECK(on_trunk("xyz") == "(.x");
  CHECK(on_trunk("(") == "x");
  CHECK(on_trunk("(a") == ")x");
  CHECK(on_trunk("(a)") == "(");
  CHECK(on_trunk("(a)(") == "x");
  CHECK(on_trunk("(a)(b)") == "({");
  CHECK(on_trunk("(a)(b)(c") == ")x");
  CHECK(on_trunk("(a)(b){") == "(.x");  // after the join
  CHECK(on_trunk("(a)(b){x(c)") == "(");
  const auto in_branch = [&](const std::string& text) {
    return next(markup, after(markup, text, markup.child(after(markup, "(a)(b){", markup.start()), 0)));
  };
  CHECK(in_branch("") == "](x");
  CHECK(in_branch("xy") == "](x");
  CHECK(in_branch("x(") == "x");
  CHECK(in_branch("x(a)") == "(");
  CHECK(in_branch("x(a)(b)") == "({");
}

TEST_CASE("The grammar goes with the other options") {
  AspdOptions options = well_formed();
  options.unique_titles = true;
  options.max_titles = 2;
  options.max_title_tokens = 3;
  const Aspd markup = with(options);
  const auto on_trunk = [&](const std::string& text) { return next(markup, after(markup, text, markup.start())); };
  CHECK(on_trunk("(ab") == ")x");
  CHECK(on_trunk("(abc") == ")");  // as long as a title may be
  CHECK(on_trunk("(abc)(a") == ")x");
  CHECK(on_trunk("(abc)(abc") == "x");  // not closed, for it would come twice
  CHECK(on_trunk("(abc)(abcd") == ")");
  CHECK(on_trunk("(abc)(d)") == "{");  // as many as a block may have
  options.not_in_titles = tokens("x");
  const Aspd without_x = with(options);
  CHECK(next(without_x, after(without_x, "(a", without_x.start())) == ")");
  CHECK(next(without_x, after(without_x, "a", without_x.start())) == "(.x");
  options.max_title_tokens = 0;
  CHECK_THROWS_AS(with(options), ab::Error);
}
