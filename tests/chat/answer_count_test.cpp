#include <answer_count.hpp>

#include <string>

#include "catch.hpp"

namespace ab = anabranch;

namespace {

ab::Event event(ab::Event::Kind kind, ab::EndReason reason = ab::EndReason::none) {
  ab::Event result;
  result.kind = kind;
  result.reason = reason;
  return result;
}

/// What is said of three questions, of which the last one is stopped.
std::string said(chat::ViewKind kind) {
  std::FILE* file = std::tmpfile();
  chat::AnswerCount count(3, kind, file);
  using Kind = ab::Event::Kind;
  for (const ab::Event& e : {event(Kind::token), event(Kind::end, ab::EndReason::limit), event(Kind::join),
                             event(Kind::end, ab::EndReason::end_of_text), event(Kind::end, ab::EndReason::cancelled)})
    count.show(e);
  count.finish();
  std::rewind(file);
  std::string text;
  for (int c = std::fgetc(file); c != EOF; c = std::fgetc(file)) text += static_cast<char>(c);
  std::fclose(file);
  return text;
}

}  // namespace

TEST_CASE("of several answers it is told how many are complete, and stopped ones are not") {
  CHECK(said(chat::ViewKind::lines) == "answered 0 of 3\nanswered 1 of 3\nanswered 2 of 3\n");
  CHECK(said(chat::ViewKind::terminal) ==
        "\ranswered 0 of 3\x1b[K\ranswered 1 of 3\x1b[K\ranswered 2 of 3\x1b[K\r\x1b[K");
  CHECK(said(chat::ViewKind::none).empty());
}
