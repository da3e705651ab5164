// SnapshotFindings: gathers in words what is wrong with a snapshot.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <anabranch/error.hpp>

namespace anabranch::impl {

class SnapshotFindings {
 public:
  bool empty() const noexcept { return violated_.empty(); }
  std::vector<std::string> take() noexcept { return std::move(violated_); }

  /// Notes the text, made of `parts`, unless the condition holds.
  template <class... Parts>
  void expect(bool holds, const Parts&... parts) {
    if (holds) return;
    std::string text;
    (ErrorPart(parts).append_to(text), ...);
    violated_.push_back(std::move(text));
  }
  /// Expects `value` in [least, most]; `name` says whose value it is, and which.
  template <class... Name>
  void expect_in(std::int64_t value, std::int64_t least, std::int64_t most, const Name&... name) {
    expect(value >= least && value <= most, name..., " ", value, "; it can be ", least, " to ", most);
  }
  template <class... Name>
  void expect_equal(std::int64_t value, std::int64_t expected, const Name&... name) {
    expect(value == expected, name..., " ", value, "; it must be ", expected);
  }

 private:
  std::vector<std::string> violated_;
};

}  // namespace anabranch::impl
