#include "converse.hpp"

#include <fmt/format.h>

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>

#include <anabranch/fmt.hpp>

#include "interrupt.hpp"
#include "session.hpp"

namespace chat {
namespace {

namespace ab = anabranch;

constexpr const char* kHelp =
    "  /mode parallel|serial   an answer's branches together, or one after another\n"
    "  /stats                  what the last answer cost, and what is in the cache\n"
    "  /reset                  forget all turns; the system message stays\n"
    "  /help, /quit            or Ctrl-D to leave\n"
    "  A line that ends in \\ goes on in the next one. Ctrl-C stops an answer; what it has said by then counts.\n";

enum class Read : std::uint8_t { line, interrupted, end };

/// Standard input, line by line; Ctrl-C throws away the line that is being written.
class Input {
 public:
  /// One line, without its end.
  Read read_line(std::string& line) {
    for (;;) {
      if (Interrupt::pressed()) return interrupted();
      if (const std::size_t end = buffer_.find('\n'); end != std::string::npos || (at_end_ && !buffer_.empty())) {
        line = buffer_.substr(0, end);
        buffer_.erase(0, end == std::string::npos ? end : end + 1);
        while (!line.empty() && line.back() == '\r') line.pop_back();
        return Read::line;
      }
      if (at_end_) return Read::end;
      if (Interrupt::wait_to_read(STDIN_FILENO)) fill();
    }
  }

 private:
  Read interrupted() {
    Interrupt::take();
    buffer_.clear();
    return Read::interrupted;
  }

  void fill() {
    char bytes[4096];
    const auto n = ::read(STDIN_FILENO, bytes, sizeof bytes);
    if (n > 0) buffer_.append(bytes, static_cast<std::size_t>(n));
    at_end_ = n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN);
  }

  std::string buffer_;
  bool at_end_ = false;
};

/// Lines up to one that does not end in `\`.
Read read_message(Input& input, std::string& message) {
  message.clear();
  for (const char* sign = "> ";; sign = ". ") {
    fmt::print("{}", sign);
    std::fflush(stdout);
    std::string line;
    if (const Read read = input.read_line(line); read != Read::line) return read;
    const bool goes_on = !line.empty() && line.back() == '\\';
    if (goes_on) line.pop_back();
    message += line;
    if (!goes_on) return Read::line;
    message += '\n';
  }
}

class Talk {
 public:
  Talk(ab::torch::Conversation& chat, Way way, bool quiet)
      : chat_(chat), way_(std::move(way)), kind_(quiet ? ViewKind::none : view_kind_of(stdout)) {}

  void run() {
    const Interrupt interrupt;
    Input input;
    fmt::print("A conversation: ask, or /help for what else there is; Ctrl-D leaves.\n");
    std::string message;
    for (;;) {
      const Read read = read_message(input, message);
      if (read == Read::end) break;
      if (read == Read::interrupted) {
        fmt::print("\n(Ctrl-D or /quit leaves)\n");
        continue;
      }
      if (message == "/quit" || message == "/exit") return;
      if (message.find_first_not_of(" \t\r\n") == std::string::npos) continue;
      message.front() == '/' ? command(message) : ask(message);
    }
    fmt::print("\n");
  }

 private:
  void ask(const std::string& question) {
    Watchers watch{{kind_, kind_ == ViewKind::terminal ? stdout : stderr}, {}};
    chat_.options().request.max_parallel_branches = ab::kNone;
    set_up(chat_.options(), way_, watch);
    chat_.options().on_pass = [&watch] {
      watch.view.refresh();
      return !Interrupt::pressed();
    };
    Interrupt::take();
    try {
      Result result{question, way_, chat_.ask(question)};
      watch.view.finish();
      if (kind_ != ViewKind::terminal) fmt::print("{}\n", result.answer.text);
      const bool stopped = result.answer.reason == ab::EndReason::cancelled;
      if (stopped) fmt::print("{}\n", result.answer.text.empty() ? "(stopped: nothing was asked)" : "(stopped)");
      last_ = std::move(result);
    } catch (const ab::Error& error) {
      watch.view.finish();
      std::fflush(stdout);
      fmt::print(stderr, "chat: {}: {}\n", error.status(), error.what());
    }
    Interrupt::take();
  }

  void command(const std::string& text) {
    const std::size_t blank = text.find_first_of(" \t");
    const std::string name = text.substr(0, blank);
    const std::size_t begin = blank == std::string::npos ? blank : text.find_first_not_of(" \t", blank);
    const std::string argument =
        begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
    if (name == "/mode") return mode(argument);
    const bool known = name == "/help" || name == "/stats" || name == "/reset" || name == "/quit" || name == "/exit";
    if (known && !argument.empty()) {
      fmt::print("({} takes no argument, and nothing was done; it was given {})\n", name, argument);
    } else if (name == "/help") {
      fmt::print("{}", kHelp);
    } else if (name == "/stats") {
      show_statistics();
    } else if (name == "/reset") {
      chat_.reset();
      last_.reset();
      fmt::print("(forgotten; {} message{} left)\n", chat_.messages().size(), chat_.messages().size() == 1 ? "" : "s");
    } else {
      fmt::print("{} is no command; these are:\n{}", text, kHelp);
    }
  }

  void mode(const std::string& wanted) {
    if (!wanted.empty() && wanted != "parallel" && wanted != "serial") {
      fmt::print("(/mode takes parallel or serial, not {}; it stays {})\n", wanted,
                 way_.one_by_one ? "serial" : "parallel");
      return;
    }
    if (!wanted.empty()) way_.one_by_one = wanted == "serial";
    fmt::print("({}: an answer's branches {}{})\n", way_.one_by_one ? "serial" : "parallel",
               way_.one_by_one ? "one after another" : "together",
               wanted.empty() ? way_.one_by_one ? "; /mode parallel changes it" : "; /mode serial changes it" : "");
  }

  void show_statistics() {
    const ab::torch::TurnStatistics& turn = chat_.turn();
    if (last_) {
      fmt::print("{}", figures(*last_));
      fmt::print("  prompt: {} tokens computed, {} kept from earlier turns{}   rows of all passes: {}\n",
                 turn.n_computed, turn.n_kept, turn.anew ? " (computed anew)" : "", turn.n_rows);
    } else {
      fmt::print("  no answer yet\n");
    }
    fmt::print("  conversation: {} messages, {} tokens in the cache, {} pages free\n", chat_.messages().size(),
               chat_.n_tokens(), chat_.n_free_pages());
  }

  ab::torch::Conversation& chat_;
  Way way_;
  ViewKind kind_;
  std::optional<Result> last_;
};

}  // namespace

void converse(ab::torch::Conversation& chat, Way way, bool quiet) { Talk(chat, std::move(way), quiet).run(); }

}  // namespace chat
