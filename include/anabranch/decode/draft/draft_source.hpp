// DraftSource: what a decoder asks about drafts: which tokens will probably follow, and how many rows they are worth.
//
// A draft is fed in the same pass as the token that it follows, as one more row. The model's logits there say what it
// samples: where that is the draft, the next token is known without a pass of its own; else the row is rejected. A
// source changes when a token is computed, never which one: it may propose anything.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <anabranch/decode/row_costs.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

/// The notes of a source about one level, by which it finds tokens again. The decoder holds it for as long as the
/// tokens can grow.
class DraftMemory {
 public:
  virtual ~DraftMemory() = default;
};

/// Tokens that a sequence sees, in one piece: the prompt, or what the trunk, or a branch, has written, with the joined
/// branches where they stand. Tokens of branches that still run are nowhere.
struct DraftLevel {
  std::span<const TokenId> tokens;  ///< grows from call to call; the last ones may have been taken back in between
  std::shared_ptr<DraftMemory>* memory = nullptr;  ///< the source's own; null until it sets it
};

/// A sequence that is about to sample.
struct DraftContext {
  std::span<const DraftLevel> levels;  ///< the prompt (empty where the decoder does not know it), the trunk, then the
                                       ///< branches of the sequence's path, itself the last
  std::int32_t n_most = 0;             ///< further tokens make no difference
};

/// Tokens that will probably follow, one after the other.
struct DraftChain {
  static constexpr std::size_t kKinds = 4;
  std::vector<TokenId> tokens;  ///< of the model's vocabulary
  double confidence = 0.5;      ///< that a token is right if those before it are, before anything was measured
  std::uint8_t kind = 0;        ///< < kKinds: how it was found; acceptance is measured for each. 0: by the markup
};

/// How often drafts were what the model sampled; older ones count less.
struct DraftRecord {
  float n_drafted = 0, n_accepted = 0;
  void add(bool is_accepted) noexcept {
    constexpr float kKept = 0.97f;
    n_drafted = kKept * n_drafted + 1;
    n_accepted = kKept * n_accepted + (is_accepted ? 1.0f : 0.0f);
  }
  /// Share that is accepted; `confidence` counts as much as some drafts.
  double acceptance(double confidence) const noexcept {
    constexpr double kWeight = 4;
    return (n_accepted + kWeight * confidence) / (n_drafted + kWeight);
  }
};

/// A sequence that samples in the pass, and the drafts that it could have. All sequences of a request that sample are
/// offered, one behind the other: they get on together, each by one token at a time.
struct DraftOffer {
  std::size_t request = 0;    ///< differs between requests
  std::int32_t n_tokens = 0;  ///< of its chain
  double acceptance = 0;      ///< of each token, if those before it are right
  std::int32_t n_rows = 0;    ///< chosen of them, the first ones
};

class DraftSource {
 public:
  /// Fills in the chain, which is empty. Called between the rows of decoding and the plan; the levels' tokens are
  /// borrowed until it returns. What it throws, Decoder::plan throws.
  virtual void propose(const DraftContext& context, DraftChain& chain) = 0;
  /// Sets `n_rows` of each offer. The pass holds `n_rows` rows without them, each of which sees about `n_keys` tokens.
  virtual void choose(std::span<DraftOffer> offers, std::int32_t n_rows, std::int32_t n_keys) = 0;
  /// A pass was run.
  virtual void learn(const RowCost& pass) noexcept = 0;

 protected:
  ~DraftSource() = default;
};

}  // namespace anabranch
