// Skeleton markup as a state machine, token by token; tests/decode/skeleton_test.cpp has it in a decoder.
#include <anabranch/markup/skeleton.hpp>

#include <string>
#include <string_view>
#include <vector>

#include "catch.hpp"

namespace {

namespace ab = anabranch;
using ab::TokenId;
using ab::markup::Action;
using ab::markup::Role;

/// One token a byte, but for `**`, which is token 256.
constexpr TokenId kBold = 256;

struct Encode {
  std::vector<TokenId> operator()(std::string_view text) const {
    std::vector<TokenId> tokens;
    for (std::size_t i = 0; i < text.size(); ++i) {
      const bool bold = text.substr(i, 2) == "**";
      tokens.push_back(bold ? kBold : static_cast<unsigned char>(text[i]));
      i += bold ? 1 : 0;
    }
    return tokens;
  }
};
struct Decode {
  void operator()(std::span<const TokenId> tokens, std::string& out) const {
    for (const TokenId token : tokens) token == kBold ? out += "**" : out += static_cast<char>(token);
  }
};
using Skeleton = ab::markup::Skeleton<Encode, Decode>;
using Stage = Skeleton::Stage;

Skeleton skeleton(ab::markup::SkeletonOptions options = {}) { return Skeleton(Encode{}, Decode{}, std::move(options)); }

std::string text_of(const ab::markup::Forced& forced) {
  std::string text;
  for (const ab::markup::ForcedToken& token : forced) Decode{}(std::span(&token.token, 1), text);
  return text;
}

/// A trunk behind its opening, and the action of the last token of `sampled`.
struct Trunk {
  explicit Trunk(const std::string& sampled, ab::markup::SkeletonOptions options = {}) : markup(skeleton(options)) {
    state = markup.start();
    action = markup.open(state);
    for (const TokenId token : Encode{}(sampled)) action = markup.next(state, token);
  }
  Skeleton markup;
  Skeleton::State state;
  Action action;
};

}  // namespace

TEST_CASE("A trunk opens with the opening as text and the first number as a tag") {
  const Trunk trunk("");
  CHECK(text_of(trunk.action.forced) == "Here are the main points:\n\n1. **");
  CHECK(trunk.action.forced.front().role == Role::text);
  CHECK(trunk.action.forced.back().role == Role::tag);
  CHECK(trunk.action.next == Action::Next::sample);
}

TEST_CASE("A title ends with its bold marks, and the next number is forced") {
  CHECK(Trunk("Ab").action.role == Role::title);
  const Trunk trunk("Ab**");
  CHECK(trunk.action.role == Role::tag);
  CHECK(trunk.action.forget == 0);
  CHECK(text_of(trunk.action.forced) == "\n2. **");
  CHECK(trunk.state.titles == std::vector<std::string>{"Ab"});
}

TEST_CASE("A title with blanks or punctuation at its ends is taken back and forced clean") {
  const Trunk trunk(" Ab:**");
  CHECK(trunk.action.forget == 5);  // the sampled `**` included
  CHECK(text_of(trunk.action.forced) == "Ab**\n2. **");
  CHECK(trunk.state.titles == std::vector<std::string>{"Ab"});
}

TEST_CASE("A repeated title is taken back with its number, and the outline forks") {
  const Trunk trunk("Ab**aB**");
  CHECK(trunk.action.forget == 8);  // "\n2. **" has five tokens
  CHECK(trunk.action.next == Action::Next::fork);
  CHECK(text_of(trunk.action.forced) == "\n\n");
  REQUIRE(trunk.action.seeds.size() == 1);
  CHECK(text_of(trunk.action.seeds[0].prefix) == "1. **Ab**:");
}

TEST_CASE("The outline ends with as many points as it may have") {
  const Trunk trunk("A**B**", {.max_points = 2});
  CHECK(trunk.action.next == Action::Next::fork);
  CHECK(trunk.action.seeds.size() == 2);
}

