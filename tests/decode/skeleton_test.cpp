// Skeleton mode over a vocabulary with every kind of glued token, and no model behind it.
#include "scripted.hpp"

using namespace scripted;

namespace {

/// Tokens are the strings of this list, encoded greedily by the longest match; the end of text is token 0.
const std::vector<std::string> kPieces = {
    "<end>", "**", ".**", "**:",   "**\n", ":**", "*",   "\n",   "\n\n",      ".\n",   " ",     "  ",      ".",
    ":",     "1",  "2",   "3",     "4",    "5",   " **", "Here", " are",      " the",  " main", " points", "A",
    "B",     "C",  "D",   " word", " end", "x",   "a",   "b",    "done.\n\n", "done.", " long"};

TokenId piece(const std::string& text) {
  for (std::size_t i = 0; i < kPieces.size(); ++i)
    if (kPieces[i] == text) return static_cast<TokenId>(i);
  FAIL("no piece " << text);
  return 0;
}
Tokens encode(std::string_view text) {
  Tokens result;
  while (!text.empty()) {
    std::size_t best = 0;
    for (std::size_t i = 1; i < kPieces.size(); ++i)
      if (text.substr(0, kPieces[i].size()) == kPieces[i] && (best == 0 || kPieces[i].size() > kPieces[best].size()))
        best = i;
    REQUIRE(best != 0);
    result.push_back(static_cast<TokenId>(best));
    text.remove_prefix(kPieces[best].size());
  }
  return result;
}
struct Decode {
  void operator()(std::span<const TokenId> list, std::string& out) const {
    for (const TokenId token : list)
      if (token != 0) out += kPieces.at(static_cast<std::size_t>(token));
  }
};
struct Encode {
  Tokens operator()(std::string_view text) const { return encode(text); }
};
Tokens sampled(const std::vector<std::string>& pieces) {
  Tokens list;
  for (const std::string& text : pieces) list.push_back(piece(text));
  return list;
}

using Skeleton = ab::markup::Skeleton<Encode, Decode>;
using SkeletonRun = Run<Skeleton, Decode>;

SkeletonRun start(ab::markup::SkeletonOptions options, ab::DecoderOptions decoding = {}) {
  return SkeletonRun(Skeleton(Encode{}, Decode{}, std::move(options)), std::move(decoding), {}, Decode{});
}
std::string text_in_cache(const SkeletonRun& run, ab::SequenceId sequence) {
  std::string text;
  for (const ab::Slot slot : run.cache.slots_of(sequence)) Decode{}(std::span(&run.held.at(slot), 1), text);
  return text;
}

struct Outline {
  const char* what;
  std::vector<std::string> trunk;
  std::string outline;  // in the trunk, after the opening
  std::vector<std::string> titles;
};

}  // namespace

