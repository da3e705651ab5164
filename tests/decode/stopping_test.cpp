// Answers that are stopped: by a token, a deadline, a callback, or by name; and prompts that are only computed.
#include <anabranch/decode/request_loop.hpp>

#include <chrono>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "scripted.hpp"

using namespace scripted;

namespace {

using Clock = std::chrono::steady_clock;

/// Writes the letter behind the last one, for ever.
struct Endless {
  int n_passes = 0;
  std::vector<float> logits = {};
  ab::LogitsView operator()(const ab::StepPlan& plan) {
    ++n_passes;
    logits.assign(plan.outputs.size() * kVocabulary, 0.0f);
    for (std::size_t i = 0; i < plan.outputs.size(); ++i) {
      const TokenId token = plan.tokens[static_cast<std::size_t>(plan.outputs[i].row)];
      const TokenId next = token == kFirstLetter + 25 ? kFirstLetter : token + 1;
      logits[i * kVocabulary + static_cast<std::size_t>(next)] = 10.0f;
    }
    return {logits.data(), static_cast<std::int32_t>(plan.outputs.size()), kVocabulary};
  }
};

/// Three prompts, two at a time, over an endless model; all pages must be free afterwards.
struct Stopped {
  explicit Stopped(ab::GenerateOptions options) {
    options.max_requests = 2;
    ab::KvCache cache({.n_pages = 64, .page_size = 4});
    LettersDecoder decoder{cache, ab::markup::Serial(), Letters{}, {.max_tokens = 40, .end_of_text = {kEnd}}};
    answers = ab::RequestLoop(model, cache, decoder, options).run({tokens("a"), tokens("f"), tokens("k")});
    CHECK(cache.n_free_pages() == cache.n_pages());
    CHECK_FALSE(decoder.has_work());
    for (const ab::Answer& answer : answers) CHECK(answer.reason == ab::EndReason::cancelled);
  }
  std::string text() const { return answers[0].text + "," + answers[1].text + "," + answers[2].text; }
  Endless model;
  std::vector<ab::Answer> answers;
};

}  // namespace

TEST_CASE("A run that is stopped before it begins gives answers without text, and the model is not asked") {
  std::stop_source source;
  source.request_stop();
  for (const auto& options :
       {ab::GenerateOptions{.stop = source.get_token()}, ab::GenerateOptions{.deadline = Clock::now()}}) {
    const Stopped run(options);
    CHECK(run.text() == ",,");
    CHECK(run.model.n_passes == 0);
  }
}

TEST_CASE("What was written until a stop is the answer") {
  std::stop_source source;
  int n = 0;
  SECTION("a token") {
    ab::GenerateOptions options{.stop = source.get_token()};
    options.on_pass = [&] {
      if (++n == 3) source.request_stop();
    };
    const Stopped run(options);
    CHECK(run.text() == "bcd,ghi,");
    CHECK(run.model.n_passes == 3);
  }
  SECTION("a token from another thread") {
    ab::GenerateOptions options{.stop = source.get_token()};
    std::jthread other;
    options.on_pass = [&] {
      if (++n == 3) other = std::jthread([&] { source.request_stop(); });
      if (n == 3) other.join();
    };
    CHECK(Stopped(options).text() == "bcd,ghi,");
  }
  SECTION("a deadline") {
    ab::GenerateOptions options{.deadline = Clock::time_point::max()};
    ab::KvCache cache({.n_pages = 64, .page_size = 4});
    LettersDecoder decoder{cache, ab::markup::Serial(), Letters{}, {.max_tokens = 40}};
    options.on_pass = [&] {
      if (++n == 2) options.deadline = Clock::now();
    };
    Endless model;
    CHECK(ab::RequestLoop(model, cache, decoder, options).run({tokens("a")})[0].text == "bc");
  }
  SECTION("a callback after each pass") {
    ab::GenerateOptions options;
    options.on_pass = [&] { return ++n < 2; };
    CHECK(Stopped(options).text() == "bc,gh,");
  }
  SECTION("a callback for each event, which hears the rest of the pass, and the ends") {
    int n_ends = 0;
    ab::GenerateOptions options;
    options.on_event = [&](const ab::Event& event) {
      n_ends += event.kind == ab::Event::Kind::end ? 1 : 0;
      return event.text == "d" ? ab::Proceed::stop : ab::Proceed::go_on;
    };
    CHECK(Stopped(options).text() == "bcd,ghi,");
    CHECK(n_ends == 2);
  }
}

TEST_CASE("A loop that was stopped answers the next time it is run") {
  Endless model;
  ab::KvCache cache({.n_pages = 64, .page_size = 4});
  LettersDecoder decoder{cache, ab::markup::Serial(), Letters{}, {.max_tokens = 4}};
  bool stop = true;
  ab::GenerateOptions options;
  options.on_pass = [&] { return !stop; };
  ab::RequestLoop loop(model, cache, decoder, options);
  CHECK(loop.run({tokens("a")})[0].text == "b");
  stop = false;
  CHECK(loop.run({tokens("a")})[0].text == "bcde");
}

