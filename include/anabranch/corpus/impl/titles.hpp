// Where the title of an item ends and its body begins.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include <anabranch/corpus/impl/markers.hpp>

namespace anabranch::corpus::impl {

/// Offsets into the answer: title [title, title_end), body from `body` on.
struct TitleCut {
  std::size_t title = 0;
  std::size_t title_end = 0;
  std::size_t body = 0;
};

struct TitleLimits {
  std::int32_t max_bytes = 80;
  std::int32_t max_words = 10;
};

/// Looks for the title in answer[begin, line_end), where an item's content lies on its first line; the item's bytes
/// end at `item_end`.
class TitleFinder {
 public:
  TitleFinder(std::string_view answer, std::size_t line_end, std::size_t item_end, TitleLimits limits)
      : answer_(answer), line_end_(line_end), item_end_(std::max(item_end, line_end)), limits_(limits) {}

  TitleCut find(const Marker& marker) const {
    if (marker.kind == BlockKind::ordinals) return {marker.title, marker.content, skip_blanks(marker.content + 1)};
    const std::string_view mark = marker.in_bold ? "**" : bold_mark(marker.title);
    if (!mark.empty())
      if (const TitleCut cut = bold_title(marker.title + (marker.in_bold ? 0 : mark.size()), mark); cut.body > 0)
        return cut;
    return marker.kind == BlockKind::steps ? step_title(marker) : plain_title(marker.title);
  }

  /// The title of a heading: the whole line, but for bold and a number around it.
  TitleCut heading(std::size_t text) const {
    std::size_t begin = text;
    while (begin < line_end_ && answer_[begin] == '#') ++begin;
    begin = skip_blanks(begin);
    const Marker marker = read_marker(answer_, begin, line_end_);
    if (marker.kind == BlockKind::numbered || marker.kind == BlockKind::lettered) begin = marker.content;
    std::size_t end = line_end_;
    if (starts(begin, "**")) begin += 2;
    while (end > begin && (answer_[end - 1] == '#' || answer_[end - 1] == '*' || answer_[end - 1] == ':' ||
                           is_blank(answer_[end - 1])))
      --end;
    begin = std::min(begin, line_end_);
    end = std::max(begin, end);
    return {begin, end, next_text(line_end_)};
  }

 private:
  static constexpr std::string_view kWideColon = "：";

  bool starts(std::size_t at, std::string_view with) const noexcept {
    return at <= line_end_ && answer_.substr(at, line_end_ - at).substr(0, with.size()) == with;
  }
  std::size_t skip_blanks(std::size_t at) const noexcept {
    while (at < line_end_ && is_blank(answer_[at])) ++at;
    return std::min(at, line_end_);
  }
  bool ends(std::size_t at) const noexcept { return skip_blanks(at) >= line_end_; }

  /// The first text behind a line's end: begin of the next line that is not blank, so that its indentation, and a list
  /// that begins there, stay whole. The item's end when there is none.
  std::size_t next_text(std::size_t at) const noexcept {
    std::size_t line = at;
    for (std::size_t i = at; i < item_end_; ++i) {
      if (answer_[i] == '\n')
        line = i + 1;
      else if (!is_blank(answer_[i]))
        return line > at ? line : i;
    }
    return at;
  }
  bool text_follows() const noexcept { return next_text(line_end_) > line_end_; }

  bool fits(std::size_t begin, std::size_t end) const noexcept {
    if (end <= begin || std::cmp_greater(end - begin, limits_.max_bytes)) return false;
    std::int32_t words = 1;
    for (std::size_t i = begin; i + 1 < end; ++i)
      if (is_blank(answer_[i]) && !is_blank(answer_[i + 1])) ++words;
    return words <= limits_.max_words;
  }

  /// Length of the dash with blanks around it at `at`; 0 when there is none.
  std::size_t dash_length(std::size_t at) const noexcept {
    for (const std::string_view dash : {" - ", " – ", " — ", " -- "})
      if (starts(at, dash)) return dash.size();
    return 0;
  }

