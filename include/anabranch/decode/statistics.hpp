// Statistics: the cost of an answer and how parallel it is, in numbers (those of the ASPD paper, per answer).
#pragma once

#include <cstdint>

#include <anabranch/decode/parallelism.hpp>

namespace anabranch {

struct Statistics {
  // Every token of the answer, forced or sampled, counts in exactly one of these four:
  std::int32_t n_serial = 0;  ///< text on the trunk
  std::int32_t n_branch = 0;  ///< text in branches, the title at a branch's start included
  std::int32_t n_title = 0;   ///< titles and outline, which the reader does not see
  std::int32_t n_tag = 0;     ///< control tokens
  // Where they came from:
  std::int32_t n_prompt = 0;
  std::int32_t n_reused = 0;     ///< tokens of the prompt that were found in a prefix cache, and not computed
  std::int32_t n_sampled = 0;    ///< end of text and tokens taken back included
  std::int32_t n_forced = 0;     ///< tags and prefixes that were not sampled
  std::int32_t n_forgotten = 0;  ///< taken back by the markup; still counted above if they had been fed
  // Shape:
  std::int32_t n_blocks = 0;    ///< forks with at least one branch
  std::int32_t n_branches = 0;  ///< over all blocks
  // Cost:
  std::int32_t n_passes = 0;        ///< committed passes that held rows of this request
  std::int32_t n_prefill = 0;       ///< those of them that held part of the prompt
  std::int32_t n_drafted = 0;       ///< rows that were drafts: tokens that were fed before they were sampled
  std::int32_t n_accepted = 0;      ///< those of them that stand in the answer; the others were rejected
  std::int32_t n_passes_saved = 0;  ///< by them: passes that would have been needed without drafts
  bool ended_by_text = false;       ///< the model ended the answer itself, with an end-of-text token

  /// Useful text: no control tokens, no title counted twice.
  constexpr std::int32_t n_text() const noexcept { return n_serial + n_branch; }
  /// Passes of a decoder that writes the same text one token a pass, with the same prefill.
  constexpr std::int32_t n_serial_passes() const noexcept {
    const std::int32_t sampled = n_text() + (ended_by_text ? 1 : 0);
    return n_prefill + (sampled > 1 ? sampled - 1 : 0);
  }
  /// Is it one of the answers that PPD (share of answers with a block) counts?
  constexpr bool parallel() const noexcept { return n_blocks > 0; }
  /// ABN: branches per block.
  constexpr double branches_per_block() const noexcept { return parallelism::branches_per_block(n_branches, n_blocks); }
  /// APD: share of the text that was written in branches.
  constexpr double branch_share() const noexcept { return parallelism::branch_share(n_branch, n_text()); }
  /// APE: share of the branch tokens that titles do not repeat.
  constexpr double branch_efficiency() const noexcept { return parallelism::branch_efficiency(n_branch, n_title); }
  friend constexpr bool operator==(const Statistics&, const Statistics&) = default;
};

}  // namespace anabranch
