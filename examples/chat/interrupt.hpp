// Ctrl-C as a question that can be asked, in place of the end of the program.
#pragma once

namespace chat {

/// While one lives, Ctrl-C is noted. One at a time.
class Interrupt {
 public:
  /// A second Ctrl-C before `take`: is it noted too, or does it end the program?
  enum class Second : bool { noted, ends };
  /// Throws std::system_error when the process can open no more files.
  explicit Interrupt(Second second = Second::noted);
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  /// Has it been pressed since the last `take`?
  static bool pressed() noexcept;
  static bool take() noexcept;

  /// Waits until `fd` can be read without waiting, or is at its end: true. Or until Ctrl-C has been pressed, before
  /// this call or during it: false. Requires that an Interrupt lives.
  static bool wait_to_read(int fd) noexcept;
};

}  // namespace chat
