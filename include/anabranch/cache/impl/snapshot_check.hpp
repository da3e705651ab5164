// Snapshot: the one list of invariants.
//
// Nothing in a snapshot is trusted, whoever wrote it: what passes can be restored, and no later step runs out of an
// array, a position or a slot, loops, or shows a row a token twice. The parts come in the order in which they rely on
// each other; the first that finds something is the last that is looked at. O(n log n) for a snapshot of n entries.
#pragma once

#include <algorithm>

#include <anabranch/cache/impl/snapshot_findings.hpp>
#include <anabranch/cache/impl/snapshot_forest.hpp>
#include <anabranch/cache/impl/snapshot_slots.hpp>
#include <anabranch/cache/snapshot_fields.hpp>

namespace anabranch {
namespace impl {

/// S is Snapshot: see snapshot_fields.hpp.
template <class S>
class SnapshotCheck {
 public:
  explicit SnapshotCheck(const S& snapshot) : s_(snapshot) {}

  std::vector<std::string> run() {
    using Part = void (SnapshotCheck::*)();
    for (const Part part :
         {&SnapshotCheck::sizes, &SnapshotCheck::references, &SnapshotCheck::free_cells, &SnapshotCheck::segments,
          &SnapshotCheck::slots, &SnapshotCheck::nodes, &SnapshotCheck::children, &SnapshotCheck::families,
          &SnapshotCheck::histories, &SnapshotCheck::ordinals, &SnapshotCheck::rules, &SnapshotCheck::positions,
          &SnapshotCheck::counts, &SnapshotCheck::tails, &SnapshotCheck::pages})
      if (found_.empty()) (this->*part)();
    return found_.take();
  }

 private:
  using Segment = typename S::SegmentEntry;
  using Node = typename S::NodeEntry;
  using Sequence = typename S::SequenceEntry;
  template <class T>
  using List = IndexedVector<T, std::int32_t>;

  static constexpr std::uint64_t kMaxOrdinal = std::uint64_t{1} << 63;  // a cache never gets there

  const Segment& segment(std::int32_t i) const noexcept { return s_.segments.begin()[i]; }
  const Node& node(std::int32_t i) const noexcept { return s_.nodes.begin()[i]; }
  const Sequence& sequence(std::int32_t i) const noexcept { return s_.sequences.begin()[i]; }
  std::int64_t n_slots() const noexcept { return std::int64_t{s_.n_pages} * s_.page_size; }
  std::int32_t n_tokens(std::int32_t node_or_none) const noexcept {
    return node_or_none == kNone ? 0 : node(node_or_none).n_tokens;
  }
  /// Whether the node shows a segment to the sequence that wrote it, or to one that forked from there: not joined.
  bool is_own(const Node& n) const noexcept { return n.ordinal == segment(n.segment).ordinal; }
  template <class Visit>
  void for_each_alive(Visit&& visit) const {
    for (const Sequence& e : s_.sequences)
      if (e.alive) visit(e);
  }

  // The numbers of the whole, and every index.

  void sizes() {
    found_.expect_in(s_.page_size, 1, kUnlimited, "page size");
    found_.expect_in(s_.n_pages, 1, kUnlimited, "number of pages");
    found_.expect(s_.n_pages == std::ssize(s_.pages), s_.pages.size(), " pages, ", s_.n_pages, " expected");
    found_.expect(n_slots() <= kUnlimited, s_.n_pages, " pages of ", s_.page_size, " slots are more than ", kUnlimited,
                  " slots");
    found_.expect_in(s_.max_sequences, 1, kUnlimited, "max_sequences");
    found_.expect_in(s_.max_depth, 0, kUnlimited, "max_depth");
    found_.expect_in(s_.max_position, 1, kUnlimited, "max_position");
    found_.expect(s_.ordinal <= kMaxOrdinal, "last ordinal ", s_.ordinal, "; it can be 0 to ", kMaxOrdinal);
    for (const std::size_t size : {s_.segments.size(), s_.nodes.size(), s_.sequences.size()})
      found_.expect(size <= std::size_t{kUnlimited}, size, " entries; there can be ", kUnlimited);
    found_.expect(s_.keep_tokens || s_.tokens.empty(), s_.tokens.size(), " tokens in a cache that keeps none");
    found_.expect(std::ssize(s_.tokens) <= n_slots(), s_.tokens.size(), " tokens in ", n_slots(), " slots");
    for (const TokenId token : s_.tokens) found_.expect(token >= kUnknownToken, "token ", token);
  }

