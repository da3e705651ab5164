// Can the branches of a block be written without seeing each other? Measured by a model that was not trained for it.
//
// The tokens of each branch are scored twice: with its earlier siblings visible, as in plain text, and with all
// siblings hidden, as branches are decoded. Positions are the same in both passes; only visibility differs. What a
// branch loses when its siblings are hidden, as mean log-likelihood per token, says how much it depends on them.
//
//   hidden   each branch is forked from the trunk          trunk -+- A       visible   trunk - A - B - C
//                                                                 +- B                 each branch is a sequence
//                                                                 +- C                 forked from the one before it
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <anabranch/corpus/parts.hpp>
#include <anabranch/decode/model.hpp>
#include <anabranch/types.hpp>

namespace anabranch::corpus {

struct BranchTokens {
  std::vector<TokenId> prefix;  ///< title and separator: seen, not scored
  std::vector<TokenId> body;    ///< scored; without a prefix all but the first, which nothing of the branch precedes
};

/// One block to be scored.
struct BlockTokens {
  std::vector<TokenId> context;  ///< all that stands before it, the prompt included; at least one token
  std::vector<BranchTokens> branches;
};

struct BranchScore {
  double visible = 0;         ///< mean log-likelihood per scored token, in nats, earlier siblings visible
  double hidden = 0;          ///< the same, siblings hidden
  std::int32_t n_tokens = 0;  ///< scored
  /// The cost of hiding the siblings, in nats per token; about 0 for the first branch of a block.
  double loss() const noexcept { return visible - hidden; }
};
/// One score per branch of a block.
using BlockScores = std::vector<BranchScore>;

/// Where branches start, in both passes.
enum class BranchStarts : std::uint8_t {
  successive,  ///< each where the one before it ends: the visible pass is plain text, as the model knows it
  together,    ///< all right behind the context, as the policies `sequential` and `longest` decode them: only for a
               ///< model that was trained so; to others the visible pass is no text
};

struct IndependenceOptions {
  BranchStarts starts = BranchStarts::successive;
  std::int32_t max_rows = 512;         ///< of a pass; blocks share passes up to it, a larger block has its own
  Position max_position = kUnlimited;  ///< the model's maximum
};

/// Scores all blocks, in two passes for each group that fits into `max_rows`; the context is computed once for both.
/// Throws bad_argument (an empty context, an option), out_of_range (a block longer than the model's maximum) and what
/// the model throws. Logits take rows * vocabulary * 4 bytes.
template <Model M>
std::vector<BlockScores> independence(M& model, std::span<const BlockTokens> blocks,
                                      const IndependenceOptions& options = {});

/// The blocks of a sample, outer ones before those inside them, in reading order. The context of a nested block is
/// what its branch sees: no siblings. Each text is encoded on its own, as decoding does it.
template <TextToTokens Encode>
std::vector<BlockTokens> block_tokens(const std::vector<Part>& parts, const std::vector<TokenId>& prompt,
                                      const Encode& encode);

/// The sample with each branch that loses more than `threshold` turned into serial text, where it then sees all before
/// it. What is left of its block on either side stays a block if it has two branches, else is serial too.
/// `scores`: one per block, in the order of `block_tokens`; throws bad_argument when they do not fit.
std::vector<Part> merge_dependent(const std::vector<Part>& parts, std::span<const BlockScores> scores,
                                  double threshold);

}  // namespace anabranch::corpus

#include <anabranch/corpus/impl/independence.hpp>
#include <anabranch/corpus/impl/sample_blocks.hpp>
