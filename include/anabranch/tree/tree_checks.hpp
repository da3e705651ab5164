// The checks of a fork, a join and a rewind. Each throws before anything has changed.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <memory_resource>
#include <span>
#include <vector>

#include <anabranch/error.hpp>
#include <anabranch/tree/options.hpp>
#include <anabranch/tree/sequence_table.hpp>
#include <anabranch/types.hpp>

namespace anabranch::impl {

/// How the parent's next position follows from the child's.
template <PositionPolicy Policy>
NextRule join_rule(Position parent_next, const SequenceState<Policy>& child) {
  return child.policy.is_given() ? NextRule{parent_next, kNever} : child.policy.after_join(parent_next, child.start);
}

/// Throws bad_argument, limit_reached or out_of_range for a fork into `n` children.
template <PositionPolicy Policy>
void check_fork(const SequenceTable<Policy>& sequences, SequenceIndex parent, std::int32_t n,
                const BasicForkOptions<Policy>& options) {
  const auto& [policy, starts] = options;
  if (n == 0) fail(Status::bad_argument, "fork into 0 children; at least 1 is needed");
  if (!policy.valid()) fail(Status::bad_argument, "fork with ", text_of(policy));
  if (policy.is_given() ? std::ssize(starts) != n : !starts.empty())
    fail(Status::bad_argument, "fork into ", n, " children with ", starts.size(),
         " start positions; this policy takes ", policy.is_given() ? n : 0);
  sequences.check_limits(parent, n);
  const Position p = sequences[parent].next;
  const WidePosition after = policy.after_fork(p, n);
  if (after > kUnlimited || policy.start(p, n - 1) > kUnlimited)
    fail(Status::out_of_range, "fork at position ", p, " reserves positions up to ", after, ", past ", kUnlimited);
  if constexpr (!std::same_as<Policy, Positions>)  // theirs grow with k from a next position that is there
    for (std::int32_t k = 0; k < n; ++k)
      if (const WidePosition start = policy.start(p, k); start < 0 || start > kUnlimited)
        fail(Status::out_of_range, "the position policy lets child ", k, " start at ", start, "; 0 to ", kUnlimited,
             " are positions");
  if (after < 0)
    fail(Status::out_of_range, "fork at position ", p, " lets the parent go on at ", after, ", below position 0");
  const Position limit = sequences.limits().max_position;
  for (const Position start : starts)
    if (start < 0 || start > limit)
      fail(Status::out_of_range, "start position ", start, " is outside [0, ", limit, "]");
}

/// Throws bad_argument when a sequence is named twice; `sorted` is memory to use. O(n log n).
template <class Numbers>
void check_distinct(std::span<const SequenceId> sequences, Numbers& sorted) {
  sorted.clear();
  for (const SequenceId sequence : sequences) sorted.push_back(sequence.index);
  std::sort(sorted.begin(), sorted.end());
  const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
  if (twice != sorted.end()) fail(Status::bad_argument, "sequence ", *twice, " is named twice in one join");
}

/// Throws stale_sequence, not_a_child, open_children or out_of_range for a join of these children in this order.
/// Returns whether the caller has to say where the parent goes on. Tries the positions alone.
template <PositionPolicy Policy>
bool check_children(const SequenceTable<Policy>& sequences, SequenceIndex parent,
                    std::span<const SequenceId> children) {
  bool given = false;
  Position next = sequences[parent].next;
  for (const SequenceId child : children) {
    const SequenceState<Policy>& c = sequences[sequences.check_child(parent, child, "join")];
    if (c.first_child != kNoIndex)
      fail(Status::open_children, "join of sequence ", child.index, ", which has open children");
    given = given || c.policy.is_given();
    const WidePosition after = join_rule(next, c)(c.next);
    if (after < 0 || after > kUnlimited)
      fail(Status::out_of_range, "join of sequence ", child.index, " leads to position ", after,
           "; positions are 0 to ", kUnlimited);
    next = static_cast<Position>(after);
  }
  return given;
}

/// Throws bad_argument when the next position is given and should not be, or the other way round, or is past `limit`.
inline void check_given(bool given, Position next, Position limit) {
  if (!given && next != kNone)
    fail(Status::bad_argument, "join with next position ", next,
         ", which only branches with `given` positions take; theirs follows from their policy");
  if (given && (next < 0 || next > limit))
    fail(Status::bad_argument, "join of branches with `given` positions and next position ", next,
         "; it must be given, 0 to ", limit);
}

/// Throws bad_argument for a rewind of a sequence that sees `n_tokens` to its first `n_keep`.
template <PositionPolicy Policy>
void check_rewind(const SequenceTable<Policy>& sequences, SequenceIndex sequence, std::int32_t n_tokens,
                  std::int32_t n_keep) {
  std::int32_t least = sequences[sequence].fork_tokens;
  if (const SequenceIndex last = sequences[sequence].last_child;
      last != kNoIndex)  // no child was forked at more tokens
    least = std::max(least, sequences[last].fork_tokens);
  if (n_keep < least || n_keep > n_tokens)
    fail(Status::bad_argument, "rewind of sequence ", sequence.value, " to ", n_keep, " tokens; it can keep ", least,
         " to ", n_tokens);
}

}  // namespace anabranch::impl
