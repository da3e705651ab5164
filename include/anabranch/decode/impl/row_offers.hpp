// Row offers: which rows of a pass are worth what they cost the others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <anabranch/decode/running_row_costs.hpp>

namespace anabranch::impl {

/// Rows that a request could have beside those that a pass holds anyway, and the tokens that they would bring.
struct RowOffer {
  std::size_t request = 0;  ///< in the scheduler's order
  std::int32_t n_rows = 0;
  double n_tokens = 0;
  bool is_decoding = false;  ///< they bring it further tokens of its answer
};

/// Rows of a pass, the tokens that they bring, and the keys that each of them sees.
struct PassRows {
  std::int32_t n_rows = 0;
  double n_tokens = 0;
  std::int32_t n_keys = 0;
  std::int32_t n_decoding = 0;  ///< requests that wait for a token
};

/// How many of the offers, in their order, are taken: as many as keep each request's tokens within `target` seconds (0:
/// none) and bring the tokens fastest. One row more brings its tokens, and delays all others; that pays while the
/// tokens per second rise. Of numbers that are about as fast the largest is taken.
inline std::size_t n_offers_taken(std::span<const RowOffer> offers, PassRows size, const RunningRowCosts& costs,
                                  double target) {
  constexpr double kAboutAsFast = 0.97;  // measured costs are no better than that
  double best = size.n_rows > 0 ? size.n_tokens / costs.seconds(size.n_rows, size.n_keys) : 0;
  double n_of_least = 1;  // tokens of the request that gets fewest
  std::size_t n_taken = 0;
  for (std::size_t k = 0; k < offers.size(); ++k) {
    size.n_rows += offers[k].n_rows;
    size.n_tokens += offers[k].n_tokens;
    const double seconds = costs.seconds(size.n_rows, size.n_keys);
    if (size.n_decoding == 1 && offers[k].is_decoding) n_of_least += offers[k].n_tokens;
    if (target > 0 && seconds * costs.p95() > target * n_of_least) break;
    const double rate = size.n_tokens / seconds;
    if (rate >= kAboutAsFast * best) n_taken = k + 1;
    if (rate > best) best = rate;
  }
  return n_taken;
}

}  // namespace anabranch::impl
