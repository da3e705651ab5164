// All that anabranch-bench measures, as values: its table and its JSON are made of these alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <anabranch/decode/row_costs.hpp>

#include "../../bench/measure.hpp"
#include "../chat/report.hpp"

namespace anabranch::bench {

/// Widths whose pass costs at most so many times one of a single row are called nearly free.
inline constexpr double kNearlyFree = 1.25;

struct Setup {
  std::string version, commit;  ///< of the program; no commit: not built from a repository
  std::string processor, simd;
  std::int32_t n_cores = 0, n_threads = 0, n_repeats = 0;
  std::string model, adapter;  ///< folders; no adapter: empty
  std::string weights, kv;     ///< names of types
};

/// A prompt that is read in passes of many rows.
struct Prefill {
  std::int32_t n_tokens = 0;
  Spread seconds;
};

/// One way to answer the question: the round with the median time, and the times of all.
struct TimedAnswer {
  chat::Result result;
  Spread seconds;
};

/// One question, answered in several ways in turns.
struct Answers {
  std::string question;
  TimedAnswer at_once, one_by_one;    ///< the same markup, mask and positions
  std::vector<TimedAnswer> unmarked;  ///< without any markup; only where the outline is no part of such an answer
  bool same_text = false;             ///< at once and one by one, in all rounds
  Spread speedup;                     ///< tokens/s at once by those one by one, round by round
};

/// In bytes.
struct Memory {
  std::int64_t weights = 0;       ///< read by a pass
  std::int64_t kv_per_token = 0;  ///< of K and V, all layers
  std::int64_t peak_loaded = 0;   ///< most resident memory of the process until the model was there
  std::int64_t peak = 0;          ///< and until the end
};

struct Report {
  Setup setup;
  double load_seconds = 0;
  Prefill prefill;
  std::int32_t n_keys = 0;  ///< seen by every row of the decoding passes
  RowCosts costs;
  std::vector<Answers> answers;  ///< none: the model's markup has no branches
  Memory memory;
};

/// Which width is nearly free here, in a sentence or two.
std::string verdict(const RowCosts& costs, std::int32_t n_keys);
/// For a terminal of 80 columns.
std::string table(const Report& report);
/// One JSON object, on one line.
std::string to_json(const Report& report);

}  // namespace anabranch::bench
