// StructuredPrompt: bodies.
#pragma once

#include <anabranch/cache/structured_prompt.hpp>
#include <anabranch/pool/reserve.hpp>

namespace anabranch {

/// Throws wrong_state between the branches of a block, where only a branch or the block's end can come.
inline void StructuredPrompt::need_text_level(const char* call) const {
  if (!levels_.empty() && !levels_.back().in_branch)
    fail(Status::wrong_state, call, " between the branches of a block; begin a branch or end the block first");
}

inline Position StructuredPrompt::checked(WidePosition position, const char* call) {
  if (position < 0 || position > kUnlimited)
    fail(Status::out_of_range, call, " leads to position ", position, "; positions are 0 to ", kUnlimited);
  return static_cast<Position>(position);
}

inline void StructuredPrompt::append(std::span<const TokenId> tokens) {
  need_text_level("append");
  for (const TokenId token : tokens)
    if (token < 0) fail(Status::bad_argument, "prompt token ", token, " is negative");
  if (tokens.empty()) return;
  const auto n = std::ssize(tokens);
  const Position after = checked(WidePosition{next_} + n, "append");
  if (!levels_.empty() && after > levels_.back().limit)
    fail(Status::out_of_range, "append up to position ", after, "; the branch's positions end at ",
         levels_.back().limit);
  if (n > kUnlimited - n_tokens()) fail(Status::out_of_range, "a prompt of more than ", kUnlimited, " tokens");
  impl::reserve_more(items_, 1);
  const std::int32_t first = n_tokens();
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  const bool goes_on = !items_.empty() && items_.back().kind == Item::Kind::tokens;
  if (!goes_on) items_.push_back({Item::Kind::tokens, next_, first, 0});
  items_.back().n_tokens += static_cast<std::int32_t>(n);
  next_ = after;
}

inline void StructuredPrompt::begin_block(const Positions& positions, std::int32_t n_branches) {
  need_text_level("begin_block");
  if (!positions.valid() || positions.is_given())
    fail(Status::bad_argument, "a block of a prompt takes sequential, longest or reserved positions, not ",
         positions.is_given() ? std::string("given ones") : impl::text_of(positions));
  if (n_branches < 0) fail(Status::bad_argument, "a block of ", n_branches, " branches; it can have 0 or more");
  const Position after = checked(positions.after_fork(next_, n_branches), "begin_block");
  impl::reserve_more(items_, 1);
  levels_.push_back({positions, n_branches, 0, false, next_, after, next_, kUnlimited});
  items_.push_back({Item::Kind::begin_block, next_, n_tokens(), 0});
}

inline void StructuredPrompt::begin_branch() {
  if (levels_.empty() || levels_.back().in_branch || levels_.back().n_begun == levels_.back().n_branches)
    fail(Status::wrong_state, "begin_branch where no block waits for a branch");
  Level& level = levels_.back();
  const Position start = checked(level.positions.start(level.fork, level.n_begun), "begin_branch");
  items_.push_back({Item::Kind::begin_branch, start, n_tokens(), 0});
  ++level.n_begun;
  level.in_branch = true;
  const WidePosition outer = levels_.size() > 1 ? levels_[levels_.size() - 2].limit : WidePosition{kUnlimited};
  level.limit = std::min(outer, level.positions.end(level.fork, level.n_begun - 1));
  next_ = level.start = start;
}

inline void StructuredPrompt::end_branch() {
  if (levels_.empty() || !levels_.back().in_branch) fail(Status::wrong_state, "end_branch outside a branch");
  Level& level = levels_.back();
  const Position parent = checked(level.positions.after_join(level.parent, level.start)(next_), "end_branch");
  items_.push_back({Item::Kind::end_branch, next_, n_tokens(), 0});
  level.in_branch = false;
  next_ = level.parent = parent;
}

inline void StructuredPrompt::end_block() {
  if (levels_.empty() || levels_.back().in_branch || levels_.back().n_begun < levels_.back().n_branches)
    fail(Status::wrong_state, "end_block before all branches of a block have ended");
  items_.push_back({Item::Kind::end_block, levels_.back().parent, n_tokens(), 0});
  next_ = levels_.back().parent;
  levels_.pop_back();
}

inline std::int32_t StructuredPrompt::n_structured() const noexcept {
  for (std::size_t i = items_.size(); i-- > 0;)
    if (items_[i].kind != Item::Kind::tokens) return items_[i].first_token;
  return 0;
}

inline StructuredPrompt StructuredPrompt::first(std::int32_t n_tokens) const {
  StructuredPrompt result(items_.empty() ? next_ : items_.front().position);
  std::size_t n_items = 0;
  std::int32_t depth = 0, n_kept = 0, n_partial = 0;
  for (std::size_t i = 0; i < items_.size(); ++i) {
    const Item& item = items_[i];
    depth += item.kind == Item::Kind::begin_block ? 1 : item.kind == Item::Kind::end_block ? -1 : 0;
    if (item.first_token + item.n_tokens > n_tokens) {
      if (depth == 0) n_partial = std::max(0, n_tokens - item.first_token);
      break;
    }
    if (depth > 0) continue;
    n_items = i + 1;
    n_kept = item.first_token + item.n_tokens;
    result.next_ = item.position + item.n_tokens;
  }
  result.items_.assign(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(n_items));
  result.tokens_.assign(tokens_.begin(), tokens_.begin() + n_kept);
  if (n_partial > 0)
    result.append(tokens().subspan(static_cast<std::size_t>(n_kept), static_cast<std::size_t>(n_partial)));
  return result;
}

}  // namespace anabranch
