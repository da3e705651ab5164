// CopyDrafter: proposes what followed the last tokens where they came before: in the prompt, in the answer so far, in
// branches that are joined. Answers about a document, lists, code and anything that repeats itself are full of it.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <span>

#include <anabranch/decode/draft/drafter.hpp>
#include <anabranch/decode/draft/ngram_index.hpp>

namespace anabranch {

/// The last three tokens are looked for, then the last two; the sequence's own writing comes first, then what those
/// above it wrote, then the prompt; of several places the last one. Each level has an index of its own, so branches
/// copy nothing of what they share. Amortised O(1) per token, times the depth of the branch.
class CopyDrafter {
 public:
  void propose(const DraftContext& context, DraftChain& chain) const {
    std::array<TokenId, kMostEqual> last;
    const std::span<const TokenId> end = last_of(context, last);
    for (const DraftLevel& level : context.levels) memory_of(level).update(level.tokens);
    for (const std::size_t n : {kLong, kShort})
      for (std::size_t k = context.levels.size(); k-- > 0 && end.size() >= n;) {
        const DraftLevel& level = context.levels[k];
        const std::size_t found = memory_of(level).of(n).find(level.tokens, end.last(n));
        if (found == NgramIndex::kNowhere) continue;
        copy(context, k, found, chain);
        return rate(n_equal(level.tokens.first(found), end), chain);
      }
  }

 private:
  static constexpr std::size_t kLong = 3, kShort = 2;
  static constexpr std::size_t kMostEqual = 6;  ///< tokens that are compared: the more, the surer

  struct Memory final : DraftMemory {
    NgramIndex of_long{kLong}, of_short{kShort};
    void update(std::span<const TokenId> tokens) {
      of_long.update(tokens);
      of_short.update(tokens);
    }
    const NgramIndex& of(std::size_t n) const noexcept { return n == kLong ? of_long : of_short; }
  };
  static Memory& memory_of(const DraftLevel& level) {
    if (*level.memory == nullptr) *level.memory = std::make_shared<Memory>();
    return static_cast<Memory&>(**level.memory);
  }

  /// The last tokens that the sequence sees, of all levels.
  static std::span<const TokenId> last_of(const DraftContext& context,
                                          std::array<TokenId, kMostEqual>& buffer) noexcept {
    std::size_t begin = buffer.size();
    for (std::size_t k = context.levels.size(); k-- > 0;) {
      const std::span<const TokenId> tokens = context.levels[k].tokens;
      for (std::size_t i = tokens.size(); i-- > 0 && begin > 0;) buffer[--begin] = tokens[i];
    }
    return std::span<const TokenId>(buffer).subspan(begin);
  }

  /// Copies what stands behind the first `begin` tokens of level k. Behind the sequence's last token stands what is
  /// copied itself: text that goes in circles.
  static void copy(const DraftContext& context, std::size_t k, std::size_t begin, DraftChain& chain) {
    const std::span<const TokenId> found = context.levels[k].tokens.subspan(begin);
    const auto below = context.levels.subspan(k + 1);
    const bool is_last =
        std::all_of(below.begin(), below.end(), [](const DraftLevel& level) { return level.tokens.empty(); });
    const auto n_most = static_cast<std::size_t>(context.n_most);
    for (std::size_t i = 0; i < (is_last ? n_most : std::min(n_most, found.size())); ++i)
      chain.tokens.push_back(i < found.size() ? found[i] : chain.tokens[i - found.size()]);
  }

  /// How many tokens at the ends of both are equal.
  static std::size_t n_equal(std::span<const TokenId> a, std::span<const TokenId> b) noexcept {
    std::size_t n = 0;
    while (n < std::min(a.size(), b.size()) && a[a.size() - 1 - n] == b[b.size() - 1 - n]) ++n;
    return n;
  }
  static void rate(std::size_t n_equal, DraftChain& chain) noexcept {
    chain.kind = n_equal < kLong ? 1 : n_equal < kMostEqual ? 2 : 3;
    chain.confidence = n_equal < kLong ? 0.3 : n_equal < kMostEqual ? 0.5 : 0.8;
  }
};
static_assert(Drafter<CopyDrafter>);

}  // namespace anabranch
