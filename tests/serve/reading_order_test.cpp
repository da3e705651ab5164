#include <reading_order.hpp>

#include <random>
#include <string>
#include <vector>

#include "catch.hpp"

using anabranch::BranchIndex;
using anabranch::Event;
using anabranch::kTrunk;
using Kind = Event::Kind;

namespace {

Event event(Kind kind, BranchIndex branch, std::string text = "") {
  Event result;
  result.kind = kind;
  result.branch = branch;
  result.text = std::move(text);
  return result;
}
Event fork(BranchIndex branch, BranchIndex first, std::size_t n, std::string text = "") {
  Event result = event(Kind::fork, branch, std::move(text));
  result.first_branch = first;
  result.titles.assign(n, "title");
  return result;
}

struct Reader {
  serve::ReadingOrder order;
  std::string text;
  int n_shown = 0;
  void add(Event e) {
    order.add(std::move(e), [&](const Event& next) { text += next.text, ++n_shown; });
  }
};

/// A random answer: writes its text in reading order to `text`, and what its events are, per branch in order, to
/// `events`.
struct RandomAnswer {
  std::mt19937 random;
  BranchIndex n_branches = 1;
  std::string text;
  std::vector<std::vector<Event>> events;

  /// Events of one branch stand in order in one list; lists of different branches may be mixed as one likes, but for
  /// the fork, which comes before its branches, and the join, which comes behind them.
  void write(BranchIndex branch, int depth, std::vector<Event>& out) {
    const auto letters = [&](Kind kind) {
      const std::string word(random() % 3, static_cast<char>('a' + random() % 26));
      text += word;
      return event(kind, branch, word);
    };
    for (int i = static_cast<int>(random() % 4); i-- > 0;) {
      out.push_back(letters(Kind::token));
      if (depth >= 3 || random() % 3 != 0) continue;
      const auto n = static_cast<BranchIndex>(1 + random() % 3);
      const BranchIndex first = std::exchange(n_branches, n_branches + n);
      const std::string word(random() % 2, '|');
      text += word;
      out.push_back(fork(branch, first, static_cast<std::size_t>(n), word));
      std::vector<std::vector<Event>> children(static_cast<std::size_t>(n));
      for (BranchIndex k = 0; k < n; ++k) write(first + k, depth + 1, children[static_cast<std::size_t>(k)]);
      mix(children, out);
      out.push_back(event(Kind::join, branch));
    }
    out.push_back(letters(branch == kTrunk ? Kind::end : Kind::branch_end));
  }
  void mix(std::vector<std::vector<Event>>& lists, std::vector<Event>& out) {
    std::vector<std::size_t> next(lists.size());
    for (std::size_t left = lists.size(); left > 0;) {
      const std::size_t k = random() % lists.size();
      if (next[k] == lists[k].size()) continue;
      out.push_back(lists[k][next[k]++]);
      if (next[k] == lists[k].size()) --left;
    }
  }
};

}  // namespace

TEST_CASE("what the trunk writes is shown at once") {
  Reader reader;
  reader.add(event(Kind::token, kTrunk, "one "));
  CHECK(reader.text == "one ");
  reader.add(event(Kind::end, kTrunk, "two"));
  CHECK(reader.text == "one two");
}

TEST_CASE("a branch is held back until those before it are over") {
  Reader reader;
  reader.add(fork(kTrunk, 1, 2, "begin "));
  reader.add(event(Kind::token, 2, "second "));
  CHECK(reader.text == "begin ");
  reader.add(event(Kind::token, 1, "first "));
  CHECK(reader.text == "begin first ");
  reader.add(event(Kind::branch_end, 1, "done "));
  CHECK(reader.text == "begin first done second ");
  reader.add(event(Kind::token, 2, "more "));
  reader.add(event(Kind::branch_end, 2));
  reader.add(event(Kind::join, kTrunk));
  reader.add(event(Kind::token, kTrunk, "end"));
  CHECK(reader.text == "begin first done second more end");
}

TEST_CASE("a fork that was refused holds nothing back") {
  Reader reader;
  reader.add(fork(kTrunk, anabranch::kNone, 0));
  reader.add(event(Kind::token, kTrunk, "goes on"));
  CHECK(reader.text == "goes on");
}

TEST_CASE("a request that ends with open branches shows all of them") {
  Reader reader;
  reader.add(fork(kTrunk, 1, 3));
  reader.add(event(Kind::token, 3, "c"));
  reader.add(event(Kind::token, 1, "a"));
  reader.add(event(Kind::end, kTrunk));
  CHECK(reader.text == "ac");
}

TEST_CASE("whatever the order in which branches write, the text is in reading order") {
  const unsigned seed = GENERATE(range(0u, 200u));
  CAPTURE(seed);
  RandomAnswer answer;
  answer.random.seed(seed);
  std::vector<Event> events;
  answer.write(kTrunk, 0, events);
  Reader reader;
  for (const Event& e : events) {
    reader.add(e);
    REQUIRE(answer.text.compare(0, reader.text.size(), reader.text) == 0);  // only ever appended to
  }
  CHECK(reader.text == answer.text);
  CHECK(reader.n_shown == static_cast<int>(events.size()));
}
