// The layout of a file of a prefix cache: magic, version, length and checksum of the structure, the structure; then K
// and V of each history's tokens that no earlier one has, in order; then their checksum. Integers are little endian.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

#include <anabranch/cache/impl/snapshot_bytes.hpp>
#include <anabranch/cache/prefix_tree.hpp>
#include <anabranch/types.hpp>

namespace anabranch {
namespace impl {

inline constexpr std::uint64_t kPrefixMagic = 0x3178667072706261ull;  // "abprpfx1"
inline constexpr std::uint32_t kPrefixVersion = 1;

/// A node of the tree; earlier nodes are named by their places in the file, kNone is the root, or no branch.
struct SavedNode {
  std::int32_t parent = kNone;
  Position first = 0;
  std::int32_t fork = kNone;
  std::int32_t branch = kNone;
  bool is_join = false;
  std::vector<TokenId> tokens;
};
/// A history, and the earlier one that begins with its first `n_shared` tokens.
struct SavedHistory {
  std::int32_t node = 0;
  std::int32_t shared_with = kNone;
  std::int32_t n_shared = 0;
};
template <class V, class T>
requires std::same_as<std::remove_const_t<T>, SavedNode>
void visit_fields(V& v, T& x) { v(x.parent), v(x.first), v(x.fork), v(x.branch), v(x.is_join), v(x.tokens); }
template <class V, class T>
requires std::same_as<std::remove_const_t<T>, SavedHistory>
void visit_fields(V& v, T& x) { v(x.node), v(x.shared_with), v(x.n_shared); }

/// A checksum of a long stream, eight bytes at a time. It depends on the pieces that the stream comes in.
class StreamChecksum {
 public:
  void add(std::span<const std::byte> bytes) noexcept {
    for (; !bytes.empty(); bytes = bytes.subspan(std::min<std::size_t>(8, bytes.size()))) {
      std::uint64_t word = 0;
      for (std::size_t i = 0; i < std::min<std::size_t>(8, bytes.size()); ++i)
        word |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * i);
      value_ = (value_ ^ word) * 0x9e3779b97f4a7c15ull;
      value_ ^= value_ >> 32;
    }
  }
  std::uint64_t value() const noexcept { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325ull;
};

/// The places of nodes in a file that is being made.
class SavedPlaces {
 public:
  explicit SavedPlaces(const PrefixTree& tree) : tree_(tree), places_(offset_of(tree.n_indices()), kNone) {}

  /// Adds a node with all that it is made of before it. Returns its place.
  std::int32_t add(PrefixIndex node, std::vector<SavedNode>& nodes) {
    for (std::vector<PrefixIndex> todo = {node}; !todo.empty();) {
      const PrefixIndex next = todo.back();
      const PrefixNode& n = tree_[next];
      if (has(next)) {
        todo.pop_back();
      } else if (!has(n.parent)) {
        todo.push_back(n.parent);
      } else if (n.branch != kNoIndex && !has(n.branch)) {
        todo.push_back(n.branch);
      } else {
        places_[next.offset()] = static_cast<std::int32_t>(nodes.size());
        nodes.push_back({of(n.parent),
                         n.first,
                         of(n.fork),
                         of(n.branch),
                         n.branch != kNoIndex,
                         {n.tokens.begin(), n.tokens.end()}});
      }
    }
    return of(node);
  }

 private:
  bool has(PrefixIndex node) const { return node == PrefixTree::root() || places_[node.offset()] != kNone; }
  std::int32_t of(PrefixIndex node) const { return node == kNoIndex ? kNone : places_[node.offset()]; }

  const PrefixTree& tree_;
  std::vector<std::int32_t> places_;  // [node]
};

}  // namespace impl
}  // namespace anabranch
