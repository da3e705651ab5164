// Any markup behind one type: tests with many markups compile one decoder.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include <anabranch/markup/markup.hpp>

namespace anabranch::test {

class AnyMarkup {
  /// A state, with the calls of its markup.
  struct Held {
    virtual ~Held() = default;
    virtual std::unique_ptr<Held> copy() const = 0;
    virtual std::unique_ptr<Held> child(std::int32_t k) const = 0;
    virtual markup::Action next(TokenId token) = 0;
    virtual markup::Action joined() = 0;
    virtual markup::Action open() = 0;
    virtual markup::Action end_of_text() = 0;
    virtual markup::Forced closing() const = 0;
    virtual markup::Constraint constrain() const = 0;
    virtual TokenId draft() const = 0;
  };

  template <class M>
  struct HeldState final : Held {
    HeldState(std::shared_ptr<const M> markup, typename M::State state, bool in_branch)
        : m(std::move(markup)), own(std::move(state)), is_branch(in_branch) {}
    std::unique_ptr<Held> copy() const override { return std::make_unique<HeldState>(m, own, is_branch); }
    std::unique_ptr<Held> child(std::int32_t k) const override {
      return std::make_unique<HeldState>(m, m->child(own, k), true);
    }
    markup::Action next(TokenId token) override { return m->next(own, token); }
    markup::Action joined() override { return m->joined(own); }
    markup::Action open() override {
      if constexpr (MarkupWithOpening<M>) return m->open(own);
      return markup::Action::go_on();
    }
    markup::Action end_of_text() override {
      if constexpr (MarkupWithEndOfText<M>) return m->end_of_text(own);
      markup::Action action = markup::Action::end_branch();  // on the trunk: finish
      action.forget = 1;
      if (is_branch) action.forced = m->closing(own);
      return action;
    }
    markup::Forced closing() const override { return m->closing(own); }
    markup::Constraint constrain() const override {
      if constexpr (MarkupWithConstraint<M>) return m->constrain(own);
      return {};
    }
    TokenId draft() const override {
      if constexpr (MarkupWithDraft<M>) return m->draft(own);
      return kUnknownToken;
    }
    std::shared_ptr<const M> m;
    typename M::State own;
    bool is_branch;
  };

 public:
  struct State {
    State() = default;
    explicit State(std::unique_ptr<Held> state) : held(std::move(state)) {}
    State(const State& other) : held(other.held ? other.held->copy() : nullptr) {}
    State(State&&) noexcept = default;
    State& operator=(const State& other) { return *this = State(other); }
    State& operator=(State&&) noexcept = default;
    ~State() = default;
    std::unique_ptr<Held> held;
  };

  template <class M>
  requires(!std::same_as<M, AnyMarkup> && Markup<M>) AnyMarkup(M markup) {  // NOLINT: a markup is one
    start_ = [m = std::make_shared<const M>(std::move(markup))]() -> std::unique_ptr<Held> {
      return std::make_unique<HeldState<M>>(m, m->start(), false);
    };
  }

  State start() const { return State(start_()); }
  State child(const State& s, std::int32_t k) const { return State(s.held->child(k)); }
  markup::Action next(State& s, TokenId token) const { return s.held->next(token); }
  markup::Action joined(State& s) const { return s.held->joined(); }
  markup::Action open(State& s) const { return s.held->open(); }
  markup::Action end_of_text(State& s) const { return s.held->end_of_text(); }
  markup::Forced closing(const State& s) const { return s.held->closing(); }
  markup::Constraint constrain(const State& s) const { return s.held->constrain(); }
  TokenId draft(const State& s) const { return s.held->draft(); }

 private:
  std::function<std::unique_ptr<Held>()> start_;
};
static_assert(Markup<AnyMarkup>);

}  // namespace anabranch::test
