// Drafter: proposes tokens that will probably follow.
#pragma once

#include <concepts>

#include <anabranch/decode/draft/draft_source.hpp>

namespace anabranch {

/// Fills in an empty chain, or leaves it empty. Write one for another way to find tokens (a small model, a table of
/// phrases); MeasuredDrafts makes a DraftSource of it.
template <class D>
concept Drafter = requires(D& drafter, const DraftContext& context, DraftChain& chain) {
  { drafter.propose(context, chain) } -> std::same_as<void>;
};

}  // namespace anabranch
