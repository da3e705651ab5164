// Answers questions in several ways, turn by turn, and writes down what came out and what it cost.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <anabranch/decode/request.hpp>
#include <anabranch/torch/causal_lm.hpp>
#include <nlohmann/json.hpp>

#include "questions.hpp"

namespace evaluate {

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
