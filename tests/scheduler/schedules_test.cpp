// Random schedules: requests of all kinds on a pool that holds a fifth of them, with arrivals, cancellations, deadlines
// and aborted passes at random, in every other schedule with drafts of anything. Every text is that of the request
// alone, no page is lost, and nothing waits for ever.
//
// The number of schedules: ANABRANCH_SCHEDULES, else as many as take some seconds.
#include <cstdlib>

#include <anabranch/decode/scheduler.hpp>

#include "support/hostile_drafts.hpp"
#include "world.hpp"

using namespace schedules;
using Scheduler = ab::Scheduler<Decoder>;

namespace {

/// Scripts with what they write alone, made once for many schedules.
struct Known {
  Script script;
  std::vector<Outcome> outcomes;
};

std::vector<Known> make_known(std::size_t n, ab::Positions positions, Cuts cuts) {
  std::mt19937 random(99);
  std::vector<Known> all(n);
  for (Known& known : all) {
    known.script = random_script(random);
    known.outcomes = alone(known.script, positions, cuts);
  }
  return all;
}

std::vector<Tokens> texts_of(const std::vector<Known>& all) {
  std::vector<Tokens> texts;
  for (const Known& known : all)
    for (const Outcome& outcome : known.outcomes)
      for (const std::string& branch : outcome.branches) texts.push_back(tokens(branch));
  return texts;
}

/// A chat in a schedule, or a single request.
struct Client {
  const Known* known = nullptr;
  std::size_t turn = 0;
  std::int64_t arrival = 0;  ///< pass
  ab::ScheduleOptions schedule;
  ab::RequestId id = ab::kNoRequest, before = ab::kNoRequest;
  bool is_cut = false;  ///< cancelled or late
};

class Schedule {
 public:
  /// `cuts` ignored: with a prefix cache.
  Schedule(std::uint64_t seed, const std::vector<Known>& known, ab::Positions positions, Cuts cuts)
      : random_(static_cast<std::uint32_t>(seed)) {
    constexpr std::size_t kRequests = 64;
    std::int32_t n_pages = 0, n_most = 0;
    for (std::size_t n = 0; n < kRequests;) {
      Client client{&known[random_() % known.size()], 0, static_cast<std::int64_t>(random_() % 40), {}, {}, {}, false};
      client.schedule.priority = static_cast<std::int32_t>(random_() % 3);
      if (random_() % 6 == 0) client.schedule.deadline = static_cast<double>(10 + random_() % 300);
      n += client.known->outcomes.size();
      std::int32_t n_of_client = 0;
      for (const Outcome& outcome : client.known->outcomes) n_of_client = std::max(n_of_client, outcome.n_pages);
      n_pages += n_of_client;
      n_most = std::max(n_most, n_of_client);
      clients_.push_back(client);
    }
    const std::int32_t max_rows = random_() % 2 == 0 ? 64 : 3 + static_cast<std::int32_t>(random_() % 20);
    world_.emplace(positions, std::max(n_pages / 5, n_most), max_rows, cuts);
    if (cuts == Cuts::ignored) world_->share_prefixes();
    if (random_() % 2 == 0) {
      drafts_.emplace(random_(), texts_of(known), kVocabulary);
      world_->decoder.draft_with(&*drafts_);
    }
    ab::SchedulerOptions options;
    if (random_() % 2 == 0) options.target_seconds = 1 + static_cast<double>(random_() % 3);
    if (random_() % 4 == 0) options.max_running = 3;
    if (random_() % 4 == 0) options.max_queued = 8;
    scheduler_.emplace(world_->decoder, options);
  }

  void run() {
    std::size_t n_done = 0;
    for (std::int64_t pass = 0; n_done < clients_.size(); ++pass) {
      REQUIRE(pass < 20000);  // nothing waits for ever
      n_done = 0;
      for (Client& client : clients_) n_done += serve(client, pass) ? 1 : 0;
      const ab::DecoderPlan plan = scheduler_->plan(now_);
      now_ += 0.25;
      if (!plan) {
        REQUIRE(plan.shortage().n_pages == 0);
        continue;
      }
      const Tokens& sampled = world_->model(plan);
      if (random_() % 16 == 0) {
        scheduler_->abort();
        continue;
      }
      if (random_() % 64 == 0) cancel(clients_[random_() % clients_.size()]);
      now_ += 0.02 * plan->n_rows() * (pass % 200 > 100 ? 3 : 1);  // busy at times
      scheduler_->commit_sampled(sampled, now_);
      if (pass % 64 == 0) REQUIRE(world_->cache.snapshot().check() == std::vector<std::string>{});
    }
    REQUIRE(world_->cache.snapshot().check() == std::vector<std::string>{});
    if (world_->prefixes) {
      world_->prefixes->clear();
      REQUIRE(world_->prefixes->n_histories() == 0);  // nobody has anything pinned
    }
    REQUIRE(world_->cache.n_free_pages() == world_->cache.n_pages());
    REQUIRE(world_->cache.n_sequences() == 0);
    REQUIRE_FALSE(scheduler_->has_work());
  }

  std::int64_t n_hits() const { return world_->prefixes ? world_->prefixes->statistics().n_hits : 0; }
  ab::SchedulerState state() const { return scheduler_->state(); }
  std::int32_t n_compared = 0, n_cut = 0, n_structured = 0, n_accepted = 0;

