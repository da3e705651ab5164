// Snapshot: the one list of invariants.
#pragma once

#include <algorithm>
#include <map>

#include <anabranch/cache/snapshot.hpp>

namespace anabranch {
namespace impl {

/// Gathers what is wrong with a snapshot; every look-up is checked, so any bytes may be looked at.
class SnapshotCheck {
 public:
  explicit SnapshotCheck(const Snapshot& snapshot) : s_(snapshot) {}

  std::vector<std::string> run() {
    if (!sizes()) return std::move(violated_);
    index();
    segments();
    nodes();
    sequences();
    counts();
    pages();
    return std::move(violated_);
  }

 private:
  template <class... Parts>
  void expect(bool holds, const Parts&... parts) {
    if (holds) return;
    std::string text;
    ((text += part(parts)), ...);
    violated_.push_back(std::move(text));
  }
  static std::string part(const char* text) { return text; }
  template <class T>
  static std::string part(T number) {
    return std::to_string(number);
  }

  bool sizes() {
    expect(s_.page_size > 0, "page size ", s_.page_size);
    expect(s_.n_pages >= 0, "number of pages ", s_.n_pages);
    expect(s_.n_pages == std::ssize(s_.pages), s_.pages.size(), " pages, ", s_.n_pages, " expected");
    expect(std::int64_t{s_.n_pages} * s_.page_size <= kUnlimited, "more slots than 31 bits hold");
    expect(s_.max_sequences > 0 && s_.max_depth >= 0 && s_.max_position > 0, "limits of ", s_.max_sequences,
           " sequences, ", s_.max_depth, " levels, ", s_.max_position, " positions");
    expect(s_.keep_tokens || s_.tokens.empty(), s_.tokens.size(), " tokens in a cache that keeps none");
    expect(std::ssize(s_.tokens) <= std::int64_t{s_.n_pages} * s_.page_size, s_.tokens.size(), " tokens in ",
           s_.n_pages, " pages");
    for (const TokenId token : s_.tokens) expect(token >= kUnknownToken, "token ", token);
    return violated_.empty();
  }
  template <class Entries, class Map>
  void index_of(const Entries& entries, Map& map, const char* what) {
    std::int32_t place = 0;
    for (const auto& e : entries) {
      expect(e.index == place, what, " ", e.index, " stands at place ", place);
      map[place++] = &e;
    }
  }
  void index() {
    index_of(s_.segments, segment_, "segment");
    index_of(s_.nodes, node_, "node");
    index_of(s_.sequences, sequence_, "sequence");
  }

  void segments() {
    owner_.assign(s_.n_pages * s_.page_size, kNone);
    std::map<std::uint64_t, std::int32_t> by_ordinal;
    for (const auto& s : s_.segments) {
      expect(s.ordinal > 0 && s.ordinal <= s_.ordinal, "segment ", s.index, " has ordinal ", s.ordinal);
      expect(by_ordinal.emplace(s.ordinal, s.index).second, "segment ", s.index, " shares its ordinals");
      expect(s.first >= 0, "segment ", s.index, " starts at position ", s.first);
      std::int64_t offset = 0;
      for (const SlotRun& run : s.runs) {
        expect(run.count > 0 && run.offset == offset, "segment ", s.index, ": run at offset ", run.offset,
               ", expected ", offset);
        offset += std::max(0, run.count);
        const bool inside = run.first >= 0 && run.count >= 0 && std::int64_t{run.first} + run.count <= owner_.size();
        expect(inside, "segment ", s.index, " holds ", run.count, " slots from ", run.first, ", the pool has ",
               owner_.size());
        for (std::int32_t i = 0; inside && i < run.count; ++i) own(run.first + i, s.index);
      }
      expect(offset == s.length, "segment ", s.index, " has ", offset, " slots for ", s.length, " tokens");
    }
  }
  void own(Slot slot, std::int32_t segment) {
    std::int32_t& owner = owner_[slot];
    expect(owner == kNone, "slot ", slot, " is held by segments ", owner, " and ", segment);
    owner = segment;
  }

