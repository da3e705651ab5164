// Serial markup never does anything but go on.
#include <anabranch/markup/serial.hpp>

#include "catch.hpp"

namespace {

namespace ab = anabranch;
using ab::markup::Action;

}  // namespace

TEST_CASE("Serial markup samples text, whatever the token") {
  const ab::markup::Serial serial;
  ab::markup::Serial::State s = serial.start();
  for (const ab::TokenId token : {0, 1, 1000}) {
    const Action action = serial.next(s, token);
    CHECK(action.next == Action::Next::sample);
    CHECK(action.role == ab::markup::Role::text);
    CHECK(action.forget == 0);
    CHECK(action.forced.empty());
  }
  CHECK(serial.closing(s).empty());
  CHECK(serial.joined(s).next == Action::Next::finish);
}

TEST_CASE("Serial markup has no constraint, no drafts, no opening and no end of its own") {
  STATIC_REQUIRE(ab::Markup<ab::markup::Serial>);
  STATIC_REQUIRE_FALSE(ab::MarkupWithConstraint<ab::markup::Serial>);
  STATIC_REQUIRE_FALSE(ab::MarkupWithDraft<ab::markup::Serial>);
  STATIC_REQUIRE_FALSE(ab::MarkupWithOpening<ab::markup::Serial>);
  STATIC_REQUIRE_FALSE(ab::MarkupWithEndOfText<ab::markup::Serial>);
}
