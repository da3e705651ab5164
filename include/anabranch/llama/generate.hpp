// Questions in, answers out: decoder, markup, chat template and host put together.
//
//   auto model = llama::GgufModel::load("model.gguf");
//   Answer answer = llama::generate(model, "What are the benefits of regular exercise?");
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <anabranch/decode/answer.hpp>
#include <anabranch/llama/gguf_model.hpp>

namespace anabranch::llama {

/// Options for a model that was not trained to branch.
enum class Mode : std::uint8_t {
  skeleton,  ///< an outline first, then its points side by side
  serial,    ///< one sequence
};

/// Positions are always `longest`: llama.cpp takes no others.
struct GenerateOptions {
  Mode mode = Mode::skeleton;
  std::string system = {};   ///< system message; empty: the chat template's default
  float temperature = 0.0f;  ///< 0: greedy
  std::int32_t top_k = 0;
  float top_p = 1.0f;
  float repetition_penalty = 1.0f;
  std::int32_t no_repeat_ngram = 0;  ///< groups of so many tokens are not written again; 0: they may be
  std::uint64_t seed = 0;
  std::vector<std::string> stop = {};
  std::int32_t max_tokens = 512;         ///< sampled tokens of an answer
  std::int32_t max_branch_tokens = 128;  ///< sampled tokens of one branch
  std::int32_t max_branches = 8;         ///< points of an outline, and branches decoded at once
  std::int32_t max_parallel_branches =
      kNone;                      ///< kNone: max_branches; 1: one after another, same mask, positions, tokens
  bool draft = true;              ///< likely tags are fed before they are sampled (DecoderOptions::draft)
  std::int32_t max_requests = 4;  ///< questions that are answered at once, seq_id permitting
  std::function<void(const Event&)> on_event = {};
  std::function<void()> on_pass = {};  ///< after the events of a pass
};

/// Runs in the model's context, whose llama.cpp sequences must be empty and are so again afterwards. An answer that
/// alone does not fit into its cells ends with reason no_room. Throws bad_request for options that make no sense,
/// unsupported for a model without a chat template, no_room when the answers of one time together do not fit (no answer
/// is returned then), and what the host throws.
std::vector<Answer> generate(const GgufModel& model, std::span<const std::string> questions,
                             const GenerateOptions& options = {});
Answer generate(const GgufModel& model, std::string_view question, const GenerateOptions& options = {});

}  // namespace anabranch::llama
