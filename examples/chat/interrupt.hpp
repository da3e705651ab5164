// Ctrl-C as a question that can be asked, in place of the end of the program.
#pragma once

namespace chat {

/// While one lives, Ctrl-C is noted. One at a time.
class Interrupt {
 public:
  /// A second Ctrl-C before `take`: is it noted too, or does it end the program?
  enum class Second : bool { noted, ends };
  explicit Interrupt(Second second = Second::noted);
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  /// Has it been pressed since the last `take`?
  static bool pressed() noexcept;
  static bool take() noexcept;
  /// While one lives, Ctrl-C also ends a read from the terminal that waits.
  struct EndsReads {
    EndsReads();
    ~EndsReads();
    EndsReads(const EndsReads&) = delete;
    EndsReads& operator=(const EndsReads&) = delete;
  };
};

}  // namespace chat
