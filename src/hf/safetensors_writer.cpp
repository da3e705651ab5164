#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <set>

#include <anabranch/hf/safetensors.hpp>

#include "json_file.hpp"

namespace anabranch::hf {
namespace {

[[noreturn]] void cannot(const char* what, const std::filesystem::path& path) {
  fail(Status::bad_file, std::string("cannot ") + what + " " + path.string() + ": " + std::strerror(errno));
}

// A file that appears under its name only when it is complete; else nothing of it stays.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path file) : file_(std::move(file)), temporary_(file_) {
    static std::atomic<unsigned> counter{0};
    temporary_ += ".tmp-" + std::to_string(::getpid()) + "-" + std::to_string(counter++);
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ < 0) cannot("create", temporary_);
  }
  ~AtomicFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
    if (!done_) ::unlink(temporary_.c_str());
  }
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* bytes, std::size_t size) {
    const char* next = static_cast<const char*>(bytes);
    while (size > 0) {
      const ::ssize_t written = ::write(descriptor_, next, size);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) cannot("write", temporary_);
      next += written;
      size -= static_cast<std::size_t>(written);
    }
  }

  void finish() {
    if (::fsync(descriptor_) != 0) cannot("write", temporary_);
    const int descriptor = descriptor_;
    descriptor_ = -1;
    if (::close(descriptor) != 0) cannot("write", temporary_);
    if (::rename(temporary_.c_str(), file_.c_str()) != 0) cannot("write", file_);
    done_ = true;
  }

 private:
  std::filesystem::path file_, temporary_;
  int descriptor_ = -1;
  bool done_ = false;
};

void check_tensor(const FloatTensor& tensor, std::set<std::string>& names) {
  if (tensor.name == "__metadata__" || !names.insert(tensor.name).second)
    fail(Status::bad_argument, "tensor \"" + tensor.name + "\": the name is reserved or there twice");
  std::uint64_t n = 1;
  bool fits = true;
  for (const std::int64_t size : tensor.shape)
    fits = fits && size >= 0 && !__builtin_mul_overflow(n, static_cast<std::uint64_t>(size), &n);
  if (!fits || n != tensor.values.size())
    fail(Status::bad_argument, "tensor \"" + tensor.name + "\": expected as many values as the shape " +
                                   shape_text(tensor.shape) + " has, found " + std::to_string(tensor.values.size()));
}

}  // namespace

void write_safetensors(const std::filesystem::path& file, std::span<const FloatTensor> tensors,
                       const std::map<std::string, std::string>& metadata) {
  impl::Json header = impl::Json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::set<std::string> names;
  std::uint64_t offset = 0;
  for (const FloatTensor& tensor : tensors) {
    check_tensor(tensor, names);
    const std::uint64_t end = offset + tensor.values.size_bytes();
    header[tensor.name] = {{"dtype", "F32"}, {"shape", tensor.shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::exception& problem) {
    fail(Status::bad_argument, std::string("names and metadata must be UTF-8: ") + problem.what());
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');  // keeps the tensors aligned
  const std::uint64_t length = text.size();
  AtomicFile out(file);
  out.write(&length, sizeof length);
  out.write(text.data(), text.size());
  for (const FloatTensor& tensor : tensors) out.write(tensor.values.data(), tensor.values.size_bytes());
  out.finish();
}

}  // namespace anabranch::hf
