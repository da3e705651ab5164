#include <anabranch/train/row_layout.hpp>

#include <algorithm>

namespace anabranch::train {

void RowLayout::check(bool holds, const char* text) const {
  if (!holds) fail(Status::wrong_state, "layout after token ", n_tokens(), ": ", text);
}

bool RowLayout::is_causal() const noexcept {
  return std::all_of(runs_.begin(), runs_.end(), [](const VisibleRun& r) { return r.own_begin == 0; });
}

std::vector<Interval> RowLayout::visible(std::int32_t q) const {
  const auto run = std::find_if(runs_.begin(), runs_.end(), [&](const VisibleRun& r) { return q < r.end; });
  if (q < 0 || run == runs_.end()) fail(Status::bad_argument, "token ", q, " of ", n_tokens());
  std::vector<Interval> seen;
  const auto add = [&](Interval i) {
    if (i.begin == i.end) return;
    if (!seen.empty() && seen.back().end == i.begin)
      seen.back().end = i.end;
    else
      seen.push_back(i);
  };
  for (const Interval& i : run->before) add(i);
  add({run->own_begin, q + 1});
  return seen;
}

void RowLayout::append() {
  Line& line = lines_.back();
  check(line.n_branches == 0, "a token between the branches of a block");
  if (line.next >= line.end)
    fail(Status::out_of_range, "token ", n_tokens(), " has position ", line.next, ", the range of its branch ends at ",
         line.end);
  const std::int32_t q = n_tokens();
  if (new_run_) runs_.push_back({q, q, line.own_begin, line.before});
  new_run_ = false;
  ++runs_.back().end;
  positions_.push_back(static_cast<Position>(line.next++));
}

void RowLayout::fork(std::int32_t n_branches, Positions positions) {
  Line& line = lines_.back();
  check(line.n_branches == 0, "a block inside a block, outside its branches");
  if (n_branches < 1) fail(Status::bad_argument, "a block of ", n_branches, " branches, at least 1");
  if (!positions.valid() || positions.is_given())
    fail(Status::bad_argument, "a block's positions must be sequential, longest or reserved with a count");
  line.policy = positions;
  line.n_branches = n_branches;
  line.n_begun = 0;
  line.block_begin = n_tokens();
  line.fork_next = line.next;
  line.next = positions.after_fork(static_cast<Position>(line.next), n_branches);
}

void RowLayout::begin_branch() {
  Line& parent = lines_.back();
  check(parent.n_begun < parent.n_branches, "more branches than the block has");
  const std::int32_t k = parent.n_begun++;
  Line child;
  child.before = parent.before;
  if (parent.block_begin > parent.own_begin) child.before.push_back({parent.own_begin, parent.block_begin});
  child.own_begin = n_tokens();
  const auto fork_next = static_cast<Position>(parent.fork_next);
  child.start = child.next = parent.policy.start(fork_next, k);
  child.end = std::min(parent.end, parent.policy.end(fork_next, k));
  lines_.push_back(std::move(child));
  new_run_ = true;
}

void RowLayout::end_branch() {
  check(lines_.size() > 1 && lines_.back().n_branches == 0, "no branch to end");
  const Line child = std::move(lines_.back());
  lines_.pop_back();
  Line& parent = lines_.back();
  const NextRule rule =
      parent.policy.after_join(static_cast<Position>(parent.next), static_cast<Position>(child.start));
  parent.next = rule(child.next);
}

void RowLayout::join() {
  Line& line = lines_.back();
  check(line.n_branches > 0 && line.n_begun == line.n_branches, "a join before all branches were written");
  line.n_branches = 0;
  new_run_ = true;
}

void fill_mask(std::span<const VisibleRun> runs, std::int32_t n, float sees, float hides, std::span<float> mask) {
  std::fill(mask.begin(), mask.end(), hides);
  for (const VisibleRun& run : runs)
    for (std::int32_t q = run.begin; q < run.end; ++q) {
      float* row = mask.data() + std::int64_t{q} * n;
      for (const Interval& i : run.before) std::fill(row + i.begin, row + i.end, sees);
      std::fill(row + run.own_begin, row + q + 1, sees);
    }
}

}  // namespace anabranch::train
