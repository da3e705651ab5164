// A team of threads that stand by between loops, so that a loop starts within a fraction of a microsecond, and that
// gives way to whatever else runs on the machine.
//
// A pass of a small model is some 200 loops of a few microseconds each; waking sleeping threads for each of them would
// take longer than the loops. So a thread that waits spins first, and sleeps when nothing came for a while: a short
// while where other programs compete for the processors (ThreadCount), since the system then takes time from whoever
// spins. The leader takes parts itself and waits for parts, not for threads (LoopParts): a thread that sleeps, was put
// aside by the system, or was never started costs nothing. Nor may the others run on the leader's processor: they would
// run whenever it does not, and find nothing to do.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include <anabranch/loop_parts.hpp>
#include <anabranch/parallel_for.hpp>
#include <anabranch/thread_count.hpp>

namespace anabranch {

/// Where threads run, which the standard library cannot tell. Null: not told, and left to the system.
struct ProcessorCalls {
  std::int32_t (*current)() noexcept = nullptr;  ///< the processor that runs the calling thread
  /// From now on the calling thread runs on another processor than this one, if it may use any other.
  void (*keep_off)(std::int32_t processor) noexcept = nullptr;
};

struct TeamOptions {
  ThreadUse use = ThreadUse::adaptive;
  ProcessorCalls processors = {};
};

/// The meeting point of a team's threads, whoever starts them: one thread at a time leads and runs loops through
/// `parallel`, the others call `serve`. Parts of a loop may run on any of them.
class ThreadTeam {
 public:
  explicit ThreadTeam(std::int32_t n_threads, const TeamOptions& options = {}) noexcept
      : n_threads_(n_threads),
        processors_(options.processors),
        count_(n_threads, options.use == ThreadUse::all ? n_threads : 1),
        n_active_(n_threads) {}
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  /// For the leader. Refers to the team. A loop inside another loop of the team runs on its own thread alone.
  ParallelFor parallel() noexcept {
    if (n_threads_ <= 1) return {};
    constexpr std::int32_t kPartsPerWorker = 16;
    return {[](void* user, std::int32_t n, ParallelFor::Task task, void* body) {
              static_cast<ThreadTeam*>(user)->lead({task, body, n, 1});
            },
            this, n_threads_, kPartsPerWorker};
  }

  /// How many threads, the leader among them, a loop would use now.
  std::int32_t n_active() const noexcept { return n_active_.load(std::memory_order_relaxed); }

  /// For thread 1, 2, ... of the team: runs parts of loops, and returns after `end`.
  void serve(std::int32_t thread) noexcept;

  /// Makes the others return from `serve`. No loop may run any more.
  void end() noexcept {
    {
      const std::lock_guard lock(mutex_);
      ended_.store(true, std::memory_order_release);
    }
    woken_.notify_all();
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::nanoseconds kLeaderSpins{50'000}, kSpins{2'000'000}, kSpinsDisturbed{200'000};

  /// The loop that parts are taken of. Written by the leader between loops, read by whoever has claimed parts.
  struct Loop {
    ParallelFor::Task task = nullptr;
    void* body = nullptr;
    std::int32_t n = 0;
    std::int32_t batch = 1;  ///< indices of a part
    void run(const PartRange& parts) const noexcept {
      const std::int64_t end = std::min(std::int64_t{parts.end} * batch, std::int64_t{n});
      for (std::int64_t i = std::int64_t{parts.begin} * batch; i < end; ++i) task(body, static_cast<std::int32_t>(i));
    }
  };

  /// The leader's notes of a loop.
  struct Led {
    std::int32_t n_parts = 0, n_mine = 0;
    Clock::duration took{0}, waited{0};
  };

  void lead(Loop loop) noexcept;
  Led share(Loop loop, std::int32_t n_active) noexcept;
  Clock::duration wait_for_parts(std::int32_t n) noexcept;
  void count(const Led& led) noexcept;
  void sleep(std::int32_t thread, std::uint32_t turn) noexcept;
  static void pause() noexcept {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }

  const std::int32_t n_threads_;
  const ProcessorCalls processors_;
  ThreadCount count_;  ///< the leader's
  Loop loop_;
  std::atomic<bool> runs_loop_{false};  ///< a loop runs: another one is inside it
  LoopParts parts_;
  alignas(128) std::atomic<std::int32_t> n_active_;  ///< written by the leader, seldom, as the next two are
  std::atomic<std::int32_t> leaders_processor_{-1};
  std::atomic<std::int64_t> spin_limit_{kSpins.count()};
  std::atomic<bool> ended_{false};
  // A thread notes that it sleeps, then looks for work once more; the other one brings work, then looks for the note.
  // All four are sequentially consistent, so one of the two sees the other's.
  std::atomic<bool> someone_sleeps_{false}, leader_sleeps_{false};
  std::mutex mutex_, leader_mutex_;
  std::condition_variable woken_, leader_woken_;
};

/// A team of threads of its own, which start with it and end with it. Threads that the system does not give are done
/// without.
class OwnThreadTeam {
 public:
  explicit OwnThreadTeam(std::int32_t n_threads, const TeamOptions& options = {}) : team_(n_threads, options) {
    threads_.reserve(static_cast<std::size_t>(std::max(n_threads, 1)));
    try {
      for (std::int32_t t = 1; t < n_threads; ++t) threads_.emplace_back([this, t] { team_.serve(t); });
    } catch (const std::system_error&) {
    }
  }
  OwnThreadTeam(const OwnThreadTeam&) = delete;
  OwnThreadTeam& operator=(const OwnThreadTeam&) = delete;
  ~OwnThreadTeam() {
    team_.end();
    for (std::thread& thread : threads_) thread.join();
  }

