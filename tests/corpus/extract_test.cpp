// What becomes a branch, and what does not; every case gives its answer back.
#include "catch.hpp"
#include "corpus/trees.hpp"

namespace {

namespace ab = anabranch;
namespace corpus = ab::corpus;

/// The outline of an answer, which must come back from its tree byte for byte.
std::string cut(std::string_view answer, const corpus::ExtractOptions& options = {}) {
  const corpus::BranchText tree = corpus::extract(answer, options);
  CHECK(corpus::reading_text(tree) == answer);
  return ab::test::outline(tree);
}

}  // namespace

TEST_CASE("an answer without siblings is serial") {
  CHECK(cut("") == "");
  CHECK(cut("Paris.") == "Paris.");
  CHECK(cut("One.\n\nTwo.\n") == "One.//Two./");
  CHECK(cut("1. **Only**: one item.\n") == "1. **Only**: one item./");
  CHECK(cut("# Title\n\nText.\n") == "# Title//Text./");
}

TEST_CASE("the bytes of a branch are lead, title, separator, body and tail") {
  const corpus::BranchText tree = corpus::extract("So:\n\n 1. **Rest**: sleep.\n\n 2. **Food:**  eat. \n\nEnd");
  REQUIRE(tree.passages.size() == 3);
  CHECK(tree.passages[0].text == "So:\n\n");
  REQUIRE(tree.passages[1].branches.size() == 2);
  const corpus::Branch& first = tree.passages[1].branches[0];
  CHECK(first.lead == " 1. **");
  CHECK(first.title == "Rest");
  CHECK(first.separator == "**: ");
  REQUIRE(first.body.passages.size() == 1);
  CHECK(first.body.passages[0].text == "sleep.");
  CHECK(first.tail == "\n\n");
  CHECK(tree.passages[1].branches[1].separator == ":**  ");
  CHECK(tree.passages[1].branches[1].tail == " \n");
  CHECK(tree.passages[2].text == "\nEnd");
}

TEST_CASE("titles end at bold, a colon, a dash or a dot, or with their line") {
  CHECK(cut("1. **A b**: x\n2. **C:** y\n3. **D.** z\n4. **E** - v\n5. **F**\n   w\n") ==
        "numbered{A b=x; C=y; D=z; E=v; F=   w}");
  CHECK(cut("- A b: x\n- C - y\n- D – z\n- E — v\n- Food. Eat well.\n") ==
        "bulleted{A b=x; C=y; D=z; E=v; Food=Eat well.}");
  CHECK(cut("1. Alone\n   Its text.\n2. Too\n   More text.\n") == "numbered{Alone=   Its text.; Too=   More text.}");
  CHECK(cut("1. __A__: x\n2. ***B***: y\n") == "numbered{A=x; B=y}");
}

TEST_CASE("what cannot be a title stays in the body") {
  CHECK(cut("1. Eat.\n2. Sleep.\n") == "numbered{=Eat.; =Sleep.}");
  CHECK(cut("1. **Water** is good.\n2. **Bread** is too.\n") == "numbered{=**Water** is good.; =**Bread** is too.}");
  CHECK(cut("1. At 10:30 we go.\n2. See http://a.b for it.\n") ==
        "numbered{=At 10:30 we go.; =See http://a.b for it.}");
  CHECK(cut("- **Unclosed: x\n- **Too: y\n") == "bulleted{**Unclosed=x; **Too=y}");
  CHECK(cut("- one two three four five: x\n- b: y\n", {.max_title_words = 4}) ==
        "bulleted{=one two three four five: x; b=y}");
  CHECK(cut("- abcdefgh: x\n- b: y\n", {.max_title_bytes = 7}) == "bulleted{=abcdefgh: x; b=y}");
}

TEST_CASE("a number is the title of an untitled item when asked for") {
  const corpus::ExtractOptions options{.untitled = corpus::Untitled::number};
  CHECK(cut("1. Eat.\n2. Sleep.\n", options) == "numbered{1=Eat.; 2=Sleep.}");
  CHECK(cut("(1) Eat.\n(2) **Rest**: sleep.\n", options) == "numbered{1=Eat.; Rest=sleep.}");
  CHECK(cut("- Eat.\n- Sleep.\n", options) == "bulleted{=Eat.; =Sleep.}");
}

