// PrefixMatch: what a tree of histories (prefix_tree.hpp) has of a prompt.
#pragma once

#include <cstdint>

#include <anabranch/pool/index.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

/// A list of tokens in the tree.
using PrefixIndex = Index<struct PrefixNode>;

/// The part of a prompt that is in the tree.
struct PrefixMatch {
  PrefixIndex node;  ///< the last one; its run's first `offset` tokens belong to the match
  std::int32_t offset = 0;
  std::int32_t n_tokens = 0;   ///< that can be shared, up to a place outside all blocks
  Position next = 0;           ///< the prompt's position there
  std::int32_t n_pending = 0;  ///< that some request computes or has computed, likewise
};

}  // namespace anabranch
