// SharedArray: an array that an original shares with its copies.
#include <anabranch/decode/impl/shared_array.hpp>

#include "scripted.hpp"

using namespace scripted;

namespace {
using Array = ab::impl::SharedArray<TokenId>;

Array array_of(const std::string& text) {
  Array result;
  for (const TokenId token : tokens(text)) result.push_back(token);
  return result;
}
std::string text_of(const Array& s) { return scripted::spelled(Tokens(s.all().begin(), s.all().end())); }
}  // namespace

TEST_CASE("Changes of a copy do not show in the original, and the next copy starts from the original again") {
  for (std::size_t n = 0; n < 20; ++n) {
    const std::string text(n, 'a');
    const Array original = array_of(text);
    for (const char c : {'x', 'y'}) {
      Array copy = original;
      for (int i = 0; i < 5; ++i) copy.push_back(tokens(std::string(1, c)).front());
      CHECK(text_of(original) == text);
      CHECK(text_of(copy) == text + std::string(5, c));
    }
    for (std::size_t keep = 0; keep <= n; ++keep) {
      Array copy = original;
      copy.shorten(keep);
      copy.append(tokens("zzz"));
      CHECK(text_of(original) == text);
      CHECK(text_of(copy) == text.substr(0, keep) + "zzz");
    }
  }
}
