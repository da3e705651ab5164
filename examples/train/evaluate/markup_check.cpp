#include "markup_check.hpp"

#include <algorithm>

namespace evaluate {
namespace {

namespace ab = anabranch;
using ab::markup::Breach;
using ab::markup::Symbol;

const char* fault_of(Breach breach) noexcept {
  switch (breach) {
    case Breach::title_not_closed: return "a title is not closed";
    case Breach::empty_title: return "an empty title";
    case Breach::stray_title_end: return "a stray end of a title";
    case Breach::few_titles: return "a block of fewer than two titles";
    case Breach::stray_branch:
    case Breach::stray_para_end: return "a tag that is only forced was sampled";
    case Breach::stray_branch_end: return "the end of a branch outside of one";
    case Breach::text_in_block:
    case Breach::tag_in_block: break;
  }
  return "something between the branches of a block";
}

}  // namespace

void MarkupCheck::see(const ab::Event& event) {
  using Kind = ab::Event::Kind;
  if (event.kind == Kind::token) see_token(event);
  if (event.kind == Kind::fork && event.reason != ab::EndReason::none) faults_.insert("a block deeper than allowed");
  if (event.kind == Kind::branch_end && event.reason != ab::EndReason::end_tag)
    faults_.insert(event.reason == ab::EndReason::end_of_text ? "a branch ends with the end of text"
                                                              : "a branch is cut");
  if (event.kind == Kind::end && event.reason != ab::EndReason::end_of_text) faults_.insert("the answer is cut");
}

void MarkupCheck::see_token(const ab::Event& event) {
  const Symbol symbol = tags_.symbol(event.token);
  ab::markup::TagState& state = branches_[event.branch];
  state.in_branch = event.branch != ab::kTrunk;
  if (event.source == ab::Source::sampled)
    ab::markup::advance(state, symbol, [this](Breach breach) { faults_.insert(fault_of(breach)); });
  else if (symbol == Symbol::para_end)  // all other forced tokens are a branch's prefix or end
    state.in_block = false;
}

std::vector<std::string> MarkupCheck::faults() const {
  std::vector<std::string> all(faults_.begin(), faults_.end());
  const auto is_unfinished = [](const auto& branch) { return branch.second.in_title || branch.second.n_titles > 0; };
  if (std::any_of(branches_.begin(), branches_.end(), is_unfinished)) all.emplace_back("titles without a block");
  return all;
}

}  // namespace evaluate
