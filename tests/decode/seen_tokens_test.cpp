// SeenTokens: the tokens that a branch has seen, shared between an original and its copies.
#include <anabranch/decode/impl/seen_tokens.hpp>

#include "scripted.hpp"

using namespace scripted;
using ab::impl::SeenTokens;

namespace {
SeenTokens seen(const std::string& text) {
  SeenTokens result;
  for (const TokenId token : tokens(text)) result.push_back(token);
  return result;
}
std::string text_of(const SeenTokens& s) { return scripted::spelled(Tokens(s.all().begin(), s.all().end())); }
}  // namespace

TEST_CASE("Changes of a copy do not show in the original, and the next copy starts from the original again") {
  for (std::size_t n = 0; n < 20; ++n) {
    const std::string text(n, 'a');
    const SeenTokens original = seen(text);
    for (const char c : {'x', 'y'}) {
      SeenTokens copy = original;
      for (int i = 0; i < 5; ++i) copy.push_back(tokens(std::string(1, c)).front());
      CHECK(text_of(original) == text);
      CHECK(text_of(copy) == text + std::string(5, c));
    }
    for (std::size_t keep = 0; keep <= n; ++keep) {
      SeenTokens copy = original;
      copy.shorten(keep);
      copy.append(tokens("zzz"));
      CHECK(text_of(original) == text);
      CHECK(text_of(copy) == text.substr(0, keep) + "zzz");
    }
  }
}

TEST_CASE("Branches that take the same tokens apart go on side by side") {
  const SeenTokens parent = seen("abc");
  SeenTokens one = parent.apart(), two = parent.apart();
  for (int i = 0; i < 9; ++i) {
    one.push_back(tokens("x").front());
    two.push_back(tokens("y").front());
  }
  CHECK(text_of(one) == "abcxxxxxxxxx");
  CHECK(text_of(two) == "abcyyyyyyyyy");
  CHECK(text_of(parent) == "abc");
  SeenTokens joined = parent;
  joined.append(one.from(3));
  joined.append(two.from(3));
  CHECK(text_of(joined) == "abcxxxxxxxxxyyyyyyyyy");
}
