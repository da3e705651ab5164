// SchedulerFront: threads submit, cancel and read, one thread runs the passes. The thread sanitizer watches in the
// preset tsan: ANABRANCH_PRESET=tsan tests/run -L threads
#include <atomic>
#include <chrono>
#include <map>
#include <stdexcept>
#include <thread>

#include <anabranch/decode/scheduler_front.hpp>

#include "world.hpp"

using namespace schedules;
using Scheduler = ab::Scheduler<Decoder>;
using Front = ab::SchedulerFront<Scheduler>;

namespace {

constexpr int kThreads = 4, kRequests = 12;

/// What events tell of a request: the tokens of each branch.
struct Told {
  std::map<ab::BranchIndex, std::string> tokens;
  ab::EndReason reason = ab::EndReason::none;
  int n_ends = 0;
  void add(const ab::Event& event) {
    if (event.kind == ab::Event::Kind::token) tokens[event.branch] += spelled({event.token});
    if (event.kind == ab::Event::Kind::end) reason = event.reason, ++n_ends;
  }
};

/// What each turn of a script tells, alone.
std::vector<Told> alone_told(const Script& script) {
  World world;
  std::vector<Told> turns;
  ab::RequestId before = ab::kNoRequest;
  for (std::size_t turn = 0; turn < script.prompts.size(); ++turn) {
    before = submit_turn(world.decoder, script, turn, before);
    Told& told = turns.emplace_back();
    while (world.decoder.has_work()) {
      const ab::DecoderPlan plan = world.decoder.plan();
      for (const ab::Event& event : world.decoder.commit(world.model(*plan))) told.add(event);
    }
  }
  return turns;
}

std::vector<std::pair<Script, Told>> known_scripts() {
  std::mt19937 random(4);
  std::vector<std::pair<Script, Told>> known;
  for (int i = 0; i < kRequests; ++i) {
    Script script = random_script(random);
    script.prompts.resize(1);
    known.emplace_back(script, alone_told(script)[0]);
  }
  return known;
}

Told read(Front& front, ab::Ticket ticket) {
  Told told;
  while (const std::optional<ab::Event> event = front.next_event(ticket)) told.add(*event);
  return told;
}

}  // namespace

TEST_CASE("What a pass costs is the time that the model took") {
  World world;
  Scheduler scheduler(world.decoder);
  Front front(scheduler, 10);
  const ab::Ticket ticket = front.submit(tokens("ab"), {.max_tokens = 3});
  HashModel model;
  const auto slow = [&](const ab::StepPlan& step) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return model(step);
  };
  while (front.run_pass(slow) == ab::PassOutcome::ran) {
  }
  CHECK(scheduler.row_costs().n_passes() > 0);
  CHECK(scheduler.row_costs().seconds(1, 0) >= 0.02);
  front.release(ticket);
}

TEST_CASE(
    "Threads submit, wait, cancel and release while the loop runs; what they read is what the request writes alone") {
  const auto known = known_scripts();
  World world(ab::Positions::sequential, 64);
  Scheduler scheduler(world.decoder);
  Front front(scheduler, 10);
  std::atomic<int> n_read = 0, n_cancelled = 0, n_refused = 0, n_wrong = 0;
  std::thread loop([&] { front.run(world.model); });
  const auto work = [&](int thread) {
    for (int i = 0; i < kRequests; ++i) {
      const auto& [script, expected] = known[static_cast<std::size_t>((i + 3 * thread) % kRequests)];
      ab::Ticket ticket = front.submit(script.prompts[0], script.options, {.priority = i % 2});
      while (ticket == ab::kNoTicket) {
        ++n_refused;
        std::this_thread::yield();
        ticket = front.submit(script.prompts[0], script.options, {.priority = i % 2});
      }
      const bool cancels = (i + thread) % 4 == 0;
      if (cancels) front.cancel(ticket);
      const Told told = read(front, ticket);
      if (told.n_ends != 1) ++n_wrong;
      if (!cancels && !front.history(ticket)) ++n_wrong;
      if (!cancels && (told.tokens != expected.tokens || told.reason != expected.reason)) ++n_wrong;
      ++(told.reason == ab::EndReason::cancelled ? n_cancelled : n_read);
      front.release(ticket);
    }
  };
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) threads.emplace_back(work, thread);
  for (std::thread& thread : threads) thread.join();
  front.close();
  loop.join();
  CHECK(n_wrong == 0);
  CHECK(n_read + n_cancelled == kThreads * kRequests);
  CHECK(n_cancelled <= kThreads * kRequests / 4);
  CHECK(front.submit(tokens("abc")) == ab::kNoTicket);
  CHECK(front.run_pass(world.model) == ab::PassOutcome::no_work);  // does the last releases
  CHECK(world.cache.n_free_pages() == world.cache.n_pages());
}

