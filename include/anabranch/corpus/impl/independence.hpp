// The two passes of independence.hpp over one cache.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <string>
#include <utility>

#include <anabranch/cache/kv_cache.hpp>
#include <anabranch/corpus/independence.hpp>
#include <anabranch/decode/impl/rough_weights.hpp>
#include <anabranch/error.hpp>

namespace anabranch::corpus {
namespace impl {

inline std::size_t n_tokens(const BranchTokens& branch) noexcept { return branch.prefix.size() + branch.body.size(); }
inline std::size_t n_branch_tokens(const BlockTokens& block) noexcept {
  std::size_t n = 0;
  for (const BranchTokens& branch : block.branches) n += n_tokens(branch);
  return n;
}
inline std::size_t n_tokens(const BlockTokens& block) noexcept { return block.context.size() + n_branch_tokens(block); }

/// Log-probability of a token under a row of logits, to 1e-5: whole vocabularies for every scored token, so in vector
/// code.
inline double log_probability(std::span<const float> logits, TokenId token) {
  constexpr std::size_t kBlock = 256;
  const float best = *std::max_element(logits.begin(), logits.end());
  std::array<float, kBlock> weights;
  double sum = 0;
  std::size_t i = 0;
  for (; i + kBlock <= logits.size(); i += kBlock) {
    const std::span<const float, kBlock> block(logits.data() + i, kBlock);
    anabranch::impl::rough_weights(block, best, 1.0f, std::span<float, kBlock>(weights));
    sum += anabranch::impl::rough_sum(weights);
  }
  for (; i < logits.size(); ++i) sum += std::exp(logits[i] - best);
  return static_cast<double>(logits.data()[token]) - best - std::log(sum);
}

/// The payload of a sequence: the branch that it holds, and the token that its next row of logits predicts.
struct ScoredSequence {
  const BranchTokens* branch = nullptr;
  double* sum = nullptr;  ///< of log-likelihoods
  std::size_t next = 0;   ///< index into prefix and body together
};

template <class M>
class IndependencePasses {
 public:
  using Cache = BasicKvCache<ScoredSequence>;

  IndependencePasses(M& model, std::span<const BlockTokens> blocks, const IndependenceOptions& options)
      : model_(model), blocks_(blocks), options_(options), scores_(blocks.size()) {
    check();
    cut_groups();
  }

  std::vector<BlockScores> run() {
    Cache cache(cache_options());
    for (std::size_t k = 0; k + 1 < groups_.size(); ++k) run_group(cache, groups_[k], groups_[k + 1]);
    return std::move(scores_);
  }

 private:
  void check() const {
    if (options_.max_rows < 1) fail(Status::bad_argument, "max_rows is ", options_.max_rows, ", must be at least 1");
    if (options_.max_position < 0)
      fail(Status::bad_argument, "max_position is ", options_.max_position, ", must not be negative");
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      if (blocks_[i].context.empty())
        fail(Status::bad_argument, "block ", i, " has no context; at least one token is needed");
      if (std::cmp_greater(n_tokens(blocks_[i]), options_.max_position))
        fail(Status::out_of_range, "block ", i, " has ", n_tokens(blocks_[i]), " tokens, the model takes ",
             options_.max_position);
    }
  }

  /// groups_: index of each group's first block, and the end.
  void cut_groups() {
    std::size_t n_rows = 0;
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      if (i == 0 || std::cmp_greater(n_rows + n_tokens(blocks_[i]), options_.max_rows)) {
        groups_.push_back(i);
        n_rows = 0;
      }
      n_rows += n_tokens(blocks_[i]);
    }
    groups_.push_back(blocks_.size());
  }

  /// Room for the largest group: its contexts, and its branches twice, because pages come free at a commit.
  CacheOptions cache_options() const {
    CacheOptions options;
    const auto page = static_cast<std::size_t>(options.page_size);
    std::size_t most = 1;
    std::size_t deepest = 0;
    for (std::size_t k = 0; k + 1 < groups_.size(); ++k) {
      std::size_t n_pages = 0;
      for (const BlockTokens& block : blocks_.subspan(groups_[k], groups_[k + 1] - groups_[k])) {
        n_pages += (n_tokens(block) + n_branch_tokens(block)) / page + 2 * (2 * block.branches.size() + 1);
        deepest = std::max(deepest, block.branches.size());
      }
      most = std::max(most, n_pages);
    }
    options.n_pages = static_cast<std::int32_t>(most);
    options.max_depth = static_cast<std::int32_t>(deepest) + 1;
    options.max_position = options_.max_position;
    return options;
  }

