// Scheduler: ranks, deadlines, back-pressure, shortages, widths: one literal case each.
#include <anabranch/decode/scheduler.hpp>

#include "world.hpp"

using namespace schedules;
using Scheduler = ab::Scheduler<Decoder>;

namespace {

/// A world with a scheduler; a pass of n rows takes 1 + n / 8 seconds.
struct Served : World {
  explicit Served(std::int32_t n_pages = 4096, ab::SchedulerOptions options = {}, std::int32_t max_rows = 512)
      : World(ab::Positions::sequential, n_pages, max_rows), scheduler(decoder, options) {}

  /// False: no pass.
  bool pass() {
    const ab::DecoderPlan plan = scheduler.plan(now);
    if (!plan) return false;
    n_rows = plan->n_rows();
    const Tokens& sampled = model(plan);
    now += load * (1 + n_rows / 8.0);
    scheduler.commit_sampled(sampled, now);
    return true;
  }
  void run_out() {
    while (scheduler.has_work())
      if (!pass()) REQUIRE_FALSE(scheduler.has_work());
  }

  Scheduler scheduler;
  double now = 0, load = 1;
  std::int32_t n_rows = 0;
};

/// Scripts whose answers are long, so that they take pages for a while.
std::vector<Script> long_scripts(std::size_t n) {
  std::mt19937 random(21);
  std::vector<Script> scripts;
  while (scripts.size() < n) {
    Script script;
    script.prompts = {random_letters(random, 10, 30)};
    script.options.max_tokens = 60;
    if (alone(script, ab::Positions::sequential)[0].n_sampled > 15) scripts.push_back(script);
  }
  return scripts;
}

}  // namespace

TEST_CASE("Requests in any phase share a pass, and write what they write alone") {
  const std::vector<Script> scripts = long_scripts(6);
  Served served;
  std::vector<ab::RequestId> ids;
  for (const Script& script : scripts) {
    ids.push_back(served.scheduler.submit(script.prompts[0], script.options));
    REQUIRE(served.pass());  // each joins those that decode already
  }
  CHECK(served.scheduler.state().n_running >= 4);
  served.run_out();
  for (std::size_t i = 0; i < ids.size(); ++i)
    CHECK(outcome_of(served.decoder, ids[i]) == alone(scripts[i], ab::Positions::sequential)[0]);
  CHECK(served.scheduler.state().n_preempted == 0);
}

TEST_CASE("A pool that holds some of the requests serves all: they are preempted, and their texts are the same") {
  const std::vector<Script> scripts = long_scripts(8);
  std::vector<Outcome> expected;
  std::int32_t n_pages = 0, n_most = 0;
  for (const Script& script : scripts) {
    expected.push_back(alone(script, ab::Positions::sequential)[0]);
    n_pages += expected.back().n_pages;
    n_most = std::max(n_most, expected.back().n_pages);
  }
  Served served(std::max(n_most, n_pages / 5));
  std::vector<ab::RequestId> ids;
  for (const Script& script : scripts) ids.push_back(served.scheduler.submit(script.prompts[0], script.options));
  served.run_out();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    CHECK(outcome_of(served.decoder, ids[i]) == expected[i]);
    served.scheduler.release(ids[i]);
  }
  CHECK(served.scheduler.state().n_preempted > 0);
  CHECK(served.cache.n_free_pages() == served.cache.n_pages());
}

TEST_CASE(
    "Higher priorities are served first, take the pages of lower ones, and of equals the earlier deadline comes "
    "first") {
  const std::vector<Script> scripts = long_scripts(4);
  Served served(24);
  const auto submit = [&](std::size_t i, ab::ScheduleOptions schedule) {
    return served.scheduler.submit(scripts[i].prompts[0], scripts[i].options, schedule);
  };
  const ab::RequestId low = submit(0, {.priority = -1}), middle = submit(1, {.deadline = 1e9});
  for (int pass = 0; pass < 4; ++pass) REQUIRE(served.pass());
  CHECK(served.decoder.n_pages(low) > 0);
  const ab::RequestId urgent = submit(2, {.priority = 5}), sooner = submit(3, {.deadline = 1e8});
  std::vector<ab::RequestId> order;
  while (served.scheduler.has_work()) {
    REQUIRE(served.pass());
    for (const ab::RequestId id : {low, middle, urgent, sooner})
      if (served.decoder.knows(id) && served.decoder.reason(id) != ab::EndReason::none) {
        order.push_back(id);
        served.scheduler.release(id);
      }
  }
  REQUIRE(order.size() == 4);
  CHECK(order.back() == low);
  CHECK(std::find(order.begin(), order.end(), urgent) < std::find(order.begin(), order.end(), low));
  CHECK(served.scheduler.state().n_preempted > 0);
}

