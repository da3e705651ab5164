// Caches to measure on.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include <anabranch/anabranch.hpp>

#include "../measure.hpp"

namespace anabranch::bench {

enum class Pool {
  fresh,       ///< the trunk's pages are neighbours: one slot run
  fragmented,  ///< every page of the trunk stands alone: one slot run per page
};

inline void check(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "bench: %s\n", what);
  std::exit(1);
}

/// Plans and commits.
inline void finish(Step& step) {
  check(static_cast<bool>(step.plan()), "the pool is too small");
  step.commit();
}

/// A cache with one sequence of `n_tokens`.
struct Trunk {
  KvCache cache;
  SequenceId sequence;
  Trunk(std::int32_t n_tokens, Pool pool)
      : cache({.n_pages = 3 * n_tokens / 16 + 512, .page_size = 16}), sequence(cache.create_sequence()) {
    const SequenceId between = cache.create_sequence();
    const std::int32_t piece = pool == Pool::fresh ? n_tokens : 16;
    for (std::int32_t n = 0; n < n_tokens; n += piece) {
      Step step = cache.begin_step();
      step.append_unknown(sequence, piece);
      finish(step);
      if (pool == Pool::fresh) continue;
      Step other = cache.begin_step();
      other.append_unknown(between, 16);
      finish(other);
    }
    std::int32_t n_runs = 0;
    cache.for_each_view(sequence, [&](const View& view, Position) { n_runs += view.n_runs; });
    check(n_runs == (pool == Pool::fresh ? 1 : n_tokens / 16), "the pool is not as fragmented as said");
  }
};

}  // namespace anabranch::bench
