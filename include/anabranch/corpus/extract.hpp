// Plain answer -> branch tree. Takes any bytes, loses none: reading_text(extract(answer)) == answer.
//
// A block is made of at least two siblings of one kind (BlockKind) at one indentation, whose numbers, letters or
// ordinals go up one by one; a list of one item stays serial text. Deeper lists and headings inside a branch become
// nested blocks. Numbers are written as in 1. 1) (1) 1、 １． 一、 or as Roman numerals; a list may begin inside an
// item
// (`*   * x`). Code (fences of ``` or ~~~, lines that are indented by four columns more), tables and quotes are never
// cut. Where a numbered list ends:
//   * a middle item reaches to the next number, unindented paragraphs included
//   * the last one takes what is indented, and as many unindented paragraphs as each item before it has at least; the
//     rest is serial text (`In conclusion, ...`)
// A bulleted list ends at the first unindented paragraph. A headed section ends at the next heading of its level or
// above.
//
// A title is what stands in bold at the start, else before the first `: `, `：`, ` - ` or `. `, or alone on the first
// line.
#pragma once

#include <cstdint>
#include <string_view>

#include <anabranch/corpus/branch_text.hpp>

namespace anabranch::corpus {

/// The title of a numbered item that has none of its own.
enum class Untitled : std::uint8_t {
  empty,   ///< nothing
  number,  ///< its number, as written
};

struct ExtractOptions {
  std::int32_t max_depth = 4;  ///< levels of blocks, 0 to kMaxBlockDepth; what is deeper stays text of its branch
  std::int32_t max_title_bytes = 80;  ///< a longer beginning of an item is no title
  std::int32_t max_title_words = 10;
  Untitled untitled = Untitled::empty;
};

/// Throws bad_argument for options outside their range. Cost: linear in usual answers; at worst the number of lines
/// squared times the depth, in tiny steps.
BranchText extract(std::string_view answer, const ExtractOptions& options = {});

}  // namespace anabranch::corpus

#include <anabranch/corpus/impl/extract.hpp>