 private:
  /// True: the client has all that it wants.
  bool serve(Client& client, std::int64_t pass) {
    if (client.known == nullptr) return true;
    if (pass < client.arrival) return false;
    if (client.id == ab::kNoRequest) {
      client.id = submit_turn(world_->decoder, client.known->script, client.turn, client.before,
                              [&](const auto& prompt, const auto& options) {
                                return scheduler_->submit(prompt, options, client.schedule);
                              });
      if (client.id == ab::kNoRequest) return false;  // the queue is full
      if (client.before != ab::kNoRequest) scheduler_->release(client.before);
    }
    const ab::EndReason reason = world_->decoder.reason(client.id);
    if (reason != ab::EndReason::none) n_accepted += world_->decoder.statistics(client.id).n_accepted;
    if (reason == ab::EndReason::none) {
      if (random_() % 2000 == 0) cancel(client);
      return false;
    }
    if (reason == ab::EndReason::cancelled) client.is_cut = true;
    compare(client);
    client.before = client.id;
    client.id = ab::kNoRequest;
    ++client.turn;
    client.arrival = pass + static_cast<std::int64_t>(random_() % 20);
    if (!client.is_cut && client.turn < client.known->script.prompts.size()) return false;
    scheduler_->release(client.before);
    client.known = nullptr;
    return true;
  }

  void cancel(Client& client) {
    if (client.known == nullptr || client.id == ab::kNoRequest) return;
    scheduler_->cancel(client.id);
  }

  /// Of a request that was cut, what each branch without blocks wrote is the beginning of what it writes alone.
  void compare(const Client& client) {
    const Outcome found = outcome_of(world_->decoder, client.id);
    const Outcome& expected = client.known->outcomes[client.turn];
    if (!client.is_cut) {
      INFO("turn " << client.turn << ": reason " << ab::reason_name(found.reasons[0]) << ", alone "
                   << ab::reason_name(expected.reasons[0]) << "\n"
                   << found.branches[0] << "\n"
                   << expected.branches[0]);
      REQUIRE(found == expected);
      ++n_compared;
      n_structured += client.turn > 0 && client.known->script.is_structured ? 1 : 0;
      return;
    }
    ++n_cut;
    REQUIRE(found.n_sampled <= expected.n_sampled);
    REQUIRE(found.texts.size() <= expected.texts.size());
    if (found.texts.size() == 1) REQUIRE(expected.texts[0].compare(0, found.texts[0].size(), found.texts[0]) == 0);
  }

  std::mt19937 random_;
  std::vector<Client> clients_;
  std::optional<ab::test::HostileDrafts> drafts_;
  std::optional<World> world_;
  std::optional<Scheduler> scheduler_;
  double now_ = 0;
};

}  // namespace

TEST_CASE(
    "64 requests on a pool for a fifth of them: each writes what it writes alone, whatever happens to the others") {
  const char* const wanted = std::getenv("ANABRANCH_SCHEDULES");
  const std::uint64_t n_schedules = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 150;
  const Cuts cuts = GENERATE(Cuts::count, Cuts::ignored);
  const ab::Positions policies[] = {ab::Positions::sequential, ab::Positions::longest, ab::Positions::reserved(60)};
  std::vector<std::vector<Known>> known;
  for (const ab::Positions positions : policies) known.push_back(make_known(120, positions, cuts));
  ab::SchedulerState total;
  std::int64_t n_compared = 0, n_cut = 0, n_structured = 0, n_accepted = 0, n_hits = 0;
  for (std::uint64_t seed = 0; seed < n_schedules; ++seed) {
    INFO("schedule of seed " << seed << (cuts == Cuts::ignored ? ", with a prefix cache" : ""));
    Schedule schedule(seed, known[seed % 3], policies[seed % 3], cuts);
    schedule.run();
    n_compared += schedule.n_compared;
    n_cut += schedule.n_cut;
    n_structured += schedule.n_structured;
    n_accepted += schedule.n_accepted;
    n_hits += schedule.n_hits();
    total.n_preempted += schedule.state().n_preempted;
    total.n_evicted += schedule.state().n_evicted;
    total.n_deferred += schedule.state().n_deferred;
  }
  WARN(n_schedules << " schedules: " << n_compared << " requests as alone, " << n_structured
                   << " of them with blocks in their prompts, " << n_cut << " cut, " << total.n_preempted
                   << " preempted, " << total.n_evicted << " histories evicted, " << total.n_deferred << " deferred, "
                   << n_hits << " hits, " << n_accepted << " drafts accepted");
  CHECK(n_compared > 40 * static_cast<std::int64_t>(n_schedules));
  CHECK(n_structured > 4 * static_cast<std::int64_t>(n_schedules));
  CHECK(n_cut > static_cast<std::int64_t>(n_schedules) / 2);
  CHECK(total.n_preempted > static_cast<std::int64_t>(n_schedules));
  CHECK(n_accepted > 20 * static_cast<std::int64_t>(n_schedules));
  if (cuts == Cuts::count) CHECK(total.n_evicted > 0);
  if (cuts == Cuts::ignored) CHECK(n_hits > static_cast<std::int64_t>(n_schedules));
}
