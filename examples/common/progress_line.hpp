// One line of a terminal that a program writes over to say how far it is.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

#include <sys/ioctl.h>
#include <unistd.h>

namespace example {

/// Puts an ASCII text in place of the line that the cursor of `stream`, a terminal, is in; as much of it as the
/// terminal is wide: a line that wraps could not be written over.
inline void write_over(std::FILE* stream, std::string_view text) {
  winsize size{};
  const bool known = ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  std::fputs(("\r" + std::string(text.substr(0, known ? size.ws_col - 1u : 79u)) + "\x1b[K").c_str(), stream);
  std::fflush(stream);
}

/// Says on standard error how far a program is: a terminal's line is written over, elsewhere the text follows the last
/// one.
inline void show_progress(const std::string& text, const char* end) {
  if (::isatty(STDERR_FILENO) != 0)
    write_over(stderr, text);
  else
    std::fputs(text.c_str(), stderr);
  std::fputs(end, stderr);
  std::fflush(stderr);
}

}  // namespace example
