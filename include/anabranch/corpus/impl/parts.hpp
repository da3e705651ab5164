// The white space rules of parts.hpp.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>

#include <anabranch/corpus/impl/lines.hpp>
#include <anabranch/corpus/parts.hpp>

namespace anabranch::corpus {
namespace impl {

inline std::string_view trim_front(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  return text;
}
inline std::string_view trim_back(std::string_view text) {
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

/// The text without the indentation that all its lines share. `whole`: its first line begins at the line's start.
inline std::string without_indent(std::string_view text, bool whole) {
  std::size_t shared = std::string_view::npos;
  for (std::size_t at = 0, next = 0; at < text.size(); at = next) {
    next = std::min(text.find('\n', at), text.size() - 1) + 1;
    const std::size_t first = text.find_first_not_of(" \t\r", at);
    const bool blank = first == std::string_view::npos || first >= next || text[first] == '\n';
    if (!blank && (at > 0 || whole)) shared = std::min(shared, first - at);
  }
  if (shared == std::string_view::npos) shared = 0;
  std::string out;
  for (std::size_t at = 0, next = 0; at < text.size(); at = next) {
    next = std::min(text.find('\n', at), text.size() - 1) + 1;
    std::size_t from = at;
    while ((at > 0 || whole) && from < next && from - at < shared && (text[from] == ' ' || text[from] == '\t')) ++from;
    out += text.substr(from, next - from);
  }
  return out;
}

/// Must the text begin on a line of its own to keep its meaning?
inline bool needs_own_line(std::string_view text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const BlockKind kind = read_marker(text, 0, end).kind;
  return text[0] == '|' || heading_level(text.substr(0, end)) > 0 || fence_length(text, 0, end) > 0 ||
         kind == BlockKind::bulleted || kind == BlockKind::numbered;
}

inline std::size_t n_line_breaks(std::string_view text) {
  std::size_t n = 0;
  for (const char c : text) n += c == '\n' ? 1 : 0;
  return n;
}

/// Makes the parts of a tree. The recursion is as deep as the tree.
class PartsMaker {
 public:
  explicit PartsMaker(const PartsOptions& options) : options_(options) {}

  /// Parts of an answer (depth 0) or of a branch's body. `whole`: it begins at the start of a line.
  std::vector<Part> parts_of(const BranchText& tree, std::int32_t depth, bool whole) const {
    std::vector<Part> out;
    std::string text;          // serial so far
    std::size_t n_breaks = 0;  // that stand behind the last block
    const auto flush = [&] {
      std::string line_breaks(n_breaks > 1 && !text.empty() ? n_breaks - 1 : 0, '\n');
      append_text(out, line_breaks + (depth > 0 ? without_indent(text, whole || !out.empty()) : text));
      text.clear();
    };
    for (const Passage& passage : tree.passages) {
      if (!becomes_block(passage, depth)) {
        append_reading_text(passage, text);
        continue;
      }
      flush();
      Part block;
      for (const Branch& branch : passage.branches) block.branches.push_back(branch_of(branch, depth));
      n_breaks = n_line_breaks(passage.branches.back().tail);
      out.push_back(std::move(block));
    }
    flush();
    return out;
  }

 private:
  bool becomes_block(const Passage& passage, std::int32_t depth) const {
    if (passage.branches.empty() || depth >= options_.max_depth) return false;
    const auto untitled = [](const Branch& branch) { return branch.title.empty(); };
    return options_.untitled == UntitledBlocks::branches ||
           std::none_of(passage.branches.begin(), passage.branches.end(), untitled);
  }

  PartBranch branch_of(const Branch& branch, std::int32_t depth) const {
    const bool whole = branch.separator.find('\n') != std::string::npos;
    PartBranch out{branch.title, parts_of(branch.body, depth + 1, whole)};
    std::vector<Part>& parts = out.parts;
    if (parts.empty() || !parts.front().branches.empty()) parts.insert(parts.begin(), Part{});
    std::string& first = parts.front().text;
    first = trim_front(first);
    if (!first.empty()) {
      first.insert(0, needs_own_line(first) ? "\n" : " ");
    } else if (parts.size() > 1) {
      first = "\n";
    }
    if (parts.back().branches.empty()) parts.back().text = std::string(trim_back(parts.back().text)) + "\n";
    return out;
  }

  const PartsOptions& options_;
};

}  // namespace impl

inline std::vector<Part> parts(const BranchText& tree, const PartsOptions& options) {
  std::vector<Part> out = impl::PartsMaker(options).parts_of(tree, 0, true);
  if (!out.empty() && out.front().branches.empty()) out.front().text = impl::trim_front(out.front().text);
  if (!out.empty() && out.back().branches.empty()) out.back().text = impl::trim_back(out.back().text);
  std::erase_if(out, [](const Part& part) { return part.branches.empty() && part.text.empty(); });
  return out;
}

inline void append_reading_text(const std::vector<Part>& parts, std::string& out) {
  for (const Part& part : parts) {
    out += part.text;
    for (const PartBranch& branch : part.branches) {
      out += branch.title;
      if (!branch.title.empty()) out += kTitleSeparator;
      append_reading_text(branch.parts, out);
    }
  }
}

inline std::string reading_text(const std::vector<Part>& parts) {
  std::string out;
  append_reading_text(parts, out);
  return out;
}

inline std::string reading_text(const PartBranch& branch) {
  std::string out;
  append_reading_text({Part{"", {branch}}}, out);
  return out;
}

inline bool has_block(const std::vector<Part>& parts) noexcept {
  return std::any_of(parts.begin(), parts.end(), [](const Part& part) { return !part.branches.empty(); });
}

inline void append_text(std::vector<Part>& parts, std::string_view text) {
  if (text.empty()) return;
  if (parts.empty() || !parts.back().branches.empty()) parts.push_back({});
  parts.back().text += text;
}

}  // namespace anabranch::corpus