  void nodes() {
    for (const auto& n : s_.nodes) {
      const auto segment = segment_.find(n.segment);
      expect(segment != segment_.end(), "node ", n.index, " views no segment");
      if (segment != segment_.end()) {
        expect(n.end > 0 && n.end <= segment->second->length, "node ", n.index, " sees ", n.end, " of ",
               segment->second->length, " tokens");
        ++segment_refs_[n.segment];
        seen_[n.segment] = std::max(seen_[n.segment], n.end);
      }
      std::int64_t before = 0;  // wide: the numbers may be anything
      if (n.parent != kNone) {
        const auto parent = node_.find(n.parent);
        expect(parent != node_.end(), "node ", n.index, " follows no node");
        if (parent != node_.end()) before = parent->second->n_tokens;
        ++node_refs_[n.parent];
      }
      expect(n.next_before >= 0, "node ", n.index, " follows position ", n.next_before);
      expect(n.n_tokens == before + n.end, "node ", n.index, " counts ", n.n_tokens, " tokens, ", before + n.end,
             " expected");
    }
  }

  void sequences() {
    std::int32_t n_alive = 0;
    for (const auto& e : s_.sequences) {
      if (!e.alive) {
        expect(e.tails.empty() && e.children.empty() && e.head == kNone && e.open == kNone && e.parent == kNone,
               "sequence ", e.index, " is gone and still has pages, relatives or a history");
        continue;
      }
      ++n_alive;
      history_of(e);
      family_of(e);
      for (const std::int32_t page : e.tails) tail_of(e.index, page);
      expect(e.hold >= 0, "sequence ", e.index, " holds ", e.hold, " slots");
      expect(e.next >= 0 && e.start >= 0 && e.limit >= 0 && e.limit <= s_.max_position, "sequence ", e.index,
             " goes on at ", e.next, ", started at ", e.start, ", limit ", e.limit);
    }
    expect(n_alive <= s_.max_sequences, n_alive, " sequences, limit ", s_.max_sequences);
  }
  void history_of(const Snapshot::SequenceEntry& e) {
    expect(e.head == kNone || node_.count(e.head) == 1, "sequence ", e.index, " has no history ", e.head);
    if (e.head != kNone) ++node_refs_[e.head];
    if (e.open != kNone) {
      const auto open = segment_.find(e.open);
      expect(open != segment_.end(), "sequence ", e.index, " writes no segment");
      if (open != segment_.end()) {
        const auto& s = *open->second;
        expect(s.writer == e.index, "sequence ", e.index, " writes segment ", e.open, ", whose writer is ", s.writer);
        const std::int64_t end = std::int64_t{s.first} + s.length;
        expect(end == e.next, "sequence ", e.index, " goes on at ", e.next, ", its segment ends at ", end);
        seen_[e.open] = std::max(seen_[e.open], s.length);
      }
      ++segment_refs_[e.open];
    }
    if (e.parent == kNone) return;
    std::int32_t steps = 0;
    std::int32_t node = e.head;
    while (node != e.fork_node && node != kNone && node_.count(node) == 1 &&
           steps++ <= static_cast<std::int32_t>(s_.nodes.size()))
      node = node_.at(node)->parent;
    expect(node == e.fork_node, "sequence ", e.index, " has lost its fork point");
    const auto fork = node_.find(e.fork_node);
    expect(e.fork_tokens == (fork == node_.end() ? 0 : fork->second->n_tokens), "sequence ", e.index, " was forked at ",
           e.fork_tokens, " tokens, its fork point says otherwise");
  }
  void family_of(const Snapshot::SequenceEntry& e) {
    for (const std::int32_t c : e.children) {
      const auto child = sequence_.find(c);
      expect(child != sequence_.end() && child->second->alive && child->second->parent == e.index, "sequence ", e.index,
             " has child ", c, ", which is not its child");
    }
    if (e.parent == kNone) return;
    const auto parent = sequence_.find(e.parent);
    const bool known = parent != sequence_.end() && parent->second->alive &&
                       std::count(parent->second->children.begin(), parent->second->children.end(), e.index) == 1;
    expect(known, "sequence ", e.index, " is unknown to its parent ", e.parent);
    std::int32_t depth = 0;
    for (auto up = parent; up != sequence_.end() && depth <= s_.max_depth; up = sequence_.find(up->second->parent))
      ++depth;
    expect(depth <= s_.max_depth, "sequence ", e.index, " is deeper than ", s_.max_depth,
           " levels, or its own ancestor");
  }
  void tail_of(std::int32_t sequence, std::int32_t page) {
    if (page < 0 || page >= s_.n_pages)
      return expect(false, "sequence ", sequence, " writes page ", page, " outside the pool");
    const auto& p = s_.pages.begin()[page];
    expect(p.writer == sequence, "sequence ", sequence, " writes page ", page, ", whose writer is ", p.writer);
    expect(++tails_[page] == 1, "page ", page, " is twice among the tails");
    expect(p.fill < s_.page_size, "page ", page, " has a writer and no room");
  }

