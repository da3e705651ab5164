// The checks of format.hpp, one function for each level of a sample.
#pragma once

#include <algorithm>
#include <array>
#include <utility>

#include <anabranch/corpus/format.hpp>
#include <anabranch/corpus/impl/lines.hpp>
#include <anabranch/corpus/words.hpp>

namespace anabranch::corpus {
namespace impl {

/// The branch's own text, without its title.
inline std::string body_text(const PartBranch& branch) {
  std::string out;
  append_reading_text(branch.parts, out);
  return out;
}

/// Does the text end as a sentence, a code block, a list or a formula does?
inline bool ends_sentence(std::string_view text) {
  while (!text.empty() && (is_space(text.back()) || text.back() == '*' || text.back() == '_')) text.remove_suffix(1);
  if (text.empty()) return true;
  static constexpr std::array<std::string_view, 4> kEnds = {"…", "”", "’", "。"};
  for (const std::string_view end : kEnds)
    if (text.size() >= end.size() && text.substr(text.size() - end.size()) == end) return true;
  return std::string_view(".!?;)\"'`|]}>$").find(text.back()) != std::string_view::npos;
}

inline bool ends_with_colon(std::string_view text) {
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return !text.empty() && text.back() == ':';
}

/// Is a code fence still open at the end of the text?
inline bool fence_open(std::string_view text) {
  const std::vector<Line> lines = read_lines(text);
  if (lines.empty() || lines.back().after != lines.size()) return false;
  std::size_t open = lines.size() - 1;
  while (open > 0 && lines[open - 1].after == lines.size()) --open;
  const Line& first = lines[open];
  const std::size_t at = first.marker ? first.marker.content : first.text;
  if (fence_length(text, at, first.end) == 0) return false;
  const Line& last = lines.back();
  return open + 1 == lines.size() || fence_length(text, last.text, last.end) == 0;
}

class FormatCheck {
 public:
  explicit FormatCheck(const FormatLimits& limits) : limits_(limits) {}

  std::vector<Finding> run(const std::vector<Part>& parts) {
    const std::string text = reading_text(parts);
    if (trim_front(text).empty()) add(Reason::empty_answer, "no text");
    check_parts(parts, 1);
    check_loop(text, limits_.max_repeated_in_answer, "the answer");
    check_end(parts, text);
    return std::move(findings_);
  }

 private:
  static std::string_view trim_front(std::string_view text) {
    while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
    return text;
  }
  static std::string shown(std::string_view text) {
    constexpr std::size_t kMost = 60;
    return "'" + std::string(text.substr(0, kMost)) + (text.size() > kMost ? "...'" : "'");
  }
  void add(Reason reason, std::string text) { findings_.push_back({reason, std::move(text)}); }
  /// `what`: who has how many of what, with `#` for the number.
  void check_count(std::size_t n, std::int32_t most, Reason reason, const std::string& what) {
    if (std::cmp_greater(n, std::max(most, 0)))
      add(reason, with_number(what, n) + ", at most " + std::to_string(most) + " are allowed");
  }
  void check_least(std::size_t n, std::int32_t least, Reason reason, const std::string& what) {
    if (std::cmp_less(n, least))
      add(reason, with_number(what, n) + ", at least " + std::to_string(least) + " are needed");
  }
  static std::string with_number(std::string what, std::size_t n) {
    return what.replace(what.rfind('#'), 1, std::to_string(n));
  }
  void check_loop(std::string_view text, double most, const std::string& what) {
    const double share = repetition(text);
    if (share > most)
      add(Reason::looping_text, "of the word 4-grams of " + what + " " + std::to_string(share) +
                                    " are repeated, at most " + std::to_string(most) + " may be");
  }

  /// The recursion is as deep as the sample.
  void check_parts(const std::vector<Part>& parts, std::int32_t depth) {
    for (const Part& part : parts) {
      if (part.branches.empty()) {
        check_loop(part.text, limits_.max_repeated_ngrams, "serial text");
        continue;
      }
      if (depth > limits_.max_depth)
        add(Reason::too_deep, "a block at level " + std::to_string(depth) + ", at most " +
                                  std::to_string(limits_.max_depth) + " are allowed");
      check_least(part.branches.size(), limits_.min_branches, Reason::too_few_branches, "a block has # branches");
      check_count(part.branches.size(), limits_.max_branches, Reason::too_many_branches, "a block has # branches");
      check_titles(part);
      check_bodies(part);
      for (const PartBranch& branch : part.branches) check_parts(branch.parts, depth + 1);
    }
  }

  void check_titles(const Part& block) {
    std::vector<std::string> keys;
    for (const PartBranch& branch : block.branches) {
      const std::string key = word_key(branch.title);
      check_title(branch.title, key);
      if (!key.empty() && std::find(keys.begin(), keys.end(), key) != keys.end())
        add(Reason::title_repeated, "title " + shown(branch.title) + " occurs again in its block");
      keys.push_back(key);
    }
  }

