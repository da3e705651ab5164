// A call of the decoder that runs out of memory, at whichever allocation, has changed nothing, and works when repeated.
// A program of its own, because operator new is replaced.
#include "fragile.hpp"
#include "refusing_new.hpp"

using namespace fragile;

namespace {

Fuse* g_fuse = nullptr;

/// The life in which the n-th allocation inside the decoder's calls is refused; false: there were fewer.
bool live_with_refusal(long n, const Life::Limits& limits, const Life& whole) {
  INFO("refused allocation " << n);
  Fuse fuse(n);
  g_fuse = &fuse;
  refusing_new::refuse = [] { return g_fuse->touch(); };
  Life life(
      fuse, [] {}, After::repeat, limits);
  life.live();
  refusing_new::refuse = nullptr;
  CHECK(life.n_failed <= (fuse.burnt ? 1 : 0));  // dropping sequences may be put off instead
  CHECK(life.records == whole.records);
  return fuse.burnt;
}

long live_with_every_refusal(const Life::Limits& limits) {
  Fuse never(-1);
  Life whole(
      never, [] {}, After::repeat, limits);
  whole.live();
  long n = 0;
  while (live_with_refusal(n, limits, whole)) ++n;
  return n;
}

}  // namespace

TEST_CASE("A call that is refused memory, at any allocation, changes nothing, and works when repeated") {
  CHECK(live_with_every_refusal({}) > 1000);
}

TEST_CASE("Memory may run out together with pages") { CHECK(live_with_every_refusal({.n_pages = 24}) > 1000); }