  void counts() {
    for (const auto& n : s_.nodes)
      expect(n.refs == node_refs_[n.index], "node ", n.index, " counts ", n.refs, " references, has ",
             node_refs_[n.index]);
    for (const auto& s : s_.segments) {
      expect(s.refs == segment_refs_[s.index], "segment ", s.index, " counts ", s.refs, " references, has ",
             segment_refs_[s.index]);
      expect(s.length == seen_[s.index], "segment ", s.index, " keeps ", s.length, " tokens, ", seen_[s.index],
             " are seen");
      const auto writer = sequence_.find(s.writer);
      expect(s.writer == kNone || (writer != sequence_.end() && writer->second->open == s.index), "segment ", s.index,
             " is not what its writer ", s.writer, " writes");
    }
  }
  void pages() {
    std::int32_t n_free = 0;
    for (std::int32_t i = 0; i < s_.n_pages; ++i) {
      const auto& p = s_.pages.begin()[i];
      std::int32_t used = 0, fill = 0;
      for (std::int32_t k = 0; k < s_.page_size; ++k) {
        if (owner_[i * s_.page_size + k] == kNone) continue;
        ++used;
        fill = k + 1;
      }
      expect(p.used == used, "page ", i, " counts ", p.used, " used slots, has ", used);
      expect(p.fill >= fill && p.fill <= s_.page_size, "page ", i, " is filled to ", p.fill, ", its last slot is ",
             fill);
      expect(p.used > 0 || p.fill == 0, "page ", i, " is empty and filled to ", p.fill);
      expect((p.writer != kNone) == (tails_[i] == 1), "page ", i, " has writer ", p.writer, ", which does not list it");
      if (p.used == 0 && p.writer == kNone) ++n_free;
    }
    expect(n_free == s_.n_free_pages, s_.n_free_pages, " pages are said to be free, ", n_free, " are");
  }

  const Snapshot& s_;
  std::vector<std::string> violated_;
  std::map<std::int32_t, const Snapshot::SegmentEntry*> segment_;
  std::map<std::int32_t, const Snapshot::NodeEntry*> node_;
  std::map<std::int32_t, const Snapshot::SequenceEntry*> sequence_;
  std::map<std::int32_t, std::int32_t> segment_refs_, node_refs_, seen_, tails_;
  IndexedVector<std::int32_t, Slot> owner_;  // [slot] segment
};

}  // namespace impl

inline std::vector<std::string> Snapshot::check() const { return impl::SnapshotCheck(*this).run(); }

}  // namespace anabranch
