// Is the markup that a model wrote well-formed? Watches one answer's events.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <anabranch/decode/events.hpp>
#include <anabranch/markup/aspd.hpp>

namespace evaluate {

/// Well-formed: every title is opened, has text and is closed; `<|para|>` follows at least two of them; every branch
/// writes its own end tag; no other tag is sampled; the answer ends by itself.
class MarkupCheck {
 public:
  explicit MarkupCheck(anabranch::markup::AspdTags tags) : tags_(std::move(tags)) {}
  void see(const anabranch::Event& event);
  /// What was wrong, each once; empty: nothing. Call after the answer's end.
  std::vector<std::string> faults() const;

 private:
  struct Line {
    bool in_title = false;
    bool blank = true;          ///< the open title has no text yet
    std::int32_t n_titles = 0;  ///< closed since the last block
  };
  void see_token(Line& line, const anabranch::Event& event);
  void note(const char* fault) { ++faults_[fault]; }

  anabranch::markup::AspdTags tags_;
  std::map<anabranch::BranchIndex, Line> lines_;
  std::map<std::string, std::int32_t> faults_;
};

}  // namespace evaluate