TEST_CASE("A callback is what can be called, and an empty function is none") {
  CHECK_FALSE(ab::Callback<>());
  CHECK_FALSE(ab::Callback<>(std::function<void()>()));
  CHECK(ab::Callback<>()() == ab::Proceed::go_on);
  int sum = 0;
  const ab::Callback<const int&> add = [&](int x) { sum += x; };
  const ab::Callback<const int&> same = add;
  CHECK(same(3) == ab::Proceed::go_on);
  CHECK(sum == 3);
  static_assert(!std::is_convertible_v<int (*)(), ab::Callback<>>, "a number says neither go on nor stop");
}

TEST_CASE("A finished answer has its branches closed and joined, and another request goes on with it") {
  AspdRun run(aspd());
  run.script({}, "x(a)(b){y.").script({{0, 0}}, "cdefg]").script({{0, 1}}, "hhhhhhh]");
  const auto first = run.submit(tokens("p"));
  while (run.decoder.text(first).find("de") == std::string::npos) REQUIRE(run.step());
  const auto plan = run.decoder.plan();
  REQUIRE(plan);
  CHECK_THROWS_AS(run.decoder.finish(first), ab::Error);
  run.decoder.abort();
  run.decoder.finish(first);
  run.decoder.finish(first);  // over already
  CHECK_FALSE(run.decoder.has_work());
  CHECK(run.decoder.reason(first) == ab::EndReason::cancelled);
  CHECK(run.decoder.text(first) == "xa:cdeb:hhh");
  std::string kinds;
  for (const ab::Event& event : run.decoder.take_events()) {
    if (event.kind == ab::Event::Kind::branch_end) kinds += "b";
    if (event.kind == ab::Event::Kind::join) kinds += "j";
    if (event.kind == ab::Event::Kind::end) kinds += "e";
  }
  CHECK(kinds == "bbje");
  run.script({}, "z.");
  const auto second = run.submit(tokens("q"), {.after = first});
  run.run();
  CHECK(run.history(second) == "px(a)(b){[a:cde][b:hhh]}qz");
}

TEST_CASE("A request that is finished before its first pass is gone on with from its prefix") {
  AspdRun run(aspd());
  run.script({}, "a.");
  const auto system = run.submit(tokens("s"));
  run.run();
  const auto first = run.submit(tokens("p"), {.prefix = run.decoder.branch(system, ab::kTrunk).sequence});
  run.decoder.finish(first);
  run.script({}, "z.");
  const auto second = run.submit(tokens("q"), {.after = first});
  run.run();
  CHECK(run.history(second) == "sapqz");
}

TEST_CASE("A prompt that is only computed samples nothing and is a prefix") {
  // What the answer has not fed: its last letter, or the end of a branch and the join.
  const bool is_letter = GENERATE(true, false);
  const std::string end = is_letter ? "y" : "";
  AspdRun run(aspd(), {.max_rows = 2});
  run.script({}, "x(a){y").script({{0, 0}}, "b]");
  const auto answer = run.submit(tokens("p"), {.max_tokens = is_letter ? 8 : 7});
  run.run();
  CHECK(run.history(answer) == (is_letter ? "px(a){[a:b]}" : "px(a){"));
  const auto closed = run.submit(tokens("rst"), {.after = answer, .prefill_only = true});
  run.run();
  CHECK(run.decoder.reason(closed) == ab::EndReason::limit);
  CHECK(run.decoder.text(closed).empty());
  CHECK(run.decoder.statistics(closed).n_sampled == 0);
  CHECK(run.history(closed) == "px(a){[a:b]}" + end + "rst");
  for (int i = 0; i < 2; ++i) {
    run.script({}, "u.");
    const auto next = run.submit(tokens("q"), {.prefix = run.decoder.branch(closed, ab::kTrunk).sequence});
    run.run();
    CHECK(run.history(next) == "px(a){[a:b]}" + end + "rstqu");
    run.decoder.release(next);
  }
  run.decoder.release(answer);
  run.decoder.release(closed);
  CHECK(run.cache.n_free_pages() == run.cache.n_pages());
}

TEST_CASE("A prompt that is only computed is not opened by the markup, and may wait behind others") {
  struct Opening : ab::markup::Serial {
    int* n_opened;
    explicit Opening(int* n) : n_opened(n) {}
    ab::markup::Action open(State&) const {
      ++*n_opened;
      return {};
    }
  };
  int n_opened = 0;
  Run<Opening> run(Opening(&n_opened), {.max_rows = 1});
  run.script({}, "abc.");
  run.submit(tokens("p"), {.max_tokens = 2});
  const auto only = run.submit(tokens("mn"), {.prefill_only = true});
  run.run();
  CHECK(run.history(only) == "mn");
  CHECK(n_opened == 1);
}
