// Prompt lookup: what the text so far suggests.
#include "drafts.hpp"

#include <vector>

#include "catch.hpp"

using loop::DraftOptions;
using loop::look_up;
using Tokens = std::vector<anabranch::TokenId>;
using Drafts = std::vector<Tokens>;

TEST_CASE("a draft is what followed the text's last tokens before") {
  const Tokens text{1, 2, 3, 4, 5, 9, 1, 2};
  CHECK(look_up(text, {.n_drafts = 1, .length = 3, .max_match = 2}) == Drafts{{3, 4, 5}});
  CHECK(look_up(text, {.n_drafts = 1, .length = 10, .max_match = 2}) == Drafts{{3, 4, 5, 9, 1, 2}});
}

TEST_CASE("several drafts differ, the latest place of the longest match comes first") {
  const Tokens text{1, 2, 7, 7, 0, 1, 2, 8, 8, 0, 3, 2, 9, 9, 0, 1, 2};
  const DraftOptions both{.n_drafts = 2, .length = 2, .max_match = 2, .min_match = 1};
  CHECK(look_up(text, both) == Drafts{{7, 7}, {8, 8}});
  const DraftOptions all{.n_drafts = 5, .length = 2, .max_match = 2, .min_match = 1};
  CHECK(look_up(text, all) == Drafts{{7, 7}, {8, 8}, {9, 9}});
  CHECK(look_up(text, {.n_drafts = 1, .length = 2, .max_match = 2}) == Drafts{{8, 8}});
  CHECK(look_up(text, {.n_drafts = 5, .length = 2, .max_match = 2, .min_match = 2}) == Drafts{{7, 7}, {8, 8}});
}

TEST_CASE("a draft that another begins with is left out") {
  // The latest match has only {5, 5} behind it, an earlier one {5, 5, 5}.
  const Tokens text{5, 5, 5, 5, 5};
  CHECK(look_up(text, {.n_drafts = 4, .length = 3, .max_match = 2}) == Drafts{{5, 5, 5}});
}

TEST_CASE("a draft stops before an end of text") {
  const Tokens text{1, 2, 3, 0, 4, 1, 2};
  CHECK(look_up(text, {.n_drafts = 1, .length = 4, .max_match = 2, .ends = {0}}) == Drafts{{3}});
  const Tokens at_once{1, 2, 0, 4, 1, 2};
  CHECK(look_up(at_once, {.n_drafts = 1, .length = 4, .max_match = 2, .ends = {0}}).empty());
}

TEST_CASE("without a match, without room or without text there is no draft") {
  CHECK(look_up(Tokens{1, 2, 3, 4}, {}).empty());
  CHECK(look_up(Tokens{1, 2, 3, 1, 2}, {.n_drafts = 0}).empty());
  CHECK(look_up(Tokens{1, 2, 3, 1, 2}, {.length = 0}).empty());
  CHECK(look_up(Tokens{}, {}).empty());
  CHECK(look_up(Tokens{1}, {.min_match = 1}).empty());
}
