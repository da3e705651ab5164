#include <anabranch/llama/generate.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <type_traits>
#include <utility>

#include <llama.h>

#include <anabranch/decode/request_loop.hpp>
#include <anabranch/error.hpp>
#include <anabranch/llama/host.hpp>
#include <anabranch/markup/serial.hpp>
#include <anabranch/markup/skeleton.hpp>

namespace anabranch::llama {
namespace {

using Prompts = std::vector<std::vector<TokenId>>;

CacheOptions options_of_cache(const GgufModel& model, const Prompts& prompts, const GenerateOptions& options) {
  CacheOptions result = cache_options(model.context());
  std::size_t longest = 0;
  for (const auto& prompt : prompts) longest = std::max(longest, prompt.size());
  const std::int32_t n_wanted = options.n_pages > 0 ? options.n_pages : pages_for(longest, options, result.page_size);
  result.n_pages = std::min(result.n_pages, n_wanted);
  return result;
}

DecoderOptions options_of_decoder(const GgufModel& model, const GenerateOptions& options) {
  DecoderOptions result = decoder_options(options);
  result.max_rows = model.options().max_rows;
  result.positions = Positions::longest;
  result.end_of_text = model.vocabulary().end_of_text();
  return result;
}

/// A number of the file's metadata; none: it is not there. Throws bad_file for what is none.
std::optional<float> metadata(const GgufModel& model, llama_model_meta_key key) {
  const char* const name = llama_model_meta_key_str(key);
  std::array<char, 64> text{};
  if (llama_model_meta_val_str(model.model(), name, text.data(), text.size()) < 0) return std::nullopt;
  char* end = nullptr;
  const float value = std::strtof(text.data(), &end);
  if (end == text.data() || *end != '\0' || !std::isfinite(value))
    fail(Status::bad_file, "metadata of the model: '", name, "': expected a number, found \"", text.data(), "\"");
  return value;
}

/// Fills in what the request leaves open of sampling, from the file's `general.sampling`.
void take_defaults(const GgufModel& model, SamplingOptions& sampling) {
  const auto take = [&](auto& option, llama_model_meta_key key) {
    const std::optional<float> value = metadata(model, key);
    if (!option && value) option = static_cast<typename std::remove_cvref_t<decltype(option)>::value_type>(*value);
  };
  for (const llama_model_meta_key key :
       {LLAMA_MODEL_META_KEY_SAMPLING_MIROSTAT, LLAMA_MODEL_META_KEY_SAMPLING_XTC_PROBABILITY})
    if (metadata(model, key).value_or(0.0f) != 0.0f)
      fail(Status::unsupported, "metadata of the model: '", llama_model_meta_key_str(key),
           "' is not supported; GenerateOptions::model_defaults = false leaves its sampling settings aside");
  take(sampling.temperature, LLAMA_MODEL_META_KEY_SAMPLING_TEMP);
  take(sampling.top_k, LLAMA_MODEL_META_KEY_SAMPLING_TOP_K);
  take(sampling.top_p, LLAMA_MODEL_META_KEY_SAMPLING_TOP_P);
  take(sampling.min_p, LLAMA_MODEL_META_KEY_SAMPLING_MIN_P);
  take(sampling.repetition_penalty, LLAMA_MODEL_META_KEY_SAMPLING_PENALTY_REPEAT);
}

/// Fills in the limits that the caller left to the runner and the sampling settings that it left to the model, and
/// lowers `max_requests` to what the seq_ids are enough for: two a sequence, because one that is rewound needs another.
GenerateOptions checked(const GgufModel& model, GenerateOptions options) {
  if (options.markup.value_or(MarkupKind::skeleton) == MarkupKind::aspd)
    fail(Status::unsupported, "markup aspd needs a model that was trained on its tags; skeleton and serial do not");
  if (options.positions.value_or(Positions::longest) != Positions::longest)
    fail(Status::unsupported, "llama.cpp takes no positions but `longest`");
  if (options.request.max_tokens == kNone) options.request.max_tokens = kMaxTokens;
  if (options.request.max_branch_tokens == kNone) options.request.max_branch_tokens = kMaxBranchTokens;
  if (options.n_pages < 0) fail(Status::bad_request, "n_pages is ", options.n_pages, "; it must be 0 or more");
  for (const LogitBias& bias : options.request.logit_bias)
    if (bias.token >= model.vocabulary().n_tokens())
      fail(Status::bad_request, "logit_bias is on token ", bias.token, "; the model has tokens 0 to ",
           model.vocabulary().n_tokens() - 1);
  if (options.model_defaults) take_defaults(model, options.request.sampling);
  const std::int64_t per_request = 2 * (std::int64_t{options.max_branches} + 1);
  if (per_request > model.options().n_seq_ids)
    fail(Status::bad_request, "an answer of ", options.max_branches, " branches needs ", per_request,
         " sequences; the model was loaded with ", model.options().n_seq_ids);
  options.max_requests =
      std::min(options.max_requests, static_cast<std::int32_t>(model.options().n_seq_ids / per_request));
  return options;
}

template <class Markup>
std::vector<Answer> answer(const GgufModel& model, Markup markup, const Prompts& prompts,
                           const GenerateOptions& options) {
  KvCache cache(options_of_cache(model, prompts, options));
  Host host(model.context(), cache);
  Decoder decoder(cache, std::move(markup), model.vocabulary(), options_of_decoder(model, options));
  return RequestLoop(host, cache, decoder, options).run(prompts);
}

markup::SkeletonOptions options_of_skeleton(const GgufModel& model, const GenerateOptions& options) {
  markup::SkeletonOptions result;
  result.max_points = options.max_branches;
  result.n_vocabulary = model.vocabulary().n_tokens();
  result.end_of_text = model.vocabulary().end_of_text();
  return result;
}

std::vector<TokenId> prompt_of(const GgufModel& model, const GenerateOptions& options, std::vector<Message> messages) {
  const bool has_own = !messages.empty() && messages.front().role == "system";
  if (!options.system.empty() && !has_own) messages.insert(messages.begin(), {"system", options.system});
  return model.vocabulary().encode_chat(messages);
}

std::vector<Answer> answers_of(const GgufModel& model, const Prompts& prompts, const GenerateOptions& options) {
  const Vocabulary& vocabulary = model.vocabulary();
  if (options.markup == MarkupKind::serial) return answer(model, markup::Serial(), prompts, options);
  return answer(model,
                markup::Skeleton<Vocabulary, Vocabulary>(vocabulary, vocabulary, options_of_skeleton(model, options)),
                prompts, options);
}

}  // namespace

std::vector<Answer> generate(const GgufModel& model, std::span<const std::string> questions,
                             const GenerateOptions& wanted) {
  const GenerateOptions options = checked(model, wanted);
  Prompts prompts;
  for (const std::string& question : questions) prompts.push_back(prompt_of(model, options, {{"user", question}}));
  return answers_of(model, prompts, options);
}

Answer generate(const GgufModel& model, std::span<const Message> messages, const GenerateOptions& wanted) {
  const GenerateOptions options = checked(model, wanted);
  return std::move(answers_of(model, {prompt_of(model, options, {messages.begin(), messages.end()})}, options).front());
}

Answer generate(const GgufModel& model, std::string_view question, const GenerateOptions& options) {
  const std::string text(question);
  return std::move(generate(model, std::span<const std::string>(&text, 1), options).front());
}

}  // namespace anabranch::llama
