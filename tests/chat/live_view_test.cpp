#include <live_view.hpp>
#include <picture.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <anabranch/error.hpp>

#include "catch.hpp"

namespace ab = anabranch;

namespace {

ab::Event event(ab::Event::Kind kind, ab::BranchIndex branch, const std::string& text = "") {
  ab::Event result;
  result.kind = kind;
  result.branch = branch;
  result.text = text;
  return result;
}

/// The events of an answer that forks.
std::vector<ab::Event> answer() {
  using Kind = ab::Event::Kind;
  ab::Event fork = event(Kind::fork, 0);
  fork.first_branch = 1;
  fork.titles = {"A", "B"};
  ab::Event end_a = event(Kind::branch_end, 1);
  end_a.reason = ab::EndReason::end_tag;
  ab::Event end_b = event(Kind::branch_end, 2, " b2");
  end_b.reason = ab::EndReason::limit;
  ab::Event join = event(Kind::join, 0);
  join.first_branch = 1;
  join.n_branches = 2;
  return {event(Kind::token, 0, "Points:\n"),
          fork,
          event(Kind::token, 1, "a1"),
          event(Kind::token, 2, "b1"),
          end_a,
          end_b,
          join,
          event(Kind::token, 0, "done"),
          event(Kind::end, 0)};
}

std::string shown(chat::ViewKind kind) {
  std::FILE* file = std::tmpfile();
  chat::LiveView view(kind, file);
  for (const ab::Event& e : answer()) {
    view.show(e);
    view.refresh();
  }
  view.finish();
  std::rewind(file);
  std::string text;
  for (int c = std::fgetc(file); c != EOF; c = std::fgetc(file)) text += static_cast<char>(c);
  std::fclose(file);
  return text;
}

}  // namespace

TEST_CASE("without a terminal it is told how far the answer is, and nothing of its text") {
  CHECK(shown(chat::ViewKind::lines) ==
        "2 branches: A | B\nbranch 1 ended: end_tag, 1 tokens\nbranch 2 ended: limit, 1 tokens\n");
}

TEST_CASE("on a terminal the drawn region is cleared before the joined text is printed") {
  const std::string text = shown(chat::ViewKind::terminal);
  const std::size_t cleared = text.rfind("\x1b[J");
  REQUIRE(cleared != std::string::npos);
  CHECK(text.substr(cleared + 3) == "a1b1 b2done\n");
  CHECK(text.find("1 A") != std::string::npos);
  for (std::size_t at = text.find("\x1b["); at != std::string::npos; at = text.find("\x1b[", at + 1))
    CHECK(text[text.find_first_not_of("0123456789;", at + 2)] != 'm');  // no colours, whatever NO_COLOR says
}

TEST_CASE("nothing is shown when nothing is wanted") { CHECK(shown(chat::ViewKind::none).empty()); }

TEST_CASE("a picture holds one mark per token and escapes what it writes") {
  chat::Picture picture;
  for (const ab::Event& e : answer()) {
    picture.show(e);
    picture.end_pass();
  }
  const std::filesystem::path file = std::filesystem::temp_directory_path() / "anabranch_picture_test.svg";
  picture.write(file, "a < b & \"c\"?", "figures");
  std::stringstream text;
  text << std::ifstream(file).rdbuf();
  std::filesystem::remove(file);
  CHECK(text.str().find("a &lt; b &amp; &quot;c&quot;?") != std::string::npos);
  std::size_t marks = 0;
  for (std::size_t at = text.str().find("#2f6fde"); at != std::string::npos; at = text.str().find("#2f6fde", at + 1))
    ++marks;
  CHECK(marks == 4);
  CHECK_THROWS_AS(picture.write("/nonexistent/folder/x.svg", "q", "f"), ab::Error);
}
