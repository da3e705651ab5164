// Histories of any length are made, read and released with loops; recursion would end in a stack overflow here.
#include <vector>

#include "cache_steps.hpp"

using namespace anabranch;
using namespace anabranch::test;

// Planning walks the views of the rows' histories, so the steps here are few and large.

TEST_CASE("100,000 forks and joins in a row keep working") {
  KvCache cache({.n_pages = 16384, .page_size = 16});
  const SequenceId sequence = cache.create_sequence();
  for (std::int32_t i = 0; i < 100; ++i) {
    Step step = cache.begin_step();
    for (std::int32_t k = 0; k < 500; ++k) {
      std::vector<SequenceId> kids = step.fork(sequence, 1);
      step.append_unknown(kids[0], 1);
      step.join(sequence, kids);
      kids = step.fork(sequence, 2, {.positions = Positions::longest});
      step.append_unknown(kids[1], 1);
      step.join(sequence, kids);
    }
    REQUIRE(step.plan());
    step.commit();
  }
  CHECK(cache.n_tokens(sequence) == 100000);
  CHECK(cache.next_position(sequence) == 100000);
  CHECK(violations(cache) == "");
  in_step(cache, [&](Step& step) { step.drop(sequence); });
  CHECK(cache.n_free_pages() == cache.n_pages());
}

TEST_CASE("branches joined in the step that forked them fill their pages") {
  KvCache cache({.n_pages = 4096, .page_size = 16});
  const SequenceId sequence = cache.create_sequence();
  for (std::int32_t i = 0; i < 1000; ++i) {
    in_step(cache, [&](Step& step) {
      const std::vector<SequenceId> kids = step.fork(sequence, 2);
      step.append_unknown(kids[1], 1);
      step.append_unknown(kids[0], 1);
      step.join(sequence, kids);
    });
  }
  CHECK(cache.n_tokens(sequence) == 2000);
  INFO(cache.n_pages() - cache.n_free_pages() << " pages for 2,000 tokens, at least 125");
  CHECK(cache.n_pages() - cache.n_free_pages() <= 160);
}

TEST_CASE("a history of a million views is released without recursion") {
  KvCache cache({.n_pages = 1000000, .page_size = 1});
  const SequenceId sequence = cache.create_sequence();
  std::int32_t n_views = 0;
  while (n_views < 1000000) {
    Step step = cache.begin_step();
    for (int i = 0; i < 25000; ++i) {
      const std::vector<SequenceId> kids = step.fork(sequence, 2);
      step.append_unknown(kids[0], 1);
      step.append_unknown(kids[1], 1);
      step.join(sequence, kids);
      n_views += 2;
    }
    REQUIRE(step.plan());
    step.commit();
  }
  std::int32_t counted = 0;
  cache.for_each_view(sequence, [&](const View&, Position) { ++counted; });
  CHECK(counted == n_views);
  std::vector<SequenceId> kids;
  in_step(cache, [&](Step& step) {
    kids = step.fork(sequence, 1);
    step.detach(kids[0]);
  });
  in_step(cache, [&](Step& step) { step.rewind(sequence, 10); });
  CHECK(cache.n_tokens(kids[0]) == n_views);
  in_step(cache, [&](Step& step) {
    step.drop(kids[0]);
    step.drop(sequence);
  });
  CHECK(cache.n_free_pages() == cache.n_pages());
}

TEST_CASE("a cache is destroyed with a long history and an open step") {
  KvCache cache({.n_pages = 2048, .page_size = 16, .max_depth = 5000});
  SequenceId sequence = cache.create_sequence();
  Step step = cache.begin_step();
  for (int i = 0; i < 5000; ++i) {
    step.append_unknown(sequence, 1);
    sequence = step.fork(sequence, 1)[0];
  }
  CHECK(cache.n_tokens(sequence) == 5000);
}

TEST_CASE("a deep chain of open branches is dropped, adopted and aborted without recursion") {
  KvCache cache({.n_pages = 4096, .page_size = 16, .max_depth = 5000});
  const SequenceId root = cache.create_sequence();
  std::vector<SequenceId> chain{root};
  in_step(cache, [&](Step& step) {
    for (int i = 0; i < 5000; ++i) {
      step.append_unknown(chain.back(), 1);
      chain.push_back(step.fork(chain.back(), 1)[0]);
    }
  });
  {
    Step step = cache.begin_step();
    step.drop(root);
    CHECK(cache.n_sequences() == 0);
  }
  CHECK(cache.n_sequences() == 5001);
  in_step(cache, [&](Step& step) { step.adopt(root, chain[1]); });
  CHECK(cache.n_tokens(root) == 2);
  CHECK(cache.parent(chain[2]) == root);
  in_step(cache, [&](Step& step) { step.drop(root); });
  CHECK(cache.n_sequences() == 0);
  CHECK(cache.n_free_pages() == cache.n_pages());
}
