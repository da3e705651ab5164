// The question of a command line: in quotes or not, or from standard input.
#pragma once

#include <istream>
#include <string>
#include <vector>

namespace example {

/// The questions of a program that answers several: each argument is one if any holds a blank, else all are words of
/// one. An argument `-` that is a question is replaced by all of `in`, blanks around it aside.
/// Throws anabranch::Error(bad_argument) when a question is empty or no UTF-8, and bad_file when `in` cannot be read.
std::vector<std::string> questions_of(const std::vector<std::string>& arguments, std::istream& in);

/// The one question of a program that answers one: all arguments are its words.
std::string question_of(const std::vector<std::string>& arguments, std::istream& in);

}  // namespace example