TEST_CASE("Outlines are clean, however the model closes its titles") {
  const std::vector<Outline> cases = {
      {"plain", {"A", "**", "B", "**", "B", "**"}, "1. **A**\n2. **B**\n\n", {"A", "B"}},
      {"glued in front", {"A", ".**", "B", ":**", "A", "**"}, "1. **A**\n2. **B**\n\n", {"A", "B"}},
      {"glued behind", {"A", "**:", "B", "**", "A", "**"}, "1. **A**\n2. **B**\n\n", {"A", "B"}},
      {"a line break glued behind", {"A", "**", "B", "**\n", "A", "**"}, "1. **A**\n2. **B**\n\n", {"A", "B"}},
      {"two single stars", {"A", "*", "*", "B", "**", "A", "**"}, "1. **A**\n2. **B**\n\n", {"A", "B"}},
      {"punctuation of its own", {"A", ":", "**", "B", ".", "**", "A", "**"}, "1. **A**\n2. **B**\n\n", {"A", "B"}},
      {"blanks around", {" ", "A", " **", "B", "**", "A", "**"}, "1. **A**\n2. **B**\n\n", {"A", "B"}},
      {"more words",
       {"A", " word", " end", "**", "A", " word", "**", "A", " word", "**"},
       "1. **A word end**\n2. **A word**\n\n",
       {"A word end", "A word"}},
      {"repeated but for letter case", {"A", "**", "a", "**"}, "1. **A**\n\n", {"A"}},
      {"an empty title", {"A", "**", "B", "**", "**"}, "1. **A**\n2. **B**\n\n", {"A", "B"}},
      {"end of text in a title", {"A", "**", "B", "<end>"}, "1. **A**\n\n", {"A"}},
      {"end of text instead of a title", {"A", "**", "<end>"}, "1. **A**\n\n", {"A"}},
      {"a line break in a title", {"A", "**", "B", "\n"}, "1. **A**\n2. **B**\n\n", {"A", "B"}},
      {"a line break instead of a title", {"A", "**", "\n\n"}, "1. **A**\n\n", {"A"}},
      {"a title that is too long", {"A", "**", "B", " word", " word", " word"}, "1. **A**\n\n", {"A"}},
      {"a first title that is too long",
       {"A", " word", " word", " word"},
       "1. **A word word word**\n\n",
       {"A word word word"}},
      {"end of text in the first title", {"A", " word", "<end>"}, "1. **A word**\n\n", {"A word"}},
      {"the limit", {"A", "**", "B", "**", "C", ".**"}, "1. **A**\n2. **B**\n3. **C**\n\n", {"A", "B", "C"}},
  };
  for (const Outline& c : cases) {
    INFO(c.what);
    SkeletonRun run = start({.max_points = 3, .max_title_tokens = 4});
    run.script_tokens({}, sampled(c.trunk));
    for (int k = 0; k < 3; ++k) run.script_tokens({{0, k}}, sampled({" word", "\n"}));
    const auto id = run.submit({31});
    run.run();
    CHECK(run.decoder.reason(id) == ab::EndReason::finished);
    std::string points, separated;
    for (std::size_t k = 0; k < c.titles.size(); ++k)
      points += (k > 0 ? "\n" : "") + std::to_string(k + 1) + ". **" + c.titles[k] + "**: word";
    CHECK(run.decoder.text(id) == "Here are the main points:\n\n" + points);
    REQUIRE(run.decoder.n_branches(id) == static_cast<std::int32_t>(c.titles.size()));
    for (std::size_t k = 0; k < c.titles.size(); ++k)
      CHECK(run.decoder.branch(id, static_cast<ab::BranchIndex>(k) + 1).title == c.titles[k]);
    const auto next = run.submit({31}, {.max_tokens = 1, .after = id});  // feeds what the end left over
    run.run();
    CHECK(text_in_cache(run, run.decoder.branch(next, 0).sequence).substr(0, 200) ==
          "xHere are the main points:\n\n" + c.outline + points + "xHere are the main points:\n\n1. **");
  }
}

TEST_CASE("Bodies end at their first line break, with what is glued in front of it") {
  SkeletonRun run = start({.max_points = 4});
  run.script_tokens({}, sampled({"A", "**", "B", "**", "C", "**", "D", "**"}));
  run.script_tokens({{0, 0}}, sampled({" word", "\n\n"}));
  run.script_tokens({{0, 1}}, sampled({" word", ".\n"}));
  run.script_tokens({{0, 2}}, sampled({" word", " end", "<end>"}));
  run.script_tokens({{0, 3}}, sampled({" word", "done.\n\n"}));
  const auto id = run.submit({31});
  run.run();
  CHECK(run.decoder.branch(id, 1).text == "1. **A**: word\n");
  CHECK(run.decoder.branch(id, 2).text == "2. **B**: word.\n");
  CHECK(run.decoder.branch(id, 3).text == "3. **C**: word end\n");
  CHECK(run.decoder.branch(id, 4).text == "4. **D**: worddone.");
}

