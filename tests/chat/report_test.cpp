// The figures of an answer say in which way it was made.
#include "catch.hpp"

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
