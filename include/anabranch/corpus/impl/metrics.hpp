// Counting of answers, and their sums.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>

#include <anabranch/corpus/metrics.hpp>
#include <anabranch/corpus/words.hpp>

namespace anabranch::corpus {
namespace impl {

/// Counts the 4-grams of all text tokens of an answer, in reading order.
inline void count_4grams(AnswerCounts& counts, const std::vector<TokenId>& tokens) {
  const NgramCount ngrams = count_ngrams(tokens, 4);
  counts.n_4grams = ngrams.n_all;
  counts.n_repeated_4grams = ngrams.n_repeated;
}

/// Adds the titles of one block, as words.
inline void count_titles(AnswerCounts& counts, const std::vector<std::string>& titles) {
  counts.n_titles += std::ssize(titles);
  counts.n_repeated_titles += count_repeated(titles);
}

/// The fault that a broken rule of the grammar is. None for those that training data may break: a block of one title,
/// a title without text.
constexpr Fault fault_of(markup::Breach breach) noexcept {
  using markup::Breach;
  switch (breach) {
    case Breach::title_not_closed: return Fault::title_open;
    case Breach::text_in_block: return Fault::text_in_block;
    case Breach::empty_title:
    case Breach::few_titles: return Fault::none;
    case Breach::stray_title_end:
    case Breach::tag_in_block:
    case Breach::stray_branch:
    case Breach::stray_branch_end:
    case Breach::stray_para_end: break;
  }
  return Fault::stray_tag;
}

/// Follows the tags of a whole answer: the grammar for each branch, and a stack of the branches that are open.
template <class Text>
class TagReader {
 public:
  TagReader(const markup::AspdTags& tags, const Text& text) : tags_(tags), text_(text) { open_.emplace_back(); }

  void read(TokenId token) {
    using markup::Symbol;
    const Symbol symbol = tags_.symbol(token);
    Branch& branch = open_.back();
    const markup::TagState before = branch.state;
    advance(branch.state, symbol, [this](markup::Breach breach) { note(fault_of(breach)); });
    switch (symbol) {
      case Symbol::text: return read_text(branch, token);
      case Symbol::title:
        if (!before.in_block) branch.titles.emplace_back();
        return;
      case Symbol::title_end: return;
      case Symbol::para:
        if (!before.in_block) start_block(branch);
        return;
      case Symbol::para_end:
        if (before.in_block) end_block(branch);
        return;
      case Symbol::branch:
        if (before.in_block) start_branch(branch);
        return;
      case Symbol::branch_end:
        if (before.in_branch && !before.in_block) end_branch();
        return;
    }
  }

  AnswerCounts finish() {
    check_end(open_.back());
    if (open_.size() > 1 || open_.back().state.in_block) note(Fault::not_closed);
    count_4grams(counts_, tokens_);
    return counts_;
  }

 private:
  using Tokens = std::vector<TokenId>;
  /// The trunk, or a branch that is not closed yet.
  struct Branch {
    markup::TagState state;
    std::vector<Tokens> titles;  ///< since the last block, or of the open one
    std::size_t n_branches = 0;  ///< of the open block
    Tokens prefix = {};          ///< that the branch must begin with
    std::size_t n_read = 0;      ///< of its text tokens, while they are part of the prefix
  };

  void note(Fault fault) {
    if (counts_.fault == Fault::none) counts_.fault = fault;
  }
  void start_block(Branch& branch) {
    if (branch.titles.empty()) note(Fault::block_without_title);
    branch.n_branches = 0;
    counts_.n_blocks += branch.titles.empty() ? 0 : 1;
    std::vector<std::string> keys;
    for (const Tokens& title : branch.titles) {
      std::string words;
      text_(std::span<const TokenId>(title), words);
      keys.push_back(word_key(words));
      counts_.n_title += std::ssize(title);
    }
    count_titles(counts_, keys);
  }
  void end_block(Branch& branch) {
    if (branch.n_branches != branch.titles.size()) note(Fault::branch_count);
    branch.titles.clear();
  }
  void start_branch(Branch& parent) {
    Branch child;
    child.state.in_branch = true;
    if (parent.n_branches < parent.titles.size() && !parent.titles[parent.n_branches].empty()) {
      child.prefix = parent.titles[parent.n_branches];
      child.prefix.insert(child.prefix.end(), tags_.title_separator.begin(), tags_.title_separator.end());
    }
    ++parent.n_branches;
    ++counts_.n_branches;
    open_.push_back(std::move(child));
  }
  void end_branch() {
    check_end(open_.back());
    open_.pop_back();
  }
  /// Notes what must not be left open where a branch or the answer ends.
  void check_end(const Branch& branch) {
    if (branch.state.in_title) note(Fault::title_open);
    if (!branch.titles.empty() && !branch.state.in_block) note(Fault::titles_unused);
    if (branch.n_read < branch.prefix.size()) note(Fault::branch_title);
  }
  void read_text(Branch& branch, TokenId token) {
    if (branch.state.in_title) return branch.titles.back().push_back(token);
    if (branch.n_read < branch.prefix.size() && branch.prefix[branch.n_read++] != token) note(Fault::branch_title);
    ++(open_.size() > 1 ? counts_.n_branch : counts_.n_serial);
    tokens_.push_back(token);
  }