  template <class Entries>
  void places(const Entries& entries, const char* kind) {
    std::int32_t place = 0;
    for (const auto& e : entries) {
      found_.expect(e.index == place, kind, " ", e.index, " stands at place ", place);
      ++place;
    }
  }
  template <class Entries, class... Name>
  void refers(std::int32_t index, std::int32_t least, const Entries& entries, const Name&... name) {
    found_.expect_in(index, least, std::ssize(entries) - 1, name...);
  }
  void references() {
    places(s_.segments, "segment");
    places(s_.nodes, "node");
    places(s_.sequences, "sequence");
    for (const auto& p : s_.pages) refers(p.writer, kNone, s_.sequences, "page ", &p - s_.pages.data(), ": writer");
    for (const Segment& g : s_.segments) refers(g.writer, kNone, s_.sequences, "segment ", g.index, ": writer");
    for (const Node& n : s_.nodes) {
      refers(n.parent, kNone, s_.nodes, "node ", n.index, ": parent");
      refers(n.segment, 0, s_.segments, "node ", n.index, ": segment");
    }
    for_each_alive([&](const Sequence& e) {
      refers(e.parent, kNone, s_.sequences, "sequence ", e.index, ": parent");
      refers(e.head, kNone, s_.nodes, "sequence ", e.index, ": head");
      refers(e.fork_node, kNone, s_.nodes, "sequence ", e.index, ": fork node");
      refers(e.open, kNone, s_.segments, "sequence ", e.index, ": open segment");
      for (const std::int32_t c : e.children) refers(c, 0, s_.sequences, "sequence ", e.index, ": child");
      for (const std::int32_t p : e.tails) refers(p, 0, s_.pages, "sequence ", e.index, ": page to write");
    });
  }
  /// A cell without a sequence only has an index and a generation.
  void free_cells() {
    const Sequence none;
    std::int64_t n_alive = 0;
    for (const Sequence& e : s_.sequences) {
      if (e.alive) {
        ++n_alive;
        continue;
      }
      const auto unset = [&](std::int64_t value, std::int64_t expected, const char* name) {
        found_.expect_equal(value, expected, "sequence ", e.index, " is gone: ", name);
      };
      unset(e.parent, none.parent, "parent");
      unset(e.head, none.head, "head");
      unset(e.open, none.open, "open segment");
      unset(e.next, none.next, "next position");
      unset(e.start, none.start, "start");
      unset(e.fork_node, none.fork_node, "fork node");
      unset(e.fork_tokens, none.fork_tokens, "tokens at the fork");
      unset(e.limit, none.limit, "limit");
      unset(e.hold, none.hold, "hold");
      found_.expect(e.reserved_ordinal == 0, "sequence ", e.index, " is gone: reserved ordinal ", e.reserved_ordinal,
                    "; it must be 0");
      unset(e.has_rejected ? 1 : 0, 0, "rejected rows");
      unset(std::ssize(e.policy), 0, "bytes of a policy");
      unset(std::ssize(e.children), 0, "children");
      unset(std::ssize(e.tails), 0, "pages to write");
    }
    found_.expect_in(n_alive, 0, s_.max_sequences, "number of sequences");
  }

  // Tokens and their slots.

