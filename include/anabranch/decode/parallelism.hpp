// How parallel one answer is: three measures of the ASPD paper (arXiv 2508.08895), each from two counts.
//
// Tokens are those of the text that a reader sees: no tags, and a title only where its branch says it again. Each
// measure is 0 when there is nothing to divide by. The paper's fourth measure, PPD, is the share of answers that have
// a block; a set's ABN, APD and APE are the means over those answers.
#pragma once

#include <cstdint>

#include <anabranch/version.hpp>

namespace anabranch::parallelism {

/// a / b, or 0 when b is 0.
constexpr double ratio(std::int64_t a, std::int64_t b) noexcept {
  return b > 0 ? static_cast<double>(a) / static_cast<double>(b) : 0.0;
}

/// ABN: branches per block.
constexpr double branches_per_block(std::int64_t n_branches, std::int64_t n_blocks) noexcept {
  return ratio(n_branches, n_blocks);
}
/// APD: share of the text tokens that stand in branches.
constexpr double branch_share(std::int64_t n_branch, std::int64_t n_text) noexcept { return ratio(n_branch, n_text); }
/// APE: share of the branch tokens that titles do not repeat.
constexpr double branch_efficiency(std::int64_t n_branch, std::int64_t n_title) noexcept {
  return ratio(n_branch > n_title ? n_branch - n_title : 0, n_branch);
}

}  // namespace anabranch::parallelism
