// A team of threads runs every index of a loop once, loop after loop, whatever its threads are doing.
#include <anabranch/thread_team.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "catch.hpp"

using anabranch::OwnThreadTeam;
using anabranch::ParallelFor;
using anabranch::ThreadTeam;
using anabranch::ThreadUse;

namespace {

/// The sum of all indices of a loop, each times a factor that is its own when every index ran once.
std::int64_t sum_of(const ParallelFor& parallel, std::int32_t n) {
  std::atomic<std::int64_t> sum{0};
  parallel(n, [&](std::int32_t i) { sum += std::int64_t{i} * i + 1; });
  return sum;
}
std::int64_t right_sum(std::int32_t n) {
  std::int64_t sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += i * i + 1;
  return sum;
}

}  // namespace

TEST_CASE("a team runs every index of thousands of loops exactly once, and sees what the loop before wrote") {
  for (const ThreadUse use : {ThreadUse::adaptive, ThreadUse::all})
    for (const std::int32_t n_threads : {1, 2, 3, 8}) {
      CAPTURE(n_threads);
      OwnThreadTeam team(n_threads, {use});
      const ParallelFor parallel = team.parallel();
      CHECK(parallel.n_workers() == n_threads);
      std::vector<std::int32_t> counts(17, 0), copies(17, 0);
      std::int32_t n_wrong = 0;
      for (std::int32_t loop = 1; loop <= 2000; ++loop) {
        const std::int32_t n = loop % 18;
        parallel(n, [&](std::int32_t i) { ++counts[static_cast<std::size_t>(i)]; });
        // Often read by another thread than the one that wrote: index n - 1 - i.
        parallel(n, [&](std::int32_t i) {
          const auto other = static_cast<std::size_t>(n - 1 - i);
          copies[other] = counts[other];
        });
        for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) n_wrong += copies[i] == counts[i] ? 0 : 1;
      }
      CHECK(n_wrong == 0);
      std::int32_t total = 0, expected = 0;
      for (const std::int32_t count : counts) total += count;
      for (std::int32_t loop = 1; loop <= 2000; ++loop) expected += loop % 18;
      CHECK(total == expected);
    }
}

TEST_CASE("threads that are put aside while they hold a part are waited for, others are not") {
  OwnThreadTeam team(3);
  const auto leader = std::this_thread::get_id();
  std::atomic<std::uint32_t> number{0};
  std::int32_t n_wrong = 0;
  for (std::int32_t loop = 0; loop < 300; ++loop) {
    std::vector<std::int32_t> ran(24, 0);
    team.parallel()(24, [&](std::int32_t i) {
      const bool stalls = std::this_thread::get_id() != leader && ++number % 40 == 0;
      if (stalls) std::this_thread::sleep_for(std::chrono::microseconds(300));  // longer than the leader spins
      ++ran[static_cast<std::size_t>(i)];
    });
    for (const std::int32_t n : ran) n_wrong += n == 1 ? 0 : 1;
  }
  CHECK(n_wrong == 0);
}

TEST_CASE("a loop of more indices than there can be parts") {
  OwnThreadTeam team(3);
  for (const std::int32_t n : {65535, 65536, 200001}) CHECK(sum_of(team.parallel(), n) == right_sum(n));
}

TEST_CASE("loops end without a thread that was never started, and with one that comes late") {
  ThreadTeam team(2);
  for (std::int32_t n = 0; n < 100; ++n) CHECK(sum_of(team.parallel(), n) == right_sum(n));
  std::atomic<bool> left{false};
  std::thread other([&] {
    team.serve(1);
    left = true;
  });
  for (std::int32_t n = 0; n < 100; ++n) CHECK(sum_of(team.parallel(), n) == right_sum(n));
  CHECK(!left);
  team.end();
  other.join();
  CHECK(left);
}

