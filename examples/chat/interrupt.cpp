#include "interrupt.hpp"

#include <csignal>

namespace chat {
namespace {

volatile std::sig_atomic_t n_pressed = 0;
volatile std::sig_atomic_t second_ends = 0;

extern "C" void note_interrupt(int) {
  if (n_pressed != 0 && second_ends != 0) {
    std::signal(SIGINT, SIG_DFL);
    std::raise(SIGINT);  // comes when this handler has returned
  }
  n_pressed = 1;
}

void listen(int flags) {
  struct sigaction action {};
  action.sa_handler = note_interrupt;
  action.sa_flags = flags;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
}

}  // namespace

Interrupt::Interrupt(Second second) {
  n_pressed = 0;
  second_ends = second == Second::ends ? 1 : 0;
  listen(SA_RESTART);
}
Interrupt::~Interrupt() { std::signal(SIGINT, SIG_DFL); }

bool Interrupt::pressed() noexcept { return n_pressed != 0; }

bool Interrupt::take() noexcept {
  const bool was = pressed();
  n_pressed = 0;
  return was;
}

Interrupt::EndsReads::EndsReads() { listen(0); }
Interrupt::EndsReads::~EndsReads() { listen(SA_RESTART); }

}  // namespace chat
