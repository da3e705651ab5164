// The way every example program ends.
#pragma once

#include <cstdio>
#include <exception>

#include <fmt/format.h>

#include <anabranch/error.hpp>
#include <anabranch/fmt.hpp>

namespace example {

/// Calls `body` and turns what it throws into a line on standard error. The exit status.
template <class Body>
int guarded(const char* program, Body&& body) {
  try {
    body();
  } catch (const anabranch::Error& error) {
    fmt::print(stderr, "{}: {}: {}\n", program, error.status(), error.what());
    return 1;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}: {}\n", program, error.what());
    return 1;
  }
  return 0;
}

}  // namespace example
