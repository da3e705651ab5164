#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include <anabranch/hf/markup_settings.hpp>
#include <anabranch/torch/generate.hpp>

#include "measurements.hpp"

namespace anabranch::bench {
namespace {

/// A way to answer, with its answer in every round.
struct Rounds {
  std::string name;
  chat::Way way;
  std::vector<Answer> answers;
};

Answer answer_in(torch::CausalLm& model, const std::string& question, const chat::Way& way, GenerateOptions options) {
  if (way.one_by_one) options.request.max_parallel_branches = 1;
  if (way.markup == "serial") options.markup = MarkupKind::serial;
  return torch::generate(model, question, options);
}

TimedAnswer timed(const std::string& question, Rounds rounds) {
  std::vector<Answer>& answers = rounds.answers;
  std::sort(answers.begin(), answers.end(), [](const Answer& a, const Answer& b) { return a.seconds < b.seconds; });
  std::vector<double> times;
  for (const Answer& answer : answers) times.push_back(answer.seconds);
  return {{question, rounds.way, std::move(answers[answers.size() / 2])}, spread_of(times)};
}

}  // namespace

Answers measure_answers(torch::CausalLm& model, const std::string& question, const GenerateOptions& options,
                        std::int32_t n_repeats, const Progress& progress) {
  const std::string markup = hf::markup_name(model.text().markup.markup);
  std::vector<Rounds> ways{{"branches at once", {markup}, {}}, {"one branch after another", {markup, true}, {}}};
  if (markup == "skeleton") ways.push_back({"without branches", {"serial"}, {}});
  for (std::int32_t round = 1; round <= n_repeats; ++round)
    for (Rounds& rounds : ways) {
      progress(fmt::format("answer {} of {}, {}", round, n_repeats, rounds.name));
      rounds.answers.push_back(answer_in(model, question, rounds.way, options));
    }
  Answers result;
  result.question = question;
  result.same_text = true;
  std::vector<double> speedups;
  for (std::size_t i = 0; i < ways[0].answers.size(); ++i) {
    const Answer &at_once = ways[0].answers[i], &one_by_one = ways[1].answers[i];
    result.same_text = result.same_text && at_once.text == one_by_one.text;
    speedups.push_back(chat::tokens_per_second(at_once) / chat::tokens_per_second(one_by_one));
  }
  result.speedup = spread_of(speedups);
  result.at_once = timed(question, std::move(ways[0]));
  result.one_by_one = timed(question, std::move(ways[1]));
  if (ways.size() > 2) result.unmarked.push_back(timed(question, std::move(ways[2])));
  return result;
}

}  // namespace anabranch::bench
