// GroupCheck and PieceList: the groups that are refused, and the pieces that the others become.
#include <memory>
#include <string>
#include <vector>

#include <anabranch/cache/kv_cache.hpp>
#include <anabranch/mask/pieces.hpp>

#include "catch.hpp"

namespace ab = anabranch;
using ab::Visibility;

namespace {

/// Groups and views by hand.
class Hand {
 public:
  explicit Hand(std::int32_t n_rows) : n_rows_(n_rows) {}
  Hand& group(ab::RowIndex begin, ab::RowIndex end, Visibility visibility = Visibility::full) {
    const auto at = static_cast<std::int32_t>(views.size());
    groups.push_back({begin, end, at, at, 0, visibility});
    return *this;
  }
  /// Tokens [begin, end) of a segment in the slots from `first` on.
  Hand& view(std::uint64_t segment, std::int32_t begin, std::int32_t end, ab::Slot first) {
    return view(segment, begin, end, {{first, end - begin, begin}});
  }
  Hand& view(std::uint64_t segment, std::int32_t begin, std::int32_t end, std::vector<ab::SlotRun> listed) {
    runs.push_back(std::make_unique<std::vector<ab::SlotRun>>(std::move(listed)));
    views.push_back({runs.back()->data(), static_cast<std::int32_t>(runs.back()->size()), begin, end, 0, segment});
    groups.back().n_keys += end - begin;
    ++groups.back().view_end;
    return *this;
  }
  /// "segment rows: begin..limit of each row | slot+count@offset ..." for every piece.
  std::vector<std::string> pieces() const {
    ab::PieceList list;
    list.build(groups, views, {n_rows_, 100});
    std::vector<std::string> texts;
    for (const ab::Piece& piece : list.pieces()) {
      std::string text = std::to_string(piece.segment) + " rows " + std::to_string(piece.row_begin) + ": " +
                         std::to_string(piece.begin) + "..";
      for (const std::int32_t limit : list.limits(piece)) text += std::to_string(limit) + " ";
      text += "|";
      for (const ab::SlotRun& run : list.runs(piece))
        text += " " + std::to_string(run.first) + "+" + std::to_string(run.count) + "@" + std::to_string(run.offset);
      texts.push_back(text);
    }
    return texts;
  }
  std::string refusal() const {
    try {
      ab::GroupCheck()(groups, views, {n_rows_, 100});
    } catch (const ab::Error& error) {
      CHECK(error.status() == ab::Status::bad_argument);
      return error.what();
    }
    return "nothing was refused";
  }

  std::vector<std::unique_ptr<std::vector<ab::SlotRun>>> runs;
  std::vector<ab::View> views;
  std::vector<ab::VisibilityGroup> groups;

