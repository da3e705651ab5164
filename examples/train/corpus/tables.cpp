#include "tables.hpp"

#include <fmt/format.h>

namespace corpus_tool {
namespace {

double percent(std::int64_t part, std::int64_t all) {
  return all > 0 ? 100.0 * static_cast<double>(part) / static_cast<double>(all) : 0.0;
}

std::string outcomes(const Tally& tally) {
  const std::int64_t n = tally.reasons.n_answers();
  std::string out = "| answers | number | share |\n|---|---|---|\n";
  const auto row = [&](const char* name, std::int64_t value) {
    out += fmt::format("| {} | {} | {:.1f} % |\n", name, value, percent(value, n));
  };
  row("read", n);
  row("rejected", tally.reasons.n_rejected());
  row("samples with branches", tally.n_parallel);
  row("serial samples", tally.n_serial);
  row("serial answers left out", tally.n_skipped);
  if (tally.n_branches_scored > 0) {
    row("of the serial samples: all branches depended on others", tally.n_dissolved);
    out += fmt::format("\nBranches scored: {}, merged back to serial text: {} ({:.1f} %)\n", tally.n_branches_scored,
                       tally.n_branches_merged, percent(tally.n_branches_merged, tally.n_branches_scored));
  }
  return out;
}

std::string reasons(const Tally& tally) {
  std::string out = "\n| rejected because of (an answer may have several reasons) | answers |\n|---|---|\n";
  for (std::size_t i = 0; i < ab::corpus::kReasons; ++i) {
    const auto reason = static_cast<ab::corpus::Reason>(i);
    if (tally.reasons[reason] > 0) out += fmt::format("| {} | {} |\n", reason_name(reason), tally.reasons[reason]);
  }
  return out;
}

std::string figures(const Tally& tally) {
  const ab::corpus::Metrics m = ab::corpus::metrics(tally.counts);
  return fmt::format(
      "\nSamples of this run: {:.1f} % with a block (PPD), {:.2f} branches a block (ABN), {:.1f} % of the tokens in "
      "branches (APD), {:.1f} % of those no copied title (APE), repeated titles {:.2f} %, repeated 4-grams {:.2f} %, "
      "{:.0f} tokens each\n",
      100 * m.ppd, m.abn, 100 * m.apd, 100 * m.ape, 100 * m.repeated_titles, 100 * m.repeated_4grams, m.mean_tokens);
}

}  // namespace

std::string tables(const Tally& tally) {
  return outcomes(tally) + reasons(tally) + (tally.counts.empty() ? "" : figures(tally));
}

}  // namespace corpus_tool
