// A file of lines to which a program adds, run after run.
#pragma once

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <anabranch/error.hpp>

namespace example {

/// A file of lines that is appended to; half a line at its end, of a run that was killed, is cut off first. Throws
/// bad_file when it cannot be written. Without a path it takes nothing.
class LineFile {
 public:
  LineFile() = default;
  explicit LineFile(const std::string& path) : path_(path) {
    if (std::filesystem::is_regular_file(path)) {
      std::ifstream old(path, std::ios::binary);
      const std::string text{std::istreambuf_iterator<char>(old), std::istreambuf_iterator<char>()};
      const std::size_t end = text.rfind('\n') + 1;  // npos + 1 == 0
      if (end < text.size()) std::filesystem::resize_file(path, end);
    }
    errno = 0;
    file_.open(path, std::ios::binary | std::ios::app);
    if (!file_) cannot_write();
  }
  void write(const std::string& line) { file_ << line << '\n'; }
  /// Afterwards all lines have arrived.
  void flush() {
    if (path_.empty()) return;
    errno = 0;
    if (!file_.flush()) cannot_write();
  }

 private:
  [[noreturn]] void cannot_write() const {
    anabranch::fail(anabranch::Status::bad_file, "cannot write ", path_, errno != 0 ? ": " : "",
                    errno != 0 ? std::strerror(errno) : "");
  }

  std::string path_;
  std::ofstream file_;
};

}  // namespace example
