// A file that appears under its name only when it is complete; else nothing of it stays.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string_view>

namespace anabranch::hf::impl {

class AtomicFile {
 public:
  /// Creates a file beside `file`. Throws `bad_file` with the system's reason, as all of it does.
  explicit AtomicFile(std::filesystem::path file);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* bytes, std::size_t size);
  /// Puts what was written in place of `file`, when the disk has it.
  void finish();
  /// The same at once: after a loss of power the file may be damaged.
  void finish_unsynced();

 private:
  std::filesystem::path file_, temporary_;
  int descriptor_ = -1;
  bool done_ = false;
};

/// The whole content of a file at once.
void write_file(const std::filesystem::path& file, std::string_view content);

}  // namespace anabranch::hf::impl