 private:
  std::int32_t n_rows_;
};

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("views of one segment that follow one another become one piece, each row with its own limit") {
  Hand hand(3);
  hand.group(0, 3).view(9, 0, 5, 10).group(1, 3).view(9, 5, 8, 15).group(1, 3, Visibility::causal).view(9, 8, 10, 40);
  CHECK(hand.pieces() == Texts{"9 rows 0: 0..5 9 10 | 10+8@0 40+2@8"});
}

TEST_CASE("a view that begins elsewhere, or belongs to another segment, begins a piece") {
  Hand hand(1);
  hand.group(0, 1).view(1, 0, 4, 0).view(2, 0, 3, 10).view(2, 3, 5, 20).view(3, 4, 6, 30);
  CHECK(hand.pieces() == Texts{"1 rows 0: 0..4 | 0+4@0", "2 rows 0: 0..5 | 10+3@0 20+2@3", "3 rows 0: 4..6 | 30+2@4"});
}

TEST_CASE("a row's piece does not depend on the grouping of its keys") {
  // Rows 0 and 1 see the segment's first tokens in groups of their own, and its later ones in one group.
  Hand apart(2);
  apart.group(0, 1).view(7, 0, 4, 0).group(1, 2).view(7, 0, 4, 0).group(0, 2).view(7, 4, 6, 50);
  CHECK(apart.pieces() == Texts{"7 rows 0: 0..6 | 0+4@0 50+2@4", "7 rows 1: 0..6 | 0+4@0 50+2@4"});
  Hand together(2);
  together.group(0, 2).view(7, 0, 4, 0).group(0, 1).view(7, 4, 6, 50).group(1, 2).view(7, 4, 6, 50);
  CHECK(together.pieces() == Texts{"7 rows 0: 0..6 6 | 0+4@0 50+2@4"});
  // Only row 1 has seen what the common view continues.
  Hand mixed(2);
  mixed.group(1, 2).view(7, 0, 4, 0).group(0, 2).view(7, 4, 6, 50);
  CHECK(mixed.pieces() == Texts{"7 rows 1: 0..6 | 0+4@0 50+2@4", "7 rows 0: 4..6 | 50+2@4"});
}

TEST_CASE("empty groups, empty views, empty runs and runs outside the view are skipped") {
  Hand hand(1);
  hand.group(0, 0).view(5, 0, 2, 0).group(0, 1).view(6, 3, 3, 0);
  hand.view(7, 2, 4, {{0, 2, 0}, {9, 0, 2}, {20, 2, 2}, {30, 2, 4}});
  CHECK(hand.pieces() == Texts{"7 rows 0: 2..4 | 20+2@2"});
}

TEST_CASE("on a real cache every row's pieces list the slots that its groups list") {
  ab::KvCache cache({.n_pages = 64, .page_size = 4});
  const ab::SequenceId trunk = cache.create_sequence();
  auto first = cache.begin_step();
  first.append(trunk, std::vector<ab::TokenId>(9, 1));
  const auto kids = first.fork(trunk, 3);
  for (std::size_t k = 0; k < 3; ++k) first.append(kids[k], std::vector<ab::TokenId>(k + 1, 1));
  REQUIRE(first.plan());
  first.commit();
  auto step = cache.begin_step();
  for (const ab::SequenceId kid : kids) step.append(kid, {1, 2});
  step.join(trunk, {kids[0], kids[2]});
  step.append(trunk, {3, 4, 5});
  const auto plan = step.plan();
  REQUIRE(plan);
  ab::PieceList list;
  list.build(plan->groups, plan->views, {plan->n_rows(), plan->n_slots});
  for (ab::RowIndex row = 0; row < plan->n_rows(); ++row) {
    CAPTURE(row);
    std::vector<ab::Slot> by_group, by_piece;
    for (const ab::VisibilityGroup& group : plan->groups) {
      if (row < group.row_begin || row >= group.row_end) continue;
      ab::for_each_run(group, plan->views, [&](ab::Slot slot, std::int32_t count) {
        for (std::int32_t i = 0; i < count; ++i) by_group.push_back(slot + i);
      });
      if (group.visibility == Visibility::causal)
        by_group.resize(by_group.size() - static_cast<std::size_t>(group.row_end - 1 - row));
    }
    for (const ab::Piece& piece : list.pieces()) {
      if (row < piece.row_begin || row >= piece.row_end) continue;
      const std::int32_t limit = list.limits(piece)[static_cast<std::size_t>(row - piece.row_begin)];
      for (const ab::SlotRun& run : list.runs(piece))
        for (std::int32_t i = 0; i < run.count && run.offset + i < limit; ++i) by_piece.push_back(run.first + i);
    }
    CHECK(by_piece == by_group);
  }
}

TEST_CASE("groups and views that do not fit are refused with the bad value and its limit") {
  CHECK(Hand(1).group(0, 1).view(1, 0, 5, 0).refusal() == "nothing was refused");
  CHECK(Hand(2).group(0, 3).view(1, 0, 5, 0).refusal() == "group of rows [0, 3) does not fit a plan of 2 rows");
  CHECK(Hand(2).group(0, 1).view(1, 0, 5, 0).refusal() == "row 1 is in no visibility group");
  CHECK(Hand(-1).refusal() == "n_rows is -1, must be 0 or more");
  CHECK(Hand(1).group(0, 1).view(1, 0, 5, 96).refusal() ==
        "view 0: a run of 5 slots from 96 on, offset 0; the pool has 100 slots");
  CHECK(Hand(1).group(0, 1).view(1, 0, 5, -1).refusal() ==
        "view 0: a run of 5 slots from -1 on, offset 0; the pool has 100 slots");
  CHECK(Hand(1).group(0, 1).view(1, -1, 5, 0).refusal() == "view 0: tokens [-1, 5)");
  CHECK(Hand(1).group(0, 1).view(1, 0, 5, {{0, 3, 0}, {9, 1, 4}}).refusal() ==
        "view 0: a run begins at token 4, expected was 3");
  CHECK(Hand(1).group(0, 1).view(1, 0, 5, {{0, 3, 0}, {9, 3, 2}}).refusal() ==
        "view 0: a run begins at token 2, expected was 3");
  CHECK(Hand(1).group(0, 1).view(1, 0, 7, {{0, 5, 0}}).refusal() == "view 0: its runs end at token 5, the view at 7");
  CHECK(Hand(3).group(0, 3, Visibility::causal).view(1, 0, 2, 0).refusal() ==
        "group of rows [0, 3) is causal and has only 2 keys");
  Hand null(1);
  null.group(0, 1).view(1, 0, 5, 0).views[0].runs = nullptr;
  CHECK(null.refusal() == "the runs of view 0 are null, n_runs is 1");
  Hand keys(1);
  keys.group(0, 1).view(1, 0, 5, 0).groups[0].n_keys = 6;
  CHECK(keys.refusal() == "group of rows [0, 1) says 6 keys and lists 5");
  Hand views(1);
  views.group(0, 1).view(1, 0, 5, 0).groups[0].view_end = 2;
  CHECK(views.refusal() == "group of rows [0, 1) has views [0, 2) of 1");
}
