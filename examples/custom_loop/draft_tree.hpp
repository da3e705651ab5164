// A tree of drafts on the sequences of a cache: grown in one step, and accepted as far as the model agrees in the next.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include <anabranch/cache/kv_cache.hpp>

namespace loop {

/// A stretch of the tree: tokens on one sequence, and the sequences on which drafts go on after it, each with another
/// token.
struct Stretch {
  anabranch::SequenceId sequence;
  std::vector<anabranch::TokenId> tokens;
  std::vector<Stretch> ways;
};

/// For each sequence of a pass, in the order of its rows, the token that the model would write next.
using Says = std::map<anabranch::SequenceId, std::vector<anabranch::TokenId>>;

/// Appends what all drafts agree on from token `depth` on, then forks one sequence for each way in which they go on:
/// each different row is there once, and its logits are wanted. REQUIRES: `drafts` sorted, none the beginning of
/// another, all alike before `depth`.
Stretch grow(anabranch::Step& step, anabranch::SequenceId sequence,
             std::span<const std::vector<anabranch::TokenId>> drafts, std::size_t depth = 0);

/// Follows the model through the tree that the last pass held. The tree's first token was no draft: it stays. The
/// sequence of the tree then holds exactly the tokens that agree with the model: what goes too far is rewound, the path
/// to it is adopted, everything else is dropped. Returns what the model wrote: the accepted tokens, and the one after
/// them, which is still to be fed.
std::vector<anabranch::TokenId> accept(anabranch::Step& step, const anabranch::KvCache& cache, const Stretch& tree,
                                       const Says& says);

/// Rows of the whole tree.
std::int64_t n_rows(const Stretch& tree);

}  // namespace loop
