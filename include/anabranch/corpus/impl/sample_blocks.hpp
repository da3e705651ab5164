// From a sample to blocks that can be scored, and from scores back to a sample. Recursions are as deep as the sample.
#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include <anabranch/corpus/independence.hpp>
#include <anabranch/error.hpp>

namespace anabranch::corpus {
namespace impl {

template <class Encode>
class BlockTokensMaker {
 public:
  explicit BlockTokensMaker(const Encode& encode) : encode_(encode), separator_(encode(kTitleSeparator)) {}

  std::vector<BlockTokens> run(const std::vector<Part>& parts, std::vector<TokenId> prompt) {
    visit(parts, prompt);
    return std::move(blocks_);
  }

 private:
  static void add(std::vector<TokenId>& out, const std::vector<TokenId>& tokens) {
    out.insert(out.end(), tokens.begin(), tokens.end());
  }

  std::vector<TokenId> prefix_of(const PartBranch& branch) const {
    std::vector<TokenId> out;
    if (branch.title.empty()) return out;
    out = encode_(branch.title);
    add(out, separator_);
    return out;
  }

  /// All tokens of the parts in reading order.
  void add_all(std::vector<TokenId>& out, const std::vector<Part>& parts) const {
    for (const Part& part : parts) {
      if (!part.text.empty()) add(out, encode_(part.text));
      for (const PartBranch& branch : part.branches) {
        add(out, prefix_of(branch));
        add_all(out, branch.parts);
      }
    }
  }

  /// Makes the blocks of the parts, which stand behind `context`.
  void visit(const std::vector<Part>& parts, std::vector<TokenId> context) {
    for (const Part& part : parts) {
      if (!part.branches.empty()) visit_block(part, context);
      add_all(context, {part});
    }
  }

  void visit_block(const Part& block, const std::vector<TokenId>& context) {
    const std::size_t at = blocks_.size();
    blocks_.push_back({context, {}});
    for (const PartBranch& branch : block.branches) {
      BranchTokens tokens{prefix_of(branch), {}};
      add_all(tokens.body, branch.parts);
      std::vector<TokenId> inside = context;
      add(inside, tokens.prefix);
      blocks_[at].branches.push_back(std::move(tokens));
      visit(branch.parts, std::move(inside));
    }
  }

  const Encode& encode_;
  std::vector<TokenId> separator_;
  std::vector<BlockTokens> blocks_;
};

class DependentMerger {
 public:
  DependentMerger(std::span<const BlockScores> scores, double threshold) : scores_(scores), threshold_(threshold) {}

  std::vector<Part> run(const std::vector<Part>& parts) {
    std::vector<Part> out = merged(parts);
    if (next_ != scores_.size()) fail(Status::bad_argument, scores_.size(), " block scores for ", next_, " blocks");
    return out;
  }

 private:
  std::vector<Part> merged(const std::vector<Part>& parts) {
    std::vector<Part> out;
    for (const Part& part : parts) {
      if (part.branches.empty()) {
        append_text(out, part.text);
      } else {
        merge_block(part, out);
      }
    }
    return out;
  }

  void merge_block(const Part& block, std::vector<Part>& out) {
    const BlockScores& scores = scores_of(block);
    Part open;  // independent branches since the last one that was merged
    for (std::size_t k = 0; k < block.branches.size(); ++k) {
      PartBranch branch{block.branches[k].title, merged(block.branches[k].parts)};
      if (scores[k].loss() > threshold_) {
        flush(open, out);
        append_text(out, reading_text(branch));
      } else {
        open.branches.push_back(std::move(branch));
      }
    }
    flush(open, out);
  }

  const BlockScores& scores_of(const Part& block) {
    if (next_ >= scores_.size()) fail(Status::bad_argument, scores_.size(), " block scores are too few for the sample");
    const BlockScores& scores = scores_[next_++];
    if (scores.size() != block.branches.size())
      fail(Status::bad_argument, scores.size(), " branch scores for a block of ", block.branches.size(), " branches");
    return scores;
  }

  static void flush(Part& open, std::vector<Part>& out) {
    if (open.branches.size() >= 2) {
      out.push_back(std::move(open));
    } else if (open.branches.size() == 1) {
      append_text(out, reading_text(open.branches.front()));
    }
    open = {};
  }

  std::span<const BlockScores> scores_;
  double threshold_;
  std::size_t next_ = 0;
};

}  // namespace impl

template <TextToTokens Encode>
std::vector<BlockTokens> block_tokens(const std::vector<Part>& parts, const std::vector<TokenId>& prompt,
                                      const Encode& encode) {
  return impl::BlockTokensMaker<Encode>(encode).run(parts, prompt);
}

inline std::vector<Part> merge_dependent(const std::vector<Part>& parts, std::span<const BlockScores> scores,
                                         double threshold) {
  return impl::DependentMerger(scores, threshold).run(parts);
}

}  // namespace anabranch::corpus
