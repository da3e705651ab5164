#include "live_view.hpp"

#include <fmt/format.h>

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace chat {
namespace {

struct Size {
  std::int32_t width = 80;
  std::int32_t height = 24;
};

Size size_of(std::FILE* stream) {
  winsize size{};
  if (ioctl(fileno(stream), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return {};
  return {size.ws_col, size.ws_row};
}

std::string without_line_breaks(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

}  // namespace

ViewKind view_kind_of(std::FILE* stream) {
  const char* term = std::getenv("TERM");
  const bool able = term != nullptr && std::strcmp(term, "dumb") != 0;
  return isatty(fileno(stream)) != 0 && able ? ViewKind::terminal : ViewKind::lines;
}

void LiveView::show(const anabranch::Event& event) {
  if (kind_ == ViewKind::none) return;
  using Kind = anabranch::Event::Kind;
  add_text(event.branch, event.text);
  switch (event.kind) {
    case Kind::token:
      if (event.branch != anabranch::kTrunk) ++branches_[event.branch].n_tokens;
      break;
    case Kind::fork:
      for (std::size_t k = 0; k < event.titles.size(); ++k)
        branches_[event.first_branch + static_cast<std::int32_t>(k)].title = event.titles[k];
      if (kind_ == ViewKind::lines && !event.titles.empty())
        print(fmt::format("{} branches: {}\n", event.titles.size(), fmt::join(event.titles, " | ")));
      changed_ = true;
      break;
    case Kind::branch_end: end_branch(event); break;
    case Kind::join:
      if (kind_ == ViewKind::terminal) {
        erase();
        std::string joined;
        for (std::int32_t k = 0; k < event.n_branches; ++k) joined += branches_[event.first_branch + k].text;
        print(joined);
      }
      for (std::int32_t k = 0; k < event.n_branches; ++k) branches_.erase(event.first_branch + k);
      break;
    case Kind::end: break;
  }
}

void LiveView::add_text(anabranch::BranchIndex branch, const std::string& text) {
  if (text.empty()) return;
  if (branch == anabranch::kTrunk) {
    if (kind_ == ViewKind::terminal) print(text);
    return;
  }
  branches_[branch].text += text;
  changed_ = true;
}

void LiveView::end_branch(const anabranch::Event& event) {
  const auto branch = branches_.find(event.branch);
  if (branch == branches_.end()) return;
  branch->second.open = false;
  changed_ = true;
  if (kind_ == ViewKind::lines)
    print(fmt::format("branch {} ended: {}, {} tokens\n", event.branch, anabranch::reason_name(event.reason),
                      branch->second.n_tokens));
}

void LiveView::refresh() {
  if (kind_ != ViewKind::terminal || !changed_ || branches_.empty()) return;
  changed_ = false;
  erase();
  std::vector<Column> columns;
  for (const auto& [index, branch] : branches_)
    columns.push_back(
        {fmt::format("{} {}{}", index, branch.title, branch.open ? "" : " (done)"), without_line_breaks(branch.text)});
  const Size size = size_of(stream_);
  if (!at_line_start_) print("\n");
  std::string text;
  const auto lines = lay_out(columns, size.width - 1, size.height - 2);
  for (const std::string& line : lines) text += line + "\n";
  n_drawn_ = static_cast<std::int32_t>(lines.size());
  std::fputs(text.c_str(), stream_);
  std::fflush(stream_);
}

void LiveView::print(const std::string& text) {
  erase();
  if (text.empty()) return;
  std::fputs(text.c_str(), stream_);
  at_line_start_ = text.back() == '\n';
  std::fflush(stream_);
}

void LiveView::erase() {
  if (n_drawn_ == 0) return;
  std::fputs(fmt::format("\x1b[{}A\r\x1b[J", n_drawn_).c_str(), stream_);  // up, to the margin, clear what is below
  n_drawn_ = 0;
}

void LiveView::finish() {
  erase();
  branches_.clear();
  if (kind_ != ViewKind::none && !at_line_start_) print("\n");
}

}  // namespace chat
