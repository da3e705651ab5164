// How many of several answers are complete: what a user sees while none of them is printed yet.
#pragma once

#include <cstddef>
#include <cstdio>

#include <anabranch/decode/events.hpp>

#include "live_view.hpp"

namespace chat {

/// On a terminal one line that is written over and goes away in the end, elsewhere a line for each answer.
class AnswerCount {
 public:
  AnswerCount() = default;  ///< says nothing
  AnswerCount(std::size_t n, ViewKind kind, std::FILE* stream) : n_(n), kind_(kind), stream_(stream) { say(); }
  void show(const anabranch::Event& event);
  /// All are answered, or were stopped: the next answers count from 0.
  void finish();

 private:
  void say() const;

  std::size_t n_ = 0;
  ViewKind kind_ = ViewKind::none;
  std::FILE* stream_ = nullptr;
  std::size_t n_complete_ = 0;
};

}  // namespace chat
