// Whether what a program printed has arrived: a full disk shows only when the last of it is written.
#pragma once

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace example {

/// Writes out what standard output holds back. False when some of it is lost; then a line on standard error says why.
inline bool output_arrived() {
  const bool is_flushed = std::fflush(stdout) == 0;
  const int reason = errno;
  if (is_flushed && std::ferror(stdout) == 0) return true;
  std::fprintf(stderr, "error: standard output cannot be written%s%s\n", is_flushed ? "" : ": ",
               is_flushed ? "" : std::strerror(reason));
  return false;
}

}  // namespace example
