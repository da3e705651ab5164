// Whether a markup has its optional functions as they are called.
//
// A function of that name with another signature would never be called, and nobody would say so. So the name alone is
// looked for: in a class that has the markup's members and one more member of the name, it is ambiguous exactly when
// the markup has it too, whatever its kind and access.
#pragma once

#include <type_traits>

#include <anabranch/markup/markup.hpp>

namespace anabranch::impl {

struct OpenName {
  int open;
};
struct EndOfTextName {
  int end_of_text;
};
struct ConstrainName {
  int constrain;
};
struct DraftName {
  int draft;
};
template <class M, class Name>
struct WithName : M, Name {};

// Of a final class, which cannot be a base, a single public function is seen.
template <class M>
consteval bool names_open() {
  if constexpr (std::is_final_v<M>) return requires {
      &M::open;
    };
  else
    return !requires { &WithName<M, OpenName>::open; };
}
template <class M>
consteval bool names_end_of_text() {
  if constexpr (std::is_final_v<M>) return requires {
      &M::end_of_text;
    };
  else
    return !requires { &WithName<M, EndOfTextName>::end_of_text; };
}
template <class M>
consteval bool names_constrain() {
  if constexpr (std::is_final_v<M>) return requires {
      &M::constrain;
    };
  else
    return !requires { &WithName<M, ConstrainName>::constrain; };
}
template <class M>
consteval bool names_draft() {
  if constexpr (std::is_final_v<M>) return requires {
      &M::draft;
    };
  else
    return !requires { &WithName<M, DraftName>::draft; };
}

/// Does not compile for a markup whose optional functions would be passed over.
template <class M>
consteval bool check_optional_functions() {
  static_assert(MarkupWithOpening<M> || !names_open<M>(),
                "the markup's `open` would not be called; it must be: markup::Action open(State&) const");
  static_assert(MarkupWithEndOfText<M> || !names_end_of_text<M>(),
                "the markup's `end_of_text` would not be called; it must be: markup::Action end_of_text(State&) const");
  static_assert(MarkupWithConstraint<M> || !names_constrain<M>(),
                "the markup's `constrain` would not be called; it must be: "
                "markup::Constraint constrain(const State&) const");
  static_assert(MarkupWithDraft<M> || !names_draft<M>(),
                "the markup's `draft` would not be called; it must be: TokenId draft(const State&) const");
  return true;
}

}  // namespace anabranch::impl
