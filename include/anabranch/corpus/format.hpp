// Is a sample fit to learn from? Every reason why it is not, by name, so that they can be counted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <anabranch/corpus/branch_text.hpp>
#include <anabranch/corpus/parts.hpp>
#include <anabranch/enum_array.hpp>

namespace anabranch::corpus {

/// Why an answer is refused. The order is that of the tables.
enum class Reason : std::uint8_t {
  round_trip,          ///< the tree does not give the answer back
  empty_answer,        ///< nothing but blanks
  title_empty,         ///< a branch without a title
  title_repeated,      ///< two titles of a block have the same words
  title_too_long,      ///< in bytes
  title_markup,        ///< a title with a line break, bold or code marks, or without any word
  too_few_branches,    ///< of a block
  too_many_branches,   ///< of a block
  too_deep,            ///< blocks inside blocks
  body_too_short,      ///< in words
  body_too_long,       ///< in words
  body_repeated,       ///< two bodies of a block have the same words
  branches_redundant,  ///< two bodies of a block share too many word 3-grams
  looping_text,        ///< word 4-grams come again and again, in a branch or in the whole answer
  unfinished,          ///< the answer breaks off, or a branch ends with a colon
};
inline constexpr std::size_t kReasons = 15;

/// Name of a reason as written above.
constexpr const char* reason_name(Reason reason) noexcept {
  switch (reason) {
    case Reason::round_trip: return "round_trip";
    case Reason::empty_answer: return "empty_answer";
    case Reason::title_empty: return "title_empty";
    case Reason::title_repeated: return "title_repeated";
    case Reason::title_too_long: return "title_too_long";
    case Reason::title_markup: return "title_markup";
    case Reason::too_few_branches: return "too_few_branches";
    case Reason::too_many_branches: return "too_many_branches";
    case Reason::too_deep: return "too_deep";
    case Reason::body_too_short: return "body_too_short";
    case Reason::body_too_long: return "body_too_long";
    case Reason::body_repeated: return "body_repeated";
    case Reason::branches_redundant: return "branches_redundant";
    case Reason::looping_text: return "looping_text";
    case Reason::unfinished: return "unfinished";
  }
  return "unknown";
}

struct Finding {
  Reason reason;
  std::string text;  ///< the bad value and the limit
};

struct FormatLimits {
  std::int32_t min_branches = 2;
  std::int32_t max_branches = 12;
  std::int32_t max_depth = 4;  ///< levels of blocks
  std::int32_t max_title_bytes = 80;
  std::int32_t min_body_words = 3;
  std::int32_t max_body_words = 400;
  double max_overlap = 0.5;          ///< of two bodies' word 3-grams (ngram_overlap)
  double max_repeated_ngrams = 0.3;  ///< share of word 4-grams that occurred before, within one branch or serial text
  double max_repeated_in_answer = 0.4;  ///< the same over the whole answer
};

/// Everything that speaks against the sample; empty: it is fit. Cost: the square of a block's branches, else linear.
std::vector<Finding> check_format(const std::vector<Part>& parts, const FormatLimits& limits = {});

/// Does the tree give the answer back?
std::vector<Finding> check_round_trip(const BranchText& tree, std::string_view answer);

/// Largest overlap of two branches' texts (titles left out) in one block, by word 3-grams; 0 for fewer than two.
double redundancy(const Part& block);

/// How often each reason occurred, by answer: an answer counts once for each of its reasons.
class ReasonCounts {
 public:
  void add(const std::vector<Finding>& findings);
  std::int64_t operator[](Reason reason) const noexcept { return counts_[reason]; }
  std::int64_t n_answers() const noexcept { return n_answers_; }    ///< all that were added
  std::int64_t n_rejected() const noexcept { return n_rejected_; }  ///< with at least one finding

 private:
  EnumArray<Reason, std::int64_t, kReasons> counts_{};
  std::int64_t n_answers_ = 0;
  std::int64_t n_rejected_ = 0;
};

}  // namespace anabranch::corpus

#include <anabranch/corpus/impl/format.hpp>
