#include "answer_questions.hpp"

#include <filesystem>

#include <anabranch/torch/generate.hpp>

#include "../../common/json_lines.hpp"
#include "markup_check.hpp"

namespace evaluate {
namespace {

namespace ab = anabranch;
using Json = nlohmann::ordered_json;

Question question_of(const Json& line, const std::string& set) {
  const char* id = line.contains("id") ? "id" : "question_id";
  const Json& text = line.contains("prompt") ? line.at("prompt") : line.at("turns").at(0);
  return {set, line.at(id).is_string() ? line.at(id).get<std::string>() : line.at(id).dump(),
          line.at("category").get<std::string>(), text.get<std::string>()};
}

ab::GenerateOptions options_of(const Way& way, const ab::RequestOptions& request) {
  ab::GenerateOptions options{.request = request, .max_requests = 1};
  if (way.serial_markup) options.markup = ab::MarkupKind::serial;
  if (way.at_once > 0) options.request.max_parallel_branches = way.at_once;
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

std::vector<Question> read_questions(const std::string& file) {
  const std::string set =
      std::filesystem::path(file).parent_path().filename().string() + "/" + std::filesystem::path(file).stem().string();
  std::vector<Question> questions;
  example::for_each_json_line(file, [&](const Json& line) { questions.push_back(question_of(line, set)); });
  return questions;
}

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
