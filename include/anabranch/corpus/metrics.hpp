// How parallel a set of answers is, and how clean: the figures of the ASPD paper (arXiv 2508.08895) and of its tables.
//
//   PPD   share of answers with at least one block
//   ABN   branches per block: mean over the answers with a block
//   APD   branch tokens / all tokens: mean over the answers with a block
//   APE   (branch tokens - title tokens) / branch tokens: mean over the answers with a block
//
// decode/parallelism.hpp computes them for one answer and says which tokens count.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <anabranch/corpus/parts.hpp>
#include <anabranch/decode/parallelism.hpp>
#include <anabranch/enum_array.hpp>
#include <anabranch/markup/aspd_tags.hpp>
#include <anabranch/markup/text.hpp>

namespace anabranch::corpus {

/// Faults in the tags of an answer, judged by markup/tag_grammar.hpp; the first one counts.
enum class Fault : std::uint8_t {
  none,
  title_open,           ///< a title that is never closed, or closed by another tag
  titles_unused,        ///< titles without a block after them
  block_without_title,  ///< `<|para|>` behind no title
  branch_count,         ///< a block with more or fewer branches than titles
  branch_title,         ///< a branch that does not begin with its title and the separator
  text_in_block,        ///< text between the branches of a block
  not_closed,           ///< a branch or block that is never closed
  stray_tag,            ///< a tag that does not belong where it stands
};
inline constexpr std::size_t kFaults = 9;

/// Name of a fault as written above.
constexpr const char* fault_name(Fault fault) noexcept {
  switch (fault) {
    case Fault::none: return "none";
    case Fault::title_open: return "title_open";
    case Fault::titles_unused: return "titles_unused";
    case Fault::block_without_title: return "block_without_title";
    case Fault::branch_count: return "branch_count";
    case Fault::branch_title: return "branch_title";
    case Fault::text_in_block: return "text_in_block";
    case Fault::not_closed: return "not_closed";
    case Fault::stray_tag: return "stray_tag";
  }
  return "unknown";
}

/// One answer, counted.
struct AnswerCounts {
  std::int64_t n_serial = 0;  ///< text tokens outside branches
  std::int64_t n_branch = 0;  ///< text tokens in branches, the title at a branch's start included
  std::int64_t n_title = 0;   ///< tokens of all titles, as the trunk writes them
  std::int64_t n_blocks = 0;
  std::int64_t n_branches = 0;         ///< over all blocks
  std::int64_t n_titles = 0;           ///< over all blocks
  std::int64_t n_repeated_titles = 0;  ///< with the same words as an earlier one of their block
  std::int64_t n_4grams = 0;           ///< of text tokens in reading order
  std::int64_t n_repeated_4grams = 0;  ///< that occurred before in the answer
  Fault fault = Fault::none;

  std::int64_t n_text() const noexcept { return n_serial + n_branch; }
  double branches_per_block() const noexcept { return parallelism::branches_per_block(n_branches, n_blocks); }
  double branch_share() const noexcept { return parallelism::branch_share(n_branch, n_text()); }
  double branch_efficiency() const noexcept { return parallelism::branch_efficiency(n_branch, n_title); }
};

/// A set of answers. Shares are 0 when there is nothing to divide by.
struct Metrics {
  std::int64_t n_answers = 0;
  double ppd = 0;
  double abn = 0;
  double apd = 0;
  double ape = 0;
  double repeated_titles = 0;  ///< share of all titles
  double repeated_4grams = 0;  ///< share of all 4-grams
  double well_formed = 0;      ///< share of answers without a fault
  double mean_tokens = 0;      ///< text tokens per answer
  EnumArray<Fault, std::int64_t, kFaults> faults{};
};

Metrics metrics(std::span<const AnswerCounts> answers);

/// Counts an answer in ASPD markup: the tokens in reading order, tags included, without the end of text. Any sequence
/// is counted; what is wrong with its tags is its fault.
template <Detokenizer Text>
AnswerCounts count_tokens(std::span<const TokenId> tokens, const markup::AspdTags& tags, const Text& text);

/// Counts a sample, each of whose texts is encoded on its own.
template <TextToTokens Encode>
AnswerCounts count_sample(const std::vector<Part>& parts, const Encode& encode);

}  // namespace anabranch::corpus

#include <anabranch/corpus/impl/metrics.hpp>
