// The host operations of an open step, in order; see tree/host_op.hpp.
#pragma once

#include <concepts>
#include <memory_resource>
#include <span>

#include <anabranch/pool/memory_vector.hpp>
#include <anabranch/pool/reserve.hpp>
#include <anabranch/tree/host_op.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

template <class Op = HostOp>
class HostOps {
 public:
  explicit HostOps(std::pmr::memory_resource* memory) : before_(memory), after_(memory) {}

  /// Additive, before the pass.
  std::span<const Op> before() const noexcept { return before_; }
  /// Removing, once the step is committed.
  std::span<const Op> after() const noexcept { return after_; }

  /// Makes the calls below free of allocation: those that add an operation before the pass, after the commit.
  void reserve(std::integral auto n_before, std::integral auto n_after) {
    impl::reserve_more(before_, n_before);
    impl::reserve_more(after_, n_after);
  }
  /// `sequence` also sees positions [begin, end) of `source`. One before.
  void share(SequenceId sequence, SequenceId source, Position begin, Position end) {
    before_.push_back({Op::Kind::share, sequence, source, begin, end});
  }
  /// `sequence` goes on afresh behind its first `next` positions. One before, one after.
  void restart(SequenceId sequence, Position next) {
    before_.push_back({Op::Kind::restart, sequence, kNoSequence, 0, next});
    remove(sequence, next, kUnlimited);
  }
  /// `sequence` takes over what `source` holds, up to position `next`. One before, one after.
  void become(SequenceId sequence, SequenceId source, Position next) {
    before_.push_back({Op::Kind::become, sequence, source, 0, next});
    remove(sequence, 0, kUnlimited);
  }
  /// Positions [begin, end) of the sequence are gone. One after.
  void remove(SequenceId sequence, Position begin, Position end) {
    after_.push_back({Op::Kind::remove, sequence, kNoSequence, begin, end});
  }
  void clear() noexcept {
    before_.clear();
    after_.clear();
  }

 private:
  impl::MemoryVector<Op> before_;
  impl::MemoryVector<Op> after_;
};

}  // namespace anabranch