TEST_CASE("A request ends at its deadline with what is written, whether it was begun or not") {
  const std::vector<Script> scripts = long_scripts(2);
  const Outcome expected = alone(scripts[0], ab::Positions::sequential)[0];
  Served served(4096, {.max_running = 1});
  const ab::RequestId late = served.scheduler.submit(scripts[0].prompts[0], scripts[0].options, {.deadline = 20});
  const ab::RequestId never = served.scheduler.submit(scripts[1].prompts[0], scripts[1].options, {.deadline = 20});
  while (served.now < 25) {
    served.pass();
    served.now += served.scheduler.has_work() ? 0 : 1;
  }
  CHECK(served.decoder.reason(late) == ab::EndReason::cancelled);
  CHECK(served.decoder.statistics(late).n_sampled > 3);
  CHECK(served.decoder.statistics(late).n_sampled < expected.n_sampled);
  CHECK(served.decoder.reason(never) == ab::EndReason::cancelled);
  CHECK(served.decoder.statistics(never).n_passes == 0);
  CHECK_FALSE(served.scheduler.has_work());
}

TEST_CASE("A full queue is an outcome of submit") {
  Served served(4096, {.max_queued = 2, .max_running = 1});
  const auto submit = [&] { return served.scheduler.submit(tokens("abc"), {.max_tokens = 9}); };
  const ab::RequestId first = submit();
  REQUIRE(first != ab::kNoRequest);
  REQUIRE(served.pass());  // it runs, and waits no longer
  REQUIRE(submit() != ab::kNoRequest);
  REQUIRE(submit() != ab::kNoRequest);
  CHECK(served.scheduler.state().n_queued == 2);
  CHECK(submit() == ab::kNoRequest);
  served.scheduler.cancel(first);
  REQUIRE(served.pass());
  CHECK(submit() != ab::kNoRequest);
  served.run_out();
}

TEST_CASE("A request that is too large for the pool ends alone; pages that are nobody's business are a shortage") {
  Served served(8);
  const ab::RequestId large = served.scheduler.submit(Tokens(40, kFirstLetter)),
                      small = served.scheduler.submit(tokens("abc"));
  served.run_out();
  CHECK(served.decoder.reason(large) == ab::EndReason::no_room);
  CHECK(served.decoder.reason(small) != ab::EndReason::no_room);
  served.scheduler.release(large);
  served.scheduler.release(small);
  const ab::SequenceId own = served.cache.create_sequence();
  ab::Step step = served.cache.begin_step();
  step.append(own, Tokens(28, kFirstLetter));
  REQUIRE(step.plan());
  step.commit();
  const ab::RequestId waits = served.scheduler.submit(Tokens(12, kFirstLetter));
  const ab::DecoderPlan plan = served.scheduler.plan(served.now);
  CHECK_FALSE(static_cast<bool>(plan));
  CHECK(plan.shortage().n_pages > 0);
  CHECK(served.scheduler.has_work());
  ab::Step drop = served.cache.begin_step();
  drop.drop(own);
  REQUIRE(drop.plan());
  drop.commit();
  served.run_out();
  CHECK(served.decoder.reason(waits) != ab::EndReason::none);
}

TEST_CASE("The histories of chats give their pages first, the one that rests longest before others, and come back") {
  std::mt19937 random(5);
  Served served(40);
  std::vector<ab::RequestId> chats;
  std::vector<Script> scripts;
  for (int i = 0; i < 3; ++i) {
    Script script;
    script.prompts = {random_letters(random, 20, 20), random_letters(random, 5, 5)};
    script.options.max_tokens = 12;
    scripts.push_back(script);
    chats.push_back(served.scheduler.submit(script.prompts[0], script.options));
    served.run_out();
  }
  const std::int32_t n_of_last = served.decoder.n_pages(chats[2]);
  const ab::RequestId large = served.scheduler.submit(random_letters(random, 100, 100), {.max_tokens = 2});
  served.run_out();
  CHECK(served.decoder.reason(large) != ab::EndReason::no_room);
  CHECK(served.decoder.n_pages(chats[0]) == 0);
  CHECK(served.scheduler.state().n_evicted > 0);
  CHECK(n_of_last > 0);
  served.scheduler.release(large);
  for (std::size_t i = 0; i < chats.size(); ++i) {
    ab::RequestOptions options = scripts[i].options;
    options.after = chats[i];
    const ab::RequestId next = served.scheduler.submit(scripts[i].prompts[1], options);
    served.run_out();
    CHECK(outcome_of(served.decoder, next) == alone(scripts[i], ab::Positions::sequential)[1]);
  }
}

