// PrefixTree: an index of histories, in which equal means: K and V are the same.
//
// K and V of a token follow from its id, its position, and the tokens that it sees, in their order and with what those
// see. So the tree names such lists. A node is one list:
//
//   the root            the empty list
//   run(P, tokens, p)   list P, then tokens at positions p, p + 1, ...
//   join(L, F, C)       list L, then what list C has beyond F, where it was forked
//
// Two histories have one node exactly when their lists are equal: a child is found by a hash of what makes it, and
// compared by the nodes and tokens themselves, so no two lists are ever taken for one another. A block whose one branch
// alone has tokens is the list of that branch, hence its linear text. With two, it is a join, and never its linear
// text.
//
// Invariants: 1. The runs of a node's children differ in their first token or position. 2. A node is there as long as
// a child, a join that names it as C, or its owner (`use`) needs it. 3. A split leaves the index of the list's end.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <span>

#include <anabranch/cache/prefix_match.hpp>
#include <anabranch/cache/structured_prompt.hpp>
#include <anabranch/pool/indexed_pool.hpp>
#include <anabranch/pool/indexed_vector.hpp>
#include <anabranch/pool/memory_vector.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

struct PrefixNode {
  explicit PrefixNode(std::pmr::memory_resource* memory) : tokens(memory) {}
  impl::MemoryVector<TokenId> tokens;  ///< of a run
  Position first = 0;                  ///< position of the run's first token
  std::int32_t n_tokens = 0;           ///< of the whole list
  PrefixIndex parent;                  ///< P or L; none for the root
  PrefixIndex fork, branch;            ///< F and C of a join
  PrefixIndex next_in_bucket;
  std::int32_t n_uses = 0;      ///< children, joins, owners
  std::int32_t n_kept = 0;      ///< histories that are kept and begin with this list
  std::int32_t n_running = 0;   ///< histories of running requests, that can be shared
  std::int32_t n_pending = 0;   ///< likewise, that are being computed
  std::int32_t n_pins = 0;      ///< requests that share exactly this list
  std::uint64_t last_used = 0;  ///< not below that of any child
  // The children that begin a history which can be shared.
  PrefixIndex first_held, next_held, previous_held;
  bool is_held() const noexcept { return n_kept + n_running > 0; }
};

class PrefixTree {
 public:
  explicit PrefixTree(std::pmr::memory_resource* memory);

  static constexpr PrefixIndex root() noexcept { return PrefixIndex(0); }
  const PrefixNode& operator[](PrefixIndex node) const noexcept { return nodes_[node]; }
  /// Nodes, the root included.
  std::int32_t n_nodes() const noexcept { return n_nodes_; }
  /// One past the largest index that a node has or had.
  std::int32_t n_indices() const noexcept { return nodes_.size(); }

  /// The longest beginning of the prompt, of at most `n_most` tokens, that can be shared. O(tokens).
  PrefixMatch find(const StructuredPrompt& prompt, std::int32_t n_most) const;
  /// The node of the whole prompt, used once more by the caller. O(tokens). When it throws, nothing is used.
  /// REQUIRES: the prompt is complete.
  PrefixIndex insert(const StructuredPrompt& prompt);
  /// The node of list `parent` with tokens behind it that begin at position `first`, likewise.
  PrefixIndex insert_run(PrefixIndex parent, std::span<const TokenId> tokens, Position first);
  /// The node of list `parent` with what list `branch` has beyond `fork` behind it, likewise. REQUIRES: `branch` begins
  /// with `fork`; the sum of the tokens can be counted.
  PrefixIndex insert_join(PrefixIndex parent, PrefixIndex fork, PrefixIndex branch);
  /// Calls visit(std::span<const TokenId>, Position of the first) for the runs of a list, in order. O(runs).
  template <class Visit>
  void for_each_run(PrefixIndex node, Visit&& visit) const;
  /// The node of the first `offset` tokens of a node's run, used once more by the caller; the run is split for it.
  PrefixIndex split_at(PrefixIndex node, std::int32_t offset);
  /// Takes the last `n` tokens off a run that nobody else uses. REQUIRES: n_uses == 1, n < tokens of the run.
  void shorten(PrefixIndex node, std::int32_t n) noexcept;
  void use(PrefixIndex node) noexcept { ++nodes_[node].n_uses; }
  /// The caller uses the node no more. O(nodes that go).
  void release(PrefixIndex node) noexcept;

