// The form of a sample that a model is trained on: serial texts, and branches with a title and a text.
//
// `parts(tree)` keeps the answer's wording and drops only what marks branches in plain text: bullets, numbers and the
// `#` of headings, bold around titles, whatever stands between title and body (a colon takes its place), `---` between
// branches, and the indentation of an item's further lines. White space is fixed, so that tokens are the same in
// every sample:
//   * a branch reads title + ":" + " body" + "\n"; a body that begins with a table, code, heading or list item, or with
//     a nested block, starts with "\n" instead of the blank
//   * serial text behind a block begins with as many line breaks as stood there, less the one that ends the branch
//   * nothing blank at the start and end of the answer
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <anabranch/corpus/branch_text.hpp>

namespace anabranch::corpus {

struct PartBranch;

/// Serial text (no branches), or a block of branches (no text).
struct Part {
  std::string text;
  std::vector<PartBranch> branches;
};

struct PartBranch {
  std::string title;
  std::vector<Part> parts;  ///< behind title and separator; the last text ends in "\n"
};

/// One sample of a corpus.
struct Sample {
  std::string id;
  std::string kind;    ///< of the question: generic, knowledge, ...
  std::string prompt;  ///< the question as the user asks it
  std::vector<Part> parts;
  std::string system = {};  ///< system message that was asked with; empty: the chat template's default
};

/// Text between a branch's title and its body, as in AspdTags::title_separator.
inline constexpr std::string_view kTitleSeparator = ":";

/// The treatment of a block in which a branch has no title, so that a trunk could not announce it.
enum class UntitledBlocks : std::uint8_t {
  as_text,   ///< serial text, as it stands in the answer
  branches,  ///< branches with empty titles
};

struct PartsOptions {
  std::int32_t max_depth = 4;  ///< levels of blocks; deeper ones are text of their branch, as it stands in the answer
  UntitledBlocks untitled = UntitledBlocks::as_text;
};

std::vector<Part> parts(const BranchText& tree, const PartsOptions& options = {});

/// Appends the plain text of the parts in reading order, without markup.
void append_reading_text(const std::vector<Part>& parts, std::string& out);
std::string reading_text(const std::vector<Part>& parts);
/// Title, separator and text of one branch.
std::string reading_text(const PartBranch& branch);

/// Does a part hold branches?
bool has_block(const std::vector<Part>& parts) noexcept;
/// Appends serial text: to the last part when that is serial, else as a new one.
void append_text(std::vector<Part>& parts, std::string_view text);

}  // namespace anabranch::corpus

#include <anabranch/corpus/impl/parts.hpp>
