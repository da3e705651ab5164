// The processors that this process may use.
#pragma once

#include <cstdint>

#include <anabranch/thread_team.hpp>

#include "control_groups.hpp"

namespace anabranch::torch {

/// Processors' time per time that the control groups of this process give it; infinity: as much as there is.
double processor_quota(const GroupFiles& files = {});

/// The number of threads that can run at the same time, at least 1: the processors that the process is bound to, or the
/// quota to the nearest whole number.
std::int32_t usable_processors(const GroupFiles& files = {});

/// Null where the system has no such calls.
ProcessorCalls processor_calls() noexcept;

}  // namespace anabranch::torch
