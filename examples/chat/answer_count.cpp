#include "answer_count.hpp"

#include <fmt/format.h>

namespace chat {

void AnswerCount::show(const anabranch::Event& event) {
  if (event.kind != anabranch::Event::Kind::end || event.reason == anabranch::EndReason::cancelled) return;
  ++n_complete_;
  say();
}

void AnswerCount::finish() {
  if (kind_ == ViewKind::terminal) fmt::print(stream_, "\r\x1b[K");
  n_complete_ = 0;
}

void AnswerCount::say() const {
  if (kind_ == ViewKind::none) return;
  const bool in_place = kind_ == ViewKind::terminal;
  fmt::print(stream_, "{}answered {} of {}{}", in_place ? "\r" : "", n_complete_, n_, in_place ? "\x1b[K" : "\n");
  std::fflush(stream_);
}

}  // namespace chat
