#include "answer_questions.hpp"

#include <anabranch/torch/generate.hpp>

#include "markup_check.hpp"

namespace evaluate {
namespace {

namespace ab = anabranch;
using Json = nlohmann::ordered_json;

ab::torch::GenerateOptions options_of(const Way& way, const Settings& settings) {
  ab::torch::GenerateOptions options;
  if (way.serial_markup) options.markup = ab::hf::MarkupKind::serial;
  if (way.at_once > 0) options.max_parallel_branches = way.at_once;
  options.temperature = settings.temperature;
  options.top_p = settings.top_p;
  options.repetition_penalty = settings.repetition_penalty;
  options.no_repeat_ngram = settings.no_repeat_ngram;
  options.seed = settings.seed;
  options.max_tokens = settings.max_tokens;
  options.max_branch_tokens = settings.max_branch_tokens;
  options.max_requests = 1;
  return options;
}

Json numbers_of(const ab::Answer& answer) {
  const ab::Statistics& s = answer.statistics;
  return {{"serial_tokens", s.n_serial},
          {"branch_tokens", s.n_branch},
          {"title_tokens", s.n_title},
          {"tag_tokens", s.n_tag},
          {"text_tokens", s.n_text()},
          {"sampled", s.n_sampled},
          {"n_blocks", s.n_blocks},
          {"n_branches", s.n_branches},
          {"passes", s.n_passes},
          {"prefill_passes", s.n_prefill},
          {"serial_passes", s.n_serial_passes()},
          {"seconds", answer.seconds},
          {"prefill_seconds", answer.prefill_seconds},
          {"parallel_seconds", answer.parallel_seconds},
          {"parallel_tokens", answer.n_parallel_tokens}};
}

}  // namespace

Json answer_one(ab::torch::CausalLm& model, const Question& question, const Way& way, const Settings& settings) {
  ab::torch::GenerateOptions options = options_of(way, settings);
  const bool aspd = options.markup.value_or(model.text().markup.markup) == ab::hf::MarkupKind::aspd;
  MarkupCheck check(aspd ? model.text().markup.tags(model.text().tokenizer) : ab::markup::AspdTags{});
  if (aspd) options.on_event = [&](const ab::Event& event) { check.see(event); };
  const ab::Answer answer = ab::torch::generate(model, question.text, options);

  Json branches = Json::array();
  for (const ab::AnswerBranch& branch : answer.branches)
    branches.push_back({{"title", branch.title},
                        {"text", branch.text},
                        {"depth", branch.path.size()},
                        {"block", branch.path.back().block},
                        {"ended", ab::reason_name(branch.reason)}});
  Json line{{"set", question.set},
            {"id", question.id},
            {"category", question.category},
            {"way", way.name},
            {"question", question.text},
            {"text", answer.text},
            {"ended", ab::reason_name(answer.reason)},
            {"branches", branches}};
  if (aspd) line["faults"] = check.faults();
  line.update(numbers_of(answer));
  return line;
}

}  // namespace evaluate
