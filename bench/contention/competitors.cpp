#include "competitors.hpp"

#include <csignal>
#include <stdexcept>

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace anabranch::bench {
namespace {

[[noreturn]] void count_forever(pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(0);  // it ended before the line above
  for (volatile unsigned long counter = 0;;) counter = counter + 1;
}

}  // namespace

Competitors::Competitors(int n) {
  const pid_t parent = ::getpid();
  for (int i = 0; i < n; ++i) {
    const pid_t child = ::fork();
    if (child == 0) count_forever(parent);
    if (child < 0) {
      end();
      throw std::runtime_error("the system gives no process to compete");
    }
    processes_.push_back(child);
  }
}

Competitors::~Competitors() { end(); }

void Competitors::end() noexcept {
  for (const pid_t process : processes_) ::kill(process, SIGKILL);
  for (const pid_t process : processes_) ::waitpid(process, nullptr, 0);
  processes_.clear();
}

}  // namespace anabranch::bench
