// Serial: the markup that never forks. It is ordinary serial decoding.
#pragma once

#include <anabranch/markup/markup.hpp>

namespace anabranch::markup {

class Serial {
 public:
  struct State {};
  State start() const { return {}; }
  State child(const State&, std::int32_t) const { return {}; }
  Action next(State&, TokenId) const { return Action::go_on(); }
  Action joined(State&) const { return Action::finish(); }
  Forced closing(const State&) const { return {}; }
};
static_assert(Markup<Serial>);

}  // namespace anabranch::markup
