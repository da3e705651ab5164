// An answer as a tree: serial text and blocks of branches, with every byte of the answer kept.
//
//   Here are two points:\n\n1. **Rest**: sleep well.\n2. **Food**: eat well.\n
//   '----- serial -----'    '--' lead of a branch; then `Rest` title, `**: ` separator, `sleep well.` body, `\n` tail
//
// Reading the tree in order gives the answer back, byte for byte. What a model is trained on is made from the tree by
// `parts` (parts.hpp), which drops markers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <anabranch/version.hpp>

namespace anabranch::corpus {

/// The mark that told the branches of a block apart.
enum class BlockKind : std::uint8_t {
  none,      ///< serial text
  numbered,  ///< `1.`, `2)`, `(3)`
  lettered,  ///< `a)`, `B.`, `iv.`
  bulleted,  ///< `-`, `*`, `+`, and the usual Unicode bullets
  steps,     ///< `Step 1:`, `Day 2:`, ...
  ordinals,  ///< paragraphs that begin with `First`, `Second`, ...
  bold,      ///< lines in bold, or paragraphs that begin with a bold title and a colon or dash
  headed,    ///< sections under Markdown headings of one level
};

/// Name of a kind as written above.
constexpr const char* block_kind_name(BlockKind kind) noexcept {
  switch (kind) {
    case BlockKind::none: return "none";
    case BlockKind::numbered: return "numbered";
    case BlockKind::lettered: return "lettered";
    case BlockKind::bulleted: return "bulleted";
    case BlockKind::steps: return "steps";
    case BlockKind::ordinals: return "ordinals";
    case BlockKind::bold: return "bold";
    case BlockKind::headed: return "headed";
  }
  return "unknown";
}

/// How deep blocks may lie inside one another, in answers and in samples: functions that visit them are recursive.
inline constexpr std::int32_t kMaxBlockDepth = 32;

struct Passage;

/// Serial text and blocks, in reading order. The tree is as deep as ExtractOptions::max_depth allows, and no deeper.
struct BranchText {
  std::vector<Passage> passages;
};

/// One branch; its bytes are lead + title + separator + body + tail.
struct Branch {
  std::string lead;       ///< indentation, marker, opening bold
  std::string title;      ///< may be empty
  std::string separator;  ///< closing bold, colon, dash or dot, blanks
  BranchText body;        ///< without blanks at its end
  std::string tail;       ///< blanks, line breaks and `---` lines up to the next branch
};

/// Serial text (no branches), or a block (no text).
struct Passage {
  std::string text;
  std::vector<Branch> branches;
  BlockKind kind = BlockKind::none;
};

/// Appends the bytes in reading order.
inline void append_reading_text(const BranchText& tree, std::string& out);
inline void append_reading_text(const Passage& passage, std::string& out) {
  out += passage.text;
  for (const Branch& branch : passage.branches) {
    out += branch.lead;
    out += branch.title;
    out += branch.separator;
    append_reading_text(branch.body, out);
    out += branch.tail;
  }
}
inline void append_reading_text(const BranchText& tree, std::string& out) {
  for (const Passage& passage : tree.passages) append_reading_text(passage, out);
}

/// The answer that the tree was made from.
inline std::string reading_text(const BranchText& tree) {
  std::string out;
  append_reading_text(tree, out);
  return out;
}

/// Does the tree hold a block?
inline bool has_block(const BranchText& tree) noexcept {
  for (const Passage& passage : tree.passages)
    if (!passage.branches.empty()) return true;
  return false;
}

}  // namespace anabranch::corpus
