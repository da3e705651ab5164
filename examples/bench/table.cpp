#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <sstream>
#include <string>

#include <anabranch/fmt.hpp>

#include "../chat/columns.hpp"
#include "figures.hpp"

namespace anabranch::bench {
namespace {

constexpr int kColumns = 80;

std::string megabytes(std::int64_t bytes) { return fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6); }

std::string name_of_folder(const std::string& folder) {
  const std::filesystem::path path = std::filesystem::path(folder).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

/// `text` in lines of at most 80 columns; all but the first are indented.
std::string lines(const std::string& text) {
  std::string result;
  for (const std::string& line : chat::wrap(text, kColumns - 2)) result += (result.empty() ? "" : "  ") + line + "\n";
  return result;
}

std::string heading(const Setup& s) {
  std::string program = "anabranch-bench " + s.version;
  if (!s.commit.empty()) program += ", commit " + s.commit;
  std::string model = name_of_folder(s.model);
  if (!s.adapter.empty()) model += " with adapter " + name_of_folder(s.adapter);
  return lines(program) +
         lines(fmt::format("machine: {}, {} core{}, {} thread{}, {}", s.processor, s.n_cores, s.n_cores == 1 ? "" : "s",
                           s.n_threads, s.n_threads == 1 ? "" : "s", s.simd)) +
         lines(fmt::format("model: {}, weights {}, K/V {}", model, s.weights, s.kv));
}

/// The drawing of the costs, with the speeds behind each line.
std::string rows(const RowCosts& costs, std::int32_t n_keys) {
  constexpr int kDrawn = 64;
  std::istringstream drawing(draw(costs, n_keys));
  std::string line, text;
  std::getline(drawing, line);
  fmt::format_to(std::back_inserter(text), "{:<{}}{:>16}\n{:<{}}{:>8}{:>8}\n", "", kDrawn, "tokens/s", line, kDrawn,
                 "a row", "in all");
  for (const std::int32_t n_rows : costs.rows()) {
    std::getline(drawing, line);
    const double passes = 1 / costs.seconds(n_rows, n_keys);
    fmt::format_to(std::back_inserter(text), "{:<{}}{:>8.1f}{:>8.1f}\n", line, kDrawn, passes, n_rows * passes);
  }
  return text;
}

std::string answer_line(const std::string& name, const TimedAnswer& timed) {
  const Answer& answer = timed.result.answer;
  return fmt::format("  {:<30}{:>9.2f}{:>10}{:>10}{:>12.1f}\n", name, timed.seconds.median, answer.statistics.n_text(),
                     answer.statistics.n_passes, chat::tokens_per_second(answer));
}

std::string answers_text(const Answers& a) {
  const Statistics& s = a.at_once.result.answer.statistics;
  std::string text = lines(fmt::format("answer to \"{}\", markup {}", a.question, a.at_once.result.way.markup));
  fmt::format_to(std::back_inserter(text), "{:<32}{:>9}{:>10}{:>10}{:>12}\n", "", "seconds", "tokens", "passes",
                 "tokens/s");
  text += answer_line(fmt::format("{} branch{} at once", s.n_branches, s.n_branches == 1 ? "" : "es"), a.at_once);
  text += answer_line("one branch after another", a.one_by_one);
  for (const TimedAnswer& timed : a.unmarked) text += answer_line("an answer without branches", timed);
  return text + fmt::format("  at once {:.2f}x the tokens/s of one after another ({:.2f}..{:.2f}), {}\n",
                            a.speedup.median, a.speedup.min, a.speedup.max,
                            a.same_text ? "the same text" : "another text");
}

std::string memory_text(const Memory& m) {
  return fmt::format("memory: weights {}, K/V {} per 1,000 tokens\n        peak {} when loaded, {} at the end\n",
                     megabytes(m.weights), megabytes(1000 * m.kv_per_token), megabytes(m.peak_loaded),
                     megabytes(m.peak));
}

}  // namespace

std::string verdict(const RowCosts& costs, std::int32_t n_keys) {
  const auto cost = [&](std::int32_t n) { return costs.seconds(n, n_keys) / costs.seconds(1, n_keys); };
  const std::int32_t most = costs.rows().back();
  if (most == 1) return "Only passes of one row were measured: nothing is known of other widths.";
  const std::int32_t widest = costs.widest_within(kNearlyFree, n_keys);
  std::string text;
  if (widest == 1)
    text = fmt::format("No second branch is nearly free here: a pass of 2 rows costs {:.2f}x one of a single row.",
                       cost(2));
  else
    text = fmt::format(
        "Up to {} branches at once are nearly free here: a pass of {} rows costs {:.2f}x one of a single "
        "row.",
        widest, widest, cost(widest));
  const std::int32_t fastest = *std::max_element(costs.rows().begin(), costs.rows().end(), [&](auto a, auto b) {
    return a / costs.seconds(a, n_keys) < b / costs.seconds(b, n_keys);
  });
  if (fastest == 1) return text + " No measured width gives more tokens a second than one row.";
  return text + fmt::format(" The most tokens a second come from {} rows, {:.1f}x those of one.", fastest,
                            fastest / cost(fastest));
}

std::string table(const Report& r) {
  const double n = r.prefill.n_tokens;
  const Spread& s = r.prefill.seconds;
  std::string text = heading(r.setup);
  text += fmt::format("loaded in {:.2f} s\n\n", r.load_seconds);
  text += fmt::format("prefill of {} tokens: {:.1f} tokens/s ({:.1f}..{:.1f}, {} run{})\n\n", r.prefill.n_tokens,
                      n / s.median, n / s.max, n / s.min, r.setup.n_repeats, r.setup.n_repeats == 1 ? "" : "s");
  text += fmt::format("decoding passes, one new token in every row (best of {})\n", r.setup.n_repeats);
  text += rows(r.costs, r.n_keys) + lines(verdict(r.costs, r.n_keys)) + "\n";
  for (const Answers& answers : r.answers) text += answers_text(answers) + "\n";
  if (r.answers.empty()) text += lines("no answer was asked for: this model's markup has no branches") + "\n";
  return text + memory_text(r.memory);
}

}  // namespace anabranch::bench
