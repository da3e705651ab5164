// Builds the tree: finds the outermost blocks of a range of lines, cuts each branch, goes on inside.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include <anabranch/corpus/extract.hpp>
#include <anabranch/corpus/impl/lists.hpp>
#include <anabranch/corpus/impl/titles.hpp>
#include <anabranch/error.hpp>

namespace anabranch::corpus {
namespace impl {

/// Bytes [begin, end) of the answer; the lines that lie in it as a whole, but for blanks around, are
/// [first_line, end_line).
struct Range {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::size_t first_line = 0;
  std::size_t end_line = 0;
};

class Extractor {
 public:
  Extractor(std::string_view answer, const ExtractOptions& options)
      : answer_(answer), options_(options), lines_(read_lines(answer)), finder_(answer, lines_) {}

  BranchText run() const {
    BranchText tree;
    build(tree, {0, answer_.size(), 0, lines_.size()}, 0);
    return tree;
  }

 private:
  /// Appends the range to the tree. The depth of the recursion is that of the blocks, at most max_depth.
  void build(BranchText& out, const Range& range, std::int32_t depth) const {
    std::size_t at = range.begin;
    if (depth < options_.max_depth) {
      for (const Siblings& siblings : find(range)) {
        add_text(out, at, std::min(lines_[siblings.items.front().begin].begin, range.end));
        out.passages.push_back({"", {}, siblings.kind});
        for (const Item& item : siblings.items) {
          at = std::min(end_of(item), range.end);
          out.passages.back().branches.push_back(cut(item, siblings.kind, at, depth));
        }
      }
    }
    add_text(out, at, range.end);
  }

  std::size_t end_of(const Item& item) const { return lines_[item.end - 1].next; }

  void add_text(BranchText& out, std::size_t begin, std::size_t end) const {
    if (begin < end) out.passages.push_back({std::string(answer_.substr(begin, end - begin)), {}, BlockKind::none});
  }

  /// The outermost blocks of a range, in order: headings of the highest level that has siblings, lists between them.
  std::vector<Siblings> find(const Range& range) const {
    std::vector<Siblings> found;
    find_headed(found, range.first_line, range.end_line, 1);
    return found;
  }

  /// Recursion over the levels of headings: at most six deep.
  void find_headed(std::vector<Siblings>& found, std::size_t begin, std::size_t end, std::int32_t level) const {
    if (level > 6) return find_lists(found, begin, end);
    std::size_t at = begin;
    for (std::size_t i = begin; i < end; ++i) {
      if (lines_[i].shape != Shape::heading || lines_[i].level != level) continue;
      Siblings sections = sections_from(i, end);
      i = sections.items.back().end - 1;
      if (sections.items.size() < 2) continue;
      find_headed(found, at, sections.items.front().begin, level + 1);
      at = sections.items.back().end;
      found.push_back(std::move(sections));
    }
    if (at < end) find_headed(found, at, end, level + 1);
  }

  /// The section that begins at line `first`, and its siblings.
  Siblings sections_from(std::size_t first, std::size_t end) const {
    Siblings sections{{{first, end}}, BlockKind::headed};
    for (std::size_t i = first + 1; i < end; ++i) {
      if (lines_[i].shape != Shape::heading || lines_[i].level > lines_[first].level) continue;
      sections.items.back().end = i;
      if (lines_[i].level < lines_[first].level) break;
      sections.items.push_back({i, end});
    }
    return sections;
  }

  void find_lists(std::vector<Siblings>& found, std::size_t begin, std::size_t end) const {
    for (std::size_t i = begin; i < end;) {
      if (may_begin(lines_[i].marker)) {
        Siblings list = finder_.grow(i, end);
        if (list.items.size() >= 2) {
          i = list.items.back().end;
          found.push_back(std::move(list));
          continue;
        }
      }
      i = lines_[i].after;
    }
  }

  /// One branch: the lines of the item, up to the byte `end`.
  Branch cut(const Item& item, BlockKind kind, std::size_t end, std::int32_t depth) const {
    const Line& first = lines_[item.begin];
    std::size_t body_lines_end = item.end;
    while (body_lines_end > item.begin + 1 && is_tail(lines_[body_lines_end - 1])) --body_lines_end;
    const std::size_t body_end = std::min(end, lines_[body_lines_end - 1].end);
    const TitleCut title = find_title(first, kind, body_end);
    const std::size_t body = std::clamp(title.body, title.title_end, std::max(title.title_end, body_end));
    Branch branch;
    branch.lead = answer_.substr(first.begin, title.title - first.begin);
    branch.title = answer_.substr(title.title, title.title_end - title.title);
    branch.separator = answer_.substr(title.title_end, body - title.title_end);
    const std::size_t tail = std::max(body, body_end);
    build(branch.body, {body, tail, first_line_of(body, item.begin, body_lines_end), body_lines_end}, depth + 1);
    branch.tail = answer_.substr(tail, end - tail);
    return branch;
  }

  static bool is_tail(const Line& line) { return line.shape == Shape::blank || line.shape == Shape::rule; }

  /// The first line of the body that lies in it as a whole: nested blocks begin there.
  std::size_t first_line_of(std::size_t body, std::size_t begin, std::size_t end) const {
    std::size_t i = lines_[begin].shape == Shape::heading ? begin + 1 : lines_[begin].after;
    while (i < end && lines_[i].begin < body) ++i;
    return std::min(i, end);
  }

  TitleCut find_title(const Line& first, BlockKind kind, std::size_t body_end) const {
    const TitleFinder finder(answer_, first.end, body_end, {options_.max_title_bytes, options_.max_title_words});
    if (kind == BlockKind::headed) return finder.heading(first.text);
    if (fence_length(answer_, first.marker.content, first.end) > 0)  // the item is a code fence from its start
      return {first.marker.title, first.marker.title, first.marker.title};
    const TitleCut title = finder.find(first.marker);
    const bool number = options_.untitled == Untitled::number && kind == BlockKind::numbered;
    return number && title.title == title.title_end ? number_title(first, title.body) : title;
  }

  /// The item's number as its title; what stands between it and the text is the separator.
  static TitleCut number_title(const Line& first, std::size_t body) {
    return {first.marker.digits, first.marker.digits_end, body};
  }

  std::string_view answer_;
  const ExtractOptions& options_;
  std::vector<Line> lines_;
  ListFinder finder_;
};

inline void check(const ExtractOptions& options) {
  const auto require = [](std::int32_t value, std::int32_t least, std::int32_t most, const char* name) {
    if (value < least || value > most)
      fail(Status::bad_argument, name, " is ", value, ", must be ", least, " to ", most);
  };
  require(options.max_depth, 0, kMaxBlockDepth, "max_depth");
  require(options.max_title_bytes, 1, 4096, "max_title_bytes");
  require(options.max_title_words, 1, 1024, "max_title_words");
}

}  // namespace impl

inline BranchText extract(std::string_view answer, const ExtractOptions& options) {
  impl::check(options);
  return impl::Extractor(answer, options).run();
}

}  // namespace anabranch::corpus