TEST_CASE("Points are separated by force, the last one is not") {
  SkeletonRun run = start({.separator = "\n\n", .max_points = 3});
  run.script_tokens({}, sampled({"A", "**", "B", "**", "C", "**"}));
  run.script_tokens({{0, 0}}, sampled({" word", "\n"}));
  run.script_tokens({{0, 1}}, sampled({" word", ".\n"}));
  run.script_tokens({{0, 2}}, sampled({" word", " end", "<end>"}));
  const auto id = run.submit({31});
  run.run();
  CHECK(run.decoder.text(id) == "Here are the main points:\n\n1. **A**: word\n\n2. **B**: word.\n\n3. **C**: word end");
  CHECK(run.branch_reason(id, 1) == ab::EndReason::end_tag);
  CHECK(run.branch_reason(id, 3) == ab::EndReason::end_of_text);
  CHECK(run.n_passes() == 1 + (6 - 1) + 3);  // nothing is sampled after the join
  const ab::Statistics s = run.decoder.statistics(id);
  CHECK(s.n_title == 3);
  CHECK(s.n_blocks == 1);
  CHECK(s.n_branches == 3);
}

TEST_CASE("The answer goes on after the points when asked to") {
  SkeletonRun run = start({.max_points = 2, .after = ab::markup::AfterPoints::go_on});
  run.script_tokens({}, sampled({"A", "**", "B", "**", "x", " end", "<end>"}));
  run.script_tokens({{0, 0}}, sampled({" word", "\n"})).script_tokens({{0, 1}}, sampled({" end", "\n"}));
  const auto id = run.submit({31});
  run.run();
  CHECK(run.decoder.text(id) == "Here are the main points:\n\n1. **A**: word\n2. **B**: end\n\nx end");
  CHECK(run.decoder.reason(id) == ab::EndReason::end_of_text);
  CHECK(run.n_passes() == 1 + (4 + 3 - 1) + 2);
}

TEST_CASE("Without one title the answer is written serially") {
  SkeletonRun run = start({.max_refused = 0});
  run.script_tokens({}, sampled({"**", "x", " word", "<end>"}));
  const auto id = run.submit({31});
  run.run();
  CHECK(run.decoder.text(id) == "Here are the main points:\n\nx word");
  CHECK(run.decoder.n_branches(id) == 0);
  CHECK(text_in_cache(run, run.decoder.branch(id, 0).sequence) == "xHere are the main points:\n\nx word");
  SkeletonRun bare = start({.opening = "", .max_refused = 0});
  bare.script_tokens({}, sampled({"**", "x", "<end>"}));
  const auto plain = bare.submit({31});
  bare.run();
  CHECK(text_in_cache(bare, bare.decoder.branch(plain, 0).sequence) == "xx");
}

TEST_CASE("Without a vocabulary no point is empty: what would make it so is taken back, at the cost of a pass") {
  SkeletonRun run = start({.max_points = 2, .end_of_text = {0}});
  run.script_tokens({}, sampled({"\n", " ", "A", "**", "B", "**"}));
  run.script_tokens({{0, 0}}, sampled({"\n\n", "<end>", " word", "\n"}));
  run.script_tokens({{0, 1}}, sampled({" word", " end", "\n"}));
  const auto id = run.submit({31});
  run.run();
  CHECK(run.decoder.text(id) == "Here are the main points:\n\n1. **A**: word\n2. **B**: word end");
  CHECK(text_in_cache(run, run.decoder.branch(id, 0).sequence).find("\n\n1. **A**\n2. **B**") != std::string::npos);
  CHECK(run.n_passes() == 1 + (6 - 1) + 4);
  CHECK(run.decoder.statistics(id).n_forgotten >= 4);
}

TEST_CASE("A body may not break or end before it has as many tokens as asked for") {
  const auto n = static_cast<std::int32_t>(kPieces.size());
  SkeletonRun run = start({.max_points = 1, .min_body_tokens = 3, .n_vocabulary = n, .end_of_text = {0}});
  const auto id = run.submit({31});
  std::vector<bool> forbidden;  // a line break and the end, at each token of the body
  while (run.decoder.has_work()) {
    const auto plan = run.decoder.plan();
    const ab::OutputSettings s = plan.output_settings()[0];
    const auto forbids = [&](TokenId token) {
      return std::find(s.forbidden.begin(), s.forbidden.end(), token) != s.forbidden.end();
    };
    if (s.branch == 1) {
      CHECK(forbids(piece("\n")) == forbids(0));
      CHECK_FALSE(forbids(piece("b")));
      forbidden.push_back(forbids(0));
    }
    const Tokens trunk = sampled({"A", "**"}), body = sampled({" word", "a", "b", "\n"});
    const Tokens next = {(s.branch == 0 ? trunk : body).at(static_cast<std::size_t>(s.index))};
    run.decoder.commit_sampled(next);
  }
  CHECK(forbidden == std::vector<bool>{true, true, true, false});
  CHECK(run.decoder.text(id) == "Here are the main points:\n\n1. **A**: wordab");
}

