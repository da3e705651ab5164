// chrF against the figures of sacreBLEU 2 (CHRF(char_order=6, word_order=0, beta=2).sentence_score / 100).
#include "chrf.hpp"

#include <string>

#include "catch.hpp"

using loop::chrf;

TEST_CASE("chrF is what sacreBLEU computes") {
  struct Case {
    std::string hypothesis;
    std::string reference;
    double score;
  };
  const Case cases[] = {
      {"the cat sat on the mat", "the cat sat on the mat", 1.0},
      {"the cat sat on the mat", "a cat sat on a mat", 0.5511170308673565},
      {"a cat sat on a mat", "the cat sat on the mat", 0.4565449828800047},
      {"abc", "abd", 0.3888888888888889},
      {"ab", "abcdef", 0.3125},
      {"Gr\u00fc\u00dfe aus K\u00f6ln", "Gr\u00fcsse aus K\u00f6ln", 0.60329338545767854},
      {"a b\nc", "abc", 1.0},
  };
  for (const Case& c : cases) {
    INFO(c.hypothesis << " | " << c.reference);
    CHECK(chrf(c.hypothesis, c.reference) == Approx(c.score).epsilon(1e-12));
  }
}

TEST_CASE("chrF of texts that share nothing, or are empty, is 0") {
  CHECK(chrf("xyz", "abc") == 0.0);
  CHECK(chrf("", "abc") == 0.0);
  CHECK(chrf("abc", " \n") == 0.0);
  CHECK(chrf("", "") == 0.0);
}
