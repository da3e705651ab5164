// Drafting and rejecting over and over must not eat the pool.
#include <algorithm>
#include <vector>

#include "cache_steps.hpp"

using namespace anabranch;
using namespace anabranch::test;

namespace {

constexpr std::int32_t kSteps = 1000;
constexpr std::int32_t kMostPages = 96;  // 1,000 live tokens fill 62.5 pages of 16; a leak of rejected slots needs 250

std::int32_t pages_in_use(const KvCache& cache) { return cache.n_pages() - cache.n_free_pages(); }

}  // namespace

TEST_CASE("1,000 steps of four one-token drafts with three rejected stay near 80 pages") {
  for (const ShareTail share : {ShareTail::spare, ShareTail::never}) {
    KvCache cache({.n_pages = 4096, .page_size = 16, .share_tail = share});
    const SequenceId sequence = cache.create_sequence();
    std::vector<SequenceId> drafts;
    std::int32_t most = 0;
    for (std::int32_t i = 0; i < kSteps; ++i) {
      in_step(cache, [&](Step& step) {
        if (!drafts.empty()) step.adopt(sequence, drafts[static_cast<std::size_t>(i % 4)]);
        drafts = step.fork(sequence, 4);
        for (const SequenceId draft : drafts) step.append(draft, {i}, Logits::last);
      });
      most = std::max(most, pages_in_use(cache));
    }
    in_step(cache, [&](Step& step) { step.adopt(sequence, drafts[2]); });
    CHECK(cache.n_tokens(sequence) == kSteps);
    CHECK(cache.next_position(sequence) == kSteps);
    INFO("share_tail " << static_cast<int>(share));
    if (share == ShareTail::spare) CHECK(most <= kMostPages);
    CHECK(pages_in_use(cache) <= (share == ShareTail::spare ? kMostPages : kSteps));
    CHECK(violations(cache) == "");
    in_step(cache, [&](Step& step) { step.drop(sequence); });
    CHECK(pages_in_use(cache) == 0);
  }
}

TEST_CASE("1,000 steps of four appended tokens with three rewound stay near 80 pages") {
  KvCache cache({.n_pages = 4096, .page_size = 16});
  const SequenceId sequence = cache.create_sequence();
  for (std::int32_t i = 0; i < kSteps; ++i) {
    in_step(cache, [&](Step& step) {
      if (i > 0) step.rewind(sequence, i);
      step.append_unknown(sequence, 4, Logits::all);
    });
    REQUIRE(pages_in_use(cache) <= kMostPages);
  }
  in_step(cache, [&](Step& step) { step.rewind(sequence, kSteps); });
  CHECK(cache.n_tokens(sequence) == kSteps);
  CHECK(pages_in_use(cache) <= 80);
  CHECK(violations(cache) == "");
}

TEST_CASE("a sequence that grows beside a rejected branch fills its pages") {
  KvCache cache({.n_pages = 256, .page_size = 16});
  const SequenceId sequence = cache.create_sequence();
  for (std::int32_t i = 0; i < 200; ++i) {
    in_step(cache, [&](Step& step) {
      const std::vector<SequenceId> old = cache.children(sequence);
      for (const SequenceId kid : old) step.drop(kid);
      step.append_unknown(sequence, 1);
      for (const SequenceId kid : step.fork(sequence, 2)) step.append_unknown(kid, 3);
    });
  }
  INFO(pages_in_use(cache) << " pages for 200 tokens and two drafts");
  CHECK(pages_in_use(cache) <= 24);
  CHECK(violations(cache) == "");
}

TEST_CASE("1,000 blocks of four branches joined one after another fill their pages") {
  KvCache cache({.n_pages = 4096, .page_size = 16});
  const SequenceId sequence = cache.create_sequence();
  for (std::int32_t i = 0; i < 1000; ++i) {
    std::vector<SequenceId> kids;
    in_step(cache, [&](Step& step) {
      step.append_unknown(sequence, 1);
      kids = step.fork(sequence, 4);
      for (const SequenceId kid : kids) step.append_unknown(kid, 2);
    });
    in_step(cache, [&](Step& step) {
      for (const SequenceId kid : kids) step.append_unknown(kid, 1);
      step.join(sequence, kids);
    });
  }
  CHECK(cache.n_tokens(sequence) == 13000);
  INFO(pages_in_use(cache) << " pages for 13,000 tokens, at least 813");
  CHECK(pages_in_use(cache) <= 1100);
}
