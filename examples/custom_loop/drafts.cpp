#include "drafts.hpp"

#include <algorithm>
#include <cstddef>

namespace loop {
namespace {

using Tokens = std::vector<anabranch::TokenId>;

bool starts_with(const Tokens& longer, const Tokens& shorter) {
  return shorter.size() <= longer.size() && std::equal(shorter.begin(), shorter.end(), longer.begin());
}

/// Adds a draft unless another says the same and more.
void add(std::vector<Tokens>& drafts, const Tokens& draft) {
  if (draft.empty()) return;
  for (Tokens& other : drafts) {
    if (starts_with(other, draft)) return;
    if (!starts_with(draft, other)) continue;
    other = draft;
    return;
  }
  drafts.push_back(draft);
}

}  // namespace

std::vector<Tokens> look_up(std::span<const anabranch::TokenId> text, const DraftOptions& options) {
  std::vector<Tokens> drafts;
  const auto length = static_cast<std::size_t>(std::max(0, options.length));
  if (length == 0) return drafts;
  for (std::int32_t match = options.max_match; match >= std::max(1, options.min_match); --match) {
    const auto n = static_cast<std::size_t>(match);
    if (text.size() <= n) continue;
    const auto ending = text.last(n);
    for (std::size_t at = text.size() - n; at-- > 0;) {
      if (std::ssize(drafts) >= options.n_drafts) break;
      if (!std::equal(ending.begin(), ending.end(), text.begin() + static_cast<std::ptrdiff_t>(at))) continue;
      const auto after = text.subspan(at + n, std::min(length, text.size() - at - n));
      const auto end = std::find_first_of(after.begin(), after.end(), options.ends.begin(), options.ends.end());
      add(drafts, Tokens(after.begin(), end));
    }
  }
  std::sort(drafts.begin(), drafts.end());
  return drafts;
}

}  // namespace loop
