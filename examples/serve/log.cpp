#include "log.hpp"

#include <chrono>
#include <cstdio>
#include <ctime>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "reply.hpp"

namespace serve {

void log(const char* event, nlohmann::json fields) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  const std::time_t seconds = static_cast<std::time_t>(ms / 1000);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char day[32];
  std::strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &utc);
  nlohmann::json line{{"time", fmt::format("{}.{:03}Z", day, ms % 1000)}, {"event", event}};
  line.update(fields);
  const std::string text = dump(line) + "\n";
  std::fwrite(text.data(), 1, text.size(), stderr);  // one call: lines of threads do not mix
}

}  // namespace serve
