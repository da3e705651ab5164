#include "answer_questions.hpp"

#include <anabranch/corpus/words.hpp>
#include <anabranch/torch/generate.hpp>

#include "markup_check.hpp"

namespace evaluate {
namespace {

namespace ab = anabranch;
using Json = nlohmann::ordered_json;

ab::GenerateOptions options_of(const Way& way, const ab::RequestOptions& request) {
  ab::GenerateOptions options{.request = request, .max_requests = 1};
  if (way.serial_markup) options.markup = ab::MarkupKind::serial;
  if (way.at_once > 0) options.request.max_parallel_branches = way.at_once;
  return options;
}

Json numbers_of(const ab::Answer& answer) {
  const ab::Statistics& s = answer.statistics;
  std::vector<std::string> titles;
  for (const auto& branch : answer.branches) titles.push_back(ab::corpus::word_key(branch.title));
  return {{"serial_tokens", s.n_serial},
          {"branch_tokens", s.n_branch},
          {"title_tokens", s.n_title},
          {"tag_tokens", s.n_tag},
          {"text_tokens", s.n_text()},
          {"sampled", s.n_sampled},
          {"n_blocks", s.n_blocks},
          {"n_branches", s.n_branches},
          {"branches_per_block", s.branches_per_block()},
          {"branch_share", s.branch_share()},
          {"branch_efficiency", s.branch_efficiency()},
          {"n_titles", titles.size()},
          {"n_repeated_titles", ab::corpus::count_repeated(titles)},
          {"repetition", ab::corpus::repetition(answer.text)},
          {"passes", s.n_passes},
          {"prefill_passes", s.n_prefill},
          {"serial_passes", s.n_serial_passes()},
          {"seconds", answer.seconds},
          {"prefill_seconds", answer.prefill_seconds},
          {"parallel_seconds", answer.parallel_seconds},
          {"parallel_tokens", answer.n_parallel_tokens}};
}

}  // namespace

Json answer_one(ab::torch::CausalLm& model, const Question& question, const Way& way,
                const ab::RequestOptions& request) {
  ab::GenerateOptions options = options_of(way, request);
  const bool aspd = options.markup.value_or(model.text().markup.markup) == ab::MarkupKind::aspd;
  MarkupCheck check(aspd ? model.text().markup.tags(model.text().tokenizer) : ab::markup::AspdTags{});
  if (aspd) options.on_event = [&](const ab::Event& event) { check.see(event); };
  const ab::Answer answer = ab::torch::generate(model, question.text, options);

  Json branches = Json::array();
  for (const ab::Branch& branch : answer.branches)
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
