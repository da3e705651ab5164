// Writes one kind of answers: many requests in every pass, each its own random stream.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <anabranch/decode/request.hpp>
#include <anabranch/torch/causal_lm.hpp>

#include "prompts.hpp"

namespace answers {

struct Settings {
  anabranch::SamplingOptions sampling = {.temperature = 0.7f, .top_p = 0.95f, .repetition_penalty = 1.05f, .seed = 1};
  std::int32_t max_tokens = 256;        ///< sampled tokens of a serial answer
  std::int32_t max_branch_tokens = 96;  ///< sampled tokens of a point
  std::int32_t n_at_once = 6;           ///< answers in one pass
};

struct Written {
  Task task;
  std::string text;        ///< opening included
  std::string reason;      ///< why the answer ended
  std::int32_t n_cut = 0;  ///< points that ended at a limit
  std::int64_t n_sampled = 0;
};

/// Answers all tasks, which have the same n_points (0: serially) and least_tokens, and hands each over when it is done.
void write_answers(anabranch::torch::CausalLm& model, const std::vector<Task>& tasks, const Settings& settings,
                   const std::function<void(const Written&)>& done);

}  // namespace answers
