// One split of work over the caller's threads: what a thread wrote of a product's columns it gets again to round.
#pragma once

#include <cstdint>

#include <anabranch/parallel_for.hpp>

namespace anabranch::linear::impl {

/// visit(begin, end) for as many equal parts of [0, n_all) as there are workers; never an empty one.
template <class Visit>
void share_out(std::int32_t n_all, const ParallelFor& parallel, Visit&& visit) {
  const std::int32_t n = parallel.n_workers();
  const auto border = [&](std::int32_t i) { return static_cast<std::int32_t>(std::int64_t{n_all} * i / n); };
  parallel(n, [&](std::int32_t i) {
    if (border(i) < border(i + 1)) visit(border(i), border(i + 1));
  });
}

}  // namespace anabranch::linear::impl
