#include "report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include <anabranch/fmt.hpp>

#include "columns.hpp"

namespace chat {
namespace {

using anabranch::Answer;
using anabranch::Statistics;

double per_second(std::int32_t n, double seconds) { return seconds > 0 ? n / seconds : 0.0; }
double ratio(double a, double b) { return b > 0 ? a / b : 0.0; }

/// Nothing for an answer whose branches wrote no text.
std::string parallel_phase(const Answer& answer) {
  if (answer.n_parallel_tokens == 0) return "";
  return fmt::format("parallel phase {:.1f} tokens/s   ",
                     per_second(answer.n_parallel_tokens, answer.parallel_seconds));
}

std::string row(const char* name, const Result& r) {
  const Statistics& s = r.answer.statistics;
  return fmt::format("  {:<9} {:>7} {:>7} {:>9} {:>9.2f} {:>10.1f} {:>9.1f} {:>6.2f}\n", name, s.n_text(), s.n_passes,
                     anabranch::serial_passes(s), r.answer.seconds, tokens_per_second(r.answer), s.branches_per_block(),
                     s.branch_share());
}

constexpr std::int32_t kWidth = 77;           ///< of the figures' lines
constexpr std::string_view kBetween = "   ";  ///< two figures of a line

/// Figures in indented lines, broken between two of them.
std::string figure_lines(std::string_view figures) {
  std::string text, line;
  while (!figures.empty()) {
    const std::size_t end = std::min(figures.find(kBetween), figures.size());
    const std::string_view figure = figures.substr(0, end);
    figures.remove_prefix(std::min(end + kBetween.size(), figures.size()));
    if (!line.empty() && cells(line) + static_cast<std::int32_t>(kBetween.size()) + cells(figure) > kWidth)
      text += "  " + std::exchange(line, {}) + "\n";
    line.append(line.empty() ? "" : kBetween).append(figure);
  }
  return text + "  " + line + "\n";
}

/// Nothing where nothing was drafted.
std::string drafts(std::int32_t n_drafted, std::int32_t n_accepted, std::int32_t n_passes_saved) {
  if (n_drafted == 0) return "";
  return figure_lines(
      fmt::format("drafts: {} fed, {} accepted, {} passes saved", n_drafted, n_accepted, n_passes_saved));
}

const char* const kHeading = "  {:<9} {:>7} {:>7} {:>9} {:>9} {:>10} {:>9} {:>6}\n";

}  // namespace

double tokens_per_second(const Answer& answer) { return per_second(answer.statistics.n_text(), answer.seconds); }

std::string figures(const Result& r) {
  const std::string weights = r.weights.empty() ? "" : r.weights + std::string(kBetween);
  return figure_lines(fmt::format("{}", r.answer.statistics)) +
         figure_lines(fmt::format("{:.2f} s   {:.1f} tokens/s   {}{}ended: {}", r.answer.seconds,
                                  tokens_per_second(r.answer), parallel_phase(r.answer), weights,
                                  anabranch::reason_name(r.answer.reason))) +
         drafts(r.answer.statistics.n_drafted, r.answer.statistics.n_accepted, r.answer.statistics.n_passes_saved);
}

std::string comparison(const Result& serial, const Result& parallel, int width) {
  std::string text;
  const int rows = 4 + static_cast<int>(std::max(wrap(serial.answer.text, (width - 2) / 2).size(),
                                                 wrap(parallel.answer.text, (width - 2) / 2).size()));
  for (const std::string& line :
       lay_out({{"serial", serial.answer.text}, {parallel.way.name(), parallel.answer.text}}, width, rows))
    text += line + "\n";
  text += "\n" + fmt::format(fmt::runtime(kHeading), "", "tokens", "passes", "(serial)", "seconds", "tokens/s",
                             "branches", "share");
  text += row("serial", serial) + row(parallel.way.name().c_str(), parallel);
  const double faster = ratio(tokens_per_second(parallel.answer), tokens_per_second(serial.answer));
  const Statistics& s = parallel.answer.statistics;
  text += "  branches: of a block; share: of the text that stands in them\n";
  return text + figure_lines(fmt::format(
                    "{}: passes: {} (its own text, one token a pass)   {:.2f}x the tokens/s of serial",
                    parallel.way.name(), anabranch::passes_saved(anabranch::serial_passes(s), s.n_passes), faster));
}

std::string summary(const std::vector<Result>& results, double wall) {
  std::int32_t n_parallel = 0, n_text = 0, n_passes = 0, n_serial = 0, n_drafted = 0, n_accepted = 0, n_saved = 0;
  double blocks = 0, share = 0;
  for (const Result& r : results) {
    const Statistics& s = r.answer.statistics;
    n_text += s.n_text();
    n_passes += s.n_passes;
    n_serial += anabranch::serial_passes(s);
    n_drafted += s.n_drafted;
    n_accepted += s.n_accepted;
    n_saved += s.n_passes_saved;
    if (!s.parallel()) continue;
    ++n_parallel;
    blocks += s.branches_per_block();
    share += s.branch_share();
  }
  const auto n = static_cast<double>(results.size());
  return figure_lines(fmt::format("{} answers, {}: tokens {}   passes {} (serial: {})   {}", results.size(),
                                  results.front().way.name(), n_text, n_passes, n_serial,
                                  anabranch::passes_saved(n_serial, n_passes))) +
         figure_lines(fmt::format(
             "{:.0f} % of them with branches (PPD)   {:.1f} a block (ABN)   {:.0f} % of their text in them (APD)",
             100 * n_parallel / n, ratio(blocks, n_parallel), 100 * ratio(share, n_parallel))) +
         figure_lines(fmt::format("{:.2f} s for all, {:.1f} tokens/s in all", wall, per_second(n_text, wall))) +
         drafts(n_drafted, n_accepted, n_saved);
}

std::string to_json(const Result& r) {
  const Answer& a = r.answer;
  const Statistics& s = a.statistics;
  nlohmann::ordered_json branches = nlohmann::ordered_json::array();
  for (const auto& branch : a.branches)
    branches.push_back(
        {{"title", branch.title}, {"text", branch.text}, {"end", anabranch::reason_name(branch.reason)}});
  nlohmann::ordered_json json = {
      {"question", r.question},
      {"markup", r.way.markup},
      {"mode", r.way.mode()},
      {"text", a.text},
      {"end", anabranch::reason_name(a.reason)},
      {"branches", branches},
      {"tokens", s.n_text()},
      {"tokens_serial", s.n_serial},
      {"tokens_branch", s.n_branch},
      {"tokens_title", s.n_title},
      {"tokens_tag", s.n_tag},
      {"tokens_prompt", s.n_prompt},
      {"tokens_sampled", s.n_sampled},
      {"tokens_forced", s.n_forced},
      {"passes", s.n_passes},
      {"passes_serial", s.n_serial_passes()},
      {"drafted", s.n_drafted},
      {"accepted", s.n_accepted},
      {"passes_saved", s.n_passes_saved},
      {"blocks", s.n_blocks},
      {"ppd", s.parallel() ? 1 : 0},
      {"abn", s.branches_per_block()},
      {"apd", s.branch_share()},
      {"ape", s.branch_efficiency()},
      {"seconds", a.seconds},
      {"prefill_seconds", a.prefill_seconds},
      {"parallel_seconds", a.parallel_seconds},
      {"tokens_per_second", tokens_per_second(a)},
      {"parallel_tokens_per_second", per_second(a.n_parallel_tokens, a.parallel_seconds)},
  };
  if (!r.weights.empty()) json["weights"] = r.weights;
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace chat
