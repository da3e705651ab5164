#include "draft_tree.hpp"

#include <algorithm>

namespace loop {

namespace ab = anabranch;
using Tokens = std::vector<ab::TokenId>;

Stretch grow(ab::Step& step, ab::SequenceId sequence, std::span<const Tokens> drafts, std::size_t depth) {
  const Tokens& first = drafts.front();
  const Tokens& last = drafts.back();
  std::size_t end = depth;
  while (end < first.size() && first[end] == last[end]) ++end;  // sorted: what these two share, all do
  const auto at = [&](std::size_t i) { return first.begin() + static_cast<std::ptrdiff_t>(i); };
  Stretch stretch{sequence, Tokens(at(depth), at(end)), {}};
  step.append(sequence, stretch.tokens, ab::Logits::all);
  if (drafts.size() == 1) return stretch;

  std::vector<std::span<const Tokens>> groups;  // drafts with the same next token
  for (std::size_t i = 0, n = 0; i < drafts.size(); i += n) {
    for (n = 1; i + n < drafts.size() && drafts[i + n][end] == drafts[i][end];) ++n;
    groups.push_back(drafts.subspan(i, n));
  }
  const std::vector<ab::SequenceId> sequences = step.fork(sequence, static_cast<std::int32_t>(groups.size()));
  for (std::size_t i = 0; i < groups.size(); ++i) stretch.ways.push_back(grow(step, sequences[i], groups[i], end));
  return stretch;
}

Tokens accept(ab::Step& step, const ab::KvCache& cache, const Stretch& tree, const Says& says) {
  Tokens written;
  const Stretch* at = &tree;
  std::vector<ab::SequenceId> path;
  std::size_t n = 1;  // tokens of this stretch that stay
  for (;;) {
    const ab::TokenId next = says.at(at->sequence)[n - 1];
    written.push_back(next);
    if (n < at->tokens.size()) {
      if (at->tokens[n] != next) break;
      ++n;
      continue;
    }
    const auto way = std::find_if(at->ways.begin(), at->ways.end(),
                                  [&](const Stretch& stretch) { return stretch.tokens.front() == next; });
    if (way == at->ways.end()) break;
    at = &*way;
    path.push_back(at->sequence);
    n = 1;
  }
  for (const Stretch& way : at->ways) step.drop(way.sequence);
  const auto too_far = static_cast<std::int32_t>(at->tokens.size() - n);
  if (too_far > 0) step.rewind(at->sequence, cache.n_tokens(at->sequence) - too_far);
  for (const ab::SequenceId sequence : path) step.adopt(tree.sequence, sequence);
  return written;
}

std::int64_t n_rows(const Stretch& tree) {
  std::int64_t n = std::ssize(tree.tokens);
  for (const Stretch& way : tree.ways) n += n_rows(way);
  return n;
}

}  // namespace loop
