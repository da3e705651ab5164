// How many threads a team uses, by what is measured: all of them on an idle machine, fewer where others compete.
//
// Threads that compete with other programs for processors can be slower than one thread alone, because each loop waits
// for whoever holds its last part. Whether they are depends on the system's scheduler, so it is tried: now and then
// twice as many threads, or half as many, run for a moment, and the faster number stays. Speed is the parts of loops
// that were done in a second. What the loops do changes too, so a trial counts only when the speeds before and after it
// are alike, and is compared with both. The time between trials doubles as long as they change nothing, up to a second
// or so, where they cost less than a hundredth; it becomes short again when the speed changes or threads begin to be
// missed. On a quiet machine a trial that is much slower ends at once.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include <anabranch/version.hpp>

namespace anabranch {

/// How many threads of a team take part in a loop.
enum class ThreadUse : std::uint8_t {
  adaptive,  ///< as many as are worth it, by what is measured
  all,
};

class ThreadCount {
 public:
  /// `most`, at least 1, is what it begins with; it does not go below `least`.
  explicit ThreadCount(std::int32_t most, std::int32_t least = 1) noexcept : most_(std::max(most, 1)) {
    while (n_levels_ < kMaxLevels && n_threads(n_levels_ - 1) > 1 && n_threads(n_levels_) >= least) ++n_levels_;
  }

  /// The number of threads to use now: `most`, halved some times and rounded up.
  std::int32_t now() const noexcept { return n_threads(phase_ == Phase::trial ? trial_ : home_); }
  /// Whether all threads are used, and all did their share lately.
  bool undisturbed() const noexcept { return home_ == 0 && phase_ != Phase::trial && !disturbed_; }

  /// A loop of `n_parts` parts took so many seconds with now() threads. `n_led` parts were run by the thread that
  /// leads, which waited so many of the seconds for parts that others held.
  void add(std::int32_t n_parts, std::int32_t n_led, double seconds, double waited) noexcept {
    if (settling_ > 0) {
      settling_ -= seconds;
      return;
    }
    window_.parts += n_parts;
    window_.led += n_led;
    window_.seconds += seconds;
    window_.waited += waited;
    const bool quiet = home_ == 0 && !disturbed_;
    const bool lost =
        phase_ == Phase::trial && quiet && window_.seconds >= kGlance && window_.speed() < kMuchLess * before_;
    if (window_.seconds < (quiet ? kWindow : kWindowDisturbed) && !lost) return;
    switch (phase_) {
      case Phase::home: end_window(); break;
      case Phase::trial: end_trial(lost); break;
      case Phase::after: compare(); break;
    }
    window_ = {};
  }

 private:
  // Seconds, of time inside loops.
  static constexpr double kWindow = 0.025, kWindowDisturbed = 0.05;  ///< a measurement of speed
  static constexpr double kGlance = 0.006;                           ///< of one that is much less
  static constexpr double kSettle = 0.002;                           ///< after a change of number
  static constexpr double kShortest = 0.15, kLongest = 1.2;          ///< between two trials
  // Ratios of speeds.
  static constexpr double kBetter = 1.05;                ///< a trial has won
  static constexpr double kMuchLess = 0.65;              ///< a trial has lost, whatever comes
  static constexpr double kFaster = 1.4, kSlower = 0.7;  ///< load or loops have changed
  static constexpr double kAlike = 0.6;                  ///< before and after a trial, at least
  static constexpr double kMuch = 0.1, kLittle = 0.03;   ///< shares of the time, waited
  static constexpr int kMaxLevels = 16;

  enum class Phase : std::uint8_t { home, trial, after };
  struct Window {
    double parts = 0, led = 0, seconds = 0, waited = 0;
    double speed() const noexcept { return parts / seconds; }
  };

  std::int32_t n_threads(int level) const noexcept {
    return static_cast<std::int32_t>(((std::int64_t{most_} - 1) >> level) + 1);
  }

  /// Whether threads of this window were waited for, or left the leader more than the mean of its fair share and all.
  bool missed() const noexcept {
    const double fair = 1.0 / now(), waited = window_.waited / window_.seconds;
    return waited > (disturbed_ ? kLittle : kMuch) || (now() > 1 && window_.led > window_.parts * (1 + fair) / 2);
  }

  void end_window() noexcept {
    const double speed = window_.speed();
    before_ = before_ > 0 ? before_ + 0.3 * (speed - before_) : speed;
    if (reference_ <= 0) reference_ = before_;
    const bool changed = before_ > kFaster * reference_ || before_ < kSlower * reference_, misses = missed();
    if (changed) {
      ratios_ = {};
      before_ = reference_ = speed;
    }
    if (changed || (misses && !disturbed_)) interval_ = kShortest;
    disturbed_ = misses;
    since_ += window_.seconds;
    if (since_ < interval_ || n_levels_ == 1) return;
    down_ = home_ == 0 || (home_ + 1 < n_levels_ && !down_);
    trial_ = down_ ? home_ + 1 : home_ - 1;
    enter(Phase::trial);
  }

  void end_trial(bool lost) noexcept {
    theirs_ = window_.speed();
    if (!lost) return enter(Phase::after);
    ratios_[static_cast<std::size_t>(trial_)] = theirs_ / before_;
    go_on(home_, 2 * interval_);
  }

  void compare() noexcept {
    const double after = window_.speed();
    if (std::min(before_, after) < kAlike * std::max(before_, after)) {
      before_ = after;
      return go_on(home_, interval_);
    }
    double& ratio = ratios_[static_cast<std::size_t>(trial_)];
    const double now = theirs_ / ((before_ + after) / 2);
    ratio = ratio > 0 ? (ratio + now) / 2 : now;
    if (ratio <= kBetter) return go_on(home_, 2 * interval_);
    ratios_ = {};
    before_ = theirs_;
    go_on(trial_, kShortest);
  }

  void go_on(int level, double interval) noexcept {
    home_ = level;
    reference_ = before_;
    interval_ = std::min(interval, kLongest);
    since_ = 0;
    enter(Phase::home);
  }
  void enter(Phase phase) noexcept {
    phase_ = phase;
    settling_ = kSettle;
  }

  std::int32_t most_;
  int n_levels_ = 1, home_ = 0, trial_ = 0;  ///< level k: `most` halved k times
  Phase phase_ = Phase::home;
  bool down_ = false, disturbed_ = false;  ///< of the last trial; of the last window of home
  Window window_;
  double settling_ = 0;                      ///< seconds until the window begins
  double since_ = 0, interval_ = kShortest;  ///< from the last trial, to the next one
  double before_ = 0, theirs_ = 0;           ///< speeds: a running mean of home, the last trial's
  double reference_ = 0;                     ///< before_ at the last trial
  std::array<double, kMaxLevels> ratios_{};  ///< by level, of speed to that of home: running means; 0: not known
};

}  // namespace anabranch
