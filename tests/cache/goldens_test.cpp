// The reader of golden files, and cases that no file holds: made here from the rules, and decoded in every order.
#include <algorithm>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "catch.hpp"
#include "golden_drive.hpp"

using namespace anabranch;
using namespace anabranch::test;

namespace {

std::vector<GoldenCase> read(const std::string& text) {
  std::istringstream in(text);
  return read_golden_cases(in, "file");
}

std::string refusal(const std::string& text) {
  try {
    read(text);
  } catch (const GoldenFileError& error) {
    return error.what();
  }
  return "accepted";
}

/// Works out positions and mask of the items with the rules of tests/goldens/README.md.
GoldenCase by_the_rules(std::vector<GoldenItem> items, GoldenMode mode) {
  GoldenCase golden;
  golden.items = std::move(items);
  golden.mode = mode;
  std::int32_t p = 0;
  std::int32_t flat = 0;
  for (const GoldenItem& item : golden.items) {
    for (std::int32_t i = 0; i < item.serial; ++i) {
      golden.positions.push_back(p++);
      golden.mask.push_back({{0, ++flat}});
    }
    if (!item.is_block()) continue;
    const std::int32_t longest = *std::max_element(item.branches.begin(), item.branches.end());
    const std::int32_t block = flat;
    std::int32_t sum = 0;
    for (std::size_t k = 0; k < item.branches.size(); ++k) {
      const std::int32_t start = mode == GoldenMode::fixrange ? p + static_cast<std::int32_t>(k) * longest : p;
      const std::int32_t begin = flat;
      for (std::int32_t j = 0; j < item.branches[k]; ++j) {
        golden.positions.push_back(start + j);
        ++flat;
        if (block == begin || block == 0)
          golden.mask.push_back({{begin == block ? 0 : begin, flat}});
        else
          golden.mask.push_back({{0, block}, {begin, flat}});
      }
      sum += item.branches[k];
    }
    if (mode == GoldenMode::normal)
      p += sum;
    else
      p += mode == GoldenMode::max_para ? longest : longest * static_cast<std::int32_t>(item.branches.size());
  }
  return golden;
}

std::vector<GoldenItem> random_items(std::mt19937& random) {
  const auto up_to = [&](std::uint32_t n) { return static_cast<std::int32_t>(random() % n); };
  std::vector<GoldenItem> items;
  bool block = up_to(2) == 0;
  for (std::int32_t n = 1 + up_to(7); n > 0; --n, block = !block) {
    GoldenItem item;
    if (!block) item.serial = 1 + (up_to(3) == 0 ? 0 : up_to(25));
    for (std::int32_t k = block ? 1 + (up_to(6) == 0 ? up_to(40) : up_to(6)) : 0; k > 0; --k)
      item.branches.push_back(2 + up_to(up_to(4) == 0 ? 40 : 8));
    items.push_back(std::move(item));
  }
  return items;
}

void expect_agreement(const GoldenCase& golden) {
  for (const GoldenDrive& drive : kGoldenDrives) {
    const std::vector<std::string> found = disagreements(golden, drive);
    INFO(drive.name << ", mode " << static_cast<int>(golden.mode) << ", " << golden.items.size() << " items, "
                    << golden.n_tokens() << " tokens");
    CHECK((found.empty() ? "" : found.front()) == std::string());
  }
}

constexpr GoldenMode kModes[] = {GoldenMode::normal, GoldenMode::max_para, GoldenMode::fixrange};

}  // namespace

TEST_CASE("every order of decoding gives the positions and masks of the rules") {
  const std::vector<std::vector<GoldenItem>> shapes{
      {},
      {{1, {}}},
      {{0, {2}}},
      {{0, {2, 3, 4}}},
      {{5, {}}, {0, {2}}},
      {{9, {}}, {0, {6, 4}}, {1, {}}},
      {{1, {}}, {0, {2, 2}}, {1, {}}, {0, {5}}, {1, {}}, {0, {3, 9, 2}}},
      {{0, {7, 2}}, {1, {}}, {0, {2, 7}}, {3, {}}},
      {{3, {}}, {0, std::vector<std::int32_t>(48, 3)}, {2, {}}},
      {{40, {}}, {0, {100, 2, 51}}, {17, {}}, {0, {33, 33}}, {16, {}}},
  };
  for (const auto& shape : shapes)
    for (const GoldenMode mode : kModes) expect_agreement(by_the_rules(shape, mode));
}

