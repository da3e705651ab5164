#include "words.hpp"

#include <algorithm>
#include <iterator>

#include <anabranch/error.hpp>
#include <anabranch/utf8.hpp>

#include "byte_order_mark.hpp"

namespace example {
namespace {

constexpr const char* kBlanks = " \t\r\n";

std::string read_all(std::istream& in) {
  std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  if (in.bad()) anabranch::fail(anabranch::Status::bad_file, "the question could not be read from standard input");
  drop_byte_order_mark(text);
  const std::size_t end = text.find_last_not_of(kBlanks);
  text.erase(end == std::string::npos ? 0 : end + 1);
  return text.erase(0, std::min(text.size(), text.find_first_not_of(kBlanks)));
}

std::string checked(std::string question, std::istream& in) {
  const bool from_input = question == "-";
  if (from_input) question = read_all(in);
  if (question.find_first_not_of(kBlanks) == std::string::npos)
    anabranch::fail(anabranch::Status::bad_argument, "the question ",
                    from_input ? "from standard input is empty" : "is empty");
  const std::size_t bad = anabranch::first_bad_utf8(question);
  if (bad < question.size())
    anabranch::fail(anabranch::Status::bad_argument, "the question is no UTF-8 at byte ", bad, " of ", question.size());
  return question;
}

}  // namespace

std::string question_of(const std::vector<std::string>& arguments, std::istream& in) {
  std::string question;
  for (const std::string& word : arguments) question += (question.empty() ? "" : " ") + word;
  return checked(std::move(question), in);
}

std::vector<std::string> questions_of(const std::vector<std::string>& arguments, std::istream& in) {
  const bool quoted = std::any_of(arguments.begin(), arguments.end(), [](const std::string& argument) {
    return argument.find_first_of(kBlanks) != std::string::npos;
  });
  if (arguments.empty()) return {};
  if (!quoted) return {question_of(arguments, in)};
  std::vector<std::string> questions;
  for (const std::string& argument : arguments) questions.push_back(checked(argument, in));
  return questions;
}

}  // namespace example
