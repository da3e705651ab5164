// Answers questions in several ways, turn by turn, and writes down what came out and what it cost.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <anabranch/decode/request.hpp>
#include <anabranch/torch/causal_lm.hpp>
#include <nlohmann/json.hpp>

namespace evaluate {

struct Question {
  std::string set;  ///< name of its file
  std::string id;
  std::string category;
  std::string text;
};

/// JSON lines with "prompt" or "turns" (the first counts), "category", and "id" or "question_id". Throws bad_file.
std::vector<Question> read_questions(const std::string& file);

/// One way of answering.
struct Way {
  std::string name;
  bool serial_markup = false;  ///< plain text, whatever the model's settings say
  std::int32_t at_once = -1;   ///< branches decoded at once; 1: one after another; -1: all
};

/// The answer of one question in one way, as one JSON object.
nlohmann::ordered_json answer_one(anabranch::torch::CausalLm& model, const Question& question, const Way& way,
                                  const anabranch::RequestOptions& request);

}  // namespace evaluate
