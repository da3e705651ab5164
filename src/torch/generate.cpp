#include <anabranch/torch/generate.hpp>

#include <algorithm>
#include <utility>

#include <anabranch/decode/request_loop.hpp>
#include <anabranch/hf/prompt.hpp>

#include "generate_setup.hpp"

namespace anabranch::torch {
namespace {

using Prompts = std::vector<std::vector<TokenId>>;

CacheOptions options_of_cache(const CausalLm& model, const Prompts& prompts, const GenerateOptions& options) {
  CacheOptions result;
  result.max_position = model.config().max_positions;
  std::size_t longest = 0;
  for (const auto& prompt : prompts) longest = std::max(longest, prompt.size());
  result.n_pages = options.n_pages > 0 ? options.n_pages : pages_for(longest, options, result.page_size);
  return result;
}

std::vector<TokenId> prompt_of(const CausalLm& model, const GenerateOptions& options,
                               std::vector<hf::Message> messages) {
  return hf::encode_chat(model.text().tokenizer, model.text().chat, impl::with_system(options, std::move(messages)));
}

std::vector<Answer> answers_of(CausalLm& model, const Prompts& prompts, const GenerateOptions& options) {
  return impl::with_markup(model, options, [&](auto markup) {
    KvCache cache(options_of_cache(model, prompts, options));
    const auto drafts = impl::drafts(options);
    Decoder decoder(cache, std::move(markup), model.text().tokenizer, impl::decoder_options(model, options));
    decoder.draft_with(drafts.get());
    return RequestLoop(model, cache, decoder, options).run(prompts);
  });
}

}  // namespace

std::vector<Answer> generate(CausalLm& model, std::span<const std::string> questions, const GenerateOptions& wanted) {
  const GenerateOptions options = impl::filled(model, wanted);
  Prompts prompts;
  for (const std::string& question : questions) prompts.push_back(prompt_of(model, options, {{"user", question}}));
  return answers_of(model, prompts, options);
}

Answer generate(CausalLm& model, std::span<const hf::Message> messages, const GenerateOptions& wanted) {
  const GenerateOptions options = impl::filled(model, wanted);
  return std::move(answers_of(model, {prompt_of(model, options, {messages.begin(), messages.end()})}, options).front());
}

Answer generate(CausalLm& model, std::string_view question, const GenerateOptions& options) {
  const std::string text(question);
  return std::move(generate(model, std::span<const std::string>(&text, 1), options).front());
}

}  // namespace anabranch::torch
