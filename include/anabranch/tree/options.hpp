// The choices that a fork and a join leave to the caller.
#pragma once

#include <span>

#include <anabranch/tree/positions.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

/// Children of `given` may start at max_position, and ranges of `reserved` may reach past it: such a child is forked,
/// and refused its tokens when they are appended.
template <PositionPolicy Policy = Positions>
struct BasicForkOptions {
  Policy positions{};                     ///< where the children start, and where the parent goes on
  std::span<const Position> starts = {};  ///< one per child, for `given`; 0 to max_position
};
using ForkOptions = BasicForkOptions<>;

struct JoinOptions {
  Position next = kNone;  ///< where the parent goes on, for `given`
};

}  // namespace anabranch
