// RandomWorld: calls that must be refused, each with its status, and must change nothing.
#include <string>
#include <vector>

#include "random_world.hpp"

namespace anabranch::test {

void RandomWorld::refused(Status status, const std::string& call, const std::function<void()>& f) {
  note(call + "  // refused: " + status_name(status));
  ++counts_.refused;
  const std::uint64_t epoch = cache_->epoch();
  const std::int32_t n_free = cache_->n_free_pages();
  try {
    f();
  } catch (const Error& error) {
    require(error.status() == status, call + " gives " + status_name(error.status()) + " (" + error.what() +
                                          "), expected " + status_name(status));
    require(error.what()[0] != '\0', call + " says nothing");
    require(cache_->epoch() == epoch && cache_->n_free_pages() == n_free, call + " was refused, but changed something");
    check_sequences();
    return;
  }
  throw Difference(call + " was not refused; expected " + status_name(status));
}

void RandomWorld::misuse(const RandomOp& op) {
  if (op.a % 3 == 0) return misuse_stale(op);
  if (op.a % 3 == 1) return misuse_tree(op);
  const SequenceId sequence = pick(op.b);
  const NaiveSequence& naive = now_.at(sequence);
  switch (op.c % 9) {
    case 0: return refused(Status::bad_argument, "append of -1", [&] { step_->append_unknown(sequence, -1); });
    case 1:
      return refused(Status::bad_argument, "append of token -5", [&] {
        if (naive.limit - naive.next < 2) fail(Status::bad_argument, "no room to try");
        step_->append(sequence, {3, -5});
      });
    case 2: return refused(Status::bad_argument, "fork into 0", [&] { step_->fork(sequence, 0); });
    case 3: return refused(Status::bad_argument, "fork into -3", [&] { step_->fork(sequence, -3); });
    case 4: return refused(Status::limit_reached, "fork into 1000", [&] { step_->fork(sequence, 1000); });
    case 5:
      return refused(Status::bad_argument, "rewind to more than there is",
                     [&] { step_->rewind(sequence, naive.n_tokens() + 1); });
    case 6:
      return refused(Status::bad_argument, "rewind below the floor",
                     [&] { step_->rewind(sequence, now_.rewind_floor(sequence) - 1); });
    case 7: return refused(Status::bad_argument, "hold of -1", [&] { step_->hold(sequence, -1); });
    default: return refused(Status::wrong_state, "second step", [&] { (void)cache_->begin_step(); });
  }
}

void RandomWorld::misuse_stale(const RandomOp& op) {
  const SequenceId sequence = pick(op.b);
  const SequenceId gone = stale_.empty() || op.c % 5 == 0 ? SequenceId{9999, 7} : stale_[op.b % stale_.size()];
  require(!cache_->alive(gone), name(gone) + " should be stale");
  const std::vector<SequenceId> kids{gone};
  switch (op.c % 10) {
    case 0: return refused(Status::stale_sequence, "append", [&] { step_->append(gone, {1}); });
    case 1: return refused(Status::stale_sequence, "append unknown", [&] { step_->append_unknown(gone, 2); });
    case 2: return refused(Status::stale_sequence, "fork", [&] { step_->fork(gone, 2); });
    case 3: return refused(Status::stale_sequence, "join of", [&] { step_->join(sequence, kids); });
    case 4: return refused(Status::stale_sequence, "join into", [&] { step_->join(gone, kids); });
    case 5: return refused(Status::stale_sequence, "rewind", [&] { step_->rewind(gone, 0); });
    case 6: return refused(Status::stale_sequence, "adopt", [&] { step_->adopt(sequence, gone); });
    case 7: return refused(Status::stale_sequence, "drop", [&] { step_->drop(gone); });
    case 8:
      return refused(Status::stale_sequence, "detach and hold",
                     [&] { op.a % 2 == 0 ? step_->detach(gone) : step_->hold(gone, 1); });
    default: return refused(Status::stale_sequence, "request_logits", [&] { step_->request_logits(gone); });
  }
}

void RandomWorld::misuse_tree(const RandomOp& op) {
  const SequenceId sequence = pick(op.b);
  const NaiveSequence& naive = now_.at(sequence);
  const std::vector<SequenceId> itself{sequence};
  if (op.c % 6 == 0) return refused(Status::not_a_child, "join of itself", [&] { step_->join(sequence, itself); });
  if (op.c % 6 == 1) return refused(Status::not_a_child, "adopt of itself", [&] { step_->adopt(sequence, sequence); });
  if (op.c % 6 == 2 && naive.parent == kNoSequence)
    return refused(Status::not_a_child, "detach of a root", [&] { step_->detach(sequence); });
  if (op.c % 6 == 3 && naive.parent != kNoSequence) {
    const std::vector<SequenceId> twice{sequence, sequence};
    const Status expected = naive.children.empty() ? Status::bad_argument : Status::open_children;
    const JoinOptions options{naive.rule == Positions::Kind::given ? now_.at(naive.parent).next : kNone};
    return refused(expected, "join twice of " + name(sequence), [&] { step_->join(naive.parent, twice, options); });
  }
  if (op.c % 6 == 4 && naive.parent != kNoSequence && naive.children.empty()) {
    const JoinOptions options{naive.rule == Positions::Kind::given ? kNone : 5};
    return refused(Status::bad_argument, "join with the wrong kind of next",
                   [&] { step_->join(naive.parent, itself, options); });
  }
  if (now_.at(sequence).depth >= 4 || now_.sequences.size() + 2 > 24) return;
  const std::vector<Position> one{1};
  if (op.c % 2 == 0)
    return refused(Status::bad_argument, "reserved(0)",
                   [&] { step_->fork(sequence, 2, {.positions = Positions::reserved(0)}); });
  refused(Status::bad_argument, "one start for two",
          [&] { step_->fork(sequence, 2, {.positions = Positions::given, .starts = one}); });
}

void RandomWorld::misuse_state(const RandomOp& op) {
  if (now_.sequences.empty()) return;
  const SequenceId sequence = pick(op.a);
  const std::vector<SequenceId> some{sequence};
  switch (op.b % 8) {
    case 0: return refused(Status::wrong_state, "append after plan", [&] { step_->append(sequence, {1}); });
    case 1: return refused(Status::wrong_state, "fork after plan", [&] { step_->fork(sequence, 2); });
    case 2: return refused(Status::wrong_state, "join after plan", [&] { step_->join(sequence, some); });
    case 3: return refused(Status::wrong_state, "drop after plan", [&] { step_->drop(sequence); });
    case 4: return refused(Status::wrong_state, "plan after plan", [&] { (void)step_->plan(); });
    case 5:
      return refused(Status::wrong_state, "rewind after plan",
                     [&] { step_->rewind(sequence, now_.at(sequence).n_tokens()); });
    case 6:
      return refused(Status::wrong_state, "create_sequence after plan",
                     [&] { op.c % 2 == 0 ? step_->create_sequence() : cache_->create_sequence(); });
    default: return refused(Status::wrong_state, "snapshot inside a step", [&] { (void)cache_->snapshot(); });
  }
}

}  // namespace anabranch::test
