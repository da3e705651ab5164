// PrefixOrder: the histories that may be evicted, the one that was used least recently on top.
//
// A binary heap that knows the place of each node, so that a node can be taken out or get another time in O(log n).
// Only `reserve` allocates.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <utility>

#include <anabranch/cache/prefix_tree.hpp>
#include <anabranch/pool/indexed_vector.hpp>

namespace anabranch::impl {

class PrefixOrder {
 public:
  explicit PrefixOrder(std::pmr::memory_resource* memory) : heap_(memory), places_(memory) {}

  bool empty() const noexcept { return heap_.empty(); }
  PrefixIndex top() const noexcept { return heap_.front().node; }
  /// Makes room for nodes below `n_nodes`.
  void reserve(std::int32_t n_nodes) {
    places_.grow(n_nodes, kNone);
    if (n_nodes > heap_.size()) heap_.reserve_more(n_nodes - heap_.size());
  }
  bool has(PrefixIndex node) const noexcept { return places_[node] != kNone; }
  /// Adds the node, or gives it another time.
  void set(PrefixIndex node, std::uint64_t time) noexcept {
    if (!has(node)) places_[node] = heap_.push_back({time, node});
    heap_[places_[node]].time = time;
    settle(places_[node]);
  }
  void remove(PrefixIndex node) noexcept {
    const std::int32_t place = places_[node];
    if (place == kNone) return;
    exchange(place, heap_.size() - 1);
    heap_.pop_back();
    places_[node] = kNone;
    if (place < heap_.size()) settle(place);
  }

 private:
  struct Entry {
    std::uint64_t time = 0;
    PrefixIndex node;
  };
  void exchange(std::int32_t a, std::int32_t b) noexcept {
    std::swap(heap_[a], heap_[b]);
    places_[heap_[a].node] = a;
    places_[heap_[b].node] = b;
  }
  void settle(std::int32_t place) noexcept {
    for (; place > 0 && heap_[place].time < heap_[(place - 1) / 2].time; place = (place - 1) / 2)
      exchange(place, (place - 1) / 2);
    while (true) {
      std::int32_t least = place;
      for (const std::int32_t below : {2 * place + 1, 2 * place + 2})
        if (below < heap_.size() && heap_[below].time < heap_[least].time) least = below;
      if (least == place) return;
      exchange(place, least);
      place = least;
    }
  }

  IndexedVector<Entry, std::int32_t> heap_;
  IndexedVector<std::int32_t, PrefixIndex> places_;  // [node] kNone: not there
};

}  // namespace anabranch::impl
