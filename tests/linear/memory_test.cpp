// Memory of weights and rows: few large blocks, aligned parts, nothing allocated while multiplying.
#include <cstdint>
#include <cstring>
#include <memory_resource>
#include <utility>
#include <vector>

#include <anabranch/linear/weight_memory.hpp>

#include "../catch.hpp"
#include "cases.hpp"

using namespace anabranch;
using namespace anabranch::linear;
using namespace anabranch::linear::test;

TEST_CASE("weight memory hands out aligned parts that do not overlap, large ones too") {
  WeightMemory memory;
  std::vector<std::pair<unsigned char*, std::size_t>> parts;
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{1000}, std::size_t{40} << 20, std::size_t{64}}) {
    auto* part = static_cast<unsigned char*>(memory.allocate(bytes, 64));
    CHECK(reinterpret_cast<std::uintptr_t>(part) % 64 == 0);
    std::memset(part, static_cast<int>(parts.size()) + 1, bytes);
    parts.emplace_back(part, bytes);
  }
  for (std::size_t i = 0; i < parts.size(); ++i) {
    CHECK(parts[i].first[0] == i + 1);
    CHECK(parts[i].first[parts[i].second - 1] == i + 1);
  }
}

TEST_CASE("a matrix can be moved, and gives its memory back to where it came from") {
  struct Counting final : std::pmr::memory_resource {
    std::int64_t bytes = 0;
    void* do_allocate(std::size_t n, std::size_t alignment) override {
      bytes += static_cast<std::int64_t>(n);
      return std::pmr::new_delete_resource()->allocate(n, alignment);
    }
    void do_deallocate(void* p, std::size_t n, std::size_t alignment) override {
      bytes -= static_cast<std::int64_t>(n);
      std::pmr::new_delete_resource()->deallocate(p, n, alignment);
    }
    bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
  } counting;
  const auto weights = random_floats(40 * 8, 31);
  {
    Int8Matrix first({weights.data(), nullptr, 40, 8}, &counting);
    const QuantisedRows rows = quantised(random_floats(8, 32), 1, {8});
    const std::vector<float> before = product(rows, first);
    CHECK(counting.bytes > 40 * 8);
    CHECK(first.bytes() == static_cast<std::size_t>(counting.bytes));
    Int8Matrix second(std::move(first));
    Int8Matrix third;
    third = std::move(second);
    CHECK(product(rows, third) == before);
  }
  CHECK(counting.bytes == 0);
}

TEST_CASE("rows keep their memory when they get fewer") {
  QuantisedRows rows = quantised(random_floats(64 * 10, 33), 10, {64});
  const std::byte* place = rows.row(0);
  rows.resize(2, {64, Quantisation::per_row});
  CHECK(rows.row(0) == place);
  rows.resize(10, {33, Quantisation::per_block});
  CHECK(rows.row(0) == place);
}
