#include <anabranch/torch/generate.hpp>

#include <algorithm>
#include <utility>

#include <anabranch/decode/request_loop.hpp>
#include <anabranch/hf/prompt.hpp>
#include <anabranch/markup/aspd.hpp>
#include <anabranch/markup/serial.hpp>
#include <anabranch/markup/skeleton.hpp>

namespace anabranch::torch {
namespace {

using Prompts = std::vector<std::vector<TokenId>>;

/// Fills in the limits that the caller left to the runner.
GenerateOptions with_limits(GenerateOptions options) {
  if (options.request.max_tokens == kNone) options.request.max_tokens = kMaxTokens;
  if (options.request.max_branch_tokens == kNone) options.request.max_branch_tokens = kMaxBranchTokens;
  return options;
}

CacheOptions options_of_cache(const CausalLm& model, const Prompts& prompts, const GenerateOptions& options) {
  CacheOptions result;
  result.max_position = model.config().max_positions;
  std::size_t longest = 0;
  for (const auto& prompt : prompts) longest = std::max(longest, prompt.size());
  result.n_pages = options.n_pages > 0 ? options.n_pages : pages_for(longest, options, result.page_size);
  return result;
}

DecoderOptions options_of_decoder(const CausalLm& model, const GenerateOptions& options, Positions positions) {
  DecoderOptions result;
  result.max_branches = options.max_branches;
  result.max_tokens = options.request.max_tokens;
  result.max_branch_tokens = options.request.max_branch_tokens;
  result.draft = options.draft;
  result.max_rows = model.max_rows();
  result.positions = positions;
  result.end_of_text = model.config().eos;
  result.row_costs = options.row_costs;
  return result;
}

markup::SkeletonOptions skeleton_options(const CausalLm& model, const GenerateOptions& options) {
  markup::SkeletonOptions result;
  result.max_points = options.max_branches;
  result.n_vocabulary = std::min(model.text().tokenizer.n_tokens(), model.config().vocabulary);
  result.end_of_text = model.config().eos;
  return result;
}

/// Tokens whose text holds a line break.
std::vector<TokenId> with_line_break(const CausalLm& model) {
  std::vector<TokenId> found;
  std::string text;
  for (TokenId token = 0; token < std::min(model.text().tokenizer.n_tokens(), model.config().vocabulary); ++token) {
    text.clear();
    model.text().tokenizer(std::span(&token, 1), text);
    if (text.find('\n') != std::string::npos) found.push_back(token);
  }
  return found;
}

markup::AspdOptions aspd_options(const CausalLm& model, const GenerateOptions& options) {
  markup::AspdOptions result;
  result.unique_titles = options.unique_titles;
  result.well_formed = options.well_formed;
  result.max_title_tokens = 24;  // more is no title
  result.end_of_text = model.config().eos;
  if (options.well_formed) result.not_in_titles = with_line_break(model);  // reads the vocabulary
  result.max_titles = std::max(1, options.max_branches);                   // the decoder refuses what is less
  result.text = model.text().tokenizer;
  return result;
}

}  // namespace

std::vector<Answer> generate(CausalLm& model, std::span<const std::string> questions, const GenerateOptions& wanted) {
  const GenerateOptions options = with_limits(wanted);
  const hf::MarkupSettings& settings = model.text().markup;
  Prompts prompts;
  for (const std::string& question : questions) {
    std::vector<hf::Message> messages;
    if (!options.system.empty()) messages.push_back({"system", options.system});
    messages.push_back({"user", question});
    prompts.push_back(hf::encode_chat(model.text().tokenizer, model.text().chat, messages));
  }
  const Positions positions = options.positions.value_or(settings.positions);
  const auto answer = [&](auto markup) {
    KvCache cache(options_of_cache(model, prompts, options));
    Decoder decoder(cache, std::move(markup), model.text().tokenizer, options_of_decoder(model, options, positions));
    return RequestLoop(model, cache, decoder, options).run(prompts);
  };
  switch (options.markup.value_or(settings.markup)) {
    case MarkupKind::skeleton:
      return answer(markup::Skeleton(model.text().tokenizer, model.text().tokenizer, skeleton_options(model, options)));
    case MarkupKind::aspd:
      return answer(markup::Aspd(settings.tags(model.text().tokenizer), aspd_options(model, options)));
    case MarkupKind::serial: break;
  }
  return answer(markup::Serial());
}

Answer generate(CausalLm& model, std::string_view question, const GenerateOptions& options) {
  const std::string text(question);
  return std::move(generate(model, std::span<const std::string>(&text, 1), options).front());
}

}  // namespace anabranch::torch
