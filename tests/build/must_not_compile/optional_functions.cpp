// Optional functions of a markup, each with a signature that is nearly right.
#include <optional>

#include <anabranch/decode/decoder.hpp>
#include <anabranch/markup/serial.hpp>

namespace ab = anabranch;

struct Text {
  void operator()(std::span<const ab::TokenId>, std::string&) const {}
};
struct Plain {
  using Serial = ab::markup::Serial;
  using State = Serial::State;
  State start() const { return {}; }
  State child(const State& s, std::int32_t) const { return s; }
  ab::markup::Action next(State&, ab::TokenId) const { return {}; }
  ab::markup::Action joined(State&) const { return {}; }
  ab::markup::Forced closing(const State&) const { return {}; }
};
struct All : Plain {
  ab::markup::Action open(State&) const { return {}; }
  ab::markup::Action end_of_text(State& s) const { return open(s); }
  ab::markup::Constraint constrain(const State&) const { return {}; }
  ab::TokenId draft(const State&) const { return ab::kUnknownToken; }
};
template <class M>
using Decoder = ab::Decoder<M, Text>;
std::size_t size_of_right = sizeof(Decoder<Plain>) + sizeof(Decoder<All>);

// CASE OPEN: not const
//   g++:   error: .*the markup's `open` would not be called; it must be: markup::Action open\(State&\) const
//   clang: error: .*the markup's `open` would not be called; it must be: markup::Action open\(State&\) const
#ifdef OPEN
struct Open : Plain {
  ab::markup::Action open(State&) { return {}; }
};
std::size_t size = sizeof(Decoder<Open>);
#endif

// CASE END_OF_TEXT: one argument more, and a class that cannot be a base
//   g++:   error: .*`end_of_text` would not be called; it must be: markup::Action end_of_text\(State&\) const
//   clang: error: .*`end_of_text` would not be called; it must be: markup::Action end_of_text\(State&\) const
#ifdef END_OF_TEXT
struct EndOfText final : Plain {
  ab::markup::Action end_of_text(State&, ab::TokenId) const { return {}; }
};
std::size_t size = sizeof(Decoder<EndOfText>);
#endif

// CASE CONSTRAIN: it changes the state, and is overloaded
//   g++:   error: .*`constrain` would not be called; it must be: markup::Constraint constrain\(const State&\) const
//   clang: error: .*`constrain` would not be called; it must be: markup::Constraint constrain\(const State&\) const
#ifdef CONSTRAIN
struct Constrain : Plain {
  ab::markup::Constraint constrain(State&) const { return {}; }
  ab::markup::Constraint constrain() const { return {}; }
};
std::size_t size = sizeof(Decoder<Constrain>);
#endif

// CASE DRAFT: another result
//   g++:   error: .*`draft` would not be called; it must be: TokenId draft\(const State&\) const
//   clang: error: .*`draft` would not be called; it must be: TokenId draft\(const State&\) const
#ifdef DRAFT
struct Draft : Plain {
  std::optional<ab::TokenId> draft(const State&) const { return {}; }
};
std::size_t size = sizeof(Decoder<Draft>);
#endif
