// A team of threads runs every index of a loop once, loop after loop.
#include <anabranch/thread_team.hpp>

#include <atomic>
#include <cstdint>
#include <vector>

#include "catch.hpp"

using anabranch::OwnThreadTeam;
using anabranch::ParallelFor;
using anabranch::ThreadTeam;

TEST_CASE("a team runs every index of thousands of loops exactly once, and sees what the loop before wrote") {
  for (const std::int32_t n_threads : {1, 2, 3, 8}) {
    CAPTURE(n_threads);
    OwnThreadTeam team(n_threads);
    const ParallelFor parallel = team.parallel();
    CHECK(parallel.n_workers() == n_threads);
    std::vector<std::int32_t> counts(17, 0), copies(17, 0);
    std::int32_t n_wrong = 0;
    const std::int32_t n_loops = n_threads > 2 ? 500 : 2000;  // with more threads than cores most of a loop is waiting
    for (std::int32_t loop = 1; loop <= n_loops; ++loop) {
      const std::int32_t n = loop % 18;
      parallel(n, [&](std::int32_t i) { ++counts[static_cast<std::size_t>(i)]; });
      // Read by another thread than the one that wrote: index n - 1 - i.
      parallel(n, [&](std::int32_t i) {
        const auto other = static_cast<std::size_t>(n - 1 - i);
        copies[other] = counts[other];
      });
      for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) n_wrong += copies[i] == counts[i] ? 0 : 1;
    }
    CHECK(n_wrong == 0);
    std::int32_t total = 0, expected = 0;
    for (const std::int32_t count : counts) total += count;
    for (std::int32_t loop = 1; loop <= n_loops; ++loop) expected += loop % 18;
    CHECK(total == expected);
  }
}

TEST_CASE("equal indices run on equal threads") {
  OwnThreadTeam team(3);
  const ParallelFor parallel = team.parallel();
  std::vector<std::thread::id> first(9), second(9);
  parallel(9, [&](std::int32_t i) { first[static_cast<std::size_t>(i)] = std::this_thread::get_id(); });
  parallel(9, [&](std::int32_t i) { second[static_cast<std::size_t>(i)] = std::this_thread::get_id(); });
  CHECK(first == second);
  CHECK(first[0] == std::this_thread::get_id());
  CHECK(first[1] == first[4]);
  CHECK(first[0] != first[1]);
}

TEST_CASE("threads of any origin form a team, and leave it when it ends") {
  ThreadTeam team(2);
  std::atomic<bool> left{false};
  std::thread other([&] {
    team.serve(1);
    left = true;
  });
  std::atomic<std::int32_t> sum{0};
  team.parallel()(10, [&](std::int32_t i) { sum += i; });
  CHECK(sum == 45);
  CHECK(!left);
  team.end();
  other.join();
  CHECK(left);
}

TEST_CASE("a team that runs no loop ends") { const OwnThreadTeam team(4); }
