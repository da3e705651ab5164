// SnapshotSlots: whether the slots of a snapshot's segments, and what its pages say of them, agree.
#pragma once

#include <algorithm>
#include <cstdint>

#include <anabranch/cache/impl/snapshot_findings.hpp>
#include <anabranch/cache/snapshot_fields.hpp>
#include <anabranch/pool/indexed_vector.hpp>

namespace anabranch::impl {

/// Looks at runs of slots, never at each slot: a page may have more of them than the snapshot has bytes. Each part
/// relies on those before it, and all on the snapshot's sizes and indices.
template <class S>
class SnapshotSlots {
 public:
  SnapshotSlots(const S& snapshot, SnapshotFindings& found) : s_(snapshot), found_(found) {}

  void segments() {
    for (const typename S::SegmentEntry& g : s_.segments) {
      found_.expect_in(g.length, 1, std::min<std::int64_t>(n_slots(), s_.max_position), "segment ", g.index,
                       ": length");
      found_.expect_in(g.first, 0, std::int64_t{s_.max_position} - g.length, "segment ", g.index, ": first position");
      std::int64_t offset = 0;
      for (const SlotRun& run : g.runs) {
        found_.expect_equal(run.offset, offset, "segment ", g.index, ": offset of a run");
        found_.expect_in(run.count, 1, g.length - offset, "segment ", g.index, ": slots of a run");
        found_.expect_in(run.first, 0, n_slots() - run.count, "segment ", g.index, ": first slot of a run");
        if (!found_.empty()) return;
        runs_.push_back({run.first, run.count, g.index});
        offset += run.count;
      }
      found_.expect_equal(offset, g.length, "segment ", g.index, ": slots");
    }
  }
  void slots() {
    std::sort(runs_.begin(), runs_.end(), [](const Run& a, const Run& b) { return a.first < b.first; });
    for (std::int32_t i = 1; i < runs_.size(); ++i)
      found_.expect(runs_[i - 1].first + runs_[i - 1].count <= runs_[i].first, "slot ", runs_[i].first,
                    " is held by segments ", runs_[i - 1].segment, " and ", runs_[i].segment);
  }

  void tails() {
    List<std::int32_t> writer;
    writer.assign(s_.n_pages, kNone);
    for (const typename S::SequenceEntry& e : s_.sequences) {
      for (const std::int32_t page : e.tails) {
        found_.expect(writer[page] == kNone, "page ", page, " is to be written by sequences ", writer[page], " and ",
                      e.index);
        writer[page] = e.index;
      }
    }
    for (std::int32_t i = 0; i < s_.n_pages; ++i)
      found_.expect_equal(s_.pages.begin()[i].writer, writer[i], "page ", i, ": writer");
  }
  void pages() {
    List<typename S::PageEntry> held;  // [page] slots in use, one past the last
    held.assign(s_.n_pages, {});
    for (const Run& run : runs_) {  // by slot
      for (std::int32_t slot = run.first, end = run.first + run.count; slot < end;) {
        const std::int32_t page = slot / s_.page_size;
        const std::int32_t n = std::min(end - slot, s_.page_size - slot % s_.page_size);
        held[page].used += n;
        held[page].fill = slot % s_.page_size + n;
        slot += n;
      }
    }
    std::int32_t n_free = 0;
    for (std::int32_t i = 0; i < s_.n_pages; ++i) {
      const auto& p = s_.pages.begin()[i];
      found_.expect_equal(p.used, held[i].used, "page ", i, ": used slots");
      const std::int32_t most = p.used == 0 ? 0 : s_.page_size - (p.writer != kNone ? 1 : 0);  // a writer needs room
      found_.expect_in(p.fill, held[i].fill, most, "page ", i, ": fill");
      if (p.used == 0 && p.writer == kNone) ++n_free;
    }
    found_.expect_equal(s_.n_free_pages, n_free, "free pages");
  }

 private:
  /// Consecutive slots of a segment.
  struct Run {
    Slot first;
    std::int32_t count;
    std::int32_t segment;
  };

  template <class T>
  using List = IndexedVector<T, std::int32_t>;
  std::int64_t n_slots() const noexcept { return std::int64_t{s_.n_pages} * s_.page_size; }

  const S& s_;
  SnapshotFindings& found_;
  List<Run> runs_;  // by slot, from slots() on
};

}  // namespace anabranch::impl
