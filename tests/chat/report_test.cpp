// The figures of an answer say in which way it was made.
#include "catch.hpp"

#include <sstream>
#include <string>

#include <nlohmann/json.hpp>

#include "report.hpp"

TEST_CASE("an answer is reported with its markup, and as serial when its branches came one after another") {
  const auto report = [](const chat::Way& way) {
    const auto json = nlohmann::json::parse(chat::to_json({"why?", way, {}}));
    return json["markup"].get<std::string>() + " " + json["mode"].get<std::string>() + " " + way.name();
  };
  CHECK(report({"aspd"}) == "aspd parallel aspd");
  CHECK(report({"aspd", true}) == "aspd serial serial");
  CHECK(report({"skeleton", true}) == "skeleton serial serial");
  CHECK(report({"serial"}) == "serial serial serial");
}

namespace {

chat::Result cut_in_titles() {
  chat::Result r{"why?", {"skeleton"}, {}};
  r.answer.reason = anabranch::EndReason::limit;
  r.answer.seconds = 2;
  anabranch::Statistics& s = r.answer.statistics;
  s.n_serial = 7;
  s.n_title = 24;
  s.n_sampled = 31;
  s.n_passes = 31;
  s.n_prefill = 1;
  return r;
}

}  // namespace

TEST_CASE("an answer that was cut in its titles is not said to take fewer passes serially, nor to have a phase of 0") {
  const std::string text = chat::figures(cut_in_titles());  // its lines are wrapped
  CHECK(text.find("(serial: 31)") != std::string::npos);
  CHECK(text.find("as many") != std::string::npos);
  CHECK(text.find("fewer") == std::string::npos);
  CHECK(text.find("parallel phase") == std::string::npos);
  CHECK(nlohmann::json::parse(chat::to_json(cut_in_titles()))["passes_serial"] == 7);  // as counted
  chat::Result whole = cut_in_titles();
  whole.answer.n_parallel_tokens = 6;
  whole.answer.parallel_seconds = 0.5;
  CHECK(chat::figures(whole).find("parallel phase 12.0 tokens/s") != std::string::npos);
}

TEST_CASE("the figures of an answer name the type of the weights, where it is known") {
  chat::Result answer = cut_in_titles();
  CHECK(chat::figures(answer).find("3.5 tokens/s   ended: limit") != std::string::npos);
  answer.weights = "int8";
  CHECK(chat::figures(answer).find("3.5 tokens/s   int8   ended: limit") != std::string::npos);
  CHECK(nlohmann::json::parse(chat::to_json(answer))["weights"] == "int8");
}

TEST_CASE("the figures of an answer stand in lines of a narrow terminal, none in two") {
  chat::Result answer = cut_in_titles();
  answer.weights = "bfloat16";
  answer.answer.reason = anabranch::EndReason::end_of_text;
  answer.answer.seconds = 12345.67;
  answer.answer.n_parallel_tokens = 123456;
  answer.answer.parallel_seconds = 100;
  std::istringstream text(chat::figures(answer));
  std::string line, all;
  while (std::getline(text, line)) {
    CHECK(line.size() < 80);
    CHECK(line.substr(0, 2) == "  ");
    all += line + "\n";
  }
  for (const char* figure :
       {"(serial: 31)", "12345.67 s", "parallel phase 1234.6 tokens/s", "bfloat16", "ended: end_of_text\n"})
    CHECK(all.find(figure) != std::string::npos);
}

TEST_CASE("answers that were made together are summed up by the time that they shared") {
  const std::string text = chat::summary({cut_in_titles(), cut_in_titles()}, 2.0);
  CHECK(text.find("passes 62 (serial: 62)   as many as serial") != std::string::npos);
  CHECK(text.find("2.00 s for all, 7.0 tokens/s in all") != std::string::npos);
}