TEST_CASE("A title ends where it is too long: the first is kept, a later one taken back") {
  const Trunk first("ABC", {.max_title_tokens = 3});
  CHECK(first.action.next == Action::Next::fork);
  CHECK(text_of(first.action.seeds.at(0).prefix) == "1. **ABC**:");
  const Trunk later("A**BCD", {.max_title_tokens = 3});
  CHECK(later.action.seeds.size() == 1);
  CHECK(later.action.forget == 8);
}

TEST_CASE("A title is cut between characters, never inside one") {
  const std::string two = "\u4e2d\u6587";  // of three bytes, three tokens, each
  for (std::int32_t n = 3; n <= 6; ++n) {
    const Trunk cut(two.substr(0, static_cast<std::size_t>(n)), {.max_title_tokens = n});
    CAPTURE(n);
    CHECK(text_of(cut.action.seeds.at(0).prefix) == "1. **" + two.substr(0, n < 6 ? 3 : 6) + "**:");
  }
  CHECK(Trunk(two.substr(0, 2), {.max_title_tokens = 2}).action.seeds.empty());  // no character at all
  const Trunk closed(two.substr(0, 4) +
                     "**b\xff"
                     "c**\n");
  CHECK(text_of(closed.action.forced) == "\n\n");
  REQUIRE(closed.action.seeds.size() == 2);
  CHECK(text_of(closed.action.seeds[0].prefix) == "1. **" + two.substr(0, 3) + "**:");
  CHECK(text_of(closed.action.seeds[1].prefix) == "2. **b\ufffdc**:");
}

TEST_CASE("Without any title the answer goes on serially") {
  Trunk trunk("\n", {.max_refused = 0});
  CHECK(trunk.action.seeds.empty());
  CHECK(trunk.action.next == Action::Next::sample);
  CHECK(trunk.state.stage == Stage::rest);
  CHECK(trunk.markup.next(trunk.state, 'x').role == Role::text);
}

TEST_CASE("A body ends at its line break, and all but the last are given the separator") {
  Trunk trunk("A**B**", {.max_points = 2});
  Skeleton::State first = trunk.markup.child(trunk.state, 0), last = trunk.markup.child(trunk.state, 1);
  CHECK(trunk.markup.next(first, 'x').next == Action::Next::sample);
  const Action end = trunk.markup.next(first, '\n');
  CHECK(end.next == Action::Next::end_branch);
  CHECK(end.forget == 1);
  CHECK(text_of(end.forced) == "\n");
  CHECK(text_of(trunk.markup.closing(first)) == "\n");
  CHECK(trunk.markup.closing(last).empty());
}

TEST_CASE("End of text ends a body, and finishes an answer behind its points") {
  Trunk trunk("A**B**", {.max_points = 2});
  Skeleton::State body = trunk.markup.child(trunk.state, 0);
  CHECK(trunk.markup.end_of_text(body).next == Action::Next::end_branch);
  CHECK(trunk.markup.joined(trunk.state).next == Action::Next::finish);
  CHECK(trunk.markup.end_of_text(trunk.state).next == Action::Next::finish);
}

TEST_CASE("An answer that goes on behind its points is forced to start with the text for it") {
  Trunk trunk("A**B**", {.max_points = 2, .after = ab::markup::AfterPoints::go_on, .after_text = "\n\nSo"});
  const Action action = trunk.markup.joined(trunk.state);
  CHECK(action.next == Action::Next::sample);
  CHECK(text_of(action.forced) == "\n\nSo");
}

