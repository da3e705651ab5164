#include "atomic_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <span>
#include <string>
#include <utility>

#include <anabranch/error.hpp>

namespace anabranch::hf::impl {
namespace {

[[noreturn]] void cannot(const char* what, const std::filesystem::path& path) {
  fail(Status::bad_file, "cannot ", what, " ", path.string(), ": ", std::strerror(errno));
}

}  // namespace

AtomicFile::AtomicFile(std::filesystem::path file) : file_(std::move(file)), temporary_(file_) {
  static std::atomic<unsigned> counter{0};
  temporary_ += ".tmp-" + std::to_string(::getpid()) + "-" + std::to_string(counter++);
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor_ < 0) cannot("create", temporary_);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!done_) ::unlink(temporary_.c_str());
}

void AtomicFile::write(const void* bytes, std::size_t size) {
  std::span rest(static_cast<const std::byte*>(bytes), size);
  while (!rest.empty()) {
    const ::ssize_t written = ::write(descriptor_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) cannot("write", temporary_);
    rest = std::span(rest.begin() + written, rest.end());
  }
}

void AtomicFile::finish() {
  if (::fsync(descriptor_) != 0) cannot("write", temporary_);
  finish_unsynced();
}

void AtomicFile::finish_unsynced() {
  const int descriptor = descriptor_;
  descriptor_ = -1;
  if (::close(descriptor) != 0) cannot("write", temporary_);
  if (::rename(temporary_.c_str(), file_.c_str()) != 0) cannot("write", file_);
  done_ = true;
}

void write_file(const std::filesystem::path& file, std::string_view content) {
  AtomicFile out(file);
  out.write(content.data(), content.size());
  out.finish();
}

}  // namespace anabranch::hf::impl
