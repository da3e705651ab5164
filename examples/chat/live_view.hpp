// The answer as it grows: branches side by side on a terminal; elsewhere how far it is, in plain lines without its
// text. Nothing is coloured.
#pragma once

#include <cstdint>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include <anabranch/decode/events.hpp>

#include "columns.hpp"

namespace chat {

enum class ViewKind : std::uint8_t { none, lines, terminal };

/// `terminal` when the stream is one and can move its cursor, else `lines`, which are for standard error.
ViewKind view_kind_of(std::FILE* stream);

/// Shows the events of one request after another. On a terminal, open branches are redrawn in place below the text
/// that is final; after a join that region is cleared and the joined text printed.
class LiveView {
 public:
  LiveView(ViewKind kind, std::FILE* stream) : kind_(kind), stream_(stream) {}
  void show(const anabranch::Event& event);
  /// Draws what changed; call once per pass.
  void refresh();
  /// Clears what is drawn in place.
  void finish();

 private:
  struct Branch {
    std::string title;
    std::string text;
    std::int32_t n_tokens = 0;
    bool open = true;
  };
  void add_text(anabranch::BranchIndex branch, const std::string& text);
  void end_branch(const anabranch::Event& event);
  void print(const std::string& text);
  void erase();

  ViewKind kind_;
  std::FILE* stream_;
  std::map<anabranch::BranchIndex, Branch> branches_;  ///< of the open block
  std::int32_t n_drawn_ = 0;                           ///< lines drawn in place
  bool changed_ = false;
  bool at_line_start_ = true;
};

}  // namespace chat
