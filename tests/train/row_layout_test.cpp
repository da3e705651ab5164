// Positions and visibility of finished texts: the reference's goldens, and blocks inside branches.
#include <anabranch/train/row_layout.hpp>

#include <algorithm>
#include <fstream>

#include "cache/golden_cases.hpp"
#include "catch.hpp"

namespace ab = anabranch;
using ab::Positions;
using ab::train::Interval;
using ab::train::RowLayout;

namespace {

void append(RowLayout& layout, int n) {
  for (int i = 0; i < n; ++i) layout.append();
}

void append_branch(RowLayout& layout, int n) {
  layout.begin_branch();
  append(layout, n);
  layout.end_branch();
}

Positions policy_of(const ab::test::GoldenCase& golden, const ab::test::GoldenItem& block) {
  switch (golden.mode) {
    case ab::test::GoldenMode::normal: return Positions::sequential;
    case ab::test::GoldenMode::max_para: return Positions::longest;
    case ab::test::GoldenMode::fixrange: break;
  }
  return Positions::reserved(*std::max_element(block.branches.begin(), block.branches.end()));
}

RowLayout layout_of(const ab::test::GoldenCase& golden) {
  RowLayout layout;
  for (const ab::test::GoldenItem& item : golden.items) {
    append(layout, item.serial);
    if (!item.is_block()) continue;
    layout.fork(static_cast<std::int32_t>(item.branches.size()), policy_of(golden, item));
    for (const std::int32_t length : item.branches) append_branch(layout, length);
    layout.join();
  }
  return layout;
}

ab::Status status_of(const auto& call) {
  try {
    call();
  } catch (const ab::Error& error) {
    return error.status();
  }
  return ab::Status::ok;
}

}  // namespace

TEST_CASE("positions and masks of a training row are the reference's, in all 60 golden cases") {
  std::ifstream in("tests/goldens/positions_and_masks.jsonl");
  const auto cases = ab::test::read_golden_cases(in, "goldens");
  REQUIRE(cases.size() == 60);
  int by_mode[3] = {};
  for (const ab::test::GoldenCase& golden : cases) {
    INFO("line " << golden.line);
    ++by_mode[static_cast<int>(golden.mode)];
    const RowLayout layout = layout_of(golden);
    REQUIRE(layout.positions() == golden.positions);
    const std::int32_t n = golden.n_tokens();
    std::vector<float> mask(static_cast<std::size_t>(n) * static_cast<std::size_t>(n));
    ab::train::fill_mask(layout.runs(), n, 1.0f, 0.0f, mask);
    for (std::int32_t q = 0; q < n; ++q) {
      std::vector<ab::test::FlatInterval> visible;
      for (const Interval& i : layout.visible(q)) visible.push_back({i.begin, i.end});
      REQUIRE(visible == golden.mask[static_cast<std::size_t>(q)]);
      std::vector<float> row(static_cast<std::size_t>(n), 0.0f);
      for (const ab::test::FlatInterval& i : visible) std::fill(row.begin() + i.begin, row.begin() + i.end, 1.0f);
      REQUIRE(std::equal(row.begin(), row.end(), mask.begin() + static_cast<std::ptrdiff_t>(q) * n));
    }
  }
  for (const int n : by_mode) CHECK(n == 20);
}

TEST_CASE("a block inside a branch is hidden from the branch's sibling and counts by its extent") {
  const auto layout_with = [](Positions positions) {
    RowLayout layout;
    append(layout, 2);
    layout.fork(2, positions);
    layout.begin_branch();
    append(layout, 1);  // token 2
    layout.fork(2, positions);
    append_branch(layout, 2);  // 3, 4
    append_branch(layout, 3);  // 5, 6, 7
    layout.join();
    append(layout, 1);  // 8
    layout.end_branch();
    append_branch(layout, 2);  // 9, 10
    layout.join();
    append(layout, 1);  // 11
    return layout;
  };
  const RowLayout sequential = layout_with(Positions::sequential);
  CHECK(sequential.positions() == std::vector<ab::Position>{0, 1, 2, 3, 4, 3, 4, 5, 8, 2, 3, 11});
  CHECK(layout_with(Positions::longest).positions() == std::vector<ab::Position>{0, 1, 2, 3, 4, 3, 4, 5, 6, 2, 3, 7});
  CHECK(sequential.visible(4) == std::vector<Interval>{{0, 5}});
  CHECK(sequential.visible(6) == std::vector<Interval>{{0, 3}, {5, 7}});
  CHECK(sequential.visible(8) == std::vector<Interval>{{0, 9}});
  CHECK(sequential.visible(10) == std::vector<Interval>{{0, 2}, {9, 11}});
  CHECK(sequential.visible(11) == std::vector<Interval>{{0, 12}});
  CHECK_FALSE(sequential.is_causal());
  RowLayout serial;
  append(serial, 5);
  CHECK(serial.is_causal());
}

TEST_CASE("a branch that outgrows its reserved range is refused") {
  RowLayout layout;
  append(layout, 1);
  layout.fork(2, Positions::reserved(3));
  append_branch(layout, 3);
  layout.begin_branch();
  append(layout, 3);
  CHECK(status_of([&] { layout.append(); }) == ab::Status::out_of_range);
  layout.end_branch();
  layout.join();
  append(layout, 1);
  CHECK(layout.positions() == std::vector<ab::Position>{0, 1, 2, 3, 4, 5, 6, 7});
}

TEST_CASE("a layout written in another order than its text is refused") {
  RowLayout layout;
  append(layout, 1);
  CHECK(status_of([&] { layout.fork(0, Positions::sequential); }) == ab::Status::bad_argument);
  CHECK(status_of([&] { layout.fork(2, Positions::given); }) == ab::Status::bad_argument);
  CHECK(status_of([&] { layout.begin_branch(); }) == ab::Status::wrong_state);
  CHECK(status_of([&] { layout.end_branch(); }) == ab::Status::wrong_state);
  layout.fork(1, Positions::sequential);
  CHECK(status_of([&] { layout.append(); }) == ab::Status::wrong_state);
  CHECK(status_of([&] { layout.join(); }) == ab::Status::wrong_state);
  CHECK(status_of([&] { layout.visible(1); }) == ab::Status::bad_argument);
}