  /// Behind the separator that starts at `at`: a colon, dash or dot, or the line's end; 0 when there is none.
  std::size_t separator_end(std::size_t at) const noexcept {
    if (ends(at)) return text_follows() ? next_text(line_end_) : line_end_;
    if (const std::size_t dash = dash_length(at); dash > 0) return skip_blanks(at + dash);
    const std::size_t mark = skip_blanks(at);
    if (starts(mark, kWideColon)) return wide_separator_end(mark + kWideColon.size());
    if (mark + 1 == line_end_ && (answer_[mark] == ':' || answer_[mark] == '.')) return separator_end(mark + 1);
    if (mark + 1 < line_end_ && is_blank(answer_[mark + 1]) && (answer_[mark] == ':' || answer_[mark] == '.'))
      return skip_blanks(mark + 1);
    return 0;
  }

  /// Behind a colon that needs no blank: the next line's text, where the line ends there.
  std::size_t wide_separator_end(std::size_t at) const noexcept {
    if (ends(at) && text_follows()) return next_text(line_end_);
    return skip_blanks(at);
  }

  /// The bold mark that the text at `at` opens with; empty when it does not.
  std::string_view bold_mark(std::size_t at) const noexcept {
    for (const std::string_view mark : {"***", "**", "__"})
      if (starts(at, mark)) return mark;
    return {};
  }

  /// Title between bold marks, the first of which ends at `begin`. body == 0: none.
  TitleCut bold_title(std::size_t begin, std::string_view mark) const {
    const std::size_t close = answer_.substr(0, line_end_).find(mark, begin);
    if (close == std::string_view::npos || !fits(begin, close)) return {};
    std::size_t end = close;
    bool separated = false;
    while (end > begin && (answer_[end - 1] == ':' || answer_[end - 1] == '.' || is_blank(answer_[end - 1])))
      separated = !is_blank(answer_[--end]) || separated;
    if (end >= begin + kWideColon.size() && starts(end - kWideColon.size(), kWideColon)) {
      end -= kWideColon.size();
      separated = true;
    }
    const std::size_t after = close + mark.size();
    std::size_t body = separator_end(after);
    if (body == 0 && separated) body = skip_blanks(after);
    return {begin, end, body};
  }

  TitleCut step_title(const Marker& marker) const {
    const bool closed = starts(marker.content, "**");
    const std::size_t body = separator_end(marker.content + (closed ? 2 : 0));
    const bool whole_line = !closed && text_follows() && fits(marker.title, line_end_) && !ends_sentence();
    if (whole_line) return {marker.title, line_end_, next_text(line_end_)};
    return {marker.title, marker.content, body > 0 ? body : marker.content};
  }

  bool ends_sentence() const noexcept {
    const char last = line_end_ > 0 ? answer_[line_end_ - 1] : '.';
    constexpr std::string_view kWideStop = "。";
    if (line_end_ >= kWideStop.size() && starts(line_end_ - kWideStop.size(), kWideStop)) return true;
    return last == '.' || last == '!' || last == '?' || last == ';' || last == ',';
  }

  TitleCut plain_title(std::size_t begin) const {
    for (std::size_t at = begin; at < line_end_ && std::cmp_less_equal(at - begin, limits_.max_bytes); ++at) {
      if (starts(at, kWideColon) && fits(begin, at)) return {begin, at, separator_end(at)};
      const bool colon = answer_[at] == ':' && (at + 1 == line_end_ || is_blank(answer_[at + 1]));
      const bool dash = dash_length(at) > 0;
      const bool dot = answer_[at] == '.' && at + 1 < line_end_ && is_blank(answer_[at + 1]) && at - begin >= 4;
      if (!colon && !dash && !dot) continue;
      if (!fits(begin, at)) break;
      return {begin, at, separator_end(at)};
    }
    if (text_follows() && fits(begin, line_end_) && !ends_sentence()) return {begin, line_end_, next_text(line_end_)};
    return {begin, begin, begin};
  }

  std::string_view answer_;
  std::size_t line_end_;
  std::size_t item_end_;
  TitleLimits limits_;
};

}  // namespace anabranch::corpus::impl
