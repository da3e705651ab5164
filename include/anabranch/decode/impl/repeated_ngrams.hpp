// Tokens that would repeat a group of tokens.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include <anabranch/decode/impl/logit_blocks.hpp>
#include <anabranch/types.hpp>

namespace anabranch::impl {

/// Appends the tokens that would end a group of n tokens which `seen` holds already, but none of `spared`; some of them
/// more than once. O(seen).
inline void append_ngram_repeats(std::span<const TokenId> seen, std::ptrdiff_t n, std::span<const TokenId> spared,
                                 std::vector<TokenId>& out) {
  if (n <= 0 || std::ssize(seen) < n) return;
  const auto last = seen.end() - (n - 1);  // of the n - 1 tokens that the next one would complete
  for (auto group = seen.begin(); seen.end() - group >= n; ++group) {
    const TokenId token = group[n - 1];
    if (std::equal(last, seen.end(), group) && token >= 0 && !has(spared, token)) out.push_back(token);
  }
}

}  // namespace anabranch::impl
