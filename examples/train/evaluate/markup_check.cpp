#include "markup_check.hpp"

namespace evaluate {

namespace ab = anabranch;

void MarkupCheck::see(const ab::Event& event) {
  using Kind = ab::Event::Kind;
  if (event.kind == Kind::token && event.source == ab::Source::sampled) see_token(lines_[event.branch], event);
  if (event.kind == Kind::fork && event.reason != ab::EndReason::none) note("a block deeper than allowed");
  if (event.kind == Kind::branch_end && event.reason != ab::EndReason::end_tag)
    note(event.reason == ab::EndReason::end_of_text ? "a branch ends with the end of text" : "a branch is cut");
  if (event.kind == Kind::end && event.reason != ab::EndReason::end_of_text) note("the answer is cut");
}

void MarkupCheck::see_token(Line& line, const ab::Event& event) {
  const ab::TokenId token = event.token;
  if (token == tags_.title) {
    if (line.in_title) note("a title is not closed");
    line.in_title = line.blank = true;
  } else if (token == tags_.title_end) {
    if (!line.in_title) note("a stray end of a title");
    if (line.in_title && line.blank) note("an empty title");
    line.n_titles += line.in_title ? 1 : 0;
    line.in_title = false;
  } else if (token == tags_.para) {
    if (line.in_title) note("a title is not closed");
    if (line.n_titles < 2) note("a block of fewer than two titles");
    line = {};
  } else if (token == tags_.branch || token == tags_.para_end) {
    note("a tag that is only forced was sampled");
  } else if (token == tags_.branch_end) {
    if (event.branch == ab::kTrunk) note("the end of a branch outside of one");
  } else if (line.in_title) {
    line.blank = false;
  }
}

std::vector<std::string> MarkupCheck::faults() const {
  std::vector<std::string> all;
  for (const auto& [fault, count] : faults_) all.push_back(fault);
  for (const auto& [branch, line] : lines_)
    if (line.in_title || line.n_titles > 0) {
      all.emplace_back("titles without a block");
      break;
    }
  return all;
}

}  // namespace evaluate
