// A call in which the markup, the text, the sampler or a hook throws has changed nothing, and works when repeated.
#include "fragile.hpp"

using namespace fragile;

namespace {

/// The life in which the n-th call out of the decoder throws; false: there were fewer.
bool live_with_failure(long n, After after, const Life::Limits& limits, const Life& whole) {
  INFO("failure at call " << n);
  Fuse fuse(n);
  const Touch touch = [&fuse] {
    if (fuse.touch()) throw Burnt();
  };
  Life life(fuse, touch, after, limits);
  life.live();
  CHECK(life.n_failed == (fuse.burnt ? 1 : 0));
  for (const auto& [id, record] : whole.records)
    if (!life.gone.count(id)) CHECK(life.records.at(id) == record);
  return fuse.burnt;
}

long live_with_every_failure(After after, const Life::Limits& limits = {}) {
  Fuse never(-1);
  Life whole(
      never, [] {}, After::repeat, limits);
  whole.live();
  long n = 0;
  while (live_with_failure(n, after, limits, whole)) ++n;
  return n;
}

}  // namespace

TEST_CASE("A markup, text, sampler or hook that throws at any call leaves everything as it was: the call is repeated") {
  CHECK(live_with_every_failure(After::repeat) > 300);
}

TEST_CASE("After a callback threw, the pass may be aborted and planned again") {
  CHECK(live_with_every_failure(After::abort) > 300);
}

TEST_CASE("After a callback threw, a request may be cancelled, and the pass committed for the others") {
  CHECK(live_with_every_failure(After::cancel, {.max_rows = 512}) > 300);
}

TEST_CASE("Callbacks that throw while requests run out of room change nothing either") {
  for (const std::int32_t n_pages : {12, 20, 32, 64})
    CHECK(live_with_every_failure(After::repeat, {.n_pages = n_pages}) > 50);
}
