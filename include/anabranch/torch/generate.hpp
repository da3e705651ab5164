// Questions in, answers out: decoder, markup, chat template and runner put together.
//
//   auto model = CausalLm::load("models/smollm2-135m");
//   Answer answer = generate(model, "What are the benefits of regular exercise?");
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <anabranch/decode/answer.hpp>
#include <anabranch/decode/generate_options.hpp>
#include <anabranch/hf/chat_template.hpp>
#include <anabranch/torch/causal_lm.hpp>

namespace anabranch::torch {

// Limits of a question whose options do not state them.
inline constexpr std::int32_t kMaxTokens = 1024;
inline constexpr std::int32_t kMaxBranchTokens = 160;

/// Markup and positions are by default those of the model's settings (hf/markup_settings.hpp), and so is sampling, as
/// far as the options leave it open (hf/generation_config.hpp). The k-th question draws random numbers of its own
/// (`RequestLoop::run`). An empty question is a message without text, which a model answers somehow: programs that take
/// questions from people refuse it. An answer that alone does not fit into `n_pages` ends with reason no_room. Throws
/// bad_request for options that make no sense, bad_argument for a question that is not UTF-8, bad_markup when the model
/// lacks the markup's tags, no_room when the answers of one time together do not fit (no answer is returned then), and
/// what the runner throws. When it is stopped (GenerateOptions) nothing is thrown: answers have the text so far and
/// reason cancelled.
std::vector<Answer> generate(CausalLm& model, std::span<const std::string> questions,
                             const GenerateOptions& options = {});
Answer generate(CausalLm& model, std::string_view question, const GenerateOptions& options = {});
/// The answer to a chat so far, whose last message is the question. A system message of its own, the first, goes before
/// that of the options. For one turn after another with nothing computed twice: torch/conversation.hpp.
Answer generate(CausalLm& model, std::span<const hf::Message> messages, const GenerateOptions& options = {});

}  // namespace anabranch::torch
