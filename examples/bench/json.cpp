#include "../common/json_lines.hpp"
#include "figures.hpp"

namespace anabranch::bench {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const Spread& s) { return {{"median", s.median}, {"min", s.min}, {"max", s.max}}; }

Json json_of(const Setup& s) {
  return {{"version", s.version},   {"commit", s.commit}, {"processor", s.processor},
          {"simd", s.simd},         {"cores", s.n_cores}, {"threads", s.n_threads},
          {"repeats", s.n_repeats}, {"model", s.model},   {"adapter", s.adapter},
          {"weights", s.weights},   {"kv", s.kv}};
}

Json json_of(const RowCosts& costs, std::int32_t n_keys) {
  Json rows = Json::array();
  const double one = costs.seconds(1, n_keys);
  for (const std::int32_t n : costs.rows()) {
    const double seconds = costs.seconds(n, n_keys);
    rows.push_back({{"rows", n},
                    {"seconds", seconds},
                    {"tokens_per_second_row", 1 / seconds},
                    {"tokens_per_second", n / seconds},
                    {"cost", seconds / one}});
  }
  return {{"keys", n_keys},
          {"rows", rows},
          {"nearly_free", {{"within", kNearlyFree}, {"rows", costs.widest_within(kNearlyFree, n_keys)}}},
          {"verdict", verdict(costs, n_keys)}};
}

/// As the chat's JSON of an answer, with the times of all rounds.
Json json_of(const TimedAnswer& timed) {
  Json json = Json::parse(chat::to_json(timed.result));
  json["seconds_of_rounds"] = json_of(timed.seconds);
  return json;
}

Json json_of(const Answers& a) {
  Json json = {{"question", a.question},
               {"same_text", a.same_text},
               {"speedup", json_of(a.speedup)},
               {"at_once", json_of(a.at_once)},
               {"one_by_one", json_of(a.one_by_one)}};
  for (const TimedAnswer& timed : a.unmarked) json["unmarked"] = json_of(timed);
  return json;
}

}  // namespace

std::string to_json(const Report& r) {
  Json answers = Json::array();
  for (const Answers& a : r.answers) answers.push_back(json_of(a));
  return example::json_line({{"setup", json_of(r.setup)},
                             {"load_seconds", r.load_seconds},
                             {"prefill",
                              {{"tokens", r.prefill.n_tokens},
                               {"seconds", json_of(r.prefill.seconds)},
                               {"tokens_per_second", r.prefill.n_tokens / r.prefill.seconds.median}}},
                             {"decode", json_of(r.costs, r.n_keys)},
                             {"answers", answers},
                             {"memory",
                              {{"weight_bytes", r.memory.weights},
                               {"kv_bytes_per_1000_tokens", 1000 * r.memory.kv_per_token},
                               {"peak_bytes_loaded", r.memory.peak_loaded},
                               {"peak_bytes", r.memory.peak}}}});
}

}  // namespace anabranch::bench
