// The way every example program ends.
#pragma once

#include <cstdio>
#include <exception>
#include <type_traits>

#include <fmt/format.h>

#include <anabranch/error.hpp>
#include <anabranch/fmt.hpp>

namespace example {

/// Calls `body` and turns what it throws into a line on standard error. The exit status: what `body` returns, else 0;
/// 2 for an argument that is wrong, 1 for a run that failed.
template <class Body>
int guarded(const char* program, Body&& body) {
  try {
    if constexpr (std::is_same_v<decltype(body()), int>)
      return body();
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
  return 0;
}

}  // namespace example
