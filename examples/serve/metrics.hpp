// Metrics: what the server counts, as Prometheus reads it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>

namespace serve {

/// Times in seconds, counted by upper bounds that rise by a factor of about two.
class Histogram {
 public:
  void add(double seconds) noexcept;
  /// Appends its lines. `name` is a metric's name, without a label.
  void write(std::string& out, const std::string& name, const char* help) const;

 private:
  static constexpr std::array<double, 15> kBounds{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                                  0.5,   1,      2.5,   5,    10,    30,   60};
  std::array<std::int64_t, kBounds.size() + 1> counts_{};
  double sum_ = 0;
};

/// Appends a metric with one value.
void write_metric(std::string& out, const char* name, const char* type, const char* help, double value);

/// What a chat's next turn goes on from.
enum class TurnStart : std::uint8_t {
  answer,    ///< the last answer, as it was decoded
  messages,  ///< the text of all messages
};

/// For all threads of the server.
class Metrics {
 public:
  void count_reply(const std::string& path, int status);
  void add_first_token(double seconds);
  void add_between_tokens(double seconds);
  void add_whole(double seconds);
  void count_token();  ///< that the model wrote
  void count_disconnect();
  void count_next_turn(TurnStart start);
  /// All of it, as text.
  std::string text() const;

 private:
  using Lock = std::lock_guard<std::mutex>;

  mutable std::mutex mutex_;
  std::map<std::pair<std::string, int>, std::int64_t> replies_;
  std::int64_t n_disconnects_ = 0, n_tokens_ = 0, n_next_turns_ = 0, n_continued_ = 0;
  Histogram first_token_, between_tokens_, whole_;
};

}  // namespace serve
