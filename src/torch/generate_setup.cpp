#include "generate_setup.hpp"

#include <algorithm>
#include <span>

#include <anabranch/error.hpp>
#include <anabranch/torch/generate.hpp>

namespace anabranch::torch::impl {
namespace {

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

/// Fills in what the request leaves open of sampling, from the model's own settings.
void take_defaults(const hf::GenerationConfig& own, RequestOptions& request) {
  const auto take = [](auto& option, const auto& value) {
    if (!option) option = value;
  };
  SamplingOptions& sampling = request.sampling;
  take(sampling.repetition_penalty, own.repetition_penalty);
  if (request.no_repeat_ngram == kNone) request.no_repeat_ngram = own.no_repeat_ngram.value_or(kNone);
  if (!own.do_sample) return;
  take(sampling.temperature, own.temperature);
  take(sampling.top_k, own.top_k);
  take(sampling.top_p, own.top_p);
  take(sampling.min_p, own.min_p);
}

}  // namespace

GenerateOptions filled(const CausalLm& model, GenerateOptions options) {
  if (options.request.max_tokens == kNone) options.request.max_tokens = kMaxTokens;
  if (options.request.max_branch_tokens == kNone) options.request.max_branch_tokens = kMaxBranchTokens;
  if (options.n_pages < 0) fail(Status::bad_request, "n_pages is ", options.n_pages, "; it must be 0 or more");
  for (const LogitBias& bias : options.request.logit_bias)
    if (bias.token >= model.config().vocabulary)
      fail(Status::bad_request, "logit_bias is on token ", bias.token, "; the model has tokens 0 to ",
           model.config().vocabulary - 1);
  if (options.model_defaults) take_defaults(model.generation(), options.request);
  return options;
}

std::vector<hf::Message> with_system(const GenerateOptions& options, std::vector<hf::Message> messages) {
  const bool has_own = !messages.empty() && messages.front().role == "system";
  if (!options.system.empty() && !has_own) messages.insert(messages.begin(), {"system", options.system});
  return messages;
}

DecoderOptions decoder_options(const CausalLm& model, const GenerateOptions& options) {
  DecoderOptions result = anabranch::decoder_options(options);
  result.max_rows = model.max_rows();
  result.positions = options.positions.value_or(model.text().markup.positions);
  result.end_of_text = model.end_of_text();
  return result;
}

std::unique_ptr<CopyDrafts> drafts(const GenerateOptions& options) {
  if (options.drafts == DraftKind::off) return nullptr;
  return std::make_unique<CopyDrafts>(CopyDrafter(), options.row_costs);
}

markup::SkeletonOptions skeleton_options(const CausalLm& model, const GenerateOptions& options) {
  markup::SkeletonOptions result;
  result.max_points = options.max_branches;
  result.n_vocabulary = std::min(model.text().tokenizer.n_tokens(), model.config().vocabulary);
  result.end_of_text = model.end_of_text();
  return result;
}

markup::AspdOptions aspd_options(const CausalLm& model, const GenerateOptions& options) {
  markup::AspdOptions result;
  result.unique_titles = options.unique_titles;
  result.well_formed = options.well_formed;
  result.max_title_tokens = 24;  // more is no title
  result.end_of_text = model.end_of_text();
  if (options.well_formed) result.not_in_titles = with_line_break(model);  // reads the vocabulary
  result.max_titles = std::max(1, options.max_branches);                   // the decoder refuses what is less
  result.text = model.text().tokenizer;
  return result;
}

}  // namespace anabranch::torch::impl
