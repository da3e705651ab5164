// A DraftSource that proposes anything: what a branch is known to write, with mistakes in it, random tokens, tags, ends
// of text, too many, none; and chooses any number of rows. Nothing that is written may depend on it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include <anabranch/decode/draft/draft_source.hpp>

namespace anabranch::test {

class HostileDrafts final : public DraftSource {
 public:
  using Tokens = std::vector<TokenId>;
  /// `known`: texts of branches, blocks inside them included; tokens are drawn from [-1, n_vocabulary).
  HostileDrafts(std::uint32_t seed, std::vector<Tokens> known, std::uint32_t n_vocabulary)
      : random_(seed), known_(std::move(known)), n_vocabulary_(n_vocabulary) {}

  void propose(const DraftContext& context, DraftChain& chain) override {
    chain.kind = static_cast<std::uint8_t>(random_() % DraftChain::kKinds);
    chain.confidence = static_cast<double>(random_() % 100) / 100;
    if (random_() % 8 == 0) return;
    const std::size_t n = random_() % 14;
    const Tokens* const text = continuation(context.levels.back().tokens);
    for (std::size_t i = context.levels.back().tokens.size(); chain.tokens.size() < n; ++i) {
      const bool is_known = text != nullptr && i < text->size() && random_() % 12 != 0;
      chain.tokens.push_back(is_known ? (*text)[i] : static_cast<TokenId>(random_() % (n_vocabulary_ + 1)) - 1);
    }
  }
  void choose(std::span<DraftOffer> offers, std::int32_t, std::int32_t) override {
    const bool all = random_() % 2 == 0;
    for (DraftOffer& offer : offers) offer.n_rows = all ? offer.n_tokens : static_cast<std::int32_t>(random_() % 9) - 1;
  }
  void learn(const RowCost&) noexcept override {}

 private:
  /// Any of the texts that begin like this; null: none.
  const Tokens* continuation(std::span<const TokenId> begin) {
    const std::size_t first = known_.empty() ? 0 : random_() % known_.size();
    for (std::size_t k = 0; k < known_.size(); ++k) {
      const Tokens& text = known_[(first + k) % known_.size()];
      if (text.size() > begin.size() && std::equal(begin.begin(), begin.end(), text.begin())) return &text;
    }
    return nullptr;
  }

  std::mt19937 random_;
  std::vector<Tokens> known_;
  std::uint32_t n_vocabulary_;
};

}  // namespace anabranch::test
