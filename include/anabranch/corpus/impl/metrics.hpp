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

/// Follows the tags of a token sequence with a stack of its own.
template <class Text>
class TagReader {
 public:
  TagReader(const markup::AspdTags& tags, const Text& text) : tags_(tags), text_(text) { open_.emplace_back(); }

  void read(TokenId token) {
    if (token == tags_.title) return title();
    if (token == tags_.title_end) return title_end();
    if (token == tags_.para) return para();
    if (token == tags_.branch) return branch();
    if (token == tags_.branch_end) return branch_end();
    if (token == tags_.para_end) return para_end();
    text_token(token);
  }

  AnswerCounts finish() {
    end_line();
    if (open_.size() > 1 || open_.back().in_block) fault(Fault::not_closed);
    count_4grams(counts_, tokens_);
    return counts_;
  }

 private:
  using Tokens = std::vector<TokenId>;
  /// The trunk, or a branch that is not closed yet.
  struct Line {
    std::vector<Tokens> titles;  ///< since the last block, or of the open one
    std::size_t n_branches = 0;  ///< of the open block
    bool in_title = false;
    bool in_block = false;
    Tokens prefix = {};      ///< that a branch must begin with
    std::size_t n_read = 0;  ///< of its text tokens, while they are part of the prefix
  };

  void fault(Fault fault) {
    if (counts_.fault == Fault::none) counts_.fault = fault;
  }
  void title() {
    Line& line = open_.back();
    if (line.in_title) fault(Fault::title_open);
    if (line.in_block) return fault(Fault::stray_tag);
    line.titles.emplace_back();
    line.in_title = true;
  }
  void title_end() {
    Line& line = open_.back();
    if (!line.in_title) fault(Fault::stray_tag);
    line.in_title = false;
  }
  void para() {
    Line& line = open_.back();
    if (line.in_block) return fault(Fault::stray_tag);
    if (line.in_title) fault(Fault::title_open);
    if (line.titles.empty()) fault(Fault::block_without_title);
    line.in_title = false;
    line.in_block = true;
    line.n_branches = 0;
    counts_.n_blocks += line.titles.empty() ? 0 : 1;
    std::vector<std::string> keys;
    for (const Tokens& title : line.titles) {
      std::string words;
      text_(std::span<const TokenId>(title), words);
      keys.push_back(word_key(words));
      counts_.n_title += std::ssize(title);
    }
    count_titles(counts_, keys);
  }
  void branch() {
    Line& line = open_.back();
    if (!line.in_block) return fault(Fault::stray_tag);
    Line child;
    if (line.n_branches < line.titles.size() && !line.titles[line.n_branches].empty()) {
      child.prefix = line.titles[line.n_branches];
      child.prefix.insert(child.prefix.end(), tags_.title_separator.begin(), tags_.title_separator.end());
    }
    ++line.n_branches;
    ++counts_.n_branches;
    open_.push_back(std::move(child));
  }
  void branch_end() {
    if (open_.size() == 1 || open_.back().in_block) return fault(Fault::stray_tag);
    end_line();
    open_.pop_back();
  }
  /// Marks that must not be left open where a line ends.
  void end_line() {
    const Line& line = open_.back();
    if (line.in_title) fault(Fault::title_open);
    if (!line.titles.empty() && !line.in_block) fault(Fault::titles_unused);
    if (line.n_read < line.prefix.size()) fault(Fault::branch_title);
  }
  void para_end() {
    Line& line = open_.back();
    if (!line.in_block) return fault(Fault::stray_tag);
    if (line.n_branches != line.titles.size()) fault(Fault::branch_count);
    line.in_block = false;
    line.titles.clear();
  }
  void text_token(TokenId token) {
    Line& line = open_.back();
    if (line.in_title) return line.titles.back().push_back(token);
    if (line.in_block) fault(Fault::text_in_block);
    if (line.n_read < line.prefix.size() && line.prefix[line.n_read++] != token) fault(Fault::branch_title);
    ++(open_.size() > 1 ? counts_.n_branch : counts_.n_serial);
    tokens_.push_back(token);
  }

  const markup::AspdTags& tags_;
  const Text& text_;
  std::vector<Line> open_;
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
    ++m.faults[static_cast<std::size_t>(a.fault)];
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
  m.well_formed = ratio(m.faults[0], m.n_answers);
  m.mean_tokens = ratio(sum.n_text(), m.n_answers);
  return m;
}

}  // namespace anabranch::corpus
