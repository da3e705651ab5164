// Random branch trees for the tests of every module: from a seed, one operation after another, each of them possible on
// the tree as it then stands.
//
// The tree is that of a KvCache with an open step. An operation is carried out on a target that has the calls of a
// Step: the step itself, or books, a script or a host that a test keeps beside the cache. The draws depend on the seed
// and on the shape of the tree alone, so that caches with other page sizes grow the same tree. Tests print the seed.
//
// tests/cache/random_world.hpp draws for itself: there RapidCheck owns the random numbers, because it shrinks a history
// that fails, and calls that must be refused are drawn too.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <vector>

#include <anabranch/cache/kv_cache.hpp>

namespace anabranch::test {

/// How often each operation is drawn, relative to the others; 0: never.
struct TreeMix {
  int create = 0, append = 5, fork = 2, join = 2, rewind = 1, adopt = 1, drop = 1, detach = 0;
};

/// The sequences from whose tokens an operation may take some away.
enum class TakeBack : std::uint8_t {
  any,      ///< tokens of the open step too
  settled,  ///< only sequences that the open step has fed nothing: every row of the step is planned
};

/// How much a rewind may take back.
enum class RewindReach : std::uint8_t {
  fork,  ///< everything since the fork, through joins
  tail,  ///< a rewind: tokens written since the last fork or join
};

struct TreeOptions {
  TreeMix mix;
  std::size_t max_sequences = 12;  ///< no fork or create from there on
  std::int32_t max_children = 3;   ///< of one fork
  std::int32_t max_tokens = 3;     ///< of one append
  std::int32_t long_tokens = 0;    ///< every third append has up to so many; 0: none has
  std::vector<Positions> policies = {Positions::sequential};
  TakeBack take_back = TakeBack::any;
  RewindReach reach = RewindReach::fork;
};

class RandomTree {
 public:
  /// The tree below `roots`, of which the first is never dropped. REQUIRES: the cache outlives this.
  RandomTree(std::uint32_t seed, const KvCache& cache, std::vector<SequenceId> roots, TreeOptions options = {})
      : random_(seed), cache_(cache), options_(std::move(options)) {
    now_.roots = std::move(roots);
  }

  /// Call when a step begins, and `abort_step` when it is aborted.
  void begin_step() {
    before_ = now_;
    fresh_.clear();
    n_own_rows_.clear();
  }
  void abort_step() { now_ = before_; }
  /// Goes on with another tree, below `root`; between steps.
  void restart(SequenceId root) { now_ = {{root}, {}}; }
  void set_max_tokens(std::int32_t n) { options_.max_tokens = n; }

  /// Draws an operation and carries it out. Children of a fork and the parent of a join are often fed at once.
  template <class Target>
  void act(Target& target) {
    for (int attempt = 0; attempt < 16; ++attempt)
      if (try_one(target)) return;
    append(target, now_.roots.front());
  }

  /// After the plan: rejects some of the rows that the step has fed. Returns how many sequences lost rows.
  template <class Target>
  int reject_some(Target& target) {
    int n_sequences = 0;
    for (const SequenceId sequence : sequences()) {
      const std::int32_t n_rows = n_own_rows_[sequence];
      if (n_rows == 0 || !chance(1, 4)) continue;
      const std::int32_t n = 1 + below(n_rows);
      target.reject(sequence, n);
      now_.tail[sequence] -= n;
      ++n_sequences;
    }
    return n_sequences;
  }

  /// All that are alive, each before those that forked from it.
  std::vector<SequenceId> sequences() const {
    std::vector<SequenceId> all;
    for (const SequenceId root : now_.roots)
      if (cache_.alive(root) && cache_.parent(root) == kNoSequence) add_below(root, all);
    return all;
  }
  std::mt19937& random() noexcept { return random_; }
  std::int32_t below(std::int32_t n) { return static_cast<std::int32_t>(random_() % static_cast<std::uint32_t>(n)); }
  bool chance(int of, int in) { return below(in) < of; }

 private:
  void add_below(SequenceId sequence, std::vector<SequenceId>& all) const {
    all.push_back(sequence);
    for (const SequenceId child : cache_.children(sequence)) add_below(child, all);
  }
  /// One of those that fit.
  template <class Fits>
  std::optional<SequenceId> any(Fits&& fits) {
    std::vector<SequenceId> all = sequences();
    std::erase_if(all, [&](SequenceId sequence) { return !fits(sequence); });
    if (all.empty()) return std::nullopt;
    return all[static_cast<std::size_t>(below(static_cast<std::int32_t>(all.size())))];
  }
  /// Tokens of it and of what is below it may be taken away.
  bool may_lose(SequenceId sequence) const {
    if (options_.take_back == TakeBack::any) return true;
    std::vector<SequenceId> all;
    add_below(sequence, all);
    return std::none_of(all.begin(), all.end(), [&](SequenceId s) { return fresh_.count(s) != 0; });
  }
  bool has_room() const { return sequences().size() < options_.max_sequences; }

