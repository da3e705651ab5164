// Sums of losses by the kind of the token that was to be predicted.
#pragma once

#include <cstddef>
#include <cstdint>

#include <anabranch/enum_array.hpp>
#include <anabranch/train/token_row.hpp>

namespace anabranch::train {

/// Negative log-likelihoods in nats. Sums, not means, so that parts of a data set add up exactly.
struct Losses {
  EnumArray<TokenKind, double, kTokenKinds> sum{};          ///< by TokenKind of the target
  EnumArray<TokenKind, std::int64_t, kTokenKinds> count{};  ///< targets

  void add(TokenKind kind, double loss) noexcept {
    sum[kind] += loss;
    ++count[kind];
  }
  Losses& operator+=(const Losses& other) noexcept {
    for (std::size_t k = 0; k < sum.size(); ++k) {
      sum[k] += other.sum[k];
      count[k] += other.count[k];
    }
    return *this;
  }
  double total() const noexcept {
    double all = 0;
    for (const double s : sum) all += s;
    return all;
  }
  std::int64_t n_targets() const noexcept {
    std::int64_t all = 0;
    for (const std::int64_t n : count) all += n;
    return all;
  }
  /// Per target; 0 where there are none.
  double mean() const noexcept { return n_targets() > 0 ? total() / static_cast<double>(n_targets()) : 0.0; }
  double mean(TokenKind kind) const noexcept {
    return count[kind] > 0 ? sum[kind] / static_cast<double>(count[kind]) : 0.0;
  }
};

}  // namespace anabranch::train
