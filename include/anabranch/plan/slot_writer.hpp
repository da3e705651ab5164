// Gives the new tokens of a step their pages and slots, and takes them back when there are too few or the step is
// aborted.
#pragma once

#include <cstdint>
#include <memory_resource>

#include <anabranch/mask/row_forest.hpp>
#include <anabranch/pool/memory_vector.hpp>
#include <anabranch/pool/page_pool.hpp>
#include <anabranch/tree/branch_tree.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

/// Whether branches may use the free ends of their parent's pages.
enum class ShareTail : std::uint8_t {
  spare,  ///< a child may write into a page that its parent is not using up
  never,  ///< branches are page-disjoint: every child starts on a page of its own
};

template <PositionPolicy Policy, PageSizeChoice PageSize>
class SlotWriter {
 public:
  using Tree = BranchTree<Policy, PageSize>;
  SlotWriter(PagePool<PageSize>& pool, ShareTail share_tail, std::pmr::memory_resource* memory)
      : pool_(&pool), share_tail_(share_tail), undo_(memory) {}

  /// Gives the block's tokens slots, written for `sequence`. Returns how many pages are short; 0: all have slots. Where
  /// pages are short, the last tokens get a page that is not there, behind which others may write as they would.
  std::int32_t place(Tree& tree, const RowBlock& block, SequenceIndex sequence);
  /// Gives every changed sequence the free slots that it holds. Returns how many pages are short.
  std::int64_t reserve_holds(const Tree& tree);
  /// Whether tokens went behind a hole in a page only because no page was free.
  bool left_hole() const noexcept { return left_hole_; }
  /// From now on tokens are short of a page rather than leave a hole.
  void refuse_holes() noexcept { refuses_holes_ = true; }
  /// Keeps the pages as they are now.
  void commit() noexcept {
    undo_.clear();
    without_tail_ = kNoIndex;
    left_hole_ = refuses_holes_ = false;
  }
  /// Gives the pages back as they were. REQUIRES: the tree has forgotten the slots.
  void abort() noexcept;

 private:
  /// A page as it was before it was written or handed over.
  struct PageBefore {
    PageIndex page;
    Page before;
  };
  void note(PageIndex page) { undo_.push_back({page, (*pool_)[page]}); }
  std::int32_t pages_for(std::int32_t n_slots) const noexcept {
    return n_slots / pool_->page_size() + (n_slots % pool_->page_size() != 0 ? 1 : 0);
  }
  static Slot last_slot(const Tree& tree, const RowBlock& block) noexcept;
  PageIndex tail_without_hole(SequenceIndex sequence) const noexcept;
  PageIndex page_for(const Tree& tree, SequenceIndex sequence, Slot last);
  PageIndex page_of_last(const Tree& tree, SequenceIndex sequence, Slot last) const noexcept;
  PageIndex page_from_above(const Tree& tree, SequenceIndex sequence) noexcept;
  PageIndex take_page(SequenceIndex sequence);
  std::int32_t lack(Segment& segment, SequenceIndex sequence, std::int32_t missing);

  PagePool<PageSize>* pool_;
  ShareTail share_tail_;
  impl::MemoryVector<PageBefore> undo_;
  SequenceIndex without_tail_;  ///< was asked for a tail without a hole, had none, and has got no page since
  bool left_hole_ = false;
  bool refuses_holes_ = false;
};

}  // namespace anabranch

#include <anabranch/plan/impl/slot_writer.hpp>
