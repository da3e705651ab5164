// The measurements of anabranch-bench, each of one model.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <anabranch/decode/generate_options.hpp>
#include <anabranch/torch/causal_lm.hpp>

#include "figures.hpp"

namespace anabranch::bench {

/// Called with a line of text when a part of a measurement begins.
using Progress = std::function<void(const std::string&)>;

/// Reads a prompt of `n_tokens` once to warm up, then `n_repeats` times, each into a new cache; the logits of its last
/// token are computed too. K/V tensors of its own. Throws what the runner throws.
Prefill measure_prefill(const torch::CausalLm& model, std::int32_t n_tokens, std::int32_t n_repeats);

/// Answers the question in every way in each of `n_repeats` rounds.
Answers measure_answers(torch::CausalLm& model, const std::string& question, const GenerateOptions& options,
                        std::int32_t n_repeats, const Progress& progress);

}  // namespace anabranch::bench
