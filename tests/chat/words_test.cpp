// The question of a command line.
#include <words.hpp>

#include <sstream>

#include <anabranch/error.hpp>

#include "catch.hpp"

namespace {

using Words = std::vector<std::string>;

Words asked(const Words& arguments, const std::string& input = "") {
  std::istringstream in(input);
  return example::questions_of(arguments, in);
}

std::string refusal(const Words& arguments, const std::string& input = "") {
  try {
    asked(arguments, input);
  } catch (const anabranch::Error& error) {
    CHECK(error.status() == anabranch::Status::bad_argument);
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("words without quotes are one question, arguments with blanks one each") {
  CHECK(asked({}).empty());
  CHECK(asked({"Why", "is", "5", "-", "3", "two?"}) == Words{"Why is 5 - 3 two?"});
  CHECK(asked({"Why is it?", "Since when?"}) == Words{"Why is it?", "Since when?"});
  CHECK(asked({"Why is it?", "Since?"}) == Words{"Why is it?", "Since?"});
}

TEST_CASE("a dash is the question on standard input, without the blanks around it") {
  CHECK(asked({"-"}, "\n Why\nis it?\n\n") == Words{"Why\nis it?"});
  CHECK(asked({"-"}, "\xef\xbb\xbfWhy?\n") == Words{"Why?"});
  CHECK(asked({"Why is it?", "-"}, "And now?") == Words{"Why is it?", "And now?"});
}

TEST_CASE("a question that is no UTF-8 is refused with the place") {
  CHECK(refusal({"Wh\xffy?"}) == "the question is no UTF-8 at byte 2 of 5");
  CHECK(refusal({"Why is it?", "Why \xe4\xb8"}) == "the question is no UTF-8 at byte 4 of 6");
  CHECK(refusal({"-"}, "\xc0\xaf\n") == "the question is no UTF-8 at byte 0 of 2");
}

TEST_CASE("an empty question is refused") {
  CHECK(refusal({""}) == "the question is empty");
  CHECK(refusal({"Why is it?", " \n"}) == "the question is empty");
  CHECK(refusal({"-"}, "\n") == "the question from standard input is empty");
}
