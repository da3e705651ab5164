// Runs of a view, and groups as a dense matrix, written out by hand.
#include <array>
#include <string>
#include <utility>
#include <vector>

#include <anabranch/mask/dense_mask.hpp>
#include <anabranch/mask/visibility.hpp>

#include "catch.hpp"

using namespace anabranch;

namespace {

using Runs = std::vector<std::pair<Slot, std::int32_t>>;

/// Six tokens of a segment: slots 8 to 11, then 2 and 3.
constexpr std::array<SlotRun, 2> kRuns{{{8, 4, 0}, {2, 2, 4}}};

Runs runs_of(const View& view) {
  Runs result;
  for_each_run(view, [&](Slot first, std::int32_t count) { result.emplace_back(first, count); });
  return result;
}

/// One text per row; x where the row sees the column's token.
template <class Columns>
std::vector<std::string> mask(const std::vector<VisibilityGroup>& groups, const std::vector<View>& views,
                              std::int32_t n_rows, const Columns& columns, std::int32_t n_columns) {
  std::string cells(static_cast<std::size_t>(n_rows * n_columns), '?');
  dense_mask<Columns, char>(groups, views, n_rows, columns, n_columns, cells, 'x', '.');
  std::vector<std::string> rows;
  for (std::size_t at = 0; at < cells.size(); at += static_cast<std::size_t>(n_columns))
    rows.push_back(cells.substr(at, static_cast<std::size_t>(n_columns)));
  return rows;
}
using Rows = std::vector<std::string>;

}  // namespace

TEST_CASE("the runs of a view are clipped to its tokens") {
  CHECK(runs_of({kRuns.data(), 2, 0, 6, 1}) == Runs{{8, 4}, {2, 2}});
  CHECK(runs_of({kRuns.data(), 2, 3, 5, 1}) == Runs{{11, 1}, {2, 1}});
  CHECK(runs_of({kRuns.data(), 1, 1, 3, 1}) == Runs{{9, 2}});
  CHECK(runs_of({kRuns.data(), 2, 4, 4, 1}).empty());
}

TEST_CASE("in a causal group a row sees the keys up to its own") {
  const std::vector<SlotRun> runs{{0, 5, 0}};
  const std::vector<View> views{{runs.data(), 1, 0, 5, 0, 1}};
  // The last three of five keys are the rows themselves.
  CHECK(mask({{0, 3, 0, 1, 5, Visibility::causal}}, views, 3, ColumnsBySlot{}, 5) == Rows{"xxx..", "xxxx.", "xxxxx"});
  CHECK(mask({{1, 3, 0, 1, 5, Visibility::full}}, views, 3, ColumnsBySlot{}, 5) == Rows{".....", "xxxxx", "xxxxx"});
}

TEST_CASE("columns follow a map, or the order in which rows arrived") {
  const std::vector<View> views{{kRuns.data(), 2, 2, 6, 0, 1}};  // slots 10, 11, 2, 3
  const std::vector<VisibilityGroup> groups{{0, 1, 0, 1, 4, Visibility::full}};
  const std::vector<std::int32_t> map{9, 9, 0, 1, 9, 9, 9, 9, 9, 9, 3, 4};
  CHECK(mask(groups, views, 1, ColumnsByMap{map}, 5) == Rows{"xx.xx"});
  ColumnsByArrival arrival;
  const std::vector<Slot> first{11, 2, 7}, second{3, 10};
  arrival.add(first);
  arrival.add(second);
  CHECK(arrival.size() == 5);
  CHECK(mask(groups, views, 1, arrival, 5) == Rows{"xx.xx"});
  arrival.remove_last();
  CHECK(arrival.size() == 3);
  CHECK(arrival.column(10) == kNone);
  CHECK_THROWS_AS(mask(groups, views, 1, arrival, 5), Error);
}
