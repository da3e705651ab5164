// SnapshotForest: the nodes of a snapshot as the trees that they are, so that "is this view part of that history?" is
// answered without walking the history.
#pragma once

#include <cstdint>
#include <vector>

#include <anabranch/cache/snapshot_fields.hpp>
#include <anabranch/pool/indexed_vector.hpp>

namespace anabranch::impl {

template <class S>
class SnapshotForest {
 public:
  /// REQUIRES: parents are kNone or nodes, and no node is its own ancestor. O(nodes).
  explicit SnapshotForest(const std::vector<typename S::NodeEntry>& nodes) : nodes_(&nodes) {
    const auto n = static_cast<std::int32_t>(nodes.size());
    first_child_.assign(n, kNone);
    next_.assign(n, kNone);
    begin_.assign(n, 0);
    end_.assign(n, 0);
    for (std::int32_t i = n; i-- > 0;) {
      std::int32_t& before = parent(i) == kNone ? first_root_ : first_child_[parent(i)];
      next_[i] = before;
      before = i;
    }
    std::int32_t number = 0;
    walk([&](std::int32_t node) { begin_[node] = number++; }, [&](std::int32_t node) { end_[node] = number; });
  }

  /// Whether the history that ends with `node` begins with the one that ends with `earlier`. kNone is the empty
  /// history.
  bool contains(std::int32_t node, std::int32_t earlier) const noexcept {
    if (earlier == kNone) return true;
    return node != kNone && begin_[earlier] <= begin_[node] && begin_[node] < end_[earlier];
  }

  /// Visits all nodes depth-first: enter(node) before what follows the node, leave(node) after that. O(nodes).
  template <class Enter, class Leave>
  void walk(Enter&& enter, Leave&& leave) const {
    for (std::int32_t node = first_root_; node != kNone;) {
      enter(node);
      if (first_child_[node] != kNone) {
        node = first_child_[node];
        continue;
      }
      leave(node);
      while (next_[node] == kNone && parent(node) != kNone) leave(node = parent(node));
      node = next_[node];
    }
  }

 private:
  std::int32_t parent(std::int32_t node) const noexcept { return nodes_->begin()[node].parent; }

  const std::vector<typename S::NodeEntry>* nodes_;
  std::int32_t first_root_ = kNone;
  IndexedVector<std::int32_t, std::int32_t> first_child_, next_;  // [node]
  IndexedVector<std::int32_t, std::int32_t> begin_, end_;         // [node] the nodes below it and itself, by number
};

}  // namespace anabranch::impl