TEST_CASE("threads that have fallen asleep between loops take part again") {
  OwnThreadTeam team(2, {ThreadUse::all});
  std::set<std::thread::id> seen;
  std::mutex mutex;
  for (int loop = 0; loop < 100 && seen.size() < 2; ++loop) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));  // longer than they spin
    team.parallel()(8, [&](std::int32_t) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      const std::lock_guard lock(mutex);
      seen.insert(std::this_thread::get_id());
    });
  }
  CHECK(seen.size() == 2);
}

TEST_CASE("a loop inside a loop runs on its own thread") {
  OwnThreadTeam team(3);
  const ParallelFor parallel = team.parallel();
  std::atomic<std::int32_t> n_wrong{0};
  std::atomic<std::int64_t> sum{0};
  for (int loop = 0; loop < 200; ++loop)
    parallel(5, [&](std::int32_t outer) {
      const auto me = std::this_thread::get_id();
      parallel(7, [&](std::int32_t inner) {
        if (std::this_thread::get_id() != me) ++n_wrong;
        sum += outer * 7 + inner;
      });
    });
  CHECK(n_wrong == 0);
  CHECK(sum == 200 * (35 * 34 / 2));
  CHECK(sum_of(parallel, 50) == right_sum(50));
}

TEST_CASE("threads are told to keep off the leader's processor, again when it has changed") {
  static std::atomic<std::int32_t> leads_on{3};
  static std::atomic<std::int32_t> kept_off{-1}, n_calls{0};
  const anabranch::ProcessorCalls calls{[]() noexcept -> std::int32_t { return leads_on; },
                                        [](std::int32_t processor) noexcept {
                                          kept_off = processor;
                                          ++n_calls;
                                        }};
  OwnThreadTeam team(2, {ThreadUse::all, calls});
  for (const std::int32_t processor : {3, 0, 5}) {
    leads_on = processor;
    for (int loop = 0; loop < 1000 && kept_off != processor; ++loop) {
      sum_of(team.parallel(), 20);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    CHECK(kept_off == processor);
  }
  CHECK(n_calls == 3);
}

TEST_CASE("teams start and end, with and without loops") {
  for (int i = 0; i < 200; ++i) {
    OwnThreadTeam team(1 + i % 5);
    CHECK(team.n_active() == 1 + i % 5);
    if (i % 3 != 0) CHECK(sum_of(team.parallel(), i) == right_sum(i));
  }
}

TEST_CASE("long loops are cut into several parts a worker, each of some microseconds, short ones into one") {
  OwnThreadTeam team(2);
  const ParallelFor parallel = team.parallel();
  CHECK(parallel.n_parts(1000, 0) == 2);
  CHECK(parallel.n_parts(1000, 3 * ParallelFor::kPart) == 2);
  CHECK(parallel.n_parts(1000, 8 * ParallelFor::kPart) == 8);
  CHECK(parallel.n_parts(1000, 1e300) == 32);
  CHECK(parallel.n_parts(5, 8 * ParallelFor::kPart) == 5);
  CHECK(parallel.n_parts(0, 0) == 0);
  CHECK(ParallelFor().n_parts(1000, 1e9) == 1);
  const ParallelFor pool([](void*, std::int32_t, ParallelFor::Task, void*) {}, nullptr, 4);
  CHECK(pool.n_parts(1000, 1e9) == 4);
  for (const std::int32_t n : {0, 1, 2, 7, 31, 32, 1000}) {
    std::vector<std::int32_t> ran(static_cast<std::size_t>(n), 0);
    std::atomic<bool> empty{false};
    parallel.in_parts(n, 1e9, [&](std::int32_t begin, std::int32_t end) {
      if (begin >= end) empty = true;
      for (std::int32_t i = begin; i < end; ++i) ++ran[static_cast<std::size_t>(i)];
    });
    CHECK(!empty);
    CHECK(ran == std::vector<std::int32_t>(static_cast<std::size_t>(n), 1));
  }
}

TEST_CASE("a team that runs no loop ends") { const OwnThreadTeam team(4); }
