// Question: what do a lookup, a hit, keeping and evicting cost when 100, 1,000 or 10,000 histories are kept?
//
// Bar: with 10,000 histories each costs less than 3 times of what it costs with 100. All histories begin with the same
// 64 tokens and go on with 32 of their own. Times are CPU times of one call, the mean of 10 and the least of 5 tries;
// `prefix_cache N` does it for N alone, to be counted: valgrind --tool=callgrind --toggle-collect='*seconds*'.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include <anabranch/cache/prefix_cache.hpp>

#include "../cpu_time.hpp"

namespace {

using namespace anabranch;
using bench::need;
using bench::seconds;

constexpr std::int32_t kShared = 64, kOwn = 32, kCalls = 10, kTries = 5;

/// The prompt of history k.
StructuredPrompt prompt_of(std::int32_t k) {
  std::vector<TokenId> tokens(kShared, 1);
  for (std::int32_t i = 0; i < kOwn; ++i) tokens.push_back(k + i);
  return StructuredPrompt(tokens);
}

struct World {
  explicit World(std::int32_t n)
      : cache({.n_pages = 4 * (n + 100), .page_size = 16, .max_sequences = 4 * n + 400}),
        prefixes(cache, {.max_histories = 2 * n + 200}) {
    for (next = 0; next < n; ++next) prefixes.keep(compute(next), prompt_of(next));
  }
  /// A sequence that sees prompt k, begun with what is there.
  SequenceId compute(std::int32_t k) {
    const StructuredPrompt prompt = prompt_of(k);
    const PrefixHit hit = prefixes.take(prompt);
    const SequenceId sequence = hit ? hit.sequence : cache.create_sequence();
    Step step = cache.begin_step();
    step.append(sequence, prompt.tokens().subspan(static_cast<std::size_t>(hit.n_tokens)));
    need(static_cast<bool>(step.plan()), "the pool is too small");
    step.commit();
    prefixes.unpin(hit.pin);
    return sequence;
  }
  void drop(SequenceId sequence) {
    Step step = cache.begin_step();
    step.drop(sequence);
    need(static_cast<bool>(step.plan()), "the pool is too small");
    step.commit();
  }
  KvCache cache;
  PrefixCache<> prefixes;
  std::int32_t next = 0;
};

enum Call { kLookup, kHit, kKeep, kEvict, kCallKinds };
const char* const kNames[kCallKinds] = {"lookup", "hit", "keep", "evict"};

double time_of(World& world, Call call) {
  double total = 0;
  for (std::int32_t i = 0; i < kCalls; ++i) {
    const std::int32_t k = world.next / 2 + i % (world.next / 2);
    const StructuredPrompt known = prompt_of(k);
    switch (call) {
      case kLookup:
        total += seconds([&] { need(world.prefixes.find(known).n_tokens > kShared, "a history is not found"); });
        break;
      case kHit: {
        PrefixHit found;
        total += seconds([&] { found = world.prefixes.take(known, kShared + kOwn - 1); });
        world.prefixes.unpin(found.pin);
        world.drop(found.sequence);
        break;
      }
      case kKeep: {
        const StructuredPrompt fresh = prompt_of(world.next);
        const SequenceId sequence = world.compute(world.next++);
        total += seconds([&] { world.prefixes.keep(sequence, fresh); });
        break;
      }
      default:
        total +=
            seconds([&] { need(world.prefixes.make_room(world.cache.n_free_pages() + 1) > 0, "nothing to evict"); });
    }
  }
  return total / kCalls;
}

void measure(std::int32_t n, double (&times)[kCallKinds]) {
  const auto world = std::make_unique<World>(n);
  for (int call = 0; call < kCallKinds; ++call)
    for (int i = 0; i < kTries; ++i) {
      const double time = time_of(*world, static_cast<Call>(call));
      times[call] = i == 0 ? time : std::min(times[call], time);
    }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) {
    double times[kCallKinds];
    measure(std::max(20, std::atoi(argv[1])), times);
    return 0;
  }
  const std::int32_t sizes[] = {100, 1000, 10000};
  double times[3][kCallKinds];
  for (int s = 0; s < 3; ++s) measure(sizes[s], times[s]);
  bool good = true;
  std::printf("us of CPU time a call      100     1,000    10,000 histories\n");
  for (int call = 0; call < kCallKinds; ++call) {
    std::printf("%-22s", kNames[call]);
    for (const auto& of_size : times) std::printf("%9.2f ", 1e6 * of_size[call]);
    const double growth = times[2][call] / times[0][call];
    std::printf(" x %.2f\n", growth);
    good = good && growth < 3;
  }
  std::printf("%s\n", good ? "bar passed: less than 3 times from 100 to 10,000"
                           : "bar missed: 3 times or more from 100 to 10,000");
  return good ? 0 : 1;
}
