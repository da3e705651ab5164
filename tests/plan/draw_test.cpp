// What fmt prints.
#include <anabranch/fmt.hpp>

#include "catch.hpp"

namespace ab = anabranch;

TEST_CASE("a tree is drawn with each sequence's own tokens and next position") {
  ab::KvCache cache({.n_pages = 8, .page_size = 4});
  const ab::SequenceId sequence = cache.create_sequence();
  auto step = cache.begin_step();
  step.append(sequence, {1, 2, 3});
  const auto kids = step.fork(sequence, 2);
  step.append(kids[0], {4, 5});
  const auto grandkids = step.fork(kids[0], 1);
  step.append(grandkids[0], {6});
  CHECK(ab::draw(cache, sequence) ==
        "sequence 0.0   3 tokens, next 3\n"
        "|- sequence 1.0   2 own tokens after 3, next 5\n"
        "|  `- sequence 3.0   1 own tokens after 5, next 6\n"
        "`- sequence 2.0   0 own tokens after 3, next 3\n");
}

TEST_CASE("statuses and ids print by name") {
  CHECK(fmt::format("{}", ab::Status::stale_sequence) == "stale_sequence");
  CHECK(fmt::format("{} {}", ab::SequenceId{3, 1}, ab::kNoSequence) == "3.1 none");
}

TEST_CASE("reasons print by name, and events as a line that says what happened to whom") {
  CHECK(fmt::format("{}", ab::EndReason::end_of_text) == "end_of_text");
  using Kind = ab::Event::Kind;
  ab::Event event;
  event.branch = 2;
  event.token = 17;
  event.text = "a \"b\"\n\\";
  CHECK(fmt::format("{}", event) == "branch 2: token 17 \"a \\\"b\\\"\\n\\\\\"");
  event.branch = ab::kTrunk;
  event.text = "";
  CHECK(fmt::format("{}", event) == "trunk: token 17");
  event.kind = Kind::fork;
  event.reason = ab::EndReason::limit;
  CHECK(fmt::format("{}", event) == "trunk: does not fork, limit");
  event.titles = {"A", "B", "C"};
  event.first_branch = 1;
  CHECK(fmt::format("{}", event) == "trunk: forks into branches 1 to 3");
  event.kind = Kind::join;
  event.n_branches = 3;
  CHECK(fmt::format("{}", event) == "trunk: joins branches 1 to 3");
  event.kind = Kind::end;
  event.request = ab::RequestId{4};
  event.text = ".";
  CHECK(fmt::format("{}", event) == "request 4: ends, limit \".\"");
  event.kind = Kind::branch_end;
  event.branch = 3;
  event.reason = ab::EndReason::end_tag;
  CHECK(fmt::format("{}", event) == "branch 3: ends, end_tag \".\"");
}

TEST_CASE("statistics print as the figures of an answer") {
  ab::Statistics s;
  s.n_serial = 6;
  s.n_branch = 214;
  s.n_blocks = 1;
  s.n_branches = 7;
  s.n_passes = 85;
  s.n_prefill = 1;
  s.n_sampled = 170;
  s.n_forced = 60;
  CHECK(fmt::format("{}", s) ==
        "tokens 220 (170 sampled, 60 forced; tags and titles count there)   passes 85 (serial: 220)   2.6x fewer   "
        "7.0 branches a block, 97 % of the text in them");
  CHECK(fmt::format("{}", ab::Statistics{}) ==
        "tokens 0 (0 sampled, 0 forced; tags and titles count there)   passes 0 (serial: 0)   as many as serial   "
        "no branches");
  s.n_passes = 250;                    // more than one token a pass would take
  CHECK(ab::serial_passes(s) == 250);  // cut: with titles that no branch repeats yet
  s.ended_by_text = true;
  CHECK(ab::serial_passes(s) == 221);
  CHECK(ab::passes_saved(221, 250) == "more than serial");
  CHECK(ab::passes_saved(250, 249) == "hardly fewer than serial");
}

TEST_CASE("what a pass costs is drawn as bars against its rows") {
  const std::vector<ab::RowCost> samples = {{8, 512, 0.0112}, {1, 512, 0.0056}, {4, 512, 0.0066}};
  CHECK(ab::draw(ab::RowCosts(samples), 512) ==
        "rows   ms at 512 keys\n"
        "   1      5.600  ####################                      1.00x\n"
        "   4      6.600  ########################                  1.18x\n"
        "   8     11.200  ########################################  2.00x\n");
}
