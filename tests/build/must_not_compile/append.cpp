// Appending a bare integer: a token, or a count of tokens?
#include <anabranch/cache/kv_cache.hpp>

namespace ab = anabranch;

void append_tokens(ab::Step& step, ab::SequenceId sequence, std::span<const ab::TokenId> tokens) {
  const ab::TokenId token = 7;
  step.append(sequence, {token}, ab::Logits::last);
  step.append(sequence, tokens);
  step.append_unknown(sequence, 3, ab::Logits::last);

  // CASE TOKEN: a token is not a count
  //   g++:   use of deleted function .*append.*NoList = int
  //   g++:   a token: \{token\}; a count: append_unknown
  //   clang: call to deleted member function 'append'
  //   clang: a token: \{token\}; a count: append_unknown
#ifdef TOKEN
  step.append(sequence, token);
#endif

  // CASE COUNT: nor is a count a token, of whatever type, with or without logits
  //   g++:   use of deleted function .*append.*NoList = long
  //   g++:   a token: \{token\}; a count: append_unknown
  //   clang: call to deleted member function 'append'
  //   clang: a token: \{token\}; a count: append_unknown
#ifdef COUNT
  step.append(sequence, std::ssize(tokens), ab::Logits::last);
#endif

  // CASE LIST: a list is not a count
  //   g++:   cannot convert .*span.* to .*int
  //   clang: no viable conversion from .*span.* to 'std::int32_t'
#ifdef LIST
  step.append_unknown(sequence, tokens);
#endif

  // CASE PLAN: a plan that nobody looks at
  //   g++:   ignoring return.* declared with attribute .*nodiscard
  //   clang: ignoring return value of .*nodiscard
#ifdef PLAN
  step.plan();
#endif
  if (step.plan()) step.commit();
}
