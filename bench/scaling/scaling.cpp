// Question: how do the costs of the cache and of the decoder grow with the number of sequences, branches and requests?
//
// Bar: no case grows faster than n^1.3 from 100 to 10,000, and a step behind 8,000 joined branches that changed nothing
// plans in under 3 us. Times are CPU times of one call, the least of several; the pools are built anew for each size.
// Needs nothing but the headers of the core, so that it can be built against an earlier commit (bench/run scaling
// --against COMMIT).
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <anabranch/anabranch.hpp>
#include <anabranch/decode/decoder.hpp>
#include <anabranch/decode/scheduler.hpp>

#include "../cpu_time.hpp"

namespace {

using namespace anabranch;
using bench::need;
using bench::seconds;

constexpr std::int32_t kVocabulary = 8;
constexpr TokenId kFork = 1, kEndOfText = 2, kWord = 3;

/// A cache with one root of 64 tokens and room for `n` sequences.
struct World {
  explicit World(std::int32_t n)
      : cache({.n_pages = 3 * n + 64, .page_size = 4, .max_sequences = 3 * n + 16}), root(cache.create_sequence()) {
    Step step = cache.begin_step();
    step.append(root, std::vector<TokenId>(64, kWord));
    finish(step);
  }
  static void finish(Step& step) {
    need(static_cast<bool>(step.plan()), "the pool is too small");
    step.commit();
  }
  /// `n` branches of the root, each with a token of its own.
  std::vector<SequenceId> fork(std::int32_t n, const ForkOptions& options = {}) {
    Step step = cache.begin_step();
    const std::vector<SequenceId> kids = step.fork(root, n, options);
    for (const SequenceId kid : kids) step.append(kid, {kWord});
    finish(step);
    return kids;
  }
  /// Seconds of a plan in which the sequences go on in this order.
  double plan(const std::vector<SequenceId>& sequences) {
    Step step = cache.begin_step();
    for (const SequenceId sequence : sequences) step.append(sequence, {kWord});
    const double time = seconds([&] { need(static_cast<bool>(step.plan()), "the pool is too small"); });
    step.abort();  // the next plan cannot take anything over
    return time;
  }
  KvCache cache;
  SequenceId root;
};

/// Forks into `n` branches at kFork, in the trunk alone.
struct ForksN {
  struct State {
    bool in_branch = false;
  };
  State start() const { return {}; }
  State child(const State&, std::int32_t) const { return {true}; }
  markup::Action next(State& s, TokenId token) const {
    if (token != kFork || s.in_branch) return markup::Action::go_on();
    return markup::Action::fork(std::vector<markup::Seed>(static_cast<std::size_t>(n), {{{kWord}}, {}}));
  }
  markup::Action joined(State&) const { return markup::Action::force({{kWord}}); }
  markup::Forced closing(const State&) const { return {{kWord}}; }
  std::int32_t n = 0;
};
struct NoText {
  void operator()(std::span<const TokenId>, std::string&) const {}
};

/// Decoders whose model says the same token for every output.
struct Requests {
  Requests(std::int32_t n, std::int32_t n_pages)
      : cache({.n_pages = n_pages, .page_size = 4, .max_sequences = 2 * n + 16}),
        decoder(cache, ForksN{n}, NoText{},
                {.max_branches = n,
                 .max_tokens = 1 << 20,
                 .max_branch_tokens = 1 << 10,
                 .max_rows = 1 << 20,
                 .end_of_text = {kEndOfText}}) {}
  /// Seconds of the commit of one pass.
  double pass(TokenId token) {
    const auto plan = decoder.plan();
    need(static_cast<bool>(plan), "the decoder has no pass");
    const std::vector<TokenId> tokens(plan->outputs.size(), token);
    return seconds([&] { decoder.commit_sampled(tokens); });
  }
  KvCache cache;
  Decoder<ForksN, NoText> decoder;
};

double join_of_n(std::int32_t n) {
  World world(n);
  const std::vector<SequenceId> kids = world.fork(n);
  Step step = world.cache.begin_step();
  return seconds([&] {
    step.join(world.root, kids);
    World::finish(step);
  });
}

double single_joins(std::int32_t n) {
  World world(n);
  const std::vector<SequenceId> kids = world.fork(n);
  Step step = world.cache.begin_step();
  return seconds([&] {
    for (const SequenceId kid : kids) step.join(world.root, {kid});
    World::finish(step);
  });
}

double plan_in_order(std::int32_t n) {
  World world(n);
  const std::vector<SequenceId> kids = world.fork(n);
  return world.plan(kids);
}

double plan_reversed(std::int32_t n) {
  World world(n);
  std::vector<SequenceId> kids = world.fork(n);
  std::reverse(kids.begin(), kids.end());
  return world.plan(kids);
}

double plan_shuffled_roots(std::int32_t n) {
  World world(n);
  std::vector<SequenceId> roots;
  Step step = world.cache.begin_step();
  for (std::int32_t i = 0; i < n; ++i) {
    roots.push_back(step.create_sequence());
    step.append(roots.back(), {kWord});
  }
  World::finish(step);
  std::shuffle(roots.begin(), roots.end(), std::mt19937(1));
  return world.plan(roots);
}

/// Roots that see the first 1, 2, ... n tokens of one segment, shuffled.
struct Prefixes {
  explicit Prefixes(std::int32_t n) : world(n) {
    Step step = world.cache.begin_step();
    const SequenceId trunk = step.create_sequence();
    step.append(trunk, std::vector<TokenId>(static_cast<std::size_t>(n), kWord));
    kids = step.fork(trunk, n);
    World::finish(step);
    Step cut = world.cache.begin_step();
    for (std::int32_t i = 0; i < n; ++i) {
      const SequenceId kid = kids[static_cast<std::size_t>(i)];
      cut.detach(kid);
      cut.rewind(kid, i + 1);
      cut.append(kid, {kWord});
    }
    World::finish(cut);
    std::shuffle(kids.begin(), kids.end(), std::mt19937(1));
  }
  World world;
  std::vector<SequenceId> kids;
};

double plan_prefixes(std::int32_t n) {
  Prefixes prefixes(n);
  return prefixes.world.plan(prefixes.kids);
}

double drop_prefixes(std::int32_t n) {
  Prefixes prefixes(n);
  return seconds([&] {
    for (const SequenceId kid : prefixes.kids) {
      Step step = prefixes.world.cache.begin_step();
      step.drop(kid);
      World::finish(step);
    }
  });
}

double request_logits(std::int32_t n) {
  World world(n);
  Step step = world.cache.begin_step();
  step.append(world.root, {kWord});
  const std::vector<SequenceId> kids = step.fork(world.root, n);
  for (const SequenceId kid : kids) step.request_logits(kid);
  return seconds([&] { need(static_cast<bool>(step.plan()), "the pool is too small"); });
}

/// One more token behind n joined branches, when the step before was the same.
double plan_behind_joins(std::int32_t n) {
  World world(n);
  const std::vector<SequenceId> kids = world.fork(n);
  Step step = world.cache.begin_step();
  step.join(world.root, kids);
  World::finish(step);
  double best = 1;
  for (int i = 0; i < 20; ++i) {
    Step next = world.cache.begin_step();
    next.append(world.root, {kWord}, Logits::last);
    const double time = seconds([&] { need(static_cast<bool>(next.plan()), "the pool is too small"); });
    next.commit();
    best = std::min(best, time);
  }
  return best;
}

/// The branches are taken back, and forked anew: a second try.
double rewind_and_fork(std::int32_t n) {
  World world(n);
  const std::vector<SequenceId> kids = world.fork(n);
  Step step = world.cache.begin_step();
  step.join(world.root, kids);
  World::finish(step);
  return seconds([&] {
    Step again = world.cache.begin_step();
    again.rewind(world.root, 64);
    for (const SequenceId kid : again.fork(world.root, n)) again.append(kid, {kWord});
    World::finish(again);
  });
}

/// n roots that each append, ask for logits and take a token back.
double rewind_of_outputs(std::int32_t n) {
  World world(n);
  std::vector<SequenceId> roots;
  for (std::int32_t i = 0; i < n; ++i) roots.push_back(world.cache.create_sequence());
  return seconds([&] {
    Step step = world.cache.begin_step();
    for (const SequenceId root : roots) {
      step.append(root, {kWord, kWord});
      step.request_logits(root);
    }
    for (const SequenceId root : roots) step.rewind(root, 1);
    World::finish(step);
  });
}

double fork_in_decoder(std::int32_t n) {
  Requests requests(n, 4 * n + 256);
  requests.decoder.submit(std::vector<TokenId>(200, kWord));
  requests.pass(kWord);
  return requests.pass(kFork);
}

double commit_of_branches(std::int32_t n) {
  Requests requests(n, 4 * n + 256);
  requests.decoder.submit(std::vector<TokenId>(200, kWord));
  requests.pass(kWord);
  requests.pass(kFork);
  requests.pass(kWord);
  return requests.pass(kWord);
}

double commit_of_requests(std::int32_t n) {
  Requests requests(n, 4 * n + 256);
  for (std::int32_t i = 0; i < n; ++i) requests.decoder.submit({kWord, kWord});
  requests.pass(kWord);
  return requests.pass(kWord);
}

/// Others drop the sequences of half of n requests.
double lost_requests(std::int32_t n) {
  Requests requests(n, 4 * n + 256);
  for (std::int32_t i = 0; i < n; ++i) requests.decoder.submit({kWord, kWord});
  requests.pass(kWord);
  Step step = requests.cache.begin_step();
  const std::vector<SequenceId> roots = requests.cache.roots();
  for (std::int32_t i = 0; i < n; i += 2) step.drop(roots[static_cast<std::size_t>(i)]);
  World::finish(step);
  return seconds([&] { need(static_cast<bool>(requests.decoder.plan()), "nothing is left"); });
}

/// n requests that fill all pages: none can go on.
double decoder_without_pages(std::int32_t n) {
  Requests requests(n, n);
  for (std::int32_t i = 0; i < n; ++i) requests.decoder.submit(std::vector<TokenId>(4, kWord));
  requests.pass(kWord);
  return seconds([&] { need(!requests.decoder.plan(), "there are pages left"); });
}

/// A scheduler that runs 8 requests at once, and n that wait.
struct Scheduled {
  explicit Scheduled(std::int32_t n)
      : cache({.n_pages = 256, .page_size = 4, .max_sequences = 2 * n + 16}),
        decoder(cache, ForksN{n}, NoText{}, {.max_tokens = 1 << 20, .end_of_text = {kEndOfText}, .preemptible = true}),
        scheduler(decoder, {.max_queued = n + 8, .max_running = 8}) {
    requests.reserve(static_cast<std::size_t>(n) + 8);
  }
  void submit(std::int32_t n) {
    for (std::int32_t i = 0; i < n; ++i) requests.push_back(scheduler.submit(prompt));
  }
  void pass() {
    const auto plan = scheduler.plan(0);
    need(static_cast<bool>(plan), "the scheduler has no pass");
    tokens.assign(plan->outputs.size(), kWord);
    scheduler.commit_sampled(tokens, 0.01);
  }
  const std::vector<TokenId> prompt{kWord, kWord};
  std::vector<TokenId> tokens;
  KvCache cache;
  Decoder<ForksN, NoText> decoder;
  Scheduler<Decoder<ForksN, NoText>> scheduler;
  std::vector<RequestId> requests;
};

double submit_to_scheduler(std::int32_t n) {
  Scheduled world(n);
  return seconds([&] { world.submit(n); });
}

double pass_beside_waiting(std::int32_t n) {
  Scheduled world(n);
  world.submit(n);
  world.pass();
  world.pass();
  return seconds([&] { world.pass(); });
}

double cancel_of_waiting(std::int32_t n) {
  Scheduled world(n);
  world.submit(n);
  world.pass();
  return seconds([&] {
    for (const RequestId id : world.requests) world.scheduler.cancel(id);
  });
}

struct Case {
  const char* name;
  double (*run)(std::int32_t n);
};
constexpr Case kCases[] = {
    {"plan of n branches in order", plan_in_order},
    {"plan of n branches in reverse order", plan_reversed},
    {"plan of n roots, shuffled", plan_shuffled_roots},
    {"plan of n roots that see n prefixes of a segment", plan_prefixes},
    {"drop of these, one in a step", drop_prefixes},
    {"plan behind n joined branches, unchanged", plan_behind_joins},
    {"outputs of n children without tokens: plan", request_logits},
    {"rewind behind n joined branches, fork of n", rewind_and_fork},
    {"n rewinds with requested logits", rewind_of_outputs},
    {"join of n children: join, plan, commit", join_of_n},
    {"n joins of one child: join, plan, commit", single_joins},
    {"decoder: commit of n open branches", commit_of_branches},
    {"decoder: commit that forks n", fork_in_decoder},
    {"decoder: commit of n requests", commit_of_requests},
    {"decoder: plan when half of n requests are lost", lost_requests},
    {"decoder: plan of n requests without a free page", decoder_without_pages},
    {"scheduler: submit of n requests", submit_to_scheduler},
    {"scheduler: a pass of 8 beside n that wait", pass_beside_waiting},
    {"scheduler: cancel of n requests", cancel_of_waiting},
};

double least(const Case& c, std::int32_t n) {
  double best = c.run(n), spent = best;
  for (int i = 0; i < 20 && spent < 0.2; ++i) {
    const double time = c.run(n);
    spent += std::max(time, 1e-3);
    best = std::min(best, time);
  }
  return best;
}

}  // namespace

/// The argument is a part of the names of the cases to run; with a number behind it they run once, for that n.
int main(int argc, char** argv) {
  const std::string wanted = argc > 1 ? argv[1] : "";
  std::printf("%-50s %12s %12s %12s  %s\n", "us of CPU time", "n = 100", "1,000", "10,000", "exponent");
  double worst = 0;
  for (const Case& c : kCases) {
    if (std::string(c.name).find(wanted) == std::string::npos) continue;
    if (argc > 2) {
      c.run(std::atoi(argv[2]));
      continue;
    }
    double times[3];
    for (int i = 0; i < 3; ++i) times[i] = least(c, i == 0 ? 100 : i == 1 ? 1000 : 10000);
    const double exponent = std::log10(times[2] / times[1]);
    worst = std::max(worst, exponent);
    std::printf("%-50s %12.2f %12.1f %12.1f  %.2f\n", c.name, 1e6 * times[0], 1e6 * times[1], 1e6 * times[2], exponent);
    std::fflush(stdout);
  }
  if (argc <= 2) std::printf("scaling: %.2f exponent (worst, from 1,000 to 10,000)\n", worst);
}