  void segments() { slots_.segments(); }
  void slots() { slots_.slots(); }
  void tails() { slots_.tails(); }
  void pages() { slots_.pages(); }

  // Views, and who is whose child.

  /// Counting tokens up along a history, nodes cannot be their own ancestors.
  void nodes() {
    for (const Node& n : s_.nodes) {
      found_.expect_in(n.end, 1, segment(n.segment).length, "node ", n.index, ": end");
      found_.expect_equal(n.n_tokens, std::int64_t{n_tokens(n.parent)} + n.end, "node ", n.index, ": tokens");
    }
  }

  void children() {
    List<std::int32_t> parent_of;  // by the lists of children
    parent_of.assign(static_cast<std::int32_t>(s_.sequences.size()), kNone);
    for_each_alive([&](const Sequence& e) {
      for (const std::int32_t c : e.children) {
        found_.expect(sequence(c).alive && sequence(c).parent == e.index, "sequence ", e.index, ": child ", c,
                      ", whose parent is ", sequence(c).parent);
        found_.expect(parent_of[c] == kNone, "sequence ", c, " is twice among the children of ", parent_of[c]);
        parent_of[c] = e.index;
      }
    });
    for_each_alive([&](const Sequence& e) {
      found_.expect(parent_of[e.index] == e.parent, "sequence ", e.index, " is unknown to its parent ", e.parent);
    });
  }
  /// From the roots down: sequences that are not met are their own ancestors.
  void families() {
    const auto n = static_cast<std::int32_t>(s_.sequences.size());
    root_.assign(n, kNone);
    List<std::int32_t> met;
    List<std::int32_t> depth;
    depth.assign(n, 0);
    for_each_alive([&](const Sequence& e) {
      if (e.parent == kNone) root_[e.index] = met[met.push_back(e.index)];
    });
    for (std::int32_t i = 0; i < met.size(); ++i) {
      const Sequence& e = sequence(met[i]);
      std::int32_t fork_tokens = e.fork_tokens;  // a parent never gets shorter than it was at a fork
      for (const std::int32_t c : e.children) {
        met.push_back(c);
        root_[c] = root_[e.index];
        depth[c] = depth[e.index] + 1;
        found_.expect_in(depth[c], 1, s_.max_depth, "sequence ", c, ": depth");
        found_.expect_in(sequence(c).fork_tokens, fork_tokens, kUnlimited, "sequence ", c, ": tokens at the fork");
        found_.expect_in(sequence(c).limit, 0, e.limit, "sequence ", c, ": limit");
        fork_tokens = std::max(fork_tokens, sequence(c).fork_tokens);
      }
    }
    for_each_alive([&](const Sequence& e) {
      found_.expect(root_[e.index] != kNone, "sequence ", e.index, " is its own ancestor");
    });
  }

  // Histories.