  void check_title(const std::string& title, const std::string& key) {
    if (title.empty()) return add(Reason::title_empty, "a branch has no title");
    check_count(title.size(), limits_.max_title_bytes, Reason::title_too_long,
                "title " + shown(title) + " has # bytes");
    const bool marked = title.find("**") != std::string::npos || title.find("```") != std::string::npos;
    if (marked || title.find('\n') != std::string::npos || key.empty())
      add(Reason::title_markup, "title " + shown(title) + " holds markup, a line break or no word");
  }

  void check_bodies(const Part& block) {
    std::vector<std::string> bodies;
    for (const PartBranch& branch : block.branches) {
      bodies.push_back(body_text(branch));
      const std::size_t n = words(bodies.back()).size();
      if (ends_with_colon(bodies.back()))
        add(Reason::unfinished, "branch " + shown(branch.title) + " ends with a colon: what it announces is missing");
      check_least(n, limits_.min_body_words, Reason::body_too_short, "branch " + shown(branch.title) + " has # words");
      check_count(n, limits_.max_body_words, Reason::body_too_long, "branch " + shown(branch.title) + " has # words");
    }
    for (std::size_t i = 0; i < bodies.size(); ++i)
      for (std::size_t k = 0; k < i; ++k) check_pair(block, bodies, k, i);
  }

  void check_pair(const Part& block, const std::vector<std::string>& bodies, std::size_t k, std::size_t i) {
    const std::string both = shown(block.branches[k].title) + " and " + shown(block.branches[i].title);
    if (words(bodies[k]) == words(bodies[i])) return add(Reason::body_repeated, "branches " + both + " say the same");
    const double overlap = ngram_overlap(bodies[k], bodies[i]);
    if (overlap > limits_.max_overlap)
      add(Reason::branches_redundant, "branches " + both + " share " + std::to_string(overlap) +
                                          " of their word 3-grams, at most " + std::to_string(limits_.max_overlap) +
                                          " may be");
  }

  /// An answer breaks off when a code fence stays open, or when its last sentence has no end though others do.
  void check_end(const std::vector<Part>& parts, const std::string& text) {
    if (fence_open(text)) return add(Reason::unfinished, "a code fence is not closed");
    if (parts.empty() || ends_sentence(text)) return;
    std::size_t n_ended = 0;
    std::size_t n_others = 0;
    if (!parts.back().branches.empty()) {
      const auto& branches = parts.back().branches;
      n_others = branches.size() - 1;
      for (std::size_t i = 0; i + 1 < branches.size(); ++i) n_ended += ends_sentence(body_text(branches[i])) ? 1u : 0u;
    } else {
      const std::string_view last = parts.back().text;
      n_others = 1;
      n_ended =
          last.find(". ") != std::string_view::npos || last.find(".\n") != std::string_view::npos || last.back() == ',';
    }
    if (2 * n_ended > n_others) add(Reason::unfinished, "the answer ends with " + shown(last_bytes(text)));
  }
  static std::string_view last_bytes(std::string_view text) {
    while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
    return text.substr(text.size() - std::min<std::size_t>(text.size(), 30));
  }

  const FormatLimits& limits_;
  std::vector<Finding> findings_;
};

}  // namespace impl

inline std::vector<Finding> check_format(const std::vector<Part>& parts, const FormatLimits& limits) {
  return impl::FormatCheck(limits).run(parts);
}

inline std::vector<Finding> check_round_trip(const BranchText& tree, std::string_view answer) {
  const std::string text = reading_text(tree);
  if (text == answer) return {};
  const auto [a, b] = std::mismatch(text.begin(), text.end(), answer.begin(), answer.end());
  return {{Reason::round_trip, "the tree's text differs from the answer at byte " + std::to_string(a - text.begin())}};
}

inline double redundancy(const Part& block) {
  std::vector<std::string> bodies;
  for (const PartBranch& branch : block.branches) bodies.push_back(impl::body_text(branch));
  double largest = 0;
  for (std::size_t i = 0; i < bodies.size(); ++i)
    for (std::size_t k = 0; k < i; ++k) largest = std::max(largest, ngram_overlap(bodies[k], bodies[i]));
  return largest;
}

inline void ReasonCounts::add(const std::vector<Finding>& findings) {
  EnumArray<Reason, bool, kReasons> found{};
  for (const Finding& finding : findings) found[finding.reason] = true;
  for (std::size_t i = 0; i < kReasons; ++i) counts_[i] += found[i] ? 1 : 0;
  ++n_answers_;
  n_rejected_ += findings.empty() ? 0 : 1;
}

}  // namespace anabranch::corpus
