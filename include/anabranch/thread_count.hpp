// How many threads a team uses, by what is measured: all of them on an idle machine, fewer where others compete.
//
// Threads that compete with other programs for processors can be slower than one thread alone, because each loop waits
// for whoever holds its last part. Whether they are depends on the system's scheduler, so it is tried: now and then
// twice as many threads, or half as many, run for a moment, and the faster number stays. Speed is the parts of loops
// that were done in a second; parts are cut by estimated time, so a mix of loops has nearly the same speed from moment
// to moment. The time between trials doubles as long as they change nothing, up to a few seconds, where they cost less
// than a hundredth; it becomes short again when the speed changes or threads begin to be missed. A trial that is much
// slower ends at once.
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
  // Seconds, of time inside loops.
  static constexpr double kWindow = 0.025;   ///< a measurement of speed
  static constexpr double kGlance = 0.006;   ///< a measurement of a speed that is much less
  static constexpr double kSettle = 0.002;   ///< after a change of number, before it is measured
  static constexpr double kShortest = 0.15;  ///< between two trials
  static constexpr double kLongest = 1.2;

  /// `most`, at least 1, is what it begins with; it does not go below `least`.
  explicit ThreadCount(std::int32_t most, std::int32_t least = 1) noexcept : most_(std::max(most, 1)) {
    while (n_levels_ < kMaxLevels && n_threads(n_levels_ - 1) > 1 && n_threads(n_levels_) >= least) ++n_levels_;
  }

  /// The number of threads to use now: `most`, halved some times and rounded up.
  std::int32_t now() const noexcept { return n_threads(trial_ >= 0 ? trial_ : home_); }
  /// Whether all threads are used, and all did their share lately.
  bool undisturbed() const noexcept { return home_ == 0 && trial_ < 0 && !disturbed_; }

  /// A loop of `n_parts` parts took so many seconds with now() threads. `n_led` parts were run by the thread that
  /// leads, which waited so many of the seconds for parts that others held.
  void add(std::int32_t n_parts, std::int32_t n_led, double seconds, double waited) noexcept {
    if (settling_ > 0) {
      settling_ -= seconds;
      return;
    }
    parts_ += n_parts;
    led_ += n_led;
    seconds_ += seconds;
    waited_ += waited;
    const bool glance = trial_ >= 0 && seconds_ >= kGlance && parts_ / seconds_ < kMuchLess * speeds_[index(home_)];
    if (seconds_ < kWindow && !glance) return;
    const double speed = parts_ / seconds_;
    if (trial_ >= 0)
      end_trial(speed);
    else
      end_window(speed);
    parts_ = led_ = seconds_ = waited_ = 0;
  }

 private:
  static constexpr int kMaxLevels = 16;
  static constexpr double kBetter = 1.05;                ///< a trial has won
  static constexpr double kMuchLess = 0.65;              ///< a trial has lost, whatever comes
  static constexpr double kFaster = 1.4, kSlower = 0.7;  ///< the load has changed
  static constexpr double kMuch = 0.1, kLittle = 0.03;   ///< of the time, waited

  std::int32_t n_threads(int level) const noexcept {
    return static_cast<std::int32_t>(((std::int64_t{most_} - 1) >> level) + 1);
  }

  /// Whether threads of this window were waited for, or left the leader more than the mean of its fair share and all.
  bool missed() const noexcept {
    const double fair = 1.0 / now(), waited = waited_ / seconds_;
    return waited > (disturbed_ ? kLittle : kMuch) || (now() > 1 && led_ > parts_ * (1 + fair) / 2);
  }

  void end_window(double speed) noexcept {
    double& mine = speeds_[index(home_)];
    mine = mine > 0 ? mine + 0.3 * (speed - mine) : speed;
    if (reference_ <= 0) reference_ = mine;
    const bool changed = mine > kFaster * reference_ || mine < kSlower * reference_;
    const bool missed_now = missed();
    if (changed) {  // what was measured of other numbers is out of date
      for (int level = 0; level < n_levels_; ++level)
        if (level != home_) speeds_[index(level)] = 0;
      mine = reference_ = speed;
    }
    if (changed || (missed_now && !disturbed_)) interval_ = kShortest;
    disturbed_ = missed_now;
    since_ += kWindow;
    if (since_ < interval_ || n_levels_ == 1) return;
    down_ = home_ == 0 || (home_ + 1 < n_levels_ && !down_);
    trial_ = down_ ? home_ + 1 : home_ - 1;
    settling_ = kSettle;
  }

  void end_trial(double speed) noexcept {
    double& theirs = speeds_[index(trial_)];
    theirs = theirs > 0 ? theirs + 0.5 * (speed - theirs) : speed;
    const bool won = theirs > kBetter * speeds_[index(home_)];
    interval_ = won ? kShortest : std::min(2 * interval_, kLongest);
    if (won) {
      home_ = trial_;
      reference_ = theirs;
    } else {
      reference_ = speeds_[index(home_)];
      settling_ = kSettle;
    }
    trial_ = -1;
    since_ = 0;
  }

  static std::size_t index(int level) noexcept { return static_cast<std::size_t>(level); }

  std::int32_t most_;
  int n_levels_ = 1, home_ = 0, trial_ = -1;  ///< level k: `most` halved k times
  bool down_ = false, disturbed_ = false;
  double parts_ = 0, led_ = 0, seconds_ = 0, waited_ = 0;  ///< of this window
  double settling_ = 0;                                    ///< seconds until it begins
  double since_ = 0, interval_ = kShortest;                ///< from the last trial, to the next one
  double reference_ = 0;                                   ///< speed after the last trial
  std::array<double, kMaxLevels> speeds_{};                ///< running means by level; 0: not known
};

}  // namespace anabranch
