// Position policies: where branches start, and where their parent goes on.
//
// A policy is a number, not data: it is chosen at the fork and applied child by child at each join, so that subsets,
// late joins and other orders are all defined. With p the parent's next position at the fork and n children:
//
//   policy         child k starts at   at the fork     join of a child with extent E = child.next - child.start
//   sequential     p                   -               next += E                       (Same-Seq of ASPD, `normal`)
//   longest        p                   -               next = max(next, p + E)         (Same-Max, `max_para`)
//   reserved(C)    p + k * C           next += n * C   -                               (`fixrange`)
//   given          what the caller gives               what the caller gives
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <string>

#include <anabranch/types.hpp>

namespace anabranch {

/// Wide enough for sums of positions, and for "not at all".
using WidePosition = std::int64_t;
inline constexpr WidePosition kNever = -(WidePosition{1} << 60);

/// A next position as a function of something that grows by one per token: max(floor, shift + x).
struct NextRule {
  WidePosition floor = kNever;
  WidePosition shift = kNever;
  constexpr WidePosition operator()(WidePosition x) const noexcept { return std::max(floor, shift + x); }
  /// The same as a position: where joins with given positions went backwards, it is the first or the last one.
  constexpr Position at(std::int32_t x) const noexcept {
    return static_cast<Position>(std::clamp<WidePosition>((*this)(x), 0, kUnlimited));
  }
  /// The rule x -> outer(this(x)), of which no part leaves the positions: the floor is one, the shift between two.
  constexpr NextRule then(const NextRule& outer) const noexcept {
    const WidePosition sum = add(outer.shift, shift);
    return {std::clamp<WidePosition>(std::max(outer.floor, add(outer.shift, floor)), 0, kUnlimited),
            sum == kNever ? sum : std::clamp<WidePosition>(sum, -kUnlimited, kUnlimited)};
  }
  friend constexpr bool operator==(const NextRule&, const NextRule&) = default;

 private:
  static constexpr WidePosition add(WidePosition a, WidePosition b) noexcept {
    return a <= kNever / 2 || b <= kNever / 2 ? kNever : a + b;
  }
};

/// A type that answers these questions can be a position policy. `next` is the parent's next position at that moment.
/// The built-in `Positions` serve models of the field; a program writes its own policy for a model that was trained
/// with other positions (examples/custom_cache).
template <class P>
concept PositionPolicy = std::copyable<P> && requires(const P& policy, Position next, std::int32_t k) {
  { policy.valid() } -> std::same_as<bool>;                             // parameters make sense
  { policy.is_given() } -> std::same_as<bool>;                          // the caller gives starts and join
  { policy.start(next, k) } -> std::convertible_to<WidePosition>;       // first position of child k
  { policy.end(next, k) } -> std::convertible_to<WidePosition>;         // first position refused to child k
  { policy.after_fork(next, k) } -> std::convertible_to<WidePosition>;  // parent's next after forking k children
  { policy.after_join(next, next) } -> std::convertible_to<NextRule>;   // (next, child start): rule of child.next
};

/// The four built-in policies.
struct Positions {
  enum class Kind : std::int32_t { sequential, longest, reserved, given };  // no padding: snapshots hold its bytes
  Kind kind = Kind::sequential;
  Position extent = 0;  ///< C of `reserved`: positions set aside for each child

  static const Positions sequential;
  static const Positions longest;
  static const Positions given;
  static constexpr Positions reserved(Position extent) noexcept { return {Kind::reserved, extent}; }

  constexpr bool valid() const noexcept {
    return kind >= Kind::sequential && kind <= Kind::given && (kind != Kind::reserved || extent > 0);
  }
  constexpr bool is_given() const noexcept { return kind == Kind::given; }
  constexpr WidePosition start(Position next, std::int32_t k) const noexcept {
    return kind == Kind::reserved ? WidePosition{next} + WidePosition{k} * extent : next;
  }
  constexpr WidePosition end(Position next, std::int32_t k) const noexcept {
    return kind == Kind::reserved ? start(next, k) + extent : WidePosition{kUnlimited};
  }
  constexpr WidePosition after_fork(Position next, std::int32_t n) const noexcept {
    return kind == Kind::reserved ? WidePosition{next} + WidePosition{n} * extent : next;
  }
  constexpr NextRule after_join(Position next, Position start) const noexcept {
    switch (kind) {
      case Kind::sequential: return {kNever, WidePosition{next} - start};
      case Kind::longest: return {next, 0};
      default: return {next, kNever};
    }
  }
  friend constexpr bool operator==(const Positions&, const Positions&) = default;
};
inline constexpr Positions Positions::sequential{Positions::Kind::sequential, 0};
inline constexpr Positions Positions::longest{Positions::Kind::longest, 0};
inline constexpr Positions Positions::given{Positions::Kind::given, 0};
static_assert(PositionPolicy<Positions>);

namespace impl {
/// For messages about a policy that is not valid.
template <PositionPolicy Policy>
std::string text_of(const Policy&) {
  return "a position policy that calls itself not valid";
}
inline std::string text_of(const Positions& policy) {
  if (policy.kind == Positions::Kind::reserved)
    return "reserved positions of extent " + std::to_string(policy.extent) + "; the extent must be 1 or more";
  return "a position policy of kind " + std::to_string(static_cast<std::int32_t>(policy.kind)) +
         "; kinds are 0 to 3: sequential, longest, reserved, given";
}
}  // namespace impl

}  // namespace anabranch
