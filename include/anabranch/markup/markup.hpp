// Markup: the state machine that says where branches start and end.
//
// There is one state per branch (and one for the trunk). A markup is shown each token that the branch sampled, before
// the token is fed to the model, and returns an action. It has no cache, no sampling, no limits: where the decoder
// cannot carry an action out (depth, positions), it says so in its events. No token sequence makes a markup throw.
#pragma once

#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <anabranch/markup/text.hpp>
#include <anabranch/types.hpp>

namespace anabranch::markup {

/// The part that a token plays for the reader of the answer.
enum class Role : std::uint8_t {
  text,   ///< part of the answer's text
  title,  ///< part of the name of a branch to come; the branch repeats it, so it is not shown here
  tag,    ///< control token: never shown
};

/// A token that is fed without being sampled. It costs a row, never a pass.
struct ForcedToken {
  TokenId token = kUnknownToken;
  Role role = Role::text;
};
using Forced = std::vector<ForcedToken>;

/// Appends tokens of one role.
inline Forced& push(Forced& out, std::span<const TokenId> tokens, Role role) {
  for (const TokenId token : tokens) out.push_back({token, role});
  return out;
}

/// A branch to be forked.
struct Seed {
  Forced prefix;               ///< the branch's first tokens; empty: it samples its first from its parent's row
  std::vector<TokenId> title;  ///< for display; may be empty
};

/// The steps to take after a token, in this order: take tokens back, feed `forced`, then `next`.
struct Action {
  enum class Next : std::uint8_t {
    sample,      ///< the branch samples its next token
    fork,        ///< into one branch per seed; the parent waits for them, then `joined` is called
    end_branch,  ///< the branch is complete; on the trunk the same as `finish`
    finish,      ///< the answer is complete; open branches are closed
  };
  Next next = Next::sample;
  Role role = Role::text;   ///< of the sampled token
  std::int32_t forget = 0;  ///< last tokens of the branch to take back, the sampled one included: 1 = do not feed it.
                            ///< Reaches back to the branch's start or its last join, never further
  Forced forced;
  std::vector<Seed> seeds;  ///< of `fork`

  static Action go_on(Role role = Role::text) { return {Next::sample, role, 0, {}, {}}; }
  static Action force(Forced tokens, Role role = Role::tag) { return {Next::sample, role, 0, std::move(tokens), {}}; }
  static Action fork(std::vector<Seed> seeds, Role role = Role::tag) {
    return {Next::fork, role, 0, {}, std::move(seeds)};
  }
  static Action end_branch(Role role = Role::tag) { return {Next::end_branch, role, 0, {}, {}}; }
  static Action finish(Role role = Role::tag) { return {Next::finish, role, 0, {}, {}}; }
};

/// The tokens that may be sampled next. Borrowed from the markup or the state: valid until the state changes.
struct Constraint {
  std::span<const TokenId> allowed;      ///< nothing else; empty: everything
  std::span<const TokenId> forbidden;    ///< none of these
  std::span<const TokenId> spared = {};  ///< exempt from the repetition penalty: the grammar needs them repeatedly
};

}  // namespace anabranch::markup

namespace anabranch {

namespace impl {
template <class M>
concept HasState = requires {
  typename M::State;
};
}  // namespace impl

/// A markup. `State` is a value: copied at will, one per branch.
///   start()          the state of a trunk
///   child(s, k)      the state of branch k of the fork that `s` has just asked for
///   next(s, token)   a token was sampled
///   joined(s)        all branches of the block have ended and were joined, in order (or the fork had no branches, or
///                    was refused). To go on it forces at least one token, whose row is the first to see the branches
///   closing(s)       the tokens that end a branch in this state when something else ends it (end of text, a limit).
///                    The decoder keeps that many slots and positions free
/// Optional (the decoder refuses to compile with a member of one of these names that it could not call so):
///   open(s)          called once for a trunk, before anything is sampled; default: sample
///   end_of_text(s)   the model sampled an end-of-text token, which is not fed. Default: the branch ends with `closing`
///                    in the token's place, the trunk ends the answer. The action's `forget` counts the token
///   constrain(s)     the tokens that may be sampled next
///   draft(s)         a tag that is likely to be sampled next; kUnknownToken: none
template <class M>
concept Markup = impl::HasState<M> && std::copyable<typename M::State> &&
    requires(const M& markup, typename M::State& s, const typename M::State& cs, TokenId t, std::int32_t k) {
  { markup.start() } -> std::same_as<typename M::State>;
  { markup.child(cs, k) } -> std::same_as<typename M::State>;
  { markup.next(s, t) } -> std::same_as<markup::Action>;
  { markup.joined(s) } -> std::same_as<markup::Action>;
  { markup.closing(cs) } -> std::convertible_to<markup::Forced>;
};

template <class M>
concept MarkupWithOpening = requires(const M& markup, typename M::State& s) {
  { markup.open(s) } -> std::same_as<markup::Action>;
};
template <class M>
concept MarkupWithEndOfText = requires(const M& markup, typename M::State& s) {
  { markup.end_of_text(s) } -> std::same_as<markup::Action>;
};
template <class M>
concept MarkupWithConstraint = requires(const M& markup, const typename M::State& s) {
  { markup.constrain(s) } -> std::same_as<markup::Constraint>;
};

template <class M>
concept MarkupWithDraft = requires(const M& markup, const typename M::State& s) {
  { markup.draft(s) } -> std::same_as<TokenId>;
};

}  // namespace anabranch