TEST_CASE("every style of numbers, letters and bullets makes a list") {
  CHECK(cut("1) a: x\n2) b: y\n") == "numbered{a=x; b=y}");
  CHECK(cut("(1) a: x\n(2) b: y\n") == "numbered{a=x; b=y}");
  CHECK(cut("**1. a**: x\n**2. b**: y\n") == "numbered{a=x; b=y}");
  CHECK(cut("**1.** a: x\n**2.** b: y\n") == "numbered{a=x; b=y}");
  CHECK(cut("a) p: x\nb) q: y\n") == "lettered{p=x; q=y}");
  CHECK(cut("A. p: x\nB. q: y\n") == "lettered{p=x; q=y}");
  CHECK(cut("i. p: x\nii. q: y\niii. r: z\niv. s: v\n") == "lettered{p=x; q=y; r=z; s=v}");
  CHECK(cut("h) p: x\ni) q: y\nj) r: z\n") == "lettered{p=x; q=y; r=z}");
  for (const std::string bullet : {"-", "*", "+", "•", "◦", "▪", "–", "●", "➤"})
    CHECK(cut(bullet + " a: x\n" + bullet + "\tb: y\n") == "bulleted{a=x; b=y}");
}

TEST_CASE("numbers of other scripts make lists, with the delimiters that are written there") {
  CHECK(cut("1、 a: x\n2、 b: y\n") == "numbered{a=x; b=y}");
  CHECK(cut("1、休息：睡觉。\n2、饮食：吃饭。\n") == "numbered{休息=睡觉。; 饮食=吃饭。}");
  CHECK(cut("１．休息：睡觉。\n２．饮食：吃饭。\n") == "numbered{休息=睡觉。; 饮食=吃饭。}");
  CHECK(cut("１０）**休息**：睡觉\n１１）**饮食：**吃饭\n") == "numbered{休息=睡觉; 饮食=吃饭}");
  CHECK(cut("一、休息\n睡觉。\n二、饮食\n吃饭。\n") == "numbered{休息=睡觉。; 饮食=吃饭。}");
  CHECK(cut("（九）a：x\n（十）b：y\n（十一）c：z\n") == "numbered{a=x; b=y; c=z}");
  CHECK(cut("十九、a：x\n二十、b：y\n二十一、c：z\n") == "numbered{a=x; b=y; c=z}");
  CHECK(cut("九十九. a: x\n一百. b: y\n一百零一. c: z\n") == "numbered{a=x; b=y; c=z}");
  CHECK(cut("**一、休息**\n睡觉。\n**二、饮食**\n吃饭。\n") == "numbered{休息=睡觉。; 饮食=吃饭。}");
  CHECK(cut("一、a：x\n三、b：y\n") == "一、a：x/三、b：y/");
  CHECK(cut("1、a：x\n2. b: y\n") == "1、a：x/2. b: y/");
  CHECK(cut("三月、四月\n四月、五月\n") == "三月、四月/四月、五月/");
  const corpus::ExtractOptions options{.untitled = corpus::Untitled::number};
  CHECK(cut("一、吃。\n二、睡。\n", options) == "numbered{一=吃。; 二=睡。}");
  CHECK(cut("１．吃。\n２．睡。\n", options) == "numbered{１=吃。; ２=睡。}");
}

TEST_CASE("numbers have up to nine digits; a year begins no list") {
  CHECK(cut("1000. a: x\n1001. b: y\n") == "numbered{a=x; b=y}");
  CHECK(cut("999) a: x\n1000) b: y\n1001) c: z\n") == "numbered{a=x; b=y; c=z}");
  CHECK(cut("1,000. a: x\n1,001. b: y\n") == "numbered{a=x; b=y}");
  CHECK(cut("999. a: x\n1,000. b: y\n") == "numbered{a=x; b=y}");
  CHECK(cut("123456788. a: x\n123456789. b: y\n") == "numbered{a=x; b=y}");
  CHECK(cut("1234567890. a: x\n1234567891. b: y\n") == "1234567890. a: x/1234567891. b: y/");
  CHECK(cut("1,00. a: x\n1,01. b: y\n") == "1,00. a: x/1,01. b: y/");
  CHECK(cut("1799. a: x\n1800. b: y\n1801. c: z\n") == "numbered{a=x; b=y; c=z}");
  CHECK(cut("1999. A year.\n2000. Another.\n") == "1999. A year./2000. Another./");
}

