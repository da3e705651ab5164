// Which lines form a list, and where its last item ends.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include <anabranch/corpus/impl/lines.hpp>

namespace anabranch::corpus::impl {

/// Lines [begin, end) of one branch; a heading is lines [begin, begin + 1) of it.
struct Item {
  std::size_t begin = 0;
  std::size_t end = 0;
};

/// Siblings, without gaps between them.
struct Siblings {
  std::vector<Item> items;
  BlockKind kind = BlockKind::none;
};

/// Unindented text that an item holds after its first line.
struct Loose {
  std::int32_t n_paragraphs = 0;  ///< after a blank line
  bool lazy = false;              ///< right behind the item's text, without a blank line
};

class ListFinder {
 public:
  ListFinder(std::string_view answer, const std::vector<Line>& lines) : answer_(answer), lines_(lines) {}

  /// The list whose first item is line `first`, within lines before `end`; fewer than two items: there is none.
  Siblings grow(std::size_t first, std::size_t end) const {
    Siblings list{{{first, end}}, lines_[first].marker.kind};
    const std::int32_t indent = lines_[first].indent;
    std::size_t item = first;
    std::size_t i = lines_[first].after;
    for (bool blank = false; i < end; i = lines_[i].after) {
      const Line& line = lines_[i];
      if (line.shape == Shape::blank || line.shape == Shape::rule) {
        blank = true;
        continue;
      }
      const Role role = role_of(line, lines_[item], indent, blank);
      if (role == Role::outside) break;
      if (role == Role::sibling) {
        list.items.back().end = i;
        list.items.push_back({i, end});
        item = i;
      }
      blank = false;
    }
    list.items.back().end = last_end(list, std::min(i, end));
    return list;
  }

 private:
  enum class Role : std::uint8_t { sibling, inside, outside };

  static bool same_indent(std::int32_t a, std::int32_t b) noexcept { return a <= b + 1 && b <= a + 1; }
  static bool indented(const Line& line, std::int32_t indent) noexcept { return line.indent >= indent + 2; }

  /// The part that the line plays in a list whose newest item begins with the line `item`.
  Role role_of(const Line& line, const Line& item, std::int32_t indent, bool blank) const {
    if (line.shape == Shape::heading) return Role::outside;
    const bool bulleted = item.marker.kind == BlockKind::bulleted;
    if (line.marker && same_indent(line.indent, indent)) {
      if (goes_on(item.marker, line.marker)) return Role::sibling;
      const bool same = line.marker.kind == item.marker.kind && line.marker.style == item.marker.style;
      if (same && line.marker.number == 1 && item.marker.number == 1 && !blank) return Role::sibling;  // 1. 1. 1.
      return bulleted || same ? Role::outside : Role::inside;
    }
    if (indented(line, indent)) return Role::inside;
    if (line.indent + 1 < indent || (bulleted && line.marker)) return Role::outside;
    return bulleted && blank && !is_bold_title(item) ? Role::outside : Role::inside;
  }

  /// Is the item's first line nothing but a title in bold, so that its text must follow?
  bool is_bold_title(const Line& item) const {
    const std::string_view text =
        answer_.substr(item.marker.content, item.end - std::min(item.end, item.marker.content));
    return text.size() > 4 && text.substr(0, 2) == "**" && (text.substr(text.size() - 2) == "**" || text.back() == ':');
  }

  /// Tells what the lines [begin, end) behind an item's first line hold.
  Loose loose_text(std::size_t begin, std::size_t end, std::int32_t indent) const {
    Loose loose;
    bool blank = false;
    bool inside = false;  // of an unindented paragraph
    for (std::size_t i = begin; i < end; i = lines_[i].after) {
      const Line& line = lines_[i];
      if (line.shape == Shape::blank || line.shape == Shape::rule) {
        blank = true;
        inside = false;
      } else if (!indented(line, indent)) {
        if (blank && !inside) ++loose.n_paragraphs;
        if (!blank) loose.lazy = true;
        inside = blank;
      }
    }
    return loose;
  }

  /// Does the text before line i end a sentence, so that an unindented next line need not belong to it?
  bool sentence_ends_before(std::size_t i) const {
    const Line& line = lines_[i - 1];
    const char last = line.end > line.text ? answer_[line.end - 1] : '.';
    return last == '.' || last == '!' || last == '?' || last == '*' || last == ')' || last == '"' || last == '`';
  }

  /// Where the last item ends: it gets as many unindented paragraphs as every item before it has.
  std::size_t last_end(const Siblings& list, std::size_t end) const {
    const std::int32_t indent = lines_[list.items.front().begin].indent;
    Loose usual{list.kind == BlockKind::bulleted ? 0 : kUnlimitedParagraphs, false};
    for (std::size_t k = 0; k + 1 < list.items.size(); ++k) {
      const Loose loose = loose_text(lines_[list.items[k].begin].after, list.items[k].end, indent);
      usual.n_paragraphs = std::min(usual.n_paragraphs, loose.n_paragraphs);
      usual.lazy = usual.lazy || loose.lazy;
    }
    if (list.kind == BlockKind::bulleted && is_bold_title(lines_[list.items.back().begin])) usual.n_paragraphs = 1;
    return take_last(lines_[list.items.back().begin].after, end, indent, usual);
  }

  std::size_t take_last(std::size_t begin, std::size_t end, std::int32_t indent, const Loose& usual) const {
    std::size_t taken = begin;
    std::int32_t n_paragraphs = 0;
    bool blank = false;
    bool inside = false;
    for (std::size_t i = begin; i < end; i = lines_[i].after) {
      const Line& line = lines_[i];
      if (line.shape == Shape::rule && !indented(line, indent)) break;
      if (line.shape == Shape::blank) {
        blank = true;
        inside = false;
        continue;
      }
      if (!indented(line, indent) && !inside) {
        if (blank && ++n_paragraphs > usual.n_paragraphs) break;
        if (!blank && !usual.lazy && sentence_ends_before(i)) break;
        inside = true;
      }
      taken = std::min(line.after, end);
    }
    return taken;
  }

  static constexpr std::int32_t kUnlimitedParagraphs = 1 << 30;
  std::string_view answer_;
  const std::vector<Line>& lines_;
};

}  // namespace anabranch::corpus::impl
