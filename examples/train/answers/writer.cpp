#include "writer.hpp"

#include <algorithm>
#include <utility>

#include <anabranch/cache/kv_cache.hpp>
#include <anabranch/decode/decoder.hpp>
#include <anabranch/decode/request_loop.hpp>
#include <anabranch/hf/prompt.hpp>
#include <anabranch/markup/serial.hpp>
#include <anabranch/markup/skeleton.hpp>

namespace answers {
namespace {

namespace ab = anabranch;

using Skeleton = ab::markup::Skeleton<ab::hf::Tokenizer, ab::hf::Tokenizer>;

Skeleton skeleton_of(const ab::torch::CausalLm& model, std::int32_t n_points, std::int32_t least_tokens) {
  const ab::hf::ModelText& text = model.text();
  ab::markup::SkeletonOptions options;
  options.opening.clear();  // each prompt brings its own
  options.max_points = n_points;
  options.min_body_tokens = least_tokens;
  options.n_vocabulary = std::min(text.tokenizer.n_tokens(), model.config().vocabulary);
  options.end_of_text = model.end_of_text();
  return Skeleton(text.tokenizer, text.tokenizer, std::move(options));
}

ab::DecoderOptions decoder_options(const ab::torch::CausalLm& model, const Settings& settings, std::int32_t n_points) {
  ab::DecoderOptions options;
  options.max_tokens = n_points > 0 ? n_points * (settings.max_branch_tokens + 24) : settings.max_tokens;
  options.max_branch_tokens = settings.max_branch_tokens;
  options.max_rows = model.max_rows();
  options.end_of_text = model.end_of_text();
  return options;
}

std::vector<ab::TokenId> tokens_of(const ab::hf::ModelText& text, const Prompt& prompt) {
  const std::vector<ab::hf::Message> messages{{"user", prompt.text}};
  std::vector<ab::TokenId> tokens = ab::hf::encode_chat(text.tokenizer, text.chat, messages);
  const auto opening = text.tokenizer(prompt.opening);
  tokens.insert(tokens.end(), opening.begin(), opening.end());
  return tokens;
}

Written written_of(const Task& task, const ab::Answer& answer) {
  Written written{task, task.prompt->opening + answer.text, ab::reason_name(answer.reason), 0,
                  answer.statistics.n_sampled};
  for (const ab::Branch& branch : answer.branches) written.n_cut += branch.reason == ab::EndReason::limit ? 1 : 0;
  return written;
}

template <class Markup>
void write_with(ab::torch::CausalLm& model, Markup markup, const std::vector<Task>& tasks, const Settings& settings,
                const std::function<void(const Written&)>& done) {
  ab::KvCache cache({.n_pages = settings.n_at_once * 128, .max_position = model.config().max_positions});
  ab::Decoder decoder(cache, std::move(markup), model.text().tokenizer,
                      decoder_options(model, settings, tasks.front().prompt->n_points));
  const ab::GenerateOptions options{.max_requests = settings.n_at_once};
  ab::RequestLoop loop(model, cache, decoder, options);
  const auto request_of = [&](std::size_t index) {
    ab::RequestOptions request{.sampling = settings.sampling};
    request.sampling.seed += static_cast<std::uint64_t>(tasks[index].sample);
    return typename decltype(loop)::Request{tokens_of(model.text(), *tasks[index].prompt), request};
  };
  loop.run(tasks.size(), request_of,
           [&](std::size_t index, ab::Answer&& answer) { done(written_of(tasks[index], answer)); });
}

}  // namespace

void write_answers(ab::torch::CausalLm& model, const std::vector<Task>& tasks, const Settings& settings,
                   const std::function<void(const Written&)>& done) {
  if (tasks.empty()) return;
  const Prompt& first = *tasks.front().prompt;
  if (first.n_points > 0)
    write_with(model, skeleton_of(model, first.n_points, first.least_tokens), tasks, settings, done);
  else
    write_with(model, ab::markup::Serial(), tasks, settings, done);
}

}  // namespace answers