  /// No history shows a segment twice, nor would one after any joins: histories then have at most a token per slot.
  void histories() {
    const SnapshotForest<S> forest(s_.nodes);
    for_each_alive([&](const Sequence& e) { fork_point(forest, e); });
    if (!found_.empty()) return;
    List<std::int32_t> seen_by;  // [segment] the node of the path that shows it
    seen_by.assign(static_cast<std::int32_t>(s_.segments.size()), kNone);
    forest.walk(
        [&](std::int32_t i) {
          std::int32_t& other = seen_by[node(i).segment];
          found_.expect(other == kNone, "node ", i, " shows segment ", node(i).segment, ", which node ", other,
                        " before it shows");
          other = i;
        },
        [&](std::int32_t i) { seen_by[node(i).segment] = kNone; });
    if (found_.empty()) branches(forest);
  }
  void fork_point(const SnapshotForest<S>& forest, const Sequence& e) {
    found_.expect_equal(e.fork_tokens, n_tokens(e.fork_node), "sequence ", e.index, ": tokens at the fork");
    if (e.parent == kNone) return found_.expect_equal(e.fork_node, kNone, "root ", e.index, ": fork node");
    found_.expect(forest.contains(e.head, e.fork_node), "sequence ", e.index, ": fork node ", e.fork_node,
                  " is not in its history, which ends with node ", e.head);
    found_.expect(forest.contains(sequence(e.parent).head, e.fork_node), "sequence ", e.index, ": fork node ",
                  e.fork_node, " is not in the history of its parent, which ends with node ", sequence(e.parent).head);
  }
  /// Tokens that a branch sees beyond its fork are seen by no other branch, nor by its root.
  void branches(const SnapshotForest<S>& forest) {
    List<std::int32_t> branch_of;  // [segment] the branch that sees it beyond its fork
    branch_of.assign(static_cast<std::int32_t>(s_.segments.size()), kNone);
    for_each_alive([&](const Sequence& e) {
      if (e.parent == kNone) return;
      for (std::int32_t i = e.head; i != e.fork_node; i = node(i).parent) {
        std::int32_t& branch = branch_of[node(i).segment];
        found_.expect(branch == kNone, "sequence ", e.index, ": node ", i, " shows segment ", node(i).segment,
                      ", which sequence ", branch, " sees beyond its fork");
        if (branch != kNone) return;  // so that each node is met once
        branch = e.index;
      }
    });
    for (const Node& n : s_.nodes) {
      const std::int32_t branch = branch_of[n.segment];
      if (branch == kNone) continue;
      const std::int32_t root = root_[branch];
      found_.expect(!forest.contains(sequence(root).head, n.index), "root ", root, " sees segment ", n.segment,
                    ", which its branch ", branch, " sees beyond its fork");
    }
  }

  // The order of rows, and where sequences go on.

  /// One ordinal names one view: rows that have it in common share a group. Views of one ordinal are cut shorter from
  /// one, so they follow the same node, with the same rule.
  void ordinals() {
    struct Use {
      std::uint64_t ordinal;
      const char* kind;
      std::int32_t index;
      const Node* view;
      std::size_t place;
    };
    std::vector<Use> uses;
    const auto use_of = [&](std::uint64_t ordinal, const char* kind, std::int32_t index, const Node* view) {
      uses.push_back({ordinal, kind, index, view, uses.size()});
    };
    for (const Segment& g : s_.segments) use_of(g.ordinal, "segment", g.index, nullptr);
    for (const Node& n : s_.nodes) use_of(n.ordinal, "node", n.index, &n);
    for_each_alive([&](const Sequence& e) {
      if (e.reserved_ordinal != 0) use_of(e.reserved_ordinal, "sequence", e.index, nullptr);
    });
    std::sort(uses.begin(), uses.end(), [](const Use& a, const Use& b) {  // a stable sort would take other memory
      return a.ordinal != b.ordinal ? a.ordinal < b.ordinal : a.place < b.place;
    });
    const Use* before = nullptr;
    for (const Use& use : uses) {
      found_.expect(use.ordinal >= 1 && use.ordinal <= s_.ordinal, use.kind, " ", use.index, ": ordinal ", use.ordinal,
                    "; it can be 1 to ", s_.ordinal);
      const bool fresh = before == nullptr || before->ordinal != use.ordinal;
      found_.expect(fresh || same_view(before->view, use.view, before->index), use.kind, " ", use.index,
                    " shares ordinal ", use.ordinal, " with ", before == nullptr ? "" : before->kind, " ",
                    before == nullptr ? 0 : before->index);
      before = &use;
    }
  }
  /// `earlier` is null for the segment `index`.
  static bool same_view(const Node* earlier, const Node* view, std::int32_t index) noexcept {
    if (view == nullptr) return false;
    if (earlier == nullptr) return view->segment == index;
    return earlier->segment == view->segment && earlier->parent == view->parent && earlier->rule == view->rule;
  }
  /// Tokens keep the positions that they were written at; a join makes the rule another.
  void rules() {
    for (const Node& n : s_.nodes) {
      const WidePosition first = segment(n.segment).first;
      const bool is_own_rule = n.rule == NextRule{kNever, first};
      found_.expect(!is_own(n) || is_own_rule, "node ", n.index, ": rule max(", n.rule.floor, ", ", n.rule.shift,
                    " + n); of a view that was not joined it must be max(", kNever, ", ", first, " + n)");
      found_.expect(is_own(n) || (n.rule.floor >= 0 && n.rule.floor <= kUnlimited), "node ", n.index, ": rule max(",
                    n.rule.floor, ", ...); of a joined view this can be 0 to ", kUnlimited);
      found_.expect(n.rule.shift == kNever || (n.rule.shift >= -kUnlimited && n.rule.shift <= kUnlimited), "node ",
                    n.index, ": rule max(..., ", n.rule.shift, " + n); this can be ", kNever, " or ", -kUnlimited,
                    " to ", kUnlimited);
      found_.expect_equal(n.next_before, n.rule(0), "node ", n.index, ": position before it");
    }
  }
  void positions() {
    for_each_alive([&](const Sequence& e) {
      found_.expect_in(e.next, 0, kUnlimited, "sequence ", e.index, ": next position");
      found_.expect_in(e.start, 0, kUnlimited, "sequence ", e.index, ": start");
      found_.expect_in(e.limit, e.parent == kNone ? s_.max_position : 0, s_.max_position, "sequence ", e.index,
                       ": limit");
      found_.expect_in(e.hold, 0, n_slots(), "sequence ", e.index, ": hold");
      if (e.open == kNone) return;
      const Segment& g = segment(e.open);
      found_.expect_equal(g.writer, e.index, "segment ", g.index, ": writer");
      found_.expect_equal(e.next, std::int64_t{g.first} + g.length, "sequence ", e.index, ": next position");
      found_.expect_in(e.next, 0, e.limit, "sequence ", e.index, ": next position");
    });
    for (const Segment& g : s_.segments)
      if (g.writer != kNone && sequence(g.writer).open != g.index)
        found_.expect(false, "segment ", g.index, ": writer ", g.writer, ", which writes segment ",
                      sequence(g.writer).open);
  }

