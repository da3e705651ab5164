// A tree and parts in one line of text, so that a test shows what it expects.
#pragma once

#include <string>
#include <string_view>

#include <anabranch/corpus/extract.hpp>
#include <anabranch/corpus/parts.hpp>

namespace anabranch::test {

/// Line breaks as `/`, carriage returns as `^`.
inline std::string on_one_line(std::string_view text) {
  std::string out;
  for (const char c : text) out += c == '\n' ? '/' : c == '\r' ? '^' : c;
  return out;
}

/// Serial text as it is; a block as kind{title=body; title=body}, bodies without their blanks.
inline std::string outline(const corpus::BranchText& tree) {
  std::string out;
  for (const corpus::Passage& passage : tree.passages) {
    out += on_one_line(passage.text);
    if (passage.branches.empty()) continue;
    out += std::string(corpus::block_kind_name(passage.kind)) + "{";
    for (const corpus::Branch& branch : passage.branches)
      out += (&branch == passage.branches.data() ? "" : "; ") + branch.title + "=" + outline(branch.body);
    out += "}";
  }
  return out;
}
inline std::string outline(std::string_view answer, const corpus::ExtractOptions& options = {}) {
  return outline(corpus::extract(answer, options));
}

/// Serial text as it is; a block as {title:text; title:text}.
inline std::string shown(const std::vector<corpus::Part>& parts) {
  std::string out;
  for (const corpus::Part& part : parts) {
    out += on_one_line(part.text);
    if (part.branches.empty()) continue;
    out += "{";
    for (const corpus::PartBranch& branch : part.branches)
      out += (&branch == part.branches.data() ? "" : "; ") + branch.title + ":" + shown(branch.parts);
    out += "}";
  }
  return out;
}

}  // namespace anabranch::test
