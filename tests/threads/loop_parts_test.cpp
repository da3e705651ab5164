// Every part of a loop is claimed once, by whoever comes, however late.
#include <anabranch/loop_parts.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include "catch.hpp"

using anabranch::LoopParts;
using anabranch::PartRange;

namespace {

/// A cheap random number of thread and step.
std::uint32_t mixed(std::uint32_t x) {
  x ^= x >> 16, x *= 0x7feb352du, x ^= x >> 15, x *= 0x846ca68bu;
  return x ^ x >> 16;
}

/// Puts the thread aside for up to 200 us, one time in `seldom`.
void stall(std::uint32_t number, std::uint32_t seldom) {
  if (mixed(number) % seldom == 0) std::this_thread::sleep_for(std::chrono::microseconds(mixed(number + 1) % 200));
}

}  // namespace

TEST_CASE("parts are claimed from both ends, large shares first, until none is left") {
  LoopParts parts;
  CHECK(parts.claim_front(2).size() == 0);
  parts.publish(16);
  const PartRange front = parts.claim_front(2), back = parts.claim_back(2);
  CHECK(front.begin == 0);
  CHECK(front.end == 4);
  CHECK(back.begin == 13);
  CHECK(back.end == 16);
  std::array<int, 16> counts{};
  std::int32_t n = front.size() + back.size();
  for (PartRange r; (r = n % 2 == 0 ? parts.claim_front(2) : parts.claim_back(2)).size() > 0; n += r.size())
    for (std::int32_t i = r.begin; i < r.end; ++i) ++counts[static_cast<std::size_t>(i)];
  CHECK(n == 16);
  for (std::size_t i = 0; i < 16; ++i) CHECK(counts[i] == (i < 4 || i >= 13 ? 0 : 1));
  CHECK(parts.claim_back(1).size() == 0);
  CHECK(parts.turn() == 1);
}

TEST_CASE("the most parts that a loop may have") {
  LoopParts parts;
  for (std::uint32_t turn = 1; turn <= 3; ++turn) {
    parts.publish(LoopParts::kMaxParts);
    std::int64_t sum = 0, n = 0;
    for (PartRange r; (r = (n & 1) == 0 ? parts.claim_front(3) : parts.claim_back(3)).size() > 0; n += r.size())
      for (std::int32_t i = r.begin; i < r.end; ++i) sum += i;
    CHECK(n == LoopParts::kMaxParts);
    CHECK(sum == std::int64_t{LoopParts::kMaxParts} * (LoopParts::kMaxParts - 1) / 2);
    CHECK(parts.turn() == turn);
  }
}

TEST_CASE("threads that are put aside at random between claims run no part twice and none of another loop") {
  constexpr std::int32_t kThreads = 3, kLoops = 4000;
  LoopParts parts;
  std::int32_t loop = 0, n = 0;             // what the loop is: plain values, written between loops
  std::vector<std::int32_t> ran_in(32, 0);  // [part]: the loop that it ran in last
  std::atomic<bool> ends{false};
  std::atomic<std::int32_t> n_wrong{0}, n_stolen{0};
  const auto run = [&](const PartRange& mine) {
    for (std::int32_t i = mine.begin; i < mine.end; ++i) {
      std::int32_t& last = ran_in[static_cast<std::size_t>(i)];
      if (i >= n || last == loop) ++n_wrong;
      last = loop;
    }
  };
  std::vector<std::thread> others;
  for (std::uint32_t t = 0; t < kThreads; ++t)
    others.emplace_back([&, t] {
      for (std::uint32_t step = t << 20; !ends; ++step) {
        const PartRange mine = parts.claim_back(kThreads + 1);
        if (mine.size() == 0) {
          stall(step, 1000);
          continue;
        }
        stall(step, 50);
        run(mine);
        stall(step + 7, 100);
        n_stolen += mine.size();
        parts.add_done(mine.size());
      }
    });
  for (loop = 1; loop <= kLoops;) {
    n = 1 + static_cast<std::int32_t>(mixed(static_cast<std::uint32_t>(loop)) % 32);
    parts.publish(n);
    stall(static_cast<std::uint32_t>(loop) + 3, 20);
    std::int32_t n_mine = 0;
    for (PartRange mine; (mine = parts.claim_front(kThreads + 1)).size() > 0; n_mine += mine.size()) run(mine);
    while (parts.n_done() != n - n_mine) std::this_thread::yield();
    for (std::int32_t i = 0; i < n; ++i) n_wrong += ran_in[static_cast<std::size_t>(i)] == loop ? 0 : 1;
    ++loop;
  }
  ends = true;
  for (std::thread& other : others) other.join();
  CHECK(n_wrong == 0);
  CHECK(n_stolen > 0);
}
