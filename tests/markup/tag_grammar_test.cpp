// The grammar of the tags, rule by rule.
#include <anabranch/markup/tag_grammar.hpp>

#include <string>
#include <vector>

#include "catch.hpp"
#include "letters.hpp"

namespace {

using namespace letters;
using ab::markup::Breach;
using ab::markup::Symbol;
using ab::markup::TagState;
using Breaches = std::vector<Breach>;

struct Reading {
  TagState state;
  Breaches breaches;
};

Reading read(const std::string& text, bool in_branch = false) {
  Reading r;
  r.state.in_branch = in_branch;
  for (const TokenId token : tokens(text))
    ab::markup::advance(r.state, aspd().tags().symbol(token), [&](Breach breach) { r.breaches.push_back(breach); });
  return r;
}
Breaches breaches(const std::string& text) { return read(text).breaches; }

}  // namespace

TEST_CASE("Tokens become symbols by the tags, all others are text") {
  const ab::markup::AspdTags tags = aspd().tags();
  CHECK(tags.symbol(kTitle) == Symbol::title);
  CHECK(tags.symbol(kTitleEnd) == Symbol::title_end);
  CHECK(tags.symbol(kPara) == Symbol::para);
  CHECK(tags.symbol(kParaEnd) == Symbol::para_end);
  CHECK(tags.symbol(kBranch) == Symbol::branch);
  CHECK(tags.symbol(kBranchEnd) == Symbol::branch_end);
  CHECK(tags.symbol(kColon) == Symbol::text);
  CHECK(tags.symbol(kEnd) == Symbol::text);
}

TEST_CASE("Well-formed text breaks no rule and may end") {
  for (const char* text : {"", "abc", "(a)(b){[[}", "x(a)(b)(c){[[[}y(d)(e){}z"}) {
    INFO(text);
    CHECK(breaches(text).empty());
    CHECK(may_end(read(text).state));
  }
  CHECK(read("x(a)(b){[[}y]", true).breaches.empty());
}

TEST_CASE("Each rule has its breach") {
  CHECK(breaches("(a(b") == Breaches{Breach::title_not_closed});
  CHECK(breaches("(a)(b)(c{") == Breaches{Breach::title_not_closed});
  CHECK(read("(a]", true).breaches == Breaches{Breach::title_not_closed});
  CHECK(breaches("()") == Breaches{Breach::empty_title});
  CHECK(breaches("a)") == Breaches{Breach::stray_title_end});
  CHECK(breaches("{") == Breaches{Breach::few_titles});
  CHECK(breaches("(a){") == Breaches{Breach::few_titles});
  CHECK(breaches("(a{") == Breaches{Breach::title_not_closed, Breach::few_titles});
  CHECK(breaches("(a)(b){x") == Breaches{Breach::text_in_block});
  CHECK(breaches("(a)(b){(") == Breaches{Breach::tag_in_block});
  CHECK(breaches("(a)(b){{") == Breaches{Breach::tag_in_block});
  CHECK(breaches("[") == Breaches{Breach::stray_branch});
  CHECK(breaches("]") == Breaches{Breach::stray_branch_end});
  CHECK(read("(a)(b){]", true).breaches == Breaches{Breach::stray_branch_end});
  CHECK(breaches("}") == Breaches{Breach::stray_para_end});
}

TEST_CASE("A broken rule leaves the state as if the tag were not there, or the title not counted") {
  CHECK(read("(a)x]}[").state.n_titles == 1);
  CHECK(read("(a(b)").state.n_titles == 1);
  CHECK(read("(a)(b){(c").state.in_block);
  CHECK_FALSE(read("(a)(b){(c").state.in_title);
  CHECK_FALSE(read("(a{").state.in_title);
}

TEST_CASE("A branch may not end inside a title, between titles and their block, or inside a block") {
  CHECK_FALSE(may_end(read("(a").state));
  CHECK_FALSE(may_end(read("(a)(b)").state));
  CHECK_FALSE(may_end(read("(a)(b){").state));
  CHECK(may_end(read("(a)(b){}").state));
}

TEST_CASE("A symbol may come next where it breaks no rule") {
  const auto next = [](const std::string& text, bool in_branch = false) {
    std::string may;
    for (const char sign : std::string("[](){}x"))
      if (keeps_rules(read(text, in_branch).state, aspd().tags().symbol(tokens(std::string(1, sign))[0]))) may += sign;
    return may;
  };
  CHECK(next("") == "(x");
  CHECK(next("", true) == "](x");
  CHECK(next("(") == "x");
  CHECK(next("(a") == ")x");
  CHECK(next("(a)") == "(x");
  CHECK(next("(a)(b)") == "({x");
  CHECK(next("(a)(b){") == "[}");
}
