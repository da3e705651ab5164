// A run as a picture: passes from left to right, one lane per line, one mark per token.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <anabranch/decode/events.hpp>

namespace chat {

/// Throws anabranch::Error(bad_file) when a picture could not be written to this file, as far as that can be known
/// before.
void check_writable(const std::filesystem::path& file);

/// Collects the events of one request and draws them as an SVG.
class Picture {
 public:
  void show(const anabranch::Event& event);
  /// The pass that the last events came from is over.
  void end_pass() { ++pass_; }
  /// Throws anabranch::Error(bad_file) when the file cannot be written.
  void write(const std::filesystem::path& file, const std::string& question, const std::string& figures) const;

 private:
  struct Mark {
    std::int32_t pass = 0;
    anabranch::BranchIndex lane = 0;
    bool sampled = true;
  };
  struct Link {
    std::int32_t pass = 0;
    anabranch::BranchIndex lane = 0;  ///< of the line that forked, or goes on after the join
    anabranch::BranchIndex first = 0;
    std::int32_t count = 0;
  };
  std::int32_t pass_ = 0;
  std::vector<Mark> marks_;
  std::vector<Link> links_;
  std::map<anabranch::BranchIndex, std::string> titles_;
};

}  // namespace chat