TEST_CASE("Roman numerals make lists, in letters and in signs of their own") {
  CHECK(cut("I. p: x\nII. q: y\nIII. r: z\nIV. s: v\nV. t: w\n") == "lettered{p=x; q=y; r=z; s=v; t=w}");
  CHECK(cut("(viii) p: x\n(ix) q: y\n(x) r: z\n(xi) s: v\n") == "lettered{p=x; q=y; r=z; s=v}");
  CHECK(cut("xxxix) p: x\nxl) q: y\nxli) r: z\n") == "lettered{p=x; q=y; r=z}");
  CHECK(cut("XCIX. p: x\nC. q: y\nCI. r: z\n") == "lettered{p=x; q=y; r=z}");
  CHECK(cut("Ⅰ．p：x\nⅡ．q：y\n") == "lettered{p=x; q=y}");
  CHECK(cut("ⅸ、p：x\nⅹ、q：y\nⅺ、r：z\n") == "lettered{p=x; q=y; r=z}");
  CHECK(cut("iii. p: x\niiii. q: y\n") == "iii. p: x/iiii. q: y/");
  CHECK(cut("c. p: x\nd. q: y\ne. r: z\n") == "lettered{p=x; q=y; r=z}");
}

TEST_CASE("a list that begins inside an item's first line is nested") {
  CHECK(cut("*   * a: x\n    * b: y\n") == "*   bulleted{a=x; b=y}");
  CHECK(cut("*   * a: x\n    * b: y\n*   * c: z\n    * d: v\n") ==
        "bulleted{=bulleted{a=x; b=y}; =bulleted{c=z; d=v}}");
  CHECK(cut("1. - a: x\n   - b: y\n2. c: z\n") == "numbered{=bulleted{a=x; b=y}; c=z}");
  CHECK(cut("- 1. a: x\n  2. b: y\n- c: z\n") == "bulleted{=numbered{a=x; b=y}; c=z}");
  CHECK(cut("- - - a: x\n    - b: y\n  - c: z\n- d: v\n") == "bulleted{=bulleted{=bulleted{a=x; b=y}; c=z}; d=v}");
  CHECK(cut("- - a: x\n\n    more\n\n  - b: y\n- c: z\n") == "bulleted{=bulleted{a=x//    more; b=y}; c=z}");
  CHECK(cut("* * a: x\n* * b: y\n") == "bulleted{* a=x; * b=y}");
  CHECK(cut("1. A. Smith: x\n2. B. Jones: y\n") == "numbered{A. Smith=x; B. Jones=y}");
}

TEST_CASE("indented code is code, not a list") {
  CHECK(cut("Text:\n\n    1. a: x\n    2. b: y\n\nEnd.") == "Text://    1. a: x/    2. b: y//End.");
  CHECK(cut("    - a: x\n    - b: y\n") == "    - a: x/    - b: y/");
  CHECK(cut("# T\n\n\t- a: x\n\t- b: y\n") == "# T//\t- a: x/\t- b: y/");
  CHECK(cut("Text:\n    1. a: x\n    2. b: y\n") == "Text:/numbered{a=x; b=y}");
  CHECK(cut("1. a:\n\n       - p: x\n       - q: y\n\n2. b: z\n") == "numbered{a=       - p: x/       - q: y; b=z}");
  CHECK(cut("1. a:\n\n    - p: x\n    - q: y\n\n2. b: z\n") == "numbered{a=bulleted{p=x; q=y}; b=z}");
  CHECK(cut("- a:\n\n    - p: x\n    - q: y\n- b: z\n") == "bulleted{a=bulleted{p=x; q=y}; b=z}");
  CHECK(cut("- a:\n\n      - p: x\n      - q: y\n- b: z\n") == "bulleted{a=      - p: x/      - q: y; b=z}");
  CHECK(cut("Text:\n\n    # a\n    x\n\n    # b\n    y\n") == "Text://    # a/    x//    # b/    y/");
  CHECK(cut("- a: x\n\n      ```\n- b: y\n") == "bulleted{a=x//      ```; b=y}");
}

TEST_CASE("different markers make different lists") {
  CHECK(cut("- a: x\n* b: y\n") == "- a: x/* b: y/");
  CHECK(cut("1. a: x\n2) b: y\n") == "1. a: x/2) b: y/");
  CHECK(cut("- a: x\n- b: y\n* c: z\n* d: v\n") == "bulleted{a=x; b=y}bulleted{c=z; d=v}");
}

TEST_CASE("numbers go up by one; where they start again, a new list starts") {
  CHECK(cut("3. a: x\n4. b: y\n") == "numbered{a=x; b=y}");
  CHECK(cut("1. a: x\n3. b: y\n") == "1. a: x/3. b: y/");
  CHECK(cut("1. a: x\n2. b: y\n\nThen:\n\n1. c: z\n2. d: v\n") == "numbered{a=x; b=y}/Then://numbered{c=z; d=v}");
  CHECK(cut("1. a: x\n1. b: y\n1. c: z\n") == "numbered{a=x; b=y; c=z}");
  CHECK(cut("1. a: x\n\n1. b: y\n") == "1. a: x//1. b: y/");
}

