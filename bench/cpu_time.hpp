// CPU time of the calling thread, for benches that look at how costs grow.
#pragma once

#include <ctime>

#include <cstdio>
#include <cstdlib>

namespace anabranch::bench {

inline double cpu_now() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

/// Not inlined, so that callgrind can count what is measured: --toggle-collect='*seconds*'.
template <class Work>
[[gnu::noinline]] double seconds(Work&& work) {
  const double begin = cpu_now();
  work();
  return cpu_now() - begin;
}

/// Ends the bench where what it measures did not happen.
inline void need(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "error: %s\n", what);
  std::exit(1);
}

}  // namespace anabranch::bench
