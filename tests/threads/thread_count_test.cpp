// The number of threads follows a machine whose speed is made up.
#include <anabranch/thread_count.hpp>

#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

#include "catch.hpp"

using anabranch::ThreadCount;

namespace {

/// Runs loops for so many seconds on a machine that does speed(threads) parts per second.
struct Machine {
  explicit Machine(std::int32_t most, std::int32_t least = 1) : count(most, least) {}

  /// Returns the parts that were done in a second.
  double run(double seconds, const std::function<double(std::int32_t)>& speed, double waits = 0) {
    constexpr std::int32_t kParts = 10;
    double time = 0, parts = 0;
    while (time < seconds) {
      const std::int32_t n = count.now();
      if (static_cast<std::size_t>(n) >= used.size()) used.resize(static_cast<std::size_t>(n) + 1);
      random = random * 1664525u + 1013904223u;
      const double uneven = 1 + noise * (static_cast<double>(random >> 8) / (1 << 23) - 1);
      const double took = kParts / speed(n) * uneven;
      ++used[static_cast<std::size_t>(n)];
      count.add(kParts, kParts / n, took, n > 1 ? waits * took : 0);
      time += took, parts += kParts;
    }
    return parts / time;
  }

  ThreadCount count;
  double noise = 0.0;
  std::uint32_t random = 1;
  std::vector<int> used;  ///< [threads]: loops
};

double idle(std::int32_t n) { return 1e5 * (n == 1 ? 1.0 : 1.9); }
double contended(std::int32_t n) { return 1e5 * (n == 1 ? 0.6 : 0.4); }

}  // namespace

TEST_CASE("on an idle machine all threads are used, and looking for better costs less than a hundredth") {
  Machine machine(2);
  CHECK(machine.count.now() == 2);
  CHECK(machine.count.undisturbed());
  CHECK(machine.run(30, idle) > 0.99 * idle(2));
  CHECK(machine.used[1] > 0);
}

TEST_CASE("one thread is used while two are slower, and two soon after") {
  Machine machine(2);
  machine.run(10, idle);
  machine.run(0.6, contended, 0.4);
  CHECK(machine.run(10, contended, 0.4) > 0.95 * contended(1));
  CHECK(!machine.count.undisturbed());
  machine.run(0.6, idle);  // one thread alone is faster too now, which tells that something changed
  CHECK(machine.run(10, idle) > 0.98 * idle(2));
}

TEST_CASE("a load that one thread does not feel is found to be gone within seconds") {
  const auto one_beside = [](std::int32_t n) { return 1e5 * (n == 1 ? 1.0 : 0.7); };
  Machine machine(2);
  machine.run(5, one_beside, 0.4);
  CHECK(machine.count.now() == 1);
  machine.run(3, idle);
  CHECK(machine.run(5, idle) > 0.97 * idle(2));
}

TEST_CASE("under load from the start the better number is found within half a second") {
  Machine machine(2);
  machine.run(0.5, contended, 0.4);
  CHECK(machine.run(5, contended, 0.4) > 0.95 * contended(1));
}

TEST_CASE("a speed that jumps from moment to moment costs less than a tenth") {
  for (const double two : {0.5, 0.95, 1.5}) {
    CAPTURE(two);
    const auto speed = [&](std::int32_t n) { return 3e3 * (n == 1 ? 1.0 : two); };
    Machine machine(2);
    machine.noise = 0.9;
    machine.run(1, speed, 0.3);
    CHECK(machine.run(20, speed, 0.3) > 0.9 * 3e3 * std::max(1.0, two));
  }
}

TEST_CASE("loops of another kind, whose parts take ten times as long, are not taken for slow or fast threads") {
  Machine machine(2);
  double worst = 1;
  for (int answer = 0; answer < 40; ++answer) {  // a prompt, then an answer
    machine.run(0.03 + 0.013 * answer, [](std::int32_t n) { return idle(n) / 10; });
    worst = std::min(worst, machine.run(0.8, idle) / idle(2));
  }
  CHECK(worst > 0.95);
  CHECK(machine.count.now() == 2);
}

TEST_CASE("many threads are halved, and doubled, until it gets no better") {
  const auto eight_free = [](std::int32_t n) { return 1e5 * (n <= 4 ? n : 4.0 / std::sqrt(n / 4.0)); };
  Machine machine(13);
  CHECK(machine.count.now() == 13);
  machine.run(3, eight_free, 0.3);
  CHECK(machine.run(10, eight_free, 0.3) > 0.93 * eight_free(4));
  machine.run(8, [](std::int32_t n) { return 1e5 * n; });
  CHECK(machine.count.now() == 13);
}

TEST_CASE("a number that is given is kept") {
  Machine machine(4, 4);
  machine.run(5, contended, 0.5);
  CHECK(machine.used[4] > 0);
  for (std::size_t n = 0; n < 4; ++n) CHECK(machine.used[n] == 0);
  CHECK(!machine.count.undisturbed());
  Machine one(1);
  one.run(1, idle);
  CHECK(one.count.now() == 1);
}
