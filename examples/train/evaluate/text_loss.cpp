#include "text_loss.hpp"

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include <anabranch/cache/kv_cache.hpp>
#include <anabranch/error.hpp>
#include <anabranch/hf/prompt.hpp>

namespace evaluate {
namespace {

namespace ab = anabranch;

double log_probability(std::span<const float> logits, ab::TokenId token) {
  const float max = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float x : logits) sum += std::exp(x - max);
  return static_cast<double>(logits[static_cast<std::size_t>(token)] - max) - std::log(sum);
}

}  // namespace

double text_loss(ab::torch::CausalLm& model, const std::string& question, const std::string& answer) {
  const ab::hf::ModelText& text = model.text();
  const std::vector<ab::hf::Message> messages{{"user", question}};
  const std::vector<ab::TokenId> prompt = ab::hf::encode_chat(text.tokenizer, text.chat, messages);
  const std::vector<ab::TokenId> tokens = text.tokenizer(answer);
  if (tokens.empty()) return 0;

  ab::KvCache cache({.n_pages = static_cast<std::int32_t>((prompt.size() + tokens.size()) / 16 + 8)});
  ab::Step step = cache.begin_step();
  const ab::SequenceId sequence = step.create_sequence();
  step.append(sequence, std::span(prompt), ab::Logits::last);
  // The last token predicts nothing that counts.
  step.append(sequence, std::span(tokens).first(tokens.size() - 1), ab::Logits::all);
  const auto plan = step.plan();
  if (!plan) ab::fail(ab::Status::no_room, "a text of ", tokens.size(), " tokens does not fit");
  const ab::LogitsView logits = model(*plan);
  double loss = 0;
  for (std::size_t i = 0; i < tokens.size(); ++i)
    loss -= log_probability(logits.row(static_cast<std::int32_t>(i)), tokens[i]);
  step.commit();
  return loss / static_cast<double>(tokens.size());
}

}  // namespace evaluate
