// The indices of the host's tables, and the container that takes them.
#pragma once

#include <cstdint>
#include <memory_resource>

#include <anabranch/pool/index.hpp>
#include <anabranch/pool/indexed_vector.hpp>

namespace anabranch::llama {

/// A row of the plan.
using PlanRow = Index<struct PlanRowCell>;
/// A batch of the pass.
using BatchIndex = Index<struct DecodeBatch>;
/// An entry of the SeqTable: seq_id - first().
using EntryIndex = Index<struct SeqEntry>;
/// The mark of a slot.
using MarkIndex = Index<struct SlotMark>;

/// An IndexedVector on the heap.
template <class T, class I>
class Table : public IndexedVector<T, I> {
 public:
  Table() : IndexedVector<T, I>(std::pmr::new_delete_resource()) {}
  /// Makes it `n` copies of `value`; memory is kept.
  void assign(std::int32_t n, const T& value) {
    this->clear();
    this->grow(n, value);
  }
};

}  // namespace anabranch::llama
