// What anabranch-bench prints, from given figures.
#include "catch.hpp"

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "../../examples/bench/figures.hpp"

namespace {

namespace ab = anabranch;
namespace bench = ab::bench;

bench::TimedAnswer answer(std::int32_t n_passes, double seconds, bool one_by_one) {
  bench::TimedAnswer timed{{"Why?", {"aspd", one_by_one}, {}}, {seconds, seconds, seconds}};
  timed.result.answer.text = "Because.";
  timed.result.answer.seconds = seconds;
  timed.result.answer.statistics.n_branch = 100;
  timed.result.answer.statistics.n_branches = 4;
  timed.result.answer.statistics.n_passes = n_passes;
  return timed;
}

ab::RowCosts costs(const std::vector<double>& milliseconds) {
  std::vector<ab::RowCost> samples;
  std::int32_t n_rows = 1;
  for (const double ms : milliseconds) {
    samples.push_back({n_rows, 512, ms / 1e3});
    n_rows *= 2;
  }
  return ab::RowCosts(samples);
}

bench::Report report() {
  bench::Setup setup;
  setup.version = "1.2.3";
  setup.commit = "abcdef0";
  setup.processor = "A processor";
  setup.simd = "AVX2";
  setup.n_cores = setup.n_threads = 2;
  setup.n_repeats = 3;
  setup.model = "/some/where/model/";
  setup.adapter = "adapters/one";
  setup.weights = "int8";
  setup.kv = "bf16";
  bench::Answers answers{"Why?", answer(40, 1.0, false), answer(100, 2.0, true), {}, true, {1.9, 2.0, 2.1}};
  return {setup,
          0.5,
          {512, {0.4, 0.5, 0.8}},
          512,
          costs({4, 4, 4.8, 10}),
          {answers},
          {100000000, 23040, 150000000, 200000000}};
}

}  // namespace

TEST_CASE("the table holds every figure in 80 columns") {
  const std::string text = bench::table(report());
  CHECK(text == R"(anabranch-bench 1.2.3, commit abcdef0
machine: A processor, 2 cores, 2 threads, AVX2
model: model with adapter one, weights int8, K/V bf16
loaded in 0.50 s

prefill of 512 tokens: 1024.0 tokens/s (640.0..1280.0, 3 runs)

decoding passes, one new token in every row (best of 3)
                                                                        tokens/s
rows   ms at 512 keys                                              a row  in all
   1      4.000  ################                          1.00x   250.0   250.0
   2      4.000  ################                          1.00x   250.0   500.0
   4      4.800  ###################                       1.20x   208.3   833.3
   8     10.000  ########################################  2.50x   100.0   800.0
Up to 4 branches at once are nearly free here: a pass of 4 rows costs 1.20x
  one of a single row. The most tokens a second come from 4 rows, 3.3x those of
  one.

answer to "Why?", markup aspd
                                  seconds    tokens    passes    tokens/s
  4 branches at once                 1.00       100        40       100.0
  one branch after another           2.00       100       100        50.0
  at once 2.00x the tokens/s of one after another (1.90..2.10), the same text

memory: weights 100.0 MB, K/V 23.0 MB per 1,000 tokens
        peak 150.0 MB when loaded, 200.0 MB at the end
)");
}

TEST_CASE("the table says what differs or was not measured") {
  bench::Report changed = report();
  changed.answers.front().same_text = false;
  changed.answers.front().unmarked.push_back(answer(90, 1.8, true));
  CHECK(bench::table(changed).find("another text\n") != std::string::npos);
  CHECK(bench::table(changed).find("\n  an answer without branches         1.80 ") != std::string::npos);
  changed.answers.clear();
  CHECK(bench::table(changed).find("no answer was asked for") != std::string::npos);
}

TEST_CASE("the verdict names the widest pass that is nearly free") {
  CHECK(bench::verdict(costs({4, 6, 13}), 512) ==
        "No second branch is nearly free here: a pass of 2 rows costs 1.50x one of a single row. "
        "The most tokens a second come from 2 rows, 1.3x those of one.");
  CHECK(bench::verdict(costs({4, 4.4, 4.8, 4.92}), 512) ==
        "Up to 8 branches at once are nearly free here: a pass of 8 rows costs 1.23x one of a single row. "
        "The most tokens a second come from 8 rows, 6.5x those of one.");
  CHECK(bench::verdict(costs({4, 9}), 512) ==
        "No second branch is nearly free here: a pass of 2 rows costs 2.25x one of a single row. "
        "No measured width gives more tokens a second than one row.");
  CHECK(bench::verdict(costs({4}), 512) == "Only passes of one row were measured: nothing is known of other widths.");
}

TEST_CASE("the JSON is one line with the same figures") {
  const std::string line = bench::to_json(report());
  CHECK(line.find('\n') == std::string::npos);
  const nlohmann::json json = nlohmann::json::parse(line);
  CHECK(json["prefill"]["tokens_per_second"] == 1024);
  const nlohmann::json& row = json["decode"]["rows"][2];
  CHECK(row["rows"] == 4);
  CHECK(row["cost"] == Approx(1.2));
  CHECK(row["tokens_per_second_row"] == Approx(208.333));
  CHECK(row["tokens_per_second"] == Approx(833.333));
  CHECK(json["decode"]["nearly_free"]["rows"] == 4);
  CHECK(json["answers"][0]["same_text"] == true);
  CHECK(json["answers"][0]["speedup"]["median"] == 2.0);
  CHECK(json["answers"][0]["one_by_one"]["mode"] == "serial");
  CHECK(json["memory"]["kv_bytes_per_1000_tokens"] == 23040000);
}
