// The operations of a Collective, over ranks that are threads.
#include "catch.hpp"
#include "support/thread_ranks.hpp"

#include <numeric>
#include <string>
#include <vector>

namespace ab = anabranch;
using ab::Collective;
using ab::Status;
using ab::test::outcomes_of_ranks;
using ab::test::run_ranks;

namespace {

std::vector<std::byte> bytes_of(std::size_t n, int first) {
  std::vector<std::byte> bytes(n);
  for (std::size_t i = 0; i < n; ++i) bytes[i] = static_cast<std::byte>(first + static_cast<int>(i));
  return bytes;
}

/// Numbers whose sum depends on the order of adding.
float number_of(std::int32_t rank, std::size_t i) {
  return (rank % 2 == 0 ? 1.0f : -0.9999f) * static_cast<float>(1 << (5 * rank)) / static_cast<float>(i % 7 + 3);
}

}  // namespace

TEST_CASE("a broadcast gives everybody the bytes of rank 0, whatever size they had") {
  for (const std::int32_t n : {1, 2, 3, 5})
    for (const std::size_t size : {0u, 1u, 1000u})
      run_ranks(n, [&](Collective& ranks) {
        std::vector<std::byte> bytes = bytes_of(ranks.rank() == 0 ? size : 7, ranks.rank());
        ranks.broadcast(bytes);
        if (bytes != bytes_of(size, 0)) ab::fail(Status::internal, "rank ", ranks.rank(), " got other bytes");
      });
}

TEST_CASE("an all_reduce adds in the order of ranks: everybody has the same bits") {
  for (const std::int32_t n : {1, 2, 3, 5})
    for (const std::size_t size : {0u, 1u, 2u, 4u, 576u, 1001u})
      run_ranks(n, [&](Collective& ranks) {
        std::vector<float> values(size), expected(size);
        for (std::size_t i = 0; i < size; ++i) {
          values[i] = number_of(ranks.rank(), i);
          expected[i] = number_of(0, i);
          for (std::int32_t r = 1; r < n; ++r) expected[i] += number_of(r, i);
        }
        ranks.all_reduce(values);
        if (values != expected) ab::fail(Status::internal, "rank ", ranks.rank(), " has another sum");
      });
}

TEST_CASE("gather and all_gather put the bytes of unequal parts one behind the other") {
  for (const std::int32_t n : {1, 2, 3, 5})
    run_ranks(n, [&](Collective& ranks) {
      std::vector<std::size_t> counts;
      std::vector<std::byte> expected;
      for (std::int32_t r = 0; r < n; ++r) {
        counts.push_back(static_cast<std::size_t>(r == 1 ? 0 : 3 + r));
        const std::vector<std::byte> part = bytes_of(counts.back(), 10 * r);
        expected.insert(expected.end(), part.begin(), part.end());
      }
      const std::vector<std::byte> mine = bytes_of(counts[static_cast<std::size_t>(ranks.rank())], 10 * ranks.rank());
      std::vector<std::byte> all(expected.size()), first(ranks.rank() == 0 ? expected.size() : 0);
      ranks.all_gather(mine, all, counts);
      ranks.gather(mine, first, counts);
      ranks.barrier();
      if (all != expected || (ranks.rank() == 0 && first != expected))
        ab::fail(Status::internal, "rank ", ranks.rank(), " got other bytes");
    });
}

TEST_CASE("traffic counts what a rank has sent") {
  run_ranks(3, [](Collective& ranks) {
    std::vector<float> values(300, 1.0f);
    ranks.all_reduce(values);  // two thirds of the others' parts, then its own third to both
    if (ranks.traffic().n_bytes != 4 * (200 + 200) || ranks.traffic().n_messages != 4)
      ab::fail(Status::internal, "rank ", ranks.rank(), " has sent ", ranks.traffic().n_bytes, " bytes");
    std::vector<std::byte> bytes(50);
    ranks.broadcast(bytes);
    if (ranks.traffic().n_bytes != 1600 + (ranks.rank() == 0 ? 2 * (50 + 8) : 0))
      ab::fail(Status::internal, "rank ", ranks.rank(), " has sent ", ranks.traffic().n_bytes, " bytes");
  });
}

TEST_CASE("counts that do not fit are refused before anything is sent") {
  run_ranks(1, [](Collective& ranks) {
    std::vector<std::byte> all(4);
    const std::vector<std::size_t> counts{3};
    CHECK_THROWS_AS(ranks.all_gather(std::span(all).first(3), all, counts), ab::Error);
    CHECK_THROWS_AS(ranks.gather(all, all, counts), ab::Error);
    CHECK_THROWS_AS(ranks.all_gather(all, all, std::vector<std::size_t>{2, 2}), ab::Error);
  });
}

TEST_CASE("a rank that is gone, or does something else, ends an operation with an error") {
  const auto gone = outcomes_of_ranks(3, [](Collective& ranks) {
    std::vector<float> values(9);
    if (ranks.rank() == 1) ab::fail(Status::out_of_memory, "gone");
    ranks.all_reduce(values);
  });
  CHECK(gone[0].status() == Status::limit_reached);
  CHECK(std::string(gone[0].what()).find("rank 1 ") != std::string::npos);
  CHECK(gone[2].status() == Status::limit_reached);
  const auto others = outcomes_of_ranks(2, [](Collective& ranks) {
    std::vector<std::byte> bytes(8);
    if (ranks.rank() == 0) ranks.barrier();
    if (ranks.rank() == 1) ranks.broadcast(bytes);
  });
  CHECK(others[1].status() == Status::wrong_state);
}
