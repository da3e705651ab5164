// Feeds a prompt with blocks: its tokens as rows of one step, each where it sees what its place in the prompt says.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include <anabranch/cache/structured_prompt.hpp>
#include <anabranch/tree/options.hpp>
#include <anabranch/types.hpp>

namespace anabranch::impl {

/// How many branches are open at one time, and how deep they are nested, at most.
struct PromptShape {
  std::int32_t n_open = 0;
  std::int32_t depth = 0;
};

inline PromptShape shape_of(const StructuredPrompt& prompt) {
  using Kind = StructuredPrompt::Item::Kind;
  PromptShape shape;
  std::vector<std::int32_t> n_of_block;
  std::int32_t n_open = 0;
  for (const StructuredPrompt::Item& item : prompt.items()) {
    if (item.kind == Kind::begin_block) n_of_block.push_back(0);
    if (item.kind == Kind::begin_branch) {
      ++n_of_block.back();
      shape.n_open = std::max(shape.n_open, ++n_open);
      shape.depth = std::max(shape.depth, static_cast<std::int32_t>(n_of_block.size()));
    }
    if (item.kind != Kind::end_block) continue;
    n_open -= n_of_block.back();
    n_of_block.pop_back();
  }
  return shape;
}

/// The items behind the first `n_done` tokens, which end outside all blocks, up to the end of the last block.
inline std::span<const StructuredPrompt::Item> items_from(const StructuredPrompt& prompt, std::int32_t n_done) {
  using Kind = StructuredPrompt::Item::Kind;
  std::span<const StructuredPrompt::Item> items = prompt.items();
  if (!items.empty() && items.back().kind == Kind::tokens) items = items.first(items.size() - 1);
  std::int32_t depth = 0;
  while (!items.empty()) {
    const StructuredPrompt::Item& item = items.front();
    if (depth == 0 && item.first_token + item.n_tokens > n_done) break;
    if (depth == 0 && item.kind == Kind::begin_block && item.first_token == n_done) break;
    depth += item.kind == Kind::begin_block ? 1 : item.kind == Kind::end_block ? -1 : 0;
    items = items.subspan(1);
  }
  return items;
}

/// Appends to `sequence`, which sees the first `n_done` tokens, what follows them up to the end of the last block.
/// Returns the number of tokens. Positions are the prompt's own, hence `given`.
template <class Step>
std::int32_t append_blocks(Step& step, SequenceId sequence, const StructuredPrompt& prompt, std::int32_t n_done) {
  using Kind = StructuredPrompt::Item::Kind;
  struct Level {
    SequenceId parent;
    std::vector<SequenceId> children;
  };
  std::vector<Level> levels;
  std::int32_t n_rows = 0;
  for (const StructuredPrompt::Item& item : items_from(prompt, n_done)) {
    switch (item.kind) {
      case Kind::tokens: {
        const auto n_skipped = static_cast<std::size_t>(std::max(0, n_done - item.first_token));
        const auto tokens = prompt.tokens_of(item).subspan(n_skipped);
        step.append(sequence, tokens, Logits::none);
        n_rows += static_cast<std::int32_t>(tokens.size());
        break;
      }
      case Kind::begin_block: levels.push_back({sequence, {}}); break;
      case Kind::begin_branch: {
        const ForkOptions options{.positions = Positions::given, .starts = {&item.position, 1}};
        step.fork(levels.back().parent, std::span<SequenceId>(&sequence, 1), options);
        levels.back().children.push_back(sequence);
        break;
      }
      case Kind::end_branch: break;
      case Kind::end_block: {
        const Level level = std::move(levels.back());
        levels.pop_back();
        sequence = level.parent;
        if (!level.children.empty())
          step.join(sequence, std::span<const SequenceId>(level.children), {.next = item.position});
        break;
      }
    }
  }
  return n_rows;
}

}  // namespace anabranch::impl