TEST_CASE("random branched texts give the positions and masks of the rules") {
  const std::uint32_t seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  for (int i = 0; i < 60; ++i) {
    const std::vector<GoldenItem> items = random_items(random);
    for (const GoldenMode mode : kModes) expect_agreement(by_the_rules(items, mode));
  }
}

TEST_CASE("the toy of the goldens goes on at 19, 15 or 21") {
  const std::vector<Position> after{19, 15, 21};
  for (std::size_t i = 0; i < 3; ++i) {
    const GoldenCase toy = by_the_rules({{9, {}}, {0, {6, 4}}, {1, {}}}, kModes[i]);
    CHECK(toy.positions.back() == after[i]);
    CHECK(observe(toy, kGoldenDrives[0]).positions.back() == after[i]);
  }
}

TEST_CASE("a wrong position or mask is noticed, and named") {
  GoldenCase golden = by_the_rules({{9, {}}, {0, {6, 4}}, {2, {}}}, GoldenMode::normal);
  golden.positions[20] = 99;
  golden.mask[12] = {{0, 12}};
  const auto found = disagreements(golden, kGoldenDrives[0]);
  REQUIRE(found.size() == 2);
  CHECK(found[0] == "token 12 sees [0,13), expected [0,12)");
  CHECK(found[1] == "token 20 has position 20, expected 99");
}

TEST_CASE("a golden file is read line by line, blank lines skipped, touching intervals merged") {
  const auto cases = read(
      "\n{\"tokens_kind\":[{\"serial\":1},{\"serial\":1},{\"block\":[2]}],\"mode\":\"fixrange\",\"positions\":[0,1,2,3]"
      ","
      "\"mask\":[[[0,1]],[[0,1],[1,2]],[[0,3]],[[0,4]]]}\r\n  \n");
  REQUIRE(cases.size() == 1);
  CHECK(cases[0].line == 2);
  CHECK(cases[0].mask[1] == std::vector<FlatInterval>{{0, 2}});
  CHECK(cases[0].mode == GoldenMode::fixrange);
  CHECK(read("").empty());
}

TEST_CASE("a bad golden file is refused with the line and what is wrong") {
  const std::string good =
      "{\"tokens_kind\":[{\"serial\":1}],\"mode\":\"normal\",\"positions\":[0],\"mask\":[[[0,1]]]}";
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    return refusal(good + "\n" + text.replace(text.find(from), from.size(), to));
  };
  CHECK(refusal(good) == "accepted");
  const std::vector<std::pair<std::string, std::string>> broken{
      {"\"mode\":\"normal\"", "\"mode\":\"other\""},
      {"\"mode\":\"normal\",", ""},
      {"{\"serial\":1}", "{\"serial\":-1}"},
      {"{\"serial\":1}", "{\"serial\":1.5}"},
      {"{\"serial\":1}", "{\"block\":[1]}"},
      {"{\"serial\":1}", "{\"block\":[]}"},
      {"{\"serial\":1}", "{\"other\":1}"},
      {"{\"serial\":1}", "7"},
      {"{\"serial\":1}", "{\"serial\":2}"},
      {"[0],", "[0,1],"},
      {"[0],", "[\"0\"],"},
      {"[[[0,1]]]", "[[[0,1],[0,1]]]"},
      {"[[[0,1]]]", "[[[1,0]]]"},
      {"[[[0,1]]]", "[[[0,2]]]"},
      {"[[[0,1]]]", "[[[0]]]"},
      {"[[[0,1]]]", "[]"},
      {"[[[0,1]]]", "7"},
      {"}", ""},
      {"{\"serial\":1}", "{\"serial\":99999999999999999999}"},
      {"{\"serial\":1}", "{\"serial\":18446744073709551615}"},
      {"{\"serial\":1}", "{\"block\":[2]},{\"block\":[2]}"},
  };
  for (const auto& [from, to] : broken) {
    INFO(from << " -> " << to);
    CHECK(with(from, to).rfind("file:2: ", 0) == 0);
  }
  CHECK(refusal("[1]").rfind("file:1: ", 0) == 0);
}
