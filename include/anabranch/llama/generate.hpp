// Questions in, answers out: decoder, markup, chat template and host put together.
//
//   auto model = llama::GgufModel::load("model.gguf");
//   Answer answer = llama::generate(model, "What are the benefits of regular exercise?");
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <anabranch/decode/answer.hpp>
#include <anabranch/decode/generate_options.hpp>
#include <anabranch/llama/gguf_model.hpp>

namespace anabranch::llama {

// Limits of a question whose options do not state them.
inline constexpr std::int32_t kMaxTokens = 512;
inline constexpr std::int32_t kMaxBranchTokens = 128;

/// For models that were not trained to branch: the markup is skeleton (the default) or serial. Positions are `longest`:
/// llama.cpp takes no others. Sampling, as far as the options leave it open, is as the file's `general.sampling` says.
/// The k-th question draws random numbers of its own (`RequestLoop::run`). The cache has as many pages as the model's
/// context has cells, or fewer.
///
/// Runs in the model's context, whose llama.cpp sequences must be empty and are so again afterwards. An answer that
/// alone does not fit into its cells ends with reason no_room. Throws bad_request for options that make no sense,
/// unsupported for another markup, other positions, or a model without a chat template, no_room when the answers of one
/// time together do not fit (no answer is returned then), and what the host throws. When it is stopped
/// (GenerateOptions) nothing is thrown: answers have the text so far and reason cancelled.
std::vector<Answer> generate(const GgufModel& model, std::span<const std::string> questions,
                             const GenerateOptions& options = {});
Answer generate(const GgufModel& model, std::string_view question, const GenerateOptions& options = {});
/// The answer to a chat so far, whose last message is the question. A system message of its own, the first, goes before
/// that of the options.
Answer generate(const GgufModel& model, std::span<const Message> messages, const GenerateOptions& options = {});

}  // namespace anabranch::llama