TEST_CASE("A constraint keeps line breaks out of the first title and the start of a body") {
  const Trunk trunk("", {.max_points = 1, .n_vocabulary = 257});
  const auto forbids = [](const ab::markup::Constraint& c, TokenId token) {
    return std::find(c.forbidden.begin(), c.forbidden.end(), token) != c.forbidden.end();
  };
  CHECK(forbids(trunk.markup.constrain(trunk.state), '\n'));
  CHECK(forbids(trunk.markup.constrain(trunk.state), ' '));
  CHECK(forbids(trunk.markup.constrain(trunk.state), kBold));
  CHECK_FALSE(forbids(trunk.markup.constrain(trunk.state), 'A'));
  const Trunk written("A", {.max_points = 1, .n_vocabulary = 257});
  CHECK(forbids(written.markup.constrain(written.state), '\n'));
  CHECK_FALSE(forbids(written.markup.constrain(written.state), kBold));
}

TEST_CASE("Without a vocabulary a token that would leave a title or body empty is taken back and forbidden") {
  for (const TokenId bad : {TokenId{'\n'}, kBold}) {
    Trunk trunk("");
    const Action back = trunk.markup.next(trunk.state, bad);
    CHECK(back.next == Action::Next::sample);
    CHECK(back.forget == 1);
    CHECK(back.forced.empty());
    CHECK(std::vector<TokenId>(trunk.markup.constrain(trunk.state).forbidden.begin(),
                               trunk.markup.constrain(trunk.state).forbidden.end()) == std::vector<TokenId>{bad});
    CHECK(trunk.markup.next(trunk.state, 'A').role == Role::title);
    CHECK(trunk.markup.constrain(trunk.state).forbidden.empty());
    CHECK(trunk.markup.next(trunk.state, '\n').forget == 1);  // nor inside the first title
  }
  Trunk trunk("A**B**", {.max_points = 2, .end_of_text = {7}});
  Skeleton::State body = trunk.markup.child(trunk.state, 0);
  CHECK(trunk.markup.next(body, '\n').next == Action::Next::sample);
  CHECK(trunk.markup.end_of_text(body).next == Action::Next::sample);
  CHECK(trunk.markup.constrain(body).forbidden.size() == 2);
  CHECK(trunk.markup.next(body, ' ').forget == 0);  // a blank alone leaves the body empty, and is text if it goes on
  CHECK(trunk.markup.next(body, '\n').next == Action::Next::sample);
  CHECK(trunk.markup.next(body, 'x').forget == 0);
  CHECK(trunk.markup.next(body, '\n').next == Action::Next::end_branch);
}

TEST_CASE("A model that insists is let through in the end") {
  Trunk trunk("A**B**", {.max_points = 2, .max_refused = 3});
  Skeleton::State body = trunk.markup.child(trunk.state, 0);
  for (int i = 0; i < 3; ++i) CHECK(trunk.markup.next(body, '\n').next == Action::Next::sample);
  CHECK(trunk.markup.next(body, '\n').next == Action::Next::end_branch);
}

TEST_CASE("A detokenizer that counts its tokens is the vocabulary") {
  struct Counting : Decode {
    std::int32_t n_tokens() const { return 257; }
    std::vector<TokenId> end_of_text() const { return {7}; }
  };
  const ab::markup::Skeleton markup{Encode{}, Counting{}};
  CHECK(markup.options().n_vocabulary == 257);
  const std::span<const TokenId> forbidden = markup.constrain(markup.start()).forbidden;
  CHECK(std::find(forbidden.begin(), forbidden.end(), '\n') != forbidden.end());
  CHECK(std::find(forbidden.begin(), forbidden.end(), 7) != forbidden.end());
}

TEST_CASE("Options that cannot work are refused") {
  CHECK_THROWS_AS(skeleton({.max_points = 0}), ab::Error);
  CHECK_THROWS_AS(skeleton({.max_title_tokens = 0}), ab::Error);
  CHECK_THROWS_AS(skeleton({.min_body_tokens = 3}), ab::Error);  // without n_vocabulary
  CHECK_THROWS_AS(skeleton({.opening = "Points: "}), ab::Error);
  CHECK_THROWS_AS(skeleton({.after = ab::markup::AfterPoints::go_on, .after_text = ""}), ab::Error);
}
