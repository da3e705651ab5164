#include "metrics.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace serve {
namespace {

void write_head(std::string& out, const std::string& name, const char* type, const char* help) {
  out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

}  // namespace

void Histogram::add(double seconds) noexcept {
  const auto bound = std::lower_bound(kBounds.begin(), kBounds.end(), seconds);
  ++counts_[static_cast<std::size_t>(bound - kBounds.begin())];
  sum_ += seconds;
}

void Histogram::write(std::string& out, const std::string& name, const char* help) const {
  write_head(out, name, "histogram", help);
  std::int64_t n = 0;
  for (std::size_t i = 0; i < kBounds.size(); ++i)
    out += fmt::format("{}_bucket{{le=\"{}\"}} {}\n", name, kBounds[i], n += counts_[i]);
  n += counts_.back();
  out += fmt::format("{}_bucket{{le=\"+Inf\"}} {}\n{}_sum {}\n{}_count {}\n", name, n, name, sum_, name, n);
}

void write_metric(std::string& out, const char* name, const char* type, const char* help, double value) {
  write_head(out, name, type, help);
  out += fmt::format("{} {}\n", name, value);
}

void Metrics::count_reply(const std::string& path, int status) {
  const Lock lock(mutex_);
  ++replies_[{path, status}];
}

void Metrics::add_first_token(double seconds) {
  const Lock lock(mutex_);
  first_token_.add(seconds);
}

void Metrics::add_between_tokens(double seconds) {
  const Lock lock(mutex_);
  between_tokens_.add(seconds);
}

void Metrics::add_whole(double seconds) {
  const Lock lock(mutex_);
  whole_.add(seconds);
}

void Metrics::count_token() {
  const Lock lock(mutex_);
  ++n_tokens_;
}

void Metrics::count_disconnect() {
  const Lock lock(mutex_);
  ++n_disconnects_;
}

void Metrics::count_next_turn(TurnStart start) {
  const Lock lock(mutex_);
  ++n_next_turns_;
  n_continued_ += start == TurnStart::answer ? 1 : 0;
}

std::string Metrics::text() const {
  const Lock lock(mutex_);
  std::string out;
  write_head(out, "anabranch_http_replies_total", "counter", "replies by path and status");
  for (const auto& [key, n] : replies_)
    out += fmt::format("anabranch_http_replies_total{{path=\"{}\",status=\"{}\"}} {}\n", key.first, key.second, n);
  write_metric(out, "anabranch_disconnects_total", "counter", "clients that went before their answer was complete",
               static_cast<double>(n_disconnects_));
  write_metric(out, "anabranch_tokens_total", "counter", "tokens that the model wrote", static_cast<double>(n_tokens_));
  write_metric(out, "anabranch_next_turns_total", "counter", "chats with an earlier answer",
               static_cast<double>(n_next_turns_));
  write_metric(out, "anabranch_next_turns_continued_total", "counter",
               "of these: went on from that answer as it was decoded", static_cast<double>(n_continued_));
  first_token_.write(out, "anabranch_time_to_first_token_seconds", "from the request to its first text");
  between_tokens_.write(out, "anabranch_time_between_tokens_seconds", "between two passes that wrote for a request");
  whole_.write(out, "anabranch_answer_seconds", "from the request to the end of its answer");
  return out;
}

}  // namespace serve
