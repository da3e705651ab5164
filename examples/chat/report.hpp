// What an answer cost, as a short table or as JSON.
#pragma once

#include <string>
#include <vector>

#include <anabranch/decode/answer.hpp>

namespace chat {

/// One answer with the question and the mode that made it.
struct Result {
  std::string question;
  std::string mode;
  anabranch::Answer answer;
};

/// Useful text per second: no control tokens, no title counted twice; the clock includes the prefill.
double tokens_per_second(const anabranch::Answer& answer);

/// Two lines of figures for one answer.
std::string figures(const Result& result);
/// The same question serially and in parallel: texts side by side, then a table of both.
std::string comparison(const Result& serial, const Result& parallel, int width);
/// Means over many answers of one mode.
std::string summary(const std::vector<Result>& results);
/// One JSON object, on one line.
std::string to_json(const Result& result);

}  // namespace chat