TEST_CASE("The constraint keeps first titles and bodies from starting with a break, a star or the end") {
  SkeletonRun run =
      start({.max_points = 1, .n_vocabulary = static_cast<std::int32_t>(kPieces.size()), .end_of_text = {0}});
  run.script_tokens({}, sampled({"A", "**"}));
  run.submit({31});
  const auto forbids = [](const ab::OutputSettings& s, const std::string& text) {
    return std::find(s.forbidden.begin(), s.forbidden.end(), piece(text)) != s.forbidden.end();
  };
  bool title = false, body = false;
  while (run.decoder.has_work()) {
    const auto plan = run.decoder.plan();
    const ab::OutputSettings s = plan.output_settings()[0];
    if (s.branch == 0 && s.index == 0) {
      title = true;
      for (const char* text : {"<end>", "**", "*", "\n", " ", " **", "**:", ".\n"}) CHECK(forbids(s, text));
      for (const char* text : {"A", "Here", " are", "1"}) CHECK_FALSE(forbids(s, text));
    }
    if (s.branch == 0 && s.index == 1) {
      for (const char* text : {"<end>", "\n", "**\n"}) CHECK(forbids(s, text));
      for (const char* text : {"**", " word", ".**"}) CHECK_FALSE(forbids(s, text));
    }
    if (s.branch == 1 && s.index == 0) {
      body = true;
      for (const char* text : {"<end>", "\n", ".\n", " "}) CHECK(forbids(s, text));
      const Tokens bad = {piece("\n")};
      CHECK_THROWS_AS(run.decoder.commit_sampled(bad), ab::Error);
    }
    const Tokens next = {s.branch == 0 ? sampled({"A", "**"})[static_cast<std::size_t>(s.index)]
                                       : sampled({" word", "\n"})[static_cast<std::size_t>(s.index)]};
    run.decoder.commit_sampled(next);
  }
  CHECK(title);
  CHECK(body);
}

TEST_CASE("Bodies at their limit are closed with the separator, in the pass of their last token") {
  SkeletonRun run = start({.max_points = 2, .after = ab::markup::AfterPoints::go_on}, {.max_branch_tokens = 2});
  run.script_tokens({}, sampled({"A", "**", "B", "**", "<end>"}));
  for (int k = 0; k < 2; ++k) run.script_tokens({{0, k}}, sampled({" word", " word", " word"}));
  const auto id = run.submit({31});
  run.run();
  CHECK(run.decoder.text(id) == "Here are the main points:\n\n1. **A**: word word\n2. **B**: word word\n\n");
  CHECK(run.branch_reason(id, 1) == ab::EndReason::limit);
  CHECK(run.n_passes() == 1 + (4 + 1 - 1) + 2);
}

TEST_CASE("Options that cannot work are refused") {
  const auto status = [](ab::markup::SkeletonOptions options) {
    try {
      start(std::move(options));
      return ab::Status::ok;
    } catch (const ab::Error& error) {
      return error.status();
    }
  };
  CHECK(status({.opening = "Here are "}) == ab::Status::bad_markup);
  CHECK(status({.separator = " "}) == ab::Status::bad_markup);
  CHECK(status({.max_points = 0}) == ab::Status::bad_markup);
  CHECK(status({.max_title_tokens = 0}) == ab::Status::bad_markup);
  CHECK(status({.n_vocabulary = -1}) == ab::Status::bad_markup);
  CHECK(status({.min_body_tokens = -1, .n_vocabulary = 40}) == ab::Status::bad_markup);
  CHECK(status({.min_body_tokens = 1}) == ab::Status::bad_markup);
  CHECK(status({.after = ab::markup::AfterPoints::go_on, .after_text = ""}) == ab::Status::bad_markup);
  CHECK(status({}) == ab::Status::ok);
}
