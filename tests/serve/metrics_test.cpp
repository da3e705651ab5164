#include <metrics.hpp>

#include <string>

#include "catch.hpp"

TEST_CASE("times are counted by their upper bounds, and all of them in the last one") {
  serve::Metrics metrics;
  metrics.add_first_token(0.002);
  metrics.add_first_token(0.1);
  metrics.add_first_token(100);
  const std::string text = metrics.text();
  const auto has = [&](const char* line) { return text.find(line) != std::string::npos; };
  CHECK(has("anabranch_time_to_first_token_seconds_bucket{le=\"0.001\"} 0\n"));
  CHECK(has("anabranch_time_to_first_token_seconds_bucket{le=\"0.0025\"} 1\n"));
  CHECK(has("anabranch_time_to_first_token_seconds_bucket{le=\"0.1\"} 2\n"));
  CHECK(has("anabranch_time_to_first_token_seconds_bucket{le=\"60\"} 2\n"));
  CHECK(has("anabranch_time_to_first_token_seconds_bucket{le=\"+Inf\"} 3\n"));
  CHECK(has("anabranch_time_to_first_token_seconds_count 3\n"));
}

TEST_CASE("replies are counted by path and status") {
  serve::Metrics metrics;
  metrics.count_reply("/health", 200);
  metrics.count_reply("/health", 200);
  metrics.count_reply("other", 404);
  CHECK(metrics.text().find("anabranch_http_replies_total{path=\"/health\",status=\"200\"} 2\n") != std::string::npos);
  CHECK(metrics.text().find("anabranch_http_replies_total{path=\"other\",status=\"404\"} 1\n") != std::string::npos);
}
