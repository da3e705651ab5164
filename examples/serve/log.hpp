// The server's log: one JSON object a line on standard error.
#pragma once

#include <nlohmann/json.hpp>

namespace serve {

/// Writes a line with the time, `event` and the fields. For all threads.
void log(const char* event, nlohmann::json fields = nlohmann::json::object());

}  // namespace serve