TEST_CASE("A target keeps passes short: branches wait and prompts come in parts, and no text changes") {
  const std::vector<Script> scripts = long_scripts(5);
  const auto n_passes = [&](double target, double load, std::vector<Outcome>& outcomes) {
    Served served(4096, {.target_seconds = target});
    served.load = load;
    std::vector<ab::RequestId> ids;
    for (const Script& script : scripts) ids.push_back(served.scheduler.submit(script.prompts[0], script.options));
    served.run_out();
    for (const ab::RequestId id : ids) outcomes.push_back(outcome_of(served.decoder, id));
    return served.model.n_passes;
  };
  std::vector<Outcome> free, kept, busy;
  const std::int64_t n_free = n_passes(0, 1, free), n_kept = n_passes(2.2, 1, kept), n_busy = n_passes(2.2, 1.7, busy);
  INFO(n_free << " passes, " << n_kept << " with a target, " << n_busy << " when the machine is busy");
  CHECK(n_kept >= n_free);
  CHECK(n_busy >= n_kept);
  CHECK(n_busy > n_free);
  CHECK(kept == free);
  CHECK(busy == free);
}

TEST_CASE("With a target requests wait until a pass has time for their tokens") {
  const std::vector<Script> scripts = long_scripts(8);
  Served served(4096, {.target_seconds = 1.5});  // 4 rows take 1.5 s
  std::vector<ab::RequestId> ids;
  for (const Script& script : scripts) ids.push_back(served.scheduler.submit(script.prompts[0], script.options));
  std::int32_t most = 0;
  while (served.scheduler.has_work()) {
    REQUIRE(served.pass());
    most = std::max(most, served.scheduler.state().n_running);
  }
  CHECK(most >= 2);
  CHECK(most <= 4);
  for (std::size_t i = 0; i < ids.size(); ++i)
    CHECK(outcome_of(served.decoder, ids[i]) == alone(scripts[i], ab::Positions::sequential)[0]);
}

TEST_CASE("A target that nothing can keep still lets one request at a time get on") {
  const std::vector<Script> scripts = long_scripts(3);
  Served served(4096, {.target_seconds = 0.1});
  for (const Script& script : scripts) served.scheduler.submit(script.prompts[0], script.options);
  while (served.scheduler.has_work()) {
    REQUIRE(served.pass());
    CHECK(served.scheduler.state().n_running <= 1);
  }
}

TEST_CASE("A prompt is computed in one pass where nobody waits for a token, and in parts beside others") {
  std::mt19937 random(5);
  const Tokens prompt = random_letters(random, 40, 40);
  Served served(4096, {.target_seconds = 2});
  served.scheduler.submit(prompt, {.max_tokens = 8});
  REQUIRE(served.pass());
  CHECK(served.n_rows == 40);
  served.scheduler.submit(prompt, {.max_tokens = 8});
  REQUIRE(served.pass());
  CHECK(served.n_rows < 40);
}

TEST_CASE("Schedulers refuse decoders that keep no log, and options that make no sense") {
  ab::KvCache cache({.n_pages = 8});
  Decoder plain(cache, Unruly{}, Letters{});
  CHECK_THROWS_AS(Scheduler(plain), ab::Error);
  World world;
  CHECK_THROWS_AS(Scheduler(world.decoder, {.max_queued = 0}), ab::Error);
  CHECK_THROWS_AS(Scheduler(world.decoder, {.max_running = 0}), ab::Error);
  CHECK_THROWS_AS(Scheduler(world.decoder, {.target_seconds = -1}), ab::Error);
  Scheduler scheduler(world.decoder);
  CHECK_THROWS_AS(scheduler.submit(tokens("a"), {}, {.deadline = std::numeric_limits<double>::quiet_NaN()}), ab::Error);
  CHECK_THROWS_AS(scheduler.submit(Tokens{}), ab::Error);
  CHECK_FALSE(scheduler.has_work());
}
