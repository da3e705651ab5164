// What the engine is doing, for Prometheus and for the page of the running server.
#pragma once

#include <string>

#include <anabranch/torch/engine.hpp>

namespace serve {

/// The engine's part of /metrics.
std::string engine_metrics(const anabranch::torch::Engine& engine);

/// The passes behind number `after`, and the state, in JSON. Throws ApiError when `after` is no number.
std::string passes_report(const anabranch::torch::Engine& engine, const std::string& after);

}  // namespace serve
