// Shows how far the load of a model is.
#pragma once

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>

#include <unistd.h>

#include <anabranch/torch/load_options.hpp>

#include "progress_line.hpp"

namespace example {

/// For LoadOptions::on_progress: one line on standard error, which goes away when the model is loaded. Nothing is shown
/// of a load that is over at once. Where standard error is no terminal that can clear a line, a line says that it
/// begins.
inline std::function<void(const anabranch::torch::LoadProgress&)> load_progress() {
  const char* term = std::getenv("TERM");
  if (::isatty(STDERR_FILENO) == 0 || term == nullptr || std::strcmp(term, "dumb") == 0) {
    std::fprintf(stderr, "loading the model ...\n");
    return {};
  }
  using Clock = std::chrono::steady_clock;
  return [begin = Clock::now(), shown = -1](const anabranch::torch::LoadProgress& now) mutable {
    const int percent = static_cast<int>(100 * now.fraction());
    const bool ready = now.stage == "ready";
    if (ready ? shown < 0 : percent == shown || Clock::now() - begin < std::chrono::milliseconds(300)) return;
    shown = percent;
    write_over(stderr,
               ready ? "" : "  loading the model: " + std::to_string(percent) + " %, " + std::string(now.stage));
  };
}

}  // namespace example
