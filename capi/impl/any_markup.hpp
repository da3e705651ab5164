// One type for all markups that C can name, so that there is one decoder.
#pragma once

#include <utility>
#include <variant>

#include <anabranch/markup/aspd.hpp>
#include <anabranch/markup/serial.hpp>
#include <anabranch/markup/skeleton.hpp>

#include "callbacks.hpp"

namespace anabranch::capi {

class AnyMarkup {
 public:
  using Skeleton = markup::Skeleton<CallerText, CallerText>;
  using Choice = std::variant<markup::Serial, markup::Aspd, Skeleton, CallbackMarkup>;
  struct State {
    std::variant<markup::Serial::State, markup::Aspd::State, Skeleton::State, CallbackMarkup::State> own;
    bool in_branch = false;
  };

 private:
  /// visit(markup, its state)
  template <class S, class Visit>
  auto with(S& s, Visit&& visit) const {
    return std::visit(
        [&](const auto& m) { return visit(m, std::get<typename std::decay_t<decltype(m)>::State>(s.own)); }, choice_);
  }

 public:
  explicit AnyMarkup(Choice choice) : choice_(std::move(choice)) {}

  State start() const {
    return std::visit([](const auto& m) { return State{m.start(), false}; }, choice_);
  }
  State child(const State& s, std::int32_t k) const {
    return with(s, [k](const auto& m, const auto& own) { return State{m.child(own, k), true}; });
  }
  markup::Action next(State& s, TokenId token) const {
    return with(s, [token](const auto& m, auto& own) { return m.next(own, token); });
  }
  markup::Action joined(State& s) const {
    return with(s, [](const auto& m, auto& own) { return m.joined(own); });
  }
  markup::Forced closing(const State& s) const {
    return with(s, [](const auto& m, const auto& own) { return m.closing(own); });
  }
  markup::Action open(State& s) const {
    return with(s, [](const auto& m, auto& own) {
      if constexpr (MarkupWithOpening<std::decay_t<decltype(m)>>)
        if (has_open(m)) return m.open(own);
      return markup::Action::go_on();
    });
  }
  markup::Action end_of_text(State& s) const {
    return with(s, [&s](const auto& m, auto& own) {
      if constexpr (MarkupWithEndOfText<std::decay_t<decltype(m)>>)
        if (has_end_of_text(m)) return m.end_of_text(own);
      markup::Action action = markup::Action::end_branch(markup::Role::tag);
      action.forget = 1;
      if (s.in_branch) action.forced = m.closing(own);
      return action;
    });
  }
  markup::Constraint constrain(const State& s) const {
    return with(s, [](const auto& m, const auto& own) {
      if constexpr (MarkupWithConstraint<std::decay_t<decltype(m)>>) return m.constrain(own);
      return markup::Constraint{};
    });
  }
  TokenId draft(const State& s) const {
    return with(s, [](const auto& m, const auto& own) {
      if constexpr (MarkupWithDraft<std::decay_t<decltype(m)>>) return m.draft(own);
      return kUnknownToken;
    });
  }

 private:
  template <class M>
  static bool has_open(const M&) noexcept {
    return true;
  }
  static bool has_open(const CallbackMarkup& m) noexcept { return m.has_open(); }
  template <class M>
  static bool has_end_of_text(const M&) noexcept {
    return true;
  }
  static bool has_end_of_text(const CallbackMarkup& m) noexcept { return m.has_end_of_text(); }

  Choice choice_;
};
static_assert(Markup<AnyMarkup> && MarkupWithOpening<AnyMarkup> && MarkupWithEndOfText<AnyMarkup> &&
              MarkupWithConstraint<AnyMarkup>);

}  // namespace anabranch::capi
