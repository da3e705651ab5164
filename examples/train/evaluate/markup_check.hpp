// MarkupCheck: says whether a model wrote well-formed markup. It watches one answer's events.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include <anabranch/decode/events.hpp>
#include <anabranch/markup/aspd_tags.hpp>

namespace evaluate {

/// Well-formed: what the model sampled keeps the rules of markup/tag_grammar.hpp, every branch writes its own end tag,
/// and the answer ends by itself.
class MarkupCheck {
 public:
  explicit MarkupCheck(anabranch::markup::AspdTags tags) : tags_(std::move(tags)) {}
  void see(const anabranch::Event& event);
  /// The faults, each once; empty: none. Call after the answer's end.
  std::vector<std::string> faults() const;

 private:
  void see_token(const anabranch::Event& event);

  anabranch::markup::AspdTags tags_;
  std::map<anabranch::BranchIndex, anabranch::markup::TagState> branches_;
  std::set<std::string> faults_;
};

}  // namespace evaluate
