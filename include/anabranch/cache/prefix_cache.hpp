// PrefixCache: finished histories stay in the pool, and a prompt that begins like one of them is not computed again.
//
//   PrefixCache prefixes{cache};
//   PrefixHit hit = prefixes.take(prompt, prompt.n_tokens() - 1);   // a sequence that sees the first hit.n_tokens
//   tokens
//   ...                                                             // append the rest, decode
//   prefixes.unpin(hit.pin);
//   prefixes.keep(sequence, history);                               // for others, and for the next turn
//
// A decoder does all that (`Decoder::use`). Histories are found by a tree of what they hold (prefix_tree.hpp): tokens,
// positions and visibility are compared, not only hashed. Kept histories share their pages with each other and with
// the requests that go on from them; each is kept in one sequence, a history that begins another one needs none.
// When pages are short, what was used least recently goes first, from its end; what a request shares stays.
// The K/V cache must outlive the prefix cache, and that the decoders that use it. One thread at a time. Not for a host
// that has sequences of its own (llama.cpp): it does not see the steps made here.
#pragma once

#include <cstdint>
#include <span>

#include <anabranch/cache/impl/prefix_order.hpp>
#include <anabranch/cache/kv_cache.hpp>
#include <anabranch/cache/prefix_source.hpp>
#include <anabranch/cache/prefix_tree.hpp>
#include <anabranch/cache/structured_prompt.hpp>

namespace anabranch {

struct PrefixCacheOptions {
  std::int32_t max_histories = 1024;  ///< sequences that it keeps, at most half of those that the cache can have
  std::int32_t min_tokens = 1;        ///< shorter histories are not kept, and shorter beginnings not found
};

template <class Cache = KvCache>
class PrefixCache final : public PrefixSource {
 public:
  /// Throws bad_argument.
  explicit PrefixCache(Cache& cache, const PrefixCacheOptions& options = {});
  /// Drops all that is kept, unless a step is open: then the sequences stay in the cache.
  ~PrefixCache();
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  PrefixMatch find(const StructuredPrompt& prompt, std::int32_t n_most = kUnlimited) const override;
  PrefixHit take(const StructuredPrompt& prompt, std::int32_t n_most = kUnlimited) override;
  PrefixHit take(std::span<const TokenId> prompt, std::int32_t n_most = kUnlimited) {
    return take(StructuredPrompt(prompt), n_most);
  }
  void unpin(PrefixIndex pin) noexcept override;
  RunningPrefixIndex announce(const StructuredPrompt& prompt) override;
  void share(RunningPrefixIndex running, SequenceId sequence) noexcept override;
  void withdraw(RunningPrefixIndex running) noexcept override;
  /// Throws bad_argument where the sequence is no root, or does not begin with these tokens (as far as the cache keeps
  /// tokens) at these positions; stale_sequence. O(tokens + views).
  void keep(SequenceId sequence, const StructuredPrompt& history) override;
  std::int32_t make_room(std::int32_t n_pages) override;
  std::int32_t make_sequences(std::int32_t n_sequences) override;
  std::uint64_t version() const noexcept override { return version_; }
  /// Drops all that nobody shares.
  void clear();

  const PrefixStatistics& statistics() const noexcept { return statistics_; }
  /// Histories that are kept; one sequence each.
  std::int32_t n_histories() const noexcept { return tree_[PrefixTree::root()].n_kept; }
  /// Pages that hold them, those that requests share included. O(slot runs).
  std::int32_t n_pages() const;
  /// Nodes of the tree, for tests: without histories, pins and announcements there is one.
  std::int32_t n_nodes() const noexcept { return tree_.n_nodes(); }
  Cache& cache() const noexcept { return *cache_; }
  const PrefixTree& tree() const noexcept { return tree_; }
  /// Calls visit(SequenceId, PrefixIndex) for each history that is kept, the one used last first. O(n log n).
  template <class Visit>
  void for_each_history(Visit&& visit) const;

 private:
  template <class>
  friend class PrefixFile;
  using Step = typename Cache::Step;
  /// A history that is kept (by its node, see order_) or announced.
  struct Holder {
    explicit Holder(std::pmr::memory_resource*) {}
    SequenceId sequence = kNoSequence;
    PrefixIndex node;
    RunningPrefixIndex next;  ///< of running ones: the next one that shares the node
  };
  SequenceId holder_below(PrefixIndex node) const;
  SequenceId copy_of(SequenceId sequence, std::int32_t n_tokens, Position next);
  static void check_complete(const StructuredPrompt& prompt);
  void check(SequenceId sequence, const StructuredPrompt& history) const;
  void keep_at(PrefixIndex node, SequenceId sequence);
  bool try_keep_at(PrefixIndex node, SequenceId sequence);
  void enter(PrefixIndex node, SequenceId sequence) noexcept;
  void leave(PrefixIndex node) noexcept;
  void touch(PrefixIndex node) noexcept;
  void reserve_nodes();
  void drop(SequenceId sequence);
  void rewind(SequenceId sequence, std::int32_t n_tokens);
  void drop_history(PrefixIndex node);
  void evict(PrefixIndex node, std::int32_t n_tokens);
  std::int32_t n_sequences_left() const noexcept { return cache_->options().max_sequences - cache_->n_sequences(); }

  Cache* cache_;
  PrefixCacheOptions options_;
  PrefixTree tree_;
  IndexedPool<Holder, RunningPrefixIndex> running_;
  IndexedVector<SequenceId, PrefixIndex> kept_;             // [node] the sequence of the history that ends there
  IndexedVector<RunningPrefixIndex, PrefixIndex> sharing_;  // [node] first running history that ends there
  impl::PrefixOrder order_;                                 // histories that may be evicted
  PrefixStatistics statistics_;
  std::uint64_t time_ = 0;
  std::uint64_t version_ = 1;
};

template <class Cache>
PrefixCache(Cache&, const PrefixCacheOptions& = {}) -> PrefixCache<Cache>;

}  // namespace anabranch

#include <anabranch/cache/impl/prefix_cache.hpp>
