// Turns the appends of an open step into a StepPlan: slots first, then rows, groups and outputs.
//
// The buffers live as long as the cache, so that a step in the steady state allocates nothing.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <tuple>

#include <anabranch/mask/row_forest.hpp>
#include <anabranch/plan/slot_writer.hpp>
#include <anabranch/plan/step_plan.hpp>
#include <anabranch/pool/memory_vector.hpp>
#include <anabranch/tree/branch_tree.hpp>

namespace anabranch {

template <PositionPolicy Policy, PageSizeChoice PageSize>
class Planner {
 public:
  using Tree = BranchTree<Policy, PageSize>;
  Planner(PagePool<PageSize>& pool, ShareTail share_tail, std::pmr::memory_resource* memory);

  /// Reserves pages and describes the pass, or, with a shortage, changes nothing. O(rows + groups) when the sequences
  /// only went on since the last plan, with v views on the paths of the rows O(rows + v log v) else.
  [[nodiscard]] PlanResult plan(Tree& tree);
  /// The plan was not taken: the step is as it was before `plan`.
  void undo(Tree& tree) noexcept { undo_slots(tree); }
  /// The step is over: nothing can be undone any more.
  void commit() noexcept { slot_writer_.commit(); }
  /// Gives the pages back as they were before `plan`. REQUIRES: the tree has forgotten the slots.
  void abort() noexcept { slot_writer_.abort(); }

 private:
  /// An output, and when it was asked for among those of its row.
  struct RequestedOutput {
    Output output;
    std::int32_t order;
    auto by_sequence() const noexcept {
      return std::tuple(output.row, output.sequence.index, output.sequence.generation, order);
    }
    auto by_order() const noexcept { return std::tuple(output.row, order); }
  };

  void find_blocks(const Tree& tree);
  std::int32_t n_pages_short(Tree& tree);
  std::int32_t reserve_slots(Tree& tree);
  void undo_slots(Tree& tree) noexcept;
  void fill_rows(const Tree& tree);
  void fill_block(const Tree& tree, BlockIndex block);
  void fill_piece(const Tree& tree, const StagedSegment& entry, const StagedPiece& piece, std::int32_t end);
  void add_extra_outputs(const Tree& tree);
  void publish(const Tree& tree);

  PagePool<PageSize>* pool_;
  SlotWriter<Policy, PageSize> slot_writer_;
  RowForest<PageSize> forest_;
  IndexedVector<RowBlock, BlockIndex> blocks_;
  IndexedVector<StagedIndex, BlockIndex> entry_of_block_;
  IndexedVector<BlockIndex, StagedIndex> block_of_entry_;  // none for those without rows
  impl::MemoryVector<TokenId> tokens_;
  impl::MemoryVector<Position> positions_;
  impl::MemoryVector<Slot> slots_;
  impl::MemoryVector<SequenceId> sequences_;
  impl::MemoryVector<Output> outputs_;
  impl::MemoryVector<RequestedOutput> requested_;
  StepPlan plan_;
};

}  // namespace anabranch

#include <anabranch/plan/impl/planner.hpp>
