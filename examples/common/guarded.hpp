// The way every example program ends.
#pragma once

#include <cstdio>
#include <exception>
#include <type_traits>

#include <fmt/format.h>

#include <anabranch/error.hpp>
#include <anabranch/fmt.hpp>

#include "output.hpp"

namespace example {

/// Calls `body` and turns what it throws into a line on standard error. The exit status: what `body` returns, else 0;
/// 2 for an argument that is wrong, 1 for a run that failed, or whose output could not be written.
template <class Body>
int guarded(const char* program, Body&& body) {
  int status = 0;
  try {
    if constexpr (std::is_same_v<decltype(body()), int>)
      status = body();
    else
      body();
  } catch (const anabranch::Error& error) {
    if (error.status() == anabranch::Status::bad_argument) {
      fmt::print(stderr, "error: {}\n", error.what());
      return 2;
    }
    fmt::print(stderr, "{}: {}: {}\n", program, error.status(), error.what());
    return 1;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}: {}\n", program, error.what());
    return 1;
  }
  return status == 0 && !output_arrived() ? 1 : status;  // of another status the reason has been told
}

}  // namespace example