TEST_CASE("What is wrong with a request is told where its events are read; unknown tickets are refused") {
  World world;
  Scheduler scheduler(world.decoder);
  Front front(scheduler);
  const ab::Ticket empty = front.submit(Tokens{}), good = front.submit(tokens("abc"), {.max_tokens = 3});
  while (front.run_pass(world.model) == ab::PassOutcome::ran) {
  }
  CHECK_THROWS_AS(front.next_event(empty), ab::Error);
  CHECK(read(front, good).n_ends == 1);
  front.release(empty);
  front.release(good);
  front.run_pass(world.model);
  CHECK_THROWS_AS(front.next_event(good), ab::Error);
  CHECK_THROWS_AS(front.cancel(ab::Ticket{99}), ab::Error);
}

TEST_CASE("A chat goes on from the history of its last turn, which comes with the last event") {
  std::mt19937 random(11);
  int n_with_blocks = 0;
  for (int i = 0; i < 20; ++i) {
    Script script = random_script(random);
    script.prompts = {random_letters(random, 4, 20), random_letters(random, 1, 6)};
    script.is_structured = true;
    const std::vector<Told> expected = alone_told(script);
    World world;
    Scheduler scheduler(world.decoder);
    Front front(scheduler);
    const auto answer = [&](ab::Prompt prompt, const Told& told) {
      const ab::Ticket ticket = front.submit(std::move(prompt), script.options);
      CHECK_FALSE(front.history(ticket));
      while (front.run_pass(world.model) == ab::PassOutcome::ran) {
      }
      CHECK(read(front, ticket).tokens == told.tokens);
      std::optional<ab::StructuredPrompt> history = front.history(ticket);
      REQUIRE(history);
      front.release(ticket);
      return *history;
    };
    ab::StructuredPrompt next = answer(script.prompts[0], expected[0]);
    n_with_blocks += next.n_structured() > 0 ? 1 : 0;
    next.append(script.prompts[1]);
    answer(next, expected[1]);
  }
  CHECK(n_with_blocks > 4);
  World world;
  Scheduler scheduler(world.decoder);
  Front front(scheduler);
  CHECK_THROWS_AS(front.history(ab::Ticket{1}), ab::Error);
}

TEST_CASE("Behind an answer that a limit cut, the next turn computes nothing of it, if it was released closed") {
  std::mt19937 random(12);
  int n_with_blocks = 0;
  for (int i = 0; i < 40; ++i) {
    World world(ab::Positions::sequential, 4096, 512, Cuts::ignored);
    world.share_prefixes();
    Scheduler scheduler(world.decoder);
    Front front(scheduler);
    const auto last_event = [&](ab::Ticket ticket) {
      while (front.run_pass(world.model) == ab::PassOutcome::ran) {
      }
      std::optional<ab::Event> last;
      while (std::optional<ab::Event> event = front.next_event(ticket)) last = std::move(event);
      REQUIRE(last);
      return *last;
    };
    const ab::Ticket first = front.submit(random_letters(random, 4, 20), {.max_tokens = 15});
    const ab::Event cut = last_event(first);
    std::optional<ab::StructuredPrompt> next = front.history(first);
    REQUIRE(next);
    if (cut.reason != ab::EndReason::limit || next->n_structured() == 0) continue;
    ++n_with_blocks;
    next->append({kFirstLetter});
    front.release_closed(first, kFirstLetter);
    while (front.run_pass(world.model) == ab::PassOutcome::ran) {
    }
    const std::int32_t n_known = next->n_tokens();
    next->append(random_letters(random, 1, 6));
    const ab::Ticket second = front.submit(*next, {.max_tokens = 5});
    CHECK(last_event(second).statistics.n_reused >= n_known - 1);
    front.release(second);
    while (front.run_pass(world.model) == ab::PassOutcome::ran) {
    }
    CHECK(front.n_open() == 0);
    CHECK_THROWS_AS(front.release_closed(first, kFirstLetter), ab::Error);
  }
  CHECK(n_with_blocks > 8);
}

TEST_CASE("A model that fails stops the pass, not the requests") {
  World world;
  Scheduler scheduler(world.decoder);
  Front front(scheduler);
  const ab::Ticket ticket = front.submit(tokens("abcdef"), {.max_tokens = 5});
  int n_failures = 0;
  const auto model = [&](const ab::StepPlan& plan) -> ab::LogitsView {
    if (n_failures++ == 1) throw std::runtime_error("the model failed");
    return world.model(plan);
  };
  CHECK(front.run_pass(model) == ab::PassOutcome::ran);
  CHECK_THROWS_AS(front.run_pass(model), std::runtime_error);
  while (front.run_pass(model) == ab::PassOutcome::ran) {
  }
  CHECK(read(front, ticket).n_ends == 1);
}