  ParallelFor parallel() noexcept { return team_.parallel(); }
  std::int32_t n_active() const noexcept { return team_.n_active(); }

 private:
  ThreadTeam team_;
  std::vector<std::thread> threads_;
};

inline void ThreadTeam::serve(std::int32_t thread) noexcept {
  constexpr std::int32_t kSpinsPerLook = 64;
  std::uint32_t turn = parts_.turn();
  Clock::time_point idle_since{};
  std::int32_t kept_off = -1;
  for (std::int32_t spins = 0; !ended_.load(std::memory_order_acquire); ++spins) {
    const std::int32_t n_active = n_active_.load(std::memory_order_relaxed);
    const PartRange mine = thread < n_active ? parts_.claim_back(n_active) : PartRange{};
    if (mine.size() > 0) {
      loop_.run(mine);
      parts_.add_done(mine.size());
      if (leader_sleeps_.load(std::memory_order_seq_cst)) {
        { const std::lock_guard lock(leader_mutex_); }  // it has looked for the last time, and waits
        leader_woken_.notify_one();
      }
      spins = -1;
      continue;
    }
    pause();
    if (thread < n_active && spins % kSpinsPerLook != 0) continue;
    if (const std::int32_t its = leaders_processor_.load(std::memory_order_relaxed); its != kept_off)
      processors_.keep_off(kept_off = its);
    const Clock::time_point now = Clock::now();
    if (const std::uint32_t seen = parts_.turn(); spins == 0 || seen != turn) {
      turn = seen;
      idle_since = now;
    }
    if (thread < n_active && (now - idle_since).count() < spin_limit_.load(std::memory_order_relaxed)) continue;
    sleep(thread, turn);
    spins = -1;
  }
}

/// Until the team ends, or runs a loop after `turn` that wants this thread.
inline void ThreadTeam::sleep(std::int32_t thread, std::uint32_t turn) noexcept {
  std::unique_lock lock(mutex_);
  while (!ended_.load(std::memory_order_relaxed)) {
    if (thread < n_active_.load(std::memory_order_relaxed)) {
      someone_sleeps_.store(true, std::memory_order_seq_cst);
      if (parts_.turn() != turn) return;
    }
    woken_.wait(lock);
  }
}

inline void ThreadTeam::lead(Loop loop) noexcept {
  if (runs_loop_.exchange(true, std::memory_order_acquire)) return loop.run({0, loop.n});
  const Clock::time_point begin = Clock::now();
  const std::int32_t n_active = n_active_.load(std::memory_order_relaxed);
  Led led{loop.n, loop.n};
  if (n_active > 1)
    led = share(loop, n_active);
  else
    loop.run({0, loop.n});
  led.took = Clock::now() - begin;
  count(led);
  runs_loop_.store(false, std::memory_order_release);
}

/// Runs the loop together with the other threads.
inline ThreadTeam::Led ThreadTeam::share(Loop loop, std::int32_t n_active) noexcept {
  if (processors_.keep_off != nullptr)
    if (const std::int32_t mine = processors_.current(); mine != leaders_processor_.load(std::memory_order_relaxed))
      leaders_processor_.store(mine, std::memory_order_relaxed);
  loop.batch = (loop.n - 1) / LoopParts::kMaxParts + 1;
  Led led{(loop.n - 1) / loop.batch + 1};
  loop_ = loop;
  parts_.publish(led.n_parts);
  if (someone_sleeps_.load(std::memory_order_seq_cst)) {
    someone_sleeps_.store(false, std::memory_order_seq_cst);
    { const std::lock_guard lock(mutex_); }  // whoever noted that it sleeps does so now
    woken_.notify_all();
  }
  for (PartRange mine; (mine = parts_.claim_front(n_active)).size() > 0; led.n_mine += mine.size()) loop.run(mine);
  led.waited = wait_for_parts(led.n_parts - led.n_mine);
  return led;
}

/// Returns the time that it took, if it was longer than a part should take.
inline ThreadTeam::Clock::duration ThreadTeam::wait_for_parts(std::int32_t n) noexcept {
  if (parts_.n_done() == n) return {};
  const Clock::time_point begin = Clock::now();
  for (std::int32_t spins = 1; spins % 32 != 0 || Clock::now() - begin < kLeaderSpins; ++spins) {
    if (parts_.n_done() == n) return {};
    pause();
  }
  std::unique_lock lock(leader_mutex_);
  leader_sleeps_.store(true, std::memory_order_seq_cst);
  leader_woken_.wait(lock, [&] { return parts_.n_done() == n; });
  leader_sleeps_.store(false, std::memory_order_relaxed);
  return Clock::now() - begin;
}

inline void ThreadTeam::count(const Led& led) noexcept {
  using Seconds = std::chrono::duration<double>;
  count_.add(led.n_parts, led.n_mine, Seconds(led.took).count(), Seconds(led.waited).count());
  const auto limit = (count_.undisturbed() ? kSpins : kSpinsDisturbed).count();
  if (limit != spin_limit_.load(std::memory_order_relaxed)) spin_limit_.store(limit, std::memory_order_relaxed);
  const std::int32_t n_active = count_.now();
  if (n_active == n_active_.load(std::memory_order_relaxed)) return;
  {
    const std::lock_guard lock(mutex_);
    n_active_.store(n_active, std::memory_order_relaxed);
  }
  woken_.notify_all();
}

}  // namespace anabranch