  void run_group(Cache& cache, std::size_t begin, std::size_t end) {
    std::vector<SequenceId> trunks;
    std::vector<SequenceId> open;  // the branches of the hidden pass
    auto hidden = cache.begin_step();
    for (std::size_t i = begin; i < end; ++i) {
      trunks.push_back(hidden.create_sequence());
      hidden.append(trunks.back(), blocks_[i].context);
      scores_[i].resize(blocks_[i].branches.size());
      each_branch(i, [&](const BranchTokens& branch, BranchScore& score, Position start) {
        open.push_back(grow(cache, hidden, trunks.back(), start, {&branch, &score.hidden, 0}));
      });
    }
    pass(cache, hidden);
    auto visible = cache.begin_step();
    for (const SequenceId sequence : open) visible.drop(sequence);
    for (std::size_t i = begin; i < end; ++i) {
      SequenceId before = trunks[i - begin];
      each_branch(i, [&](const BranchTokens& branch, BranchScore& score, Position start) {
        before = grow(cache, visible, before, start, {&branch, &score.visible, 0});
      });
    }
    pass(cache, visible);
    auto clear = cache.begin_step();
    for (const SequenceId trunk : trunks) clear.drop(trunk);
    pass(cache, clear);
    for (std::size_t i = begin; i < end; ++i) finish(i);
  }

  /// Calls visit(branch, its score, its first position).
  template <class Visit>
  void each_branch(std::size_t i, Visit&& visit) {
    auto start = static_cast<Position>(blocks_[i].context.size());
    for (std::size_t k = 0; k < blocks_[i].branches.size(); ++k) {
      const BranchTokens& branch = blocks_[i].branches[k];
      visit(branch, scores_[i][k], start);
      if (options_.starts == BranchStarts::successive) start += static_cast<Position>(n_tokens(branch));
    }
  }

  static std::size_t first_scored(const BranchTokens& branch) noexcept {
    return std::max<std::size_t>(1, branch.prefix.size());
  }
  static std::size_t n_scored(const BranchTokens& branch) noexcept {
    return n_tokens(branch) - std::min(first_scored(branch), n_tokens(branch));
  }

  /// Forks a sequence from `parent` and appends the branch; asks for the logits of the row before each scored token.
  SequenceId grow(Cache& cache, typename Cache::Step& step, SequenceId parent, Position start,
                  ScoredSequence scored) const {
    const BranchTokens& branch = *scored.branch;
    const Position starts[] = {start};
    const SequenceId sequence = step.fork(parent, 1, {.positions = Positions::given, .starts = starts}).front();
    scored.next = first_scored(branch);
    cache.payload(sequence) = scored;
    std::vector<TokenId> tokens = branch.prefix;
    tokens.insert(tokens.end(), branch.body.begin(), branch.body.end());
    const std::span<const TokenId> all = tokens;
    const std::size_t n = n_scored(branch);
    const std::size_t from = n > 0 ? scored.next - 1 : 0;
    if (from > 0) step.append(sequence, all.first(from));
    if (n > 0) step.append(sequence, all.subspan(from, n), Logits::all);
    if (from + n < all.size()) step.append(sequence, all.subspan(from + n));
    return sequence;
  }

  void pass(Cache& cache, typename Cache::Step& step) {
    const PlanResult plan = step.plan();
    ANABRANCH_ASSERT(plan);  // cache_options made room
    if (plan->n_rows() > 0) {
      const LogitsView logits = model_(*plan);
      std::vector<float> converted;
      for (std::size_t i = 0; i < plan->outputs.size(); ++i) {
        ScoredSequence& scored = cache.payload(plan->outputs[i].sequence);
        const std::size_t n_prefix = scored.branch->prefix.size();
        const TokenId token =
            scored.next < n_prefix ? scored.branch->prefix[scored.next] : scored.branch->body[scored.next - n_prefix];
        *scored.sum += log_probability(logits.row(static_cast<std::int32_t>(i), converted), token);
        ++scored.next;
      }
    }
    step.commit();
  }

  /// From sums to means.
  void finish(std::size_t i) {
    for (std::size_t k = 0; k < scores_[i].size(); ++k) {
      BranchScore& score = scores_[i][k];
      score.n_tokens = static_cast<std::int32_t>(n_scored(blocks_[i].branches[k]));
      if (score.n_tokens == 0) continue;
      score.visible /= score.n_tokens;
      score.hidden /= score.n_tokens;
    }
  }

  M& model_;
  std::span<const BlockTokens> blocks_;
  const IndependenceOptions& options_;
  std::vector<BlockScores> scores_;
  std::vector<std::size_t> groups_;
};

}  // namespace impl

template <Model M>
std::vector<BlockScores> independence(M& model, std::span<const BlockTokens> blocks,
                                      const IndependenceOptions& options) {
  return impl::IndependencePasses<M>(model, blocks, options).run();
}

}  // namespace anabranch::corpus
