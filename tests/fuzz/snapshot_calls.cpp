#include "snapshot_calls.hpp"

#include <algorithm>

#include "check.hpp"

using namespace anabranch;

namespace fuzz {

namespace {
/// An operation may be refused, but not by a broken invariant.
template <class Function>
void attempt(Function&& function) {
  try {
    function();
  } catch (const Error& error) {
    FUZZ_CHECK(error.status() != Status::internal, "%s", error.what());
  }
}
}  // namespace

void SnapshotCalls::step(int n) {
  find_sequences();
  held_.clear();
  for (const SequenceId sequence : sequences_)
    for (const Slot slot : cache_.slots_of(sequence)) held_.push_back(slot);
  std::sort(held_.begin(), held_.end());
  Step step = cache_.begin_step();
  for (int i = 0; i < n; ++i) attempt([&] { call(step); });
  const PlanResult plan = step.plan();
  if (plan) {
    check_plan(*plan);
    while (input_.one_in(4)) attempt([&] { step.reject(some_sequence(), input_.number(0, 3)); });
  }
  if (plan && !input_.one_in(4))
    step.commit();
  else
    step.abort();
  check_cache();
}

void SnapshotCalls::end() {
  find_sequences();
  Step step = cache_.begin_step();
  for (const SequenceId sequence : sequences_)
    if (cache_.alive(sequence)) step.drop(sequence);
  FUZZ_CHECK(step.plan(), "no plan for a step that only drops");
  step.commit();
  check_cache();
  FUZZ_CHECK(cache_.n_sequences() == 0 && cache_.n_free_pages() == cache_.n_pages(),
             "%d sequences, %d of %d pages free", cache_.n_sequences(), cache_.n_free_pages(), cache_.n_pages());
}

void SnapshotCalls::call(Step& step) {
  const SequenceId sequence = some_sequence();
  switch (input_.below(12)) {
    case 0:
    case 1:
    case 2:
    case 3: return step.append_unknown(sequence, input_.number(1, 9));
    case 4: return fork(step, sequence);
    case 5: return fork(step, sequence);
    case 6: return join(step, sequence);
    case 7: return join(step, sequence);
    case 8: sequences_.push_back(step.create_sequence(input_.number(0, 5))); return;
    default: return tree_call(step, sequence);
  }
}

void SnapshotCalls::tree_call(Step& step, SequenceId sequence) {
  switch (input_.below(8)) {
    case 0:
    case 1:
      return step.rewind(sequence,
                         input_.one_in(16) ? input_.odd_number() : cache_.n_tokens(sequence) - input_.below(9));
    case 2: return step.adopt(cache_.parent(sequence), sequence);
    case 3: return step.drop(sequence);
    case 4: return step.detach(sequence);
    case 5: return step.hold(sequence, input_.number(0, 6));
    default: return step.request_logits(sequence);
  }
}

void SnapshotCalls::fork(Step& step, SequenceId sequence) {
  const std::int32_t n = input_.number(1, 3);
  ForkOptions options;
  std::vector<Position> starts;
  switch (input_.below(4)) {
    case 0: options.positions = Positions::sequential; break;
    case 1: options.positions = Positions::longest; break;
    case 2: options.positions = Positions::reserved(input_.number(1, 12)); break;
    default:
      options.positions = Positions::given;
      for (std::int32_t i = 0; i < std::min(n, 8); ++i) starts.push_back(input_.number(0, 40));
      options.starts = starts;
  }
  for (const SequenceId child : step.fork(sequence, n, options)) sequences_.push_back(child);
}

void SnapshotCalls::join(Step& step, SequenceId sequence) {
  std::vector<SequenceId> children = cache_.children(sequence);
  std::erase_if(children, [&](SequenceId) { return input_.one_in(3); });
  if (input_.one_in(2)) std::reverse(children.begin(), children.end());
  JoinOptions options;
  if (input_.one_in(2)) options.next = input_.number(0, 60);
  step.join(sequence, children, options);
}

void SnapshotCalls::check_plan(const StepPlan& plan) const {
  std::vector<Slot> slots(plan.slots.begin(), plan.slots.end());
  std::sort(slots.begin(), slots.end());
  FUZZ_CHECK(std::adjacent_find(slots.begin(), slots.end()) == slots.end(), "two rows have one slot");
  for (const Slot slot : slots) {
    FUZZ_CHECK(slot >= 0 && slot < cache_.n_slots(), "slot %d of %d", slot, cache_.n_slots());
    FUZZ_CHECK(!std::binary_search(held_.begin(), held_.end(), slot), "slot %d is written and was seen", slot);
  }
  for (const Position position : plan.positions)
    FUZZ_CHECK(position >= 0 && position < cache_.options().max_position, "position %d", position);
  for (const SequenceId sequence : sequences_)
    if (cache_.alive(sequence)) check_last_row(plan, sequence);
}

/// The row of the sequence's last token, if it wrote that itself, sees what the sequence sees, each token once.
void SnapshotCalls::check_last_row(const StepPlan& plan, SequenceId sequence) const {
  std::vector<Slot> expected = cache_.slots_of(sequence);
  FUZZ_CHECK(std::ssize(expected) == cache_.n_tokens(sequence), "%zu slots for %d tokens", expected.size(),
             cache_.n_tokens(sequence));
  if (expected.empty()) return;
  const auto at = std::find(plan.slots.begin(), plan.slots.end(), expected.back());
  if (at == plan.slots.end()) return;
  const auto row = static_cast<RowIndex>(at - plan.slots.begin());
  if (plan.sequences.begin()[row] != sequence) return;
  std::vector<Slot> seen;
  for (const VisibilityGroup& group : plan.groups) {
    if (row < group.row_begin || row >= group.row_end) continue;
    std::int32_t n = group.n_keys;
    if (group.visibility == Visibility::causal) n -= group.row_end - 1 - row;
    for (const View& view : plan.views_of(group))
      for_each_run(view, [&](Slot first, std::int32_t count) {
        for (std::int32_t i = 0; i < count && n > 0; ++i, --n) seen.push_back(first + i);
      });
  }
  std::sort(seen.begin(), seen.end());
  std::sort(expected.begin(), expected.end());
  FUZZ_CHECK(std::adjacent_find(seen.begin(), seen.end()) == seen.end(), "row %d sees a token twice", row);
  FUZZ_CHECK(seen == expected, "row %d sees %zu tokens, its sequence %zu, or others", row, seen.size(),
             expected.size());
}

void SnapshotCalls::check_cache() const {
  const std::vector<std::string> violated = cache_.snapshot().check();
  FUZZ_CHECK(violated.empty(), "%s", violated.front().c_str());
}

void SnapshotCalls::find_sequences() {
  sequences_.clear();
  for (const auto& e : cache_.snapshot().sequences)
    if (e.alive) sequences_.push_back({static_cast<std::uint32_t>(e.index), e.generation});
}

/// The youngest most easily, because trees grow there.
SequenceId SnapshotCalls::some_sequence() {
  if (sequences_.empty() || input_.one_in(64)) return kNoSequence;
  return sequences_[sequences_.size() - 1 - input_.byte() % sequences_.size()];
}

}  // namespace fuzz
