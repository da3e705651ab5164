// A shortage says exactly how many pages are short: the same calls on a cache with so many more pages can be planned,
// with one less they cannot.
#include <random>
#include <vector>

#include <anabranch/anabranch.hpp>

#include "catch.hpp"

using namespace anabranch;

namespace {

/// Random steps that do the same on every cache that has room for them. The last step is large and is only planned.
class Replay {
 public:
  Replay(std::uint32_t seed, std::int32_t n_pages, std::int32_t page_size, ShareTail share_tail)
      : random_(seed), cache_({.n_pages = n_pages, .page_size = page_size, .share_tail = share_tail}) {}

  /// False: a step before the last did not fit.
  bool prepare() {
    const auto n_steps = random_() % 6;
    for (std::size_t i = 0; i < n_steps; ++i) {
      auto step = cache_.begin_step();
      change(step, 3, 9);
      if (!step.plan()) return false;
      step.commit();
    }
    return true;
  }
  Shortage plan_last(bool rewinds) {
    auto step = cache_.begin_step();
    if (rewinds)
      for (const SequenceId sequence : sequences_)
        if (cache_.alive(sequence) && cache_.children(sequence).empty() && random_() % 2 == 0)
          step.rewind(sequence, std::max(cache_.fork_tokens(sequence), cache_.n_tokens(sequence) - 3));
    change(step, 12, 24);
    return step.plan().shortage();
  }

 private:
  SequenceId any() {
    const auto alive = [this](SequenceId sequence) { return cache_.alive(sequence); };
    std::erase_if(sequences_, [&](SequenceId sequence) { return !alive(sequence); });
    return sequences_[random_() % sequences_.size()];
  }
  void change(Step& step, std::uint32_t n_calls, std::uint32_t most_tokens) {
    if (sequences_.empty()) sequences_.push_back(step.create_sequence());
    for (std::uint32_t i = 0; i < n_calls; ++i) {
      const SequenceId sequence = any();
      const auto kind = random_() % 12;
      const auto n = static_cast<std::int32_t>(random_() % most_tokens);
      if (kind < 6) {
        step.append(sequence, std::vector<TokenId>(static_cast<std::size_t>(n), 1));
      } else if (kind < 8 && sequences_.size() < 20) {
        for (const SequenceId child : step.fork(sequence, 1 + n % 3)) sequences_.push_back(child);
      } else if (kind == 8) {
        const SequenceId parent = cache_.parent(sequence);
        if (parent != kNoSequence && cache_.children(sequence).empty()) step.join(parent, {sequence});
      } else if (kind == 9 && cache_.n_sequences() > 2) {
        step.drop(sequence);
        any_or_new(step);
      } else if (kind == 10) {
        step.hold(sequence, n % 7);
      }
    }
  }
  void any_or_new(Step& step) {
    std::erase_if(sequences_, [this](SequenceId sequence) { return !cache_.alive(sequence); });
    if (sequences_.empty()) sequences_.push_back(step.create_sequence());
  }

  std::mt19937 random_;
  KvCache cache_;
  std::vector<SequenceId> sequences_;
};

struct Pool {
  std::int32_t n_pages;
  std::int32_t page_size;
  ShareTail share_tail;
};

Pool any_pool(std::uint32_t seed) {
  std::mt19937 random(seed);
  const std::int32_t sizes[] = {1, 3, 4, 16};
  const std::int32_t page_size = sizes[random() % 4];
  return {static_cast<std::int32_t>(20 + random() % 60) / page_size + 1, page_size,
          random() % 4 == 0 ? ShareTail::never : ShareTail::spare};
}

/// Pages short of the last step, on a cache with `n_more` more pages; kNone: a step before it did not fit.
std::int32_t n_short(std::uint32_t seed, const Pool& pool, std::int32_t n_more, bool rewinds) {
  Replay replay(seed, pool.n_pages + n_more, pool.page_size, pool.share_tail);
  return replay.prepare() ? replay.plan_last(rewinds).n_pages : kNone;
}

}  // namespace

TEST_CASE("with as many more pages as are short a step can be planned, with one less it cannot") {
  int n_cases = 0;
  for (std::uint32_t seed = 0; seed < 20000; ++seed) {
    const Pool pool = any_pool(seed);
    const std::int32_t short_of = n_short(seed, pool, 0, false);
    if (short_of < 1) continue;
    ++n_cases;
    INFO("seed " << seed << ", " << pool.n_pages << " pages of " << pool.page_size << ", short of " << short_of);
    REQUIRE(n_short(seed, pool, short_of, false) == 0);
    REQUIRE(n_short(seed, pool, short_of - 1, false) == 1);
  }
  CHECK(n_cases > 2000);
}

TEST_CASE("with as many more pages as are short a step that rewinds can be planned") {
  int n_cases = 0;
  for (std::uint32_t seed = 0; seed < 10000; ++seed) {
    const Pool pool = any_pool(seed);
    const std::int32_t short_of = n_short(seed, pool, 0, true);
    if (short_of < 1) continue;
    ++n_cases;
    INFO("seed " << seed << ", " << pool.n_pages << " pages of " << pool.page_size << ", short of " << short_of);
    REQUIRE(n_short(seed, pool, short_of, true) == 0);
  }
  CHECK(n_cases > 500);
}

TEST_CASE("a step that needs more than all slots there could ever be is short of pages, not of memory") {
  KvCache cache({.n_pages = 4, .page_size = 16});
  const SequenceId sequence = cache.create_sequence();
  auto step = cache.begin_step();
  step.append_unknown(sequence, kUnlimited - 1);
  const PlanResult plan = step.plan();
  REQUIRE(!plan);
  CHECK(plan.shortage().n_pages == kUnlimited / 16 + 1 - 4);
  CHECK(plan.shortage().n_free == 4);
}
