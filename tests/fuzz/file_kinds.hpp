// The files of other people that the library reads, as fuzz targets: any bytes are read, or refused with an Error that
// names the file, and never take more memory than a multiple of their number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace fuzz {

/// Bytes in use at once while a file of `n_bytes` is read: this many for each of its bytes, and some for messages.
inline constexpr std::size_t kBytesPerByte = 256;
inline constexpr std::size_t kBytesAlways = std::size_t{1} << 18;

/// One kind of file. `read` gets the folder that it lies in.
struct FileKind {
  std::string_view name;                                 ///< of the folder of its inputs, "config"
  const char* file;                                      ///< "config.json"
  void (*prepare)(const std::filesystem::path& folder);  ///< writes what must lie beside it
  void (*read)(const std::filesystem::path& folder);
};

std::span<const FileKind> file_kinds();

/// Reads files of one kind from a folder of its own, which is removed at the end.
class FileReader {
 public:
  explicit FileReader(const FileKind& kind);
  ~FileReader();
  FileReader(const FileReader&) = delete;
  FileReader& operator=(const FileReader&) = delete;

  /// Stops the program when a promise is not kept. True: the file was taken.
  bool read(const std::uint8_t* bytes, std::size_t n) const;

 private:
  const FileKind& kind_;
  std::filesystem::path folder_;
};

/// Memory from operator new since the last call of `begin`.
struct MemoryUse {
  static void begin() noexcept;
  /// The most bytes that were in use at once.
  static std::size_t most() noexcept;
};

}  // namespace fuzz
