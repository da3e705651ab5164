// What an answer cost, as a short table or as JSON.
#pragma once

#include <string>
#include <vector>

#include <anabranch/decode/answer.hpp>

namespace chat {

/// How questions are answered.
struct Way {
  std::string markup;       ///< serial, skeleton, aspd
  bool one_by_one = false;  ///< branches one after another, in place of all at once

  /// For tables: "serial", or the markup whose branches are decoded at once.
  std::string name() const { return one_by_one ? "serial" : markup; }
  /// "serial" or "parallel"; an answer without branches is serial.
  const char* mode() const { return one_by_one || markup == "serial" ? "serial" : "parallel"; }
};

/// One answer with the question and what made it.
struct Result {
  std::string question;
  Way way;
  anabranch::Answer answer;
  std::string weights = {};  ///< the type of the model's weights; empty: not known
};

/// Useful text per second: no control tokens, no title counted twice; the clock includes the prefill.
double tokens_per_second(const anabranch::Answer& answer);

/// Two lines of figures for one answer.
std::string figures(const Result& result);
/// The same question serially and in parallel: texts side by side, then a table of both.
std::string comparison(const Result& serial, const Result& parallel, int width);
/// Sums and means over many answers of one way, which took `wall` seconds together.
std::string summary(const std::vector<Result>& results, double wall);
/// One JSON object, on one line.
std::string to_json(const Result& result);

}  // namespace chat