  // Adds `n` to a count of the node and of all that it begins with. O(nodes there).
  void add_kept(PrefixIndex node, std::int32_t n) noexcept { add(node, n, &PrefixNode::n_kept); }
  void add_running(PrefixIndex node, std::int32_t n) noexcept { add(node, n, &PrefixNode::n_running); }
  void add_pending(PrefixIndex node, std::int32_t n) noexcept { add(node, n, &PrefixNode::n_pending); }
  void add_pin(PrefixIndex node, std::int32_t n) noexcept { nodes_[node].n_pins += n; }
  /// The node and all that it begins with were used at `time`, which is not before any other use. O(nodes there).
  void touch(PrefixIndex node, std::uint64_t time) noexcept;

 private:
  /// A place in the tree: behind the first `offset` tokens of a node's run.
  struct Place {
    PrefixIndex node;
    std::int32_t offset = 0;
    friend bool operator==(const Place&, const Place&) = default;
  };
  /// An open block on the way: its fork, and the parent's list so far. An insertion names them by their nodes, because
  /// it splits runs; what only reads may stop inside a run.
  struct Level {
    PrefixIndex fork, list;
  };
  struct PlaceLevel {
    Place fork, list;
  };
  /// A place outside all blocks that a prompt has come to: its next position there, how many tokens back that holds
  /// too, and how many tokens may be found at most.
  struct Noted {
    Position next = 0;
    std::int32_t n_back = 0;
    std::int32_t n_most = 0;
  };
  /// A node's identity, which finds it.
  struct Key {
    PrefixIndex parent;
    std::int32_t a = 0, b = 0;  ///< of a run: first token and position; of a join: F and C
    bool is_join = false;
  };
  Place end_of(PrefixIndex node) const noexcept {
    return {node, static_cast<std::int32_t>(nodes_[node].tokens.size())};
  }
  bool is_end(Place place) const noexcept { return place.offset == std::ssize(nodes_[place.node].tokens); }
  Key key_of(PrefixIndex node) const noexcept;
  std::int32_t bucket_of(const Key& key) const noexcept;
  PrefixIndex find_child(const Key& key) const noexcept;
  Place find_joined(const PlaceLevel& level, Place branch) const noexcept;
  std::int32_t advance(Place& place, std::span<const TokenId> tokens, Position first) const noexcept;
  template <class Note>
  std::int32_t advance(Place& place, std::span<const TokenId> tokens, Position first, Note&& note) const;
  void note(PrefixMatch& match, Place place, const Noted& noted) const noexcept;

  void append(Place& place, std::span<const TokenId> tokens, Position first);
  PrefixIndex end_here(Place& place);
  PrefixIndex join(const Level& level, PrefixIndex branch);
  PrefixIndex add_node(const Key& key, std::span<const TokenId> tokens);
  void insert_items(const StructuredPrompt& prompt, Place& place);
  template <class Insert>
  PrefixIndex insert_with(Insert&& insert);
  void forget_created() noexcept;
  void link(PrefixIndex node) noexcept;
  void unlink(PrefixIndex node) noexcept;
  void grow_buckets();
  void add(PrefixIndex node, std::int32_t n, std::int32_t PrefixNode::*count) noexcept;
  void link_held(PrefixIndex node) noexcept;
  void unlink_held(PrefixIndex node) noexcept;

  IndexedPool<PrefixNode, PrefixIndex> nodes_;
  IndexedVector<PrefixIndex, std::int32_t> buckets_;  // [a power of two] first node with that hash
  impl::MemoryVector<PrefixIndex> created_;           // by the insertion that runs, each used once for it
  std::int32_t n_nodes_ = 0;
  std::pmr::memory_resource* memory_;
};

}  // namespace anabranch

#include <anabranch/cache/impl/prefix_tree.hpp>