  const markup::AspdTags& tags_;
  const Text& text_;
  std::vector<Branch> open_;
  AnswerCounts counts_;
  Tokens tokens_;
};

template <class Encode>
class SampleCounter {
 public:
  explicit SampleCounter(const Encode& encode) : encode_(encode) {}

  AnswerCounts run(const std::vector<Part>& parts) {
    visit(parts, counts_.n_serial);
    count_4grams(counts_, tokens_);
    return counts_;
  }

 private:
  /// The recursion is as deep as the sample. `n`: what its text tokens count as.
  void visit(const std::vector<Part>& parts, std::int64_t& n) {
    for (const Part& part : parts) {
      n += add(part.text);
      if (part.branches.empty()) continue;
      ++counts_.n_blocks;
      std::vector<std::string> keys;
      for (const PartBranch& branch : part.branches) {
        keys.push_back(word_key(branch.title));
        const std::int64_t n_title = add(branch.title);
        counts_.n_title += n_title;
        counts_.n_branch += n_title + (branch.title.empty() ? 0 : add(std::string(kTitleSeparator)));
        ++counts_.n_branches;
        visit(branch.parts, counts_.n_branch);
      }
      count_titles(counts_, keys);
    }
  }
  std::int64_t add(const std::string& text) {
    if (text.empty()) return 0;
    const std::vector<TokenId> tokens = encode_(text);
    tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
    return std::ssize(tokens);
  }

  const Encode& encode_;
  AnswerCounts counts_;
  std::vector<TokenId> tokens_;
};

}  // namespace impl

template <Detokenizer Text>
AnswerCounts count_tokens(std::span<const TokenId> tokens, const markup::AspdTags& tags, const Text& text) {
  impl::TagReader<Text> reader(tags, text);
  for (const TokenId token : tokens) reader.read(token);
  return reader.finish();
}

template <TextToTokens Encode>
AnswerCounts count_sample(const std::vector<Part>& parts, const Encode& encode) {
  return impl::SampleCounter<Encode>(encode).run(parts);
}

inline Metrics metrics(std::span<const AnswerCounts> answers) {
  using parallelism::ratio;
  Metrics m;
  AnswerCounts sum;
  std::int64_t n_parallel = 0;
  for (const AnswerCounts& a : answers) {
    ++m.faults[a.fault];
    sum.n_serial += a.n_serial;
    sum.n_branch += a.n_branch;
    sum.n_titles += a.n_titles;
    sum.n_repeated_titles += a.n_repeated_titles;
    sum.n_4grams += a.n_4grams;
    sum.n_repeated_4grams += a.n_repeated_4grams;
    if (a.n_blocks == 0) continue;
    ++n_parallel;
    m.abn += a.branches_per_block();
    m.apd += a.branch_share();
    m.ape += a.branch_efficiency();
  }
  m.n_answers = std::ssize(answers);
  m.ppd = ratio(n_parallel, m.n_answers);
  for (double* measure : {&m.abn, &m.apd, &m.ape})
    if (n_parallel > 0) *measure /= static_cast<double>(n_parallel);
  m.repeated_titles = ratio(sum.n_repeated_titles, sum.n_titles);
  m.repeated_4grams = ratio(sum.n_repeated_4grams, sum.n_4grams);
  m.well_formed = ratio(m.faults[Fault::none], m.n_answers);
  m.mean_tokens = ratio(sum.n_text(), m.n_answers);
  return m;
}

}  // namespace anabranch::corpus
