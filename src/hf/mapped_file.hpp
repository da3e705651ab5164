// A file's bytes in memory without reading it.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace anabranch::hf::impl {

/// Read-only, private mapping; unmapped on destruction. The file must not be shortened meanwhile.
class MappedFile {
 public:
  /// Throws `bad_file` with the system's reason.
  explicit MappedFile(const std::filesystem::path& file);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const noexcept { return {static_cast<const std::byte*>(address_), size_}; }
  /// Gives back the memory that the process has these bytes in, until they are read again.
  static void forget(std::span<const std::byte> bytes) noexcept;

 private:
  void* address_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace anabranch::hf::impl
