// Other programs that want the processors.
#pragma once

#include <vector>

#include <sys/types.h>

namespace anabranch::bench {

/// Processes that count as fast as they can, until the object ends, or this process does.
class Competitors {
 public:
  /// Throws std::runtime_error when the system gives no process.
  explicit Competitors(int n);
  Competitors(const Competitors&) = delete;
  Competitors& operator=(const Competitors&) = delete;
  ~Competitors();

 private:
  void end() noexcept;

  std::vector<pid_t> processes_;
};

}  // namespace anabranch::bench
