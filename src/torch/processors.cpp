#include "processors.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif

namespace anabranch::torch {
namespace {

/// Infinity where a file is absent or has no positive number: "max" and -1 stand for no limit.
double quota_of(const ControlGroup& group) {
  double time = 0, period = 0;
  bool there = false;
  if (group.version == GroupVersion::two) {
    std::ifstream in(group.folder / "cpu.max");  // "150000 100000"
    there = static_cast<bool>(in >> time >> period);
  } else {
    std::ifstream quota(group.folder / "cpu.cfs_quota_us"), of(group.folder / "cpu.cfs_period_us");
    there = static_cast<bool>(quota >> time) && static_cast<bool>(of >> period);
  }
  return there && time > 0 && period > 0 ? time / period : std::numeric_limits<double>::infinity();
}

std::int32_t bound_processors() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return CPU_COUNT(&set);
#endif
  return static_cast<std::int32_t>(std::thread::hardware_concurrency());
}

#if defined(__linux__)
std::int32_t current_processor() noexcept { return sched_getcpu(); }

/// Takes one processor from those that the thread was bound to at first.
void keep_off(std::int32_t processor) noexcept {
  thread_local const auto at_first = [] {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) != 0) CPU_ZERO(&set);
    return set;
  }();
  cpu_set_t set = at_first;
  if (processor >= 0 && processor < CPU_SETSIZE) CPU_CLR(processor, &set);
  if (CPU_COUNT(&set) > 0) sched_setaffinity(0, sizeof(set), &set);
}
#endif

}  // namespace

ProcessorCalls processor_calls() noexcept {
#if defined(__linux__)
  return {current_processor, keep_off};
#else
  return {};
#endif
}

double processor_quota(const GroupFiles& files) {
  double least = std::numeric_limits<double>::infinity();
  for (const ControlGroup& group : control_groups("cpu", files)) least = std::min(least, quota_of(group));
  return least;
}

std::int32_t usable_processors(const GroupFiles& files) {
  const double bound = std::max(bound_processors(), 1);
  return static_cast<std::int32_t>(std::max(1L, std::lround(std::min(bound, processor_quota(files)))));
}

}  // namespace anabranch::torch
