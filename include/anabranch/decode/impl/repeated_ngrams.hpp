// Tokens that would repeat a group of tokens.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include <anabranch/decode/impl/logit_blocks.hpp>
#include <anabranch/types.hpp>

namespace anabranch::impl {

/// Appends the tokens that would end a group of n tokens which `seen` holds already, but none of `spared`; some of them
/// more than once. O(seen).
inline void append_ngram_repeats(std::span<const TokenId> seen, std::size_t n, std::span<const TokenId> spared,
                                 std::vector<TokenId>& out) {
  if (n == 0 || seen.size() < n) return;
  const auto last = seen.last(n - 1);
  for (std::size_t i = 0; i + n <= seen.size(); ++i) {
    const TokenId token = seen[i + n - 1];
    if (std::equal(last.begin(), last.end(), seen.begin() + static_cast<std::ptrdiff_t>(i)) && token >= 0 &&
        !has(spared, token))
      out.push_back(token);
  }
}

}  // namespace anabranch::impl
