// DecoderCache: the caches that a decoder works on.
#pragma once

#include <concepts>
#include <cstdint>
#include <span>

#include <anabranch/cache/kv_cache.hpp>

namespace anabranch {

/// The step of such a cache: it plans, and changes sequences.
template <class S>
concept DecoderStep = requires(S& step, SequenceId sequence, std::span<const TokenId> tokens,
                               std::span<SequenceId> sequences, std::int32_t n, const ForkOptions& options) {
  { step.create_sequence(Position{}) } -> std::same_as<SequenceId>;
  step.append(sequence, tokens, Logits::none);
  step.fork(sequence, sequences, options);
  step.join(sequence, std::span<const SequenceId>(sequences), JoinOptions{});
  step.rewind(sequence, n);
  step.drop(sequence);
  step.detach(sequence);
  step.reject(sequence, n);
  step.request_logits(sequence);
  { step.plan() } -> std::same_as<PlanResult>;
  step.commit();
  step.abort();
};

/// Every BasicKvCache whose positions are the library's own, Positions: with any payload, and any choice of page size.
template <class C>
concept DecoderCache = DecoderStep<typename C::Step> && requires(C& cache, const C& known, SequenceId sequence) {
  { cache.begin_step() } -> std::same_as<typename C::Step>;
  { known.options() } -> std::convertible_to<const CacheOptions&>;
  { known.parent(sequence) } -> std::same_as<SequenceId>;
  { known.alive(sequence) } -> std::same_as<bool>;
  { known.n_sequences() } -> std::same_as<std::int32_t>;
  { known.n_tokens(sequence) } -> std::same_as<std::int32_t>;
  { known.next_position(sequence) } -> std::same_as<Position>;
  known.for_each_own_page(sequence, [](std::int32_t) {});
  { known.n_slots() } -> std::same_as<std::int32_t>;
  { known.n_pages() } -> std::same_as<std::int32_t>;
  { known.n_free_pages() } -> std::same_as<std::int32_t>;
};

}  // namespace anabranch
