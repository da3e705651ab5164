#include "interrupt.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <system_error>

namespace chat {
namespace {

// A handler may run in any thread of the process.
std::atomic<bool> is_pressed{false};
std::atomic<bool> second_ends{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may not wait for a lock");

// The handler writes a byte into a pipe. A wait for input polls the pipe's other end too: a signal that comes just
// before the wait ends it as well as one that comes during it.
int wake[2] = {-1, -1};

extern "C" void note_interrupt(int) {
  if (is_pressed.exchange(true) && second_ends) {
    std::signal(SIGINT, SIG_DFL);
    std::raise(SIGINT);  // comes when this handler has returned
  }
  const int error = errno;
  [[maybe_unused]] const auto n = ::write(wake[1], "", 1);  // a full pipe wakes as well
  errno = error;
}

void empty_pipe() noexcept {
  for (char bytes[64]; ::read(wake[0], bytes, sizeof bytes) > 0;) {
  }
}

}  // namespace

Interrupt::Interrupt(Second second) {
  if (::pipe(wake) != 0) throw std::system_error(errno, std::generic_category(), "cannot open a pipe for Ctrl-C");
  for (const int end : wake) {
    ::fcntl(end, F_SETFL, O_NONBLOCK);
    ::fcntl(end, F_SETFD, FD_CLOEXEC);
  }
  is_pressed = false;
  second_ends = second == Second::ends;
  struct sigaction action {};
  action.sa_handler = note_interrupt;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
}

Interrupt::~Interrupt() {
  std::signal(SIGINT, SIG_DFL);
  for (int& end : wake) {
    ::close(end);
    end = -1;
  }
}

bool Interrupt::pressed() noexcept { return is_pressed; }

bool Interrupt::take() noexcept {
  const bool was = is_pressed.exchange(false);
  empty_pipe();
  return was;
}

bool Interrupt::wait_to_read(int fd) noexcept {
  while (!pressed()) {
    pollfd wanted[] = {{fd, POLLIN, 0}, {wake[0], POLLIN, 0}};
    if (::poll(wanted, 2, -1) > 0 && wanted[0].revents != 0) break;
    empty_pipe();  // a byte that came behind its `take`; the handler notes the key before it writes
  }
  return !pressed();
}

}  // namespace chat
