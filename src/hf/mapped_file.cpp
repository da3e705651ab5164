#include "mapped_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>

#include <anabranch/error.hpp>

namespace anabranch::hf::impl {

MappedFile::MappedFile(const std::filesystem::path& file) {
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) fail(Status::bad_file, "cannot open ", file.string(), ": ", std::strerror(errno));
  struct ::stat status {};
  int problem = ::fstat(descriptor, &status) == 0 ? 0 : errno;
  const bool regular = problem == 0 && S_ISREG(status.st_mode);
  if (regular && status.st_size > 0) {
    size_ = static_cast<std::size_t>(status.st_size);
    address_ = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (address_ == MAP_FAILED) problem = errno;
  }
  ::close(descriptor);
  if (problem != 0) fail(Status::bad_file, "cannot map ", file.string(), ": ", std::strerror(problem));
  if (!regular) fail(Status::bad_file, "cannot read ", file.string(), ": expected a regular file");
}

void MappedFile::forget(std::span<const std::byte> bytes) noexcept {
  static const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(bytes.data());
  const std::uintptr_t past = begin % page;  // a page is of no file but this one, and unchanged
  ::madvise(const_cast<std::byte*>(bytes.data()) - past, bytes.size() + past, MADV_DONTNEED);  // a wish
}

MappedFile::~MappedFile() {
  if (size_ > 0) ::munmap(address_, size_);
}

}  // namespace anabranch::hf::impl