  void counts() {
    List<std::int32_t> of_node, of_segment, seen;
    of_node.assign(static_cast<std::int32_t>(s_.nodes.size()), 0);
    of_segment.assign(static_cast<std::int32_t>(s_.segments.size()), 0);
    seen.assign(of_segment.size(), 0);
    for (const Node& n : s_.nodes) {
      if (n.parent != kNone) ++of_node[n.parent];
      ++of_segment[n.segment];
      seen[n.segment] = std::max(seen[n.segment], n.end);
    }
    for_each_alive([&](const Sequence& e) {
      if (e.head != kNone) ++of_node[e.head];
      if (e.open == kNone) return;
      found_.expect_equal(++of_segment[e.open], 1, "segment ", e.open, ", which sequence ", e.index,
                          " writes: references");
      seen[e.open] = segment(e.open).length;
    });
    for (const Node& n : s_.nodes) {
      found_.expect_equal(n.refs, of_node[n.index], "node ", n.index, ": references");
      found_.expect_in(n.refs, 1, kUnlimited, "node ", n.index, ": references");
    }
    for (const Segment& g : s_.segments) {
      found_.expect_equal(g.refs, of_segment[g.index], "segment ", g.index, ": references");
      found_.expect_equal(g.length, seen[g.index], "segment ", g.index, ": length");
    }
  }
  const S& s_;
  SnapshotFindings found_;
  SnapshotSlots<S> slots_{s_, found_};
  List<std::int32_t> root_;  // [sequence], from families() on
};

}  // namespace impl

template <class>
std::vector<std::string> Snapshot::check() const {
  return impl::SnapshotCheck<Snapshot>(*this).run();
}

}  // namespace anabranch