TEST_CASE("bodies have several lines and paragraphs") {
  CHECK(cut("1. **A**: x\n   more\n\n   and more\n2. **B**: y\n") == "numbered{A=x/   more//   and more; B=y}");
  CHECK(cut("1. **A**\n\nText a.\n\n2. **B**\n\nText b.\n\nThe end.\n") == "numbered{A=Text a.; B=Text b.}/The end./");
  CHECK(cut("- **A**: a long line\nthat goes on\n- **B**: y\n") == "bulleted{A=a long line/that goes on; B=y}");
  CHECK(cut("- **A**\n\n  Text a.\n\n- **B**\n\n  Text b.\n") == "bulleted{A=  Text a.; B=  Text b.}");
}

TEST_CASE("what follows the last item is serial unless all items have such text") {
  CHECK(cut("1. a: x.\n2. b: y.\n\nIn conclusion, z.") == "numbered{a=x.; b=y.}/In conclusion, z.");
  CHECK(cut("1. a: x.\n2. b: y.\nIn conclusion, z.") == "numbered{a=x.; b=y.}In conclusion, z.");
  CHECK(cut("1. a: x\n2. b: y goes\non.\n") == "numbered{a=x; b=y goes/on.}");
  CHECK(cut("- a: x\n- b: y\n\nText.\n\n- c: z\n- d: v\n") == "bulleted{a=x; b=y}/Text.//bulleted{c=z; d=v}");
  CHECK(cut("1. a: x\n2. b: y\n\n---\n\nText.\n") == "numbered{a=x; b=y}/---//Text./");
}

TEST_CASE("lists inside items are nested blocks") {
  CHECK(cut("1. **A**: so\n   - p: x\n   - q: y\n2. **B**: z\n") == "numbered{A=so/bulleted{p=x; q=y}; B=z}");
  CHECK(cut("1. **A**:\n   - p: x\n   - q: y\n2. **B**: z\n") == "numbered{A=bulleted{p=x; q=y}; B=z}");
  CHECK(cut("1. **A**\n- p: x\n- q: y\n2. **B**\n- r: z\n- s: v\n") ==
        "numbered{A=bulleted{p=x; q=y}; B=bulleted{r=z; s=v}}");
  CHECK(cut("- a: x\n  - b: y\n    - c: z\n    - d: v\n  - e: w\n- f: u\n") ==
        "bulleted{a=x/bulleted{b=y/bulleted{c=z; d=v}; e=w}; f=u}");
  CHECK(cut("- a: x\n  - b: y\n  - c: z\n- d: v\n", {.max_depth = 1}) == "bulleted{a=x/  - b: y/  - c: z; d=v}");
  CHECK(cut("- a: x\n- d: v\n", {.max_depth = 0}) == "- a: x/- d: v/");
}

TEST_CASE("sections under headings of one level are branches") {
  CHECK(cut("# T\n\nIntro.\n\n## A\n\nText a.\n\n## B ##\nText b.\n") == "# T//Intro.//headed{A=Text a.; B=Text b.}");
  CHECK(cut("## 1. A\nx\n### P\ny\n### **Q**\nz\n## 2. B:\nv\n") == "headed{A=x/headed{P=y; Q=z}; B=v}");
  CHECK(cut("# A\n- p: x\n- q: y\n# B\nz\n") == "headed{A=bulleted{p=x; q=y}; B=z}");
  CHECK(cut("1. a: x\n2. b: y\n\n# A\nv\n# B\nw\n") == "numbered{a=x; b=y}/headed{A=v; B=w}");
  CHECK(cut("#no heading\n#nor this\n") == "#no heading/#nor this/");
}

TEST_CASE("steps, ordinals and bold lines are branches") {
  CHECK(cut("Step 1: Mix it.\nStep 2: Bake it.\n") == "steps{Step 1=Mix it.; Step 2=Bake it.}");
  CHECK(cut("**Step 1: Mix**\nUse a bowl.\n\n**Step 2: Bake**\nUse heat.\n") ==
        "steps{Step 1: Mix=Use a bowl.; Step 2: Bake=Use heat.}");
  CHECK(cut("**Day 1:** Rest.\n**Day 2:** Go.\n") == "steps{Day 1=Rest.; Day 2=Go.}");
  CHECK(cut("First, rest.\n\nSecond, eat.\n\nFinally, run.\n\nBye.") ==
        "ordinals{First=rest.; Second=eat.; Finally=run.}/Bye.");
  CHECK(cut("On the one hand, x.\n\nOn the other hand, y.\n") == "ordinals{On the one hand=x.; On the other hand=y.}");
  CHECK(cut("First, rest.\n\nThird, eat.\n") == "First, rest.//Third, eat./");
  CHECK(cut("**Fruit**: sweet.\n\n**Greens**: not.\n") == "bold{Fruit=sweet.; Greens=not.}");
  CHECK(cut("**Fruit**\n\nSweet.\n\n**Greens**\n\nNot.\n\nBye.\n") == "bold{Fruit=Sweet.; Greens=Not.}/Bye./");
  CHECK(cut("**Fruit** is sweet.\n\n**Greens** are not.\n") == "**Fruit** is sweet.//**Greens** are not./");
}

