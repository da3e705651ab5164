// PrefixSource: what a decoder asks of a prefix cache, whatever the type of the K/V cache below.
#pragma once

#include <cstdint>

#include <anabranch/cache/prefix_match.hpp>
#include <anabranch/cache/structured_prompt.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

/// The history of a request that runs: others may begin with it as soon as it is computed.
using RunningPrefixIndex = Index<struct RunningPrefix>;

/// The beginning of a prompt that need not be computed again.
struct PrefixHit {
  SequenceId sequence = kNoSequence;  ///< a new root that sees it, the caller's own; kNoSequence: nothing was found
  std::int32_t n_tokens = 0;
  PrefixIndex pin;  ///< none without a hit. The history is not evicted before `unpin`
  explicit operator bool() const noexcept { return sequence != kNoSequence; }
};

/// Counted since the cache was made.
struct PrefixStatistics {
  std::int64_t n_lookups = 0;
  std::int64_t n_hits = 0;
  std::int64_t n_tokens_asked = 0;    ///< of the prompts that were looked up
  std::int64_t n_tokens_hit = 0;      ///< that need not be computed again
  std::int64_t n_kept = 0;            ///< histories taken over
  std::int64_t n_known = 0;           ///< histories that were kept already, and given back
  std::int64_t n_evicted = 0;         ///< histories shortened or dropped for room
  std::int64_t n_tokens_evicted = 0;  ///< of them
  friend bool operator==(const PrefixStatistics&, const PrefixStatistics&) = default;
};

/// Calls that change the K/V cache make a step of their own: they throw wrong_state while another is open. A call that
/// throws has changed nothing.
class PrefixSource {
 public:
  /// Tells how much of the prompt's first `n_most` tokens is there. O(tokens).
  virtual PrefixMatch find(const StructuredPrompt& prompt, std::int32_t n_most) const = 0;
  /// The same as a sequence of its own, which the caller drops; the pages are shared. O(tokens of the prompt).
  virtual PrefixHit take(const StructuredPrompt& prompt, std::int32_t n_most) = 0;
  virtual void unpin(PrefixIndex pin) noexcept = 0;

  /// A request begins to compute a prompt: `PrefixMatch::n_pending` tells others, which had better wait for it.
  virtual RunningPrefixIndex announce(const StructuredPrompt& prompt) = 0;
  /// The prompt is computed: `sequence`, which stays the request's, begins with it for as long as it is announced.
  virtual void share(RunningPrefixIndex running, SequenceId sequence) noexcept = 0;
  virtual void withdraw(RunningPrefixIndex running) noexcept = 0;

  /// Takes over a root sequence that begins with `history`; what it sees beyond that, and its children, are dropped.
  virtual void keep(SequenceId sequence, const StructuredPrompt& history) = 0;
  /// Evicts what was used least recently until `n_pages` pages are free or nothing is left that may go. Returns how
  /// many pages that made free.
  virtual std::int32_t make_room(std::int32_t n_pages) = 0;
  /// The same until `n_sequences` more sequences can be created; returns how many that freed.
  virtual std::int32_t make_sequences(std::int32_t n_sequences) = 0;
  /// Changes when a prompt may find more or less than before.
  virtual std::uint64_t version() const noexcept = 0;

 protected:
  ~PrefixSource() = default;
};

}  // namespace anabranch
