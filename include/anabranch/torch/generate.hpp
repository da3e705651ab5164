// Questions in, answers out: decoder, markup, chat template and runner put together.
//
//   auto model = CausalLm::load("models/smollm2-135m");
//   Answer answer = generate(model, "What are the benefits of regular exercise?");
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <anabranch/decode/answer.hpp>
#include <anabranch/hf/markup_settings.hpp>
#include <anabranch/torch/causal_lm.hpp>
#include <anabranch/tree/positions.hpp>

namespace anabranch::torch {

struct GenerateOptions {
  std::optional<hf::MarkupKind> markup = {};  ///< none: what the model's settings say
  std::optional<Positions> positions = {};    ///< none: what the model's settings say
  std::string system = {};                    ///< system message; empty: the chat template's default
  float temperature = 0.0f;                   ///< 0: greedy
  std::int32_t top_k = 0;
  float top_p = 1.0f;
  float repetition_penalty = 1.0f;
  std::int32_t no_repeat_ngram = 0;  ///< groups of so many tokens are not written again; 0: they may be
  std::uint64_t seed = 0;
  std::vector<std::string> stop = {};
  std::int32_t max_tokens = 1024;        ///< sampled tokens of an answer
  std::int32_t max_branch_tokens = 160;  ///< sampled tokens of one branch
  std::int32_t max_branches = 8;         ///< points or titles of a block, and branches decoded at once
  std::int32_t max_parallel_branches =
      kNone;                      ///< kNone: max_branches; 1: one after another, same mask, positions, tokens
  bool draft = true;              ///< likely tags are fed before they are sampled (DecoderOptions::draft)
  std::int32_t max_requests = 4;  ///< questions that are answered at once
  bool unique_titles = true;      ///< aspd: no title comes twice (see markup/aspd.hpp)
  bool well_formed = true;        ///< aspd: only what keeps to the grammar of the tags
  std::int32_t n_pages = 0;       ///< of the cache; 0: what `max_requests` answers can need
  std::shared_ptr<const RowCosts> row_costs =
      {};  ///< of this model here (CausalLm::measure_row_costs), for the decoder
  std::function<void(const Event&)> on_event = {};
  std::function<void()> on_pass = {};  ///< after the events of a pass
};

using anabranch::Answer;

/// An answer that alone does not fit into `n_pages` ends with reason no_room. Throws bad_request for options that make
/// no sense, bad_argument for a question that is not UTF-8, bad_markup when the model lacks the markup's tags, no_room
/// when the answers of one time together do not fit (no answer is returned then), and what the runner throws.
std::vector<Answer> generate(CausalLm& model, std::span<const std::string> questions,
                             const GenerateOptions& options = {});
Answer generate(CausalLm& model, std::string_view question, const GenerateOptions& options = {});

}  // namespace anabranch::torch
