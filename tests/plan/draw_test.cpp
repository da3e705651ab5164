// What fmt prints.
#include <anabranch/fmt.hpp>

#include "catch.hpp"

namespace ab = anabranch;

TEST_CASE("a tree is drawn with each line's own tokens and next position") {
  ab::KvCache cache({.n_pages = 8, .page_size = 4});
  const ab::LineId line = cache.create_line();
  auto step = cache.begin_step();
  step.append(line, {1, 2, 3});
  const auto kids = step.fork(line, 2);
  step.append(kids[0], {4, 5});
  const auto grandkids = step.fork(kids[0], 1);
  step.append(grandkids[0], {6});
  CHECK(ab::draw(cache, line) ==
        "line 0.0   3 tokens, next 3\n"
        "|- line 1.0   2 own tokens after 3, next 5\n"
        "|  `- line 3.0   1 own tokens after 5, next 6\n"
        "`- line 2.0   0 own tokens after 3, next 3\n");
}

TEST_CASE("statuses and ids print by name") {
  CHECK(fmt::format("{}", ab::Status::stale_line) == "stale_line");
  CHECK(fmt::format("{} {}", ab::LineId{3, 1}, ab::kNoLine) == "3.1 none");
}
