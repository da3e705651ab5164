// Turns the appends of an open step into a StepPlan: slots first, then rows, groups and outputs.
//
// The buffers live as long as the cache, so that a step in the steady state allocates nothing. What the planner does to
// pages is logged, and undone when there is too little room or when the step is aborted.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <vector>

#include <anabranch/mask/row_forest.hpp>
#include <anabranch/plan/step_plan.hpp>
#include <anabranch/tree/branch_tree.hpp>

namespace anabranch {

/// The use that branches make of the free ends of their parent's pages.
enum class ShareTail : std::uint8_t {
  spare,  ///< a child may write into a page that its parent is not using up
  never,  ///< branches are page-disjoint: every child starts on a page of its own
};

template <PositionPolicy Policy, PageSizeChoice PageSize>
class Planner {
 public:
  using Tree = BranchTree<Policy, PageSize>;
  Planner(PagePool<PageSize>& pool, ShareTail share_tail, std::pmr::memory_resource* memory);

  /// Pages are reserved, or, with a shortage, nothing is changed. O(rows + views on their paths).
  PlanResult plan(Tree& tree);
  /// The step is over: nothing can be undone any more.
  void commit() noexcept { undo_.clear(); }
  /// Gives the pages back as they were before `plan`. REQUIRES: the tree has forgotten the slots.
  void abort() noexcept;

 private:
  struct PageBefore {
    std::int32_t page;
    Page before;
  };
  void note(std::int32_t page);
  void find_blocks(const Tree& tree);
  std::int32_t reserve_slots(Tree& tree);
  std::int32_t place_block(Tree& tree, const RowBlock& block, std::int32_t sequence);
  std::int64_t reserve_holds(const Tree& tree);
  std::int32_t pages_for(std::int32_t n_slots) const noexcept {
    return n_slots / pool_->page_size() + (n_slots % pool_->page_size() != 0 ? 1 : 0);
  }
  std::int32_t page_for(const Tree& tree, std::int32_t sequence, Slot last);
  std::int32_t tail_without_hole(std::int32_t sequence) const noexcept;
  static Slot last_slot(const Tree& tree, const RowBlock& block) noexcept;
  std::int32_t take_page(std::int32_t sequence);
  void undo_slots(Tree& tree) noexcept;
  void fill_rows(const Tree& tree);
  void fill_block(const Tree& tree, std::int32_t block);
  void add_extra_outputs(const Tree& tree);
  void publish(const Tree& tree);

  PagePool<PageSize>* pool_;
  ShareTail share_tail_;
  RowForest<PageSize> forest_;
  impl::Lazily<std::pmr::vector<PageBefore>, PageSize> undo_;
  impl::Lazily<std::pmr::vector<RowBlock>, PageSize> blocks_;
  std::pmr::vector<std::int32_t> entry_of_block_;  // index into Staged::segments
  impl::Lazily<std::pmr::vector<TokenId>, PageSize> tokens_;
  impl::Lazily<std::pmr::vector<Position>, PageSize> positions_;
  impl::Lazily<std::pmr::vector<Slot>, PageSize> slots_;
  impl::Lazily<std::pmr::vector<SequenceId>, PageSize> sequences_;
  impl::Lazily<std::pmr::vector<Output>, PageSize> outputs_;
  impl::Lazily<std::pmr::vector<VisibilityGroup>, PageSize> groups_;
  impl::Lazily<std::pmr::vector<View>, PageSize> views_;
  StepPlan plan_;
};

}  // namespace anabranch

#include <anabranch/plan/impl/planner_rows.hpp>
#include <anabranch/plan/impl/planner_slots.hpp>