TEST_CASE("code fences are never cut") {
  CHECK(cut("```\n1. a: x\n2. b: y\n```\n") == "```/1. a: x/2. b: y/```/");
  CHECK(cut("1. a: x\n```\n2. no\n```\n2. b: y\n```\nz\n\nv\n```\n\nEnd.") ==
        "numbered{a=x/```/2. no/```; b=y/```/z//v/```}/End.");
  CHECK(cut("1. a:\n   ```c\n# no heading\n\n1. no\n   ```\n2. b: y\n") ==
        "numbered{a=   ```c/# no heading//1. no/   ```; b=y}");
  CHECK(cut("- ~~~\n  - x\n  ~~~\n- b: y\n") == "bulleted{=~~~/  - x/  ~~~; b=y}");
  CHECK(cut("1. a: x\n2. b: y\n\n```\n3. never closed\n") == "numbered{a=x; b=y}/```/3. never closed/");
}

TEST_CASE("tables, quotes and rules are text") {
  CHECK(cut("| a | b |\n|---|---|\n| 1 | 2 |\n") == "| a | b |/|---|---|/| 1 | 2 |/");
  CHECK(cut("> 1. a: x\n> 2. b: y\n") == "> 1. a: x/> 2. b: y/");
  CHECK(cut("- - -\n* * *\n***\n---\n") == "- - -/* * */***/---/");
  CHECK(cut("1. a: x\n\n| p |\n|---|\n\n2. b: y\n") == "numbered{a=x//| p |/|---|; b=y}");
}

TEST_CASE("carriage returns, tabs and missing last line breaks are kept") {
  CHECK(cut("1. **A**: x\r\n2. **B**: y\r\n\r\nEnd\r\n") == "numbered{A=x; B=y}^/End^/");
  CHECK(cut("1.\tA: x\n\t- p: y\n\t- q: z\n2.\tB: v") == "numbered{A=x/bulleted{p=y; q=z}; B=v}");
  CHECK(cut("\r\n\r") == "^/^");
}

TEST_CASE("empty items are branches without anything") {
  CHECK(cut("1.\n2.\n3.") == "numbered{=; =; =}");
  CHECK(cut("- \n-\n") == "bulleted{=; =}");
  CHECK(cut("1. **A**:\n2. **B**:\n") == "numbered{A=; B=}");
  CHECK(cut("## A\n## B\n") == "headed{A=; B=}");
}

TEST_CASE("any depth of lists is cut down to max_depth levels") {
  std::string answer;
  for (std::size_t i = 0; i < 2000; ++i)
    answer += std::string(2 * i, ' ') + "- a\n" + std::string(2 * i, ' ') + "- b\n";
  std::int32_t depth = 0;
  const corpus::BranchText tree = corpus::extract(answer, {.max_depth = 32});
  CHECK(corpus::reading_text(tree) == answer);
  for (const corpus::BranchText* at = &tree; at != nullptr; ++depth) {
    const corpus::BranchText* below = nullptr;
    for (const corpus::Passage& passage : at->passages)
      if (!passage.branches.empty()) below = &passage.branches.back().body;
    at = below;
  }
  CHECK(depth == 33);
}

TEST_CASE("options outside their range are refused") {
  const auto status = [](const corpus::ExtractOptions& options) {
    try {
      corpus::extract("x", options);
    } catch (const ab::Error& error) {
      return error.status();
    }
    return ab::Status::ok;
  };
  CHECK(status({.max_depth = 32}) == ab::Status::ok);
  CHECK(status({.max_depth = 33}) == ab::Status::bad_argument);
  CHECK(status({.max_depth = -1}) == ab::Status::bad_argument);
  CHECK(status({.max_title_bytes = 0}) == ab::Status::bad_argument);
  CHECK(status({.max_title_words = 0}) == ab::Status::bad_argument);
}