  /// False: the operation that was drawn is not possible now.
  template <class Target>
  bool try_one(Target& target) {
    const TreeMix& mix = options_.mix;
    int drawn = below(mix.create + mix.append + mix.fork + mix.join + mix.rewind + mix.adopt + mix.drop + mix.detach);
    if ((drawn -= mix.create) < 0) return create(target);
    if ((drawn -= mix.append) < 0) return append(target, *any([](SequenceId) { return true; }));
    if ((drawn -= mix.fork) < 0) return fork(target);
    if ((drawn -= mix.join) < 0) return join(target);
    if ((drawn -= mix.rewind) < 0) return rewind(target);
    if ((drawn -= mix.adopt) < 0) return adopt(target);
    if ((drawn -= mix.drop) < 0) return drop(target);
    return detach(target);
  }

  template <class Target>
  bool create(Target& target) {
    if (!has_room()) return false;
    now_.roots.push_back(target.create_sequence(below(3)));
    return true;
  }

  template <class Target>
  bool append(Target& target, SequenceId sequence) {
    const bool is_long = options_.long_tokens > 0 && chance(1, 3);
    const std::int32_t n = std::min(1 + below(is_long ? options_.long_tokens : options_.max_tokens),
                                    cache_.position_limit(sequence) - cache_.next_position(sequence));
    if (n <= 0) return false;
    target.append_unknown(sequence, n);
    now_.tail[sequence] += n;
    n_own_rows_[sequence] += n;
    fresh_.insert(sequence);
    return true;
  }

  template <class Target>
  bool fork(Target& target) {
    if (!has_room()) return false;
    const SequenceId parent = *any([](SequenceId) { return true; });
    const auto policy = static_cast<std::size_t>(below(static_cast<std::int32_t>(options_.policies.size())));
    const std::vector<SequenceId> children =
        target.fork(parent, 1 + below(options_.max_children), {.positions = options_.policies[policy]});
    n_own_rows_[parent] = 0;
    for (const SequenceId child : children) {
      now_.tail[child] = 0;
      if (fresh_.count(parent) != 0) fresh_.insert(child);
      if (chance(2, 3)) append(target, child);
    }
    return true;
  }

  template <class Target>
  bool join(Target& target) {
    const auto is_leaf = [&](SequenceId sequence) { return cache_.children(sequence).empty(); };
    const auto parent = any([&](SequenceId sequence) {
      const std::vector<SequenceId> children = cache_.children(sequence);
      return std::any_of(children.begin(), children.end(), is_leaf);
    });
    if (!parent) return false;
    std::vector<SequenceId> children = cache_.children(*parent);
    std::erase_if(children, [&](SequenceId child) { return !is_leaf(child) || chance(1, 5); });
    if (children.empty()) return false;
    std::shuffle(children.begin(), children.end(), random_);
    target.join(*parent, children);
    now_.tail[*parent] = n_own_rows_[*parent] = 0;
    fresh_.insert(*parent);
    if (chance(1, 2)) append(target, *parent);
    return true;
  }

  std::int32_t rewind_floor(SequenceId sequence) {
    std::int32_t least = cache_.fork_tokens(sequence);
    for (const SequenceId child : cache_.children(sequence)) least = std::max(least, cache_.fork_tokens(child));
    if (options_.reach == RewindReach::tail) least = std::max(least, cache_.n_tokens(sequence) - now_.tail[sequence]);
    return least;
  }
  template <class Target>
  bool rewind(Target& target) {
    const auto sequence = any([&](SequenceId s) {
      const bool may = options_.take_back == TakeBack::any || fresh_.count(s) == 0;
      return may && cache_.n_tokens(s) > rewind_floor(s);
    });
    if (!sequence) return false;
    const std::int32_t n = 1 + below(cache_.n_tokens(*sequence) - rewind_floor(*sequence));
    target.rewind(*sequence, cache_.n_tokens(*sequence) - n);
    now_.tail[*sequence] = std::max(0, now_.tail[*sequence] - n);
    n_own_rows_[*sequence] = std::max(0, n_own_rows_[*sequence] - n);
    if (chance(1, 2)) append(target, *sequence);
    return true;
  }

  template <class Target>
  bool adopt(Target& target) {
    const auto child = any([&](SequenceId s) {
      const SequenceId parent = cache_.parent(s);
      return parent != kNoSequence && may_lose(parent);
    });
    if (!child) return false;
    const SequenceId parent = cache_.parent(*child);
    target.adopt(parent, *child);
    now_.tail[parent] = now_.tail[*child];
    n_own_rows_[parent] = n_own_rows_[*child];
    return true;
  }

  template <class Target>
  bool drop(Target& target) {
    const auto sequence = any([&](SequenceId s) { return s != now_.roots.front() && may_lose(s); });
    if (!sequence) return false;
    target.drop(*sequence);
    return true;
  }

  /// From then on it may be rewound into what it shares.
  template <class Target>
  bool detach(Target& target) {
    const auto sequence = any([&](SequenceId s) { return cache_.parent(s) != kNoSequence; });
    if (!sequence) return false;
    target.detach(*sequence);
    now_.roots.push_back(*sequence);
    return true;
  }

  struct State {
    std::vector<SequenceId> roots;            ///< some of them gone, or joined by now
    std::map<SequenceId, std::int32_t> tail;  ///< tokens that the sequence has written since its last fork or join
  };
  std::mt19937 random_;
  const KvCache& cache_;
  TreeOptions options_;
  State now_, before_;
  std::set<SequenceId> fresh_;                     ///< they see tokens of the open step
  std::map<SequenceId, std::int32_t> n_own_rows_;  ///< of the open step, since the last fork or join
};

}  // namespace anabranch::test
