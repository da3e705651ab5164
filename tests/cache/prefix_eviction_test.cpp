// The prefix cache: what is kept once, what goes first when room is made, and what stays.
#include "prefix_steps.hpp"

using namespace anabranch;
using namespace anabranch::test;

TEST_CASE("A history that is kept already is given back, and one that begins another needs no sequence") {
  KvCache cache({.keep_tokens = true});
  PrefixCache prefixes(cache);
  const StructuredPrompt text = linear(tokens(40));
  prefixes.keep(computed(cache, text), text);
  const std::int32_t n_free = cache.n_free_pages();
  prefixes.keep(computed(cache, text), text);
  prefixes.keep(computed(cache, text.first(30)), text.first(30));
  CHECK(prefixes.statistics().n_known == 2);
  CHECK(cache.n_sequences() == 1);
  CHECK(cache.n_free_pages() == n_free);
  const StructuredPrompt longer = then(text, {1, 2});
  prefixes.keep(computed(cache, longer), longer);
  CHECK(cache.n_sequences() == 1);
  CHECK(cache.n_free_pages() == n_free);
  CHECK(violations(cache) == "");
}

TEST_CASE("What was used least recently goes first, from its end, and what is shared by later use stays") {
  KvCache cache({.n_pages = 64, .page_size = 4, .keep_tokens = true});
  PrefixCache prefixes(cache);
  const StructuredPrompt system = linear(tokens(40));
  const auto chat = [&](TokenId name, std::int32_t n) { return then(system, tokens(n, name * 1000)); };
  std::vector<StructuredPrompt> chats;
  for (TokenId k = 1; k <= 3; ++k) {
    chats.push_back(chat(k, 20));
    const PrefixHit hit = prefixes.take(chats.back());
    SequenceId sequence = hit.sequence;
    if (!hit) sequence = cache.create_sequence();
    feed(cache, sequence, chats.back(), hit.n_tokens);
    prefixes.unpin(hit.pin);
    prefixes.keep(sequence, chats.back());
  }
  CHECK(cache.n_pages() - cache.n_free_pages() == 10 + 3 * 5);
  give_back(cache, prefixes, prefixes.take(then(chats[0], {1})));  // now the second is the oldest
  CHECK(prefixes.make_room(cache.n_free_pages() + 2) >= 2);
  CHECK(found(prefixes, chats[0]) == 60);
  CHECK(found(prefixes, chats[2]) == 60);
  CHECK(found(prefixes, chats[1]) < 60);
  CHECK(found(prefixes, chats[1]) >= 40 + 20 - 3 * 4);
  CHECK(prefixes.make_room(cache.n_free_pages() + 6) >= 6);
  CHECK(found(prefixes, chats[1]) == 40);
  CHECK(found(prefixes, chats[2]) < 60);
  CHECK(found(prefixes, chats[0]) == 60);
  CHECK(prefixes.make_room(64) > 0);
  CHECK(cache.n_free_pages() == 64);
  CHECK(cache.n_sequences() == 0);
  CHECK(prefixes.n_nodes() == 1);
  CHECK(prefixes.make_room(64) == 0);
  CHECK(violations(cache) == "");
}

TEST_CASE("What a request shares is not evicted before it is unpinned") {
  KvCache cache({.n_pages = 64, .page_size = 4, .keep_tokens = true});
  PrefixCache prefixes(cache);
  const StructuredPrompt text = linear(tokens(100));
  prefixes.keep(computed(cache, text), text);
  const PrefixHit hit = prefixes.take(text, 41);
  prefixes.make_room(64);
  CHECK(found(prefixes, text) == 41);
  CHECK(cache.n_pages() - cache.n_free_pages() == 11);
  check_hit(cache, hit, text, 41);
  const PrefixHit again = prefixes.take(text, 41);  // twice
  give_back(cache, prefixes, hit);
  CHECK(prefixes.make_room(64) == 0);
  CHECK(found(prefixes, text) == 41);
  give_back(cache, prefixes, again);
  CHECK(prefixes.make_room(64) == 11);
  CHECK(found(prefixes, text) == 0);
  CHECK(prefixes.n_nodes() == 1);
}

TEST_CASE("At most max_histories are kept, and sequences can be asked back") {
  KvCache cache({.max_sequences = 100, .keep_tokens = true});
  PrefixCache prefixes(cache, {.max_histories = 5, .min_tokens = 2});
  for (TokenId k = 0; k < 20; ++k) prefixes.keep(computed(cache, linear({k, k, k})), linear({k, k, k}));
  CHECK(prefixes.n_histories() == 5);
  CHECK(cache.n_sequences() == 5);
  for (TokenId k = 0; k < 20; ++k) CHECK(found(prefixes, linear({k, k, k})) == (k < 15 ? 0 : 3));
  prefixes.keep(computed(cache, linear({99})), linear({99}));
  CHECK(found(prefixes, linear({99})) == 0);  // shorter than min_tokens
  CHECK(prefixes.make_sequences(98) == 3);
  CHECK(prefixes.n_histories() == 2);
  prefixes.clear();
  CHECK(cache.n_sequences() == 0);
  CHECK(status_of([&] { PrefixCache(cache, {.max_histories = 0}); }) == Status::bad_argument);
  CHECK(status_of([&] { PrefixCache(cache, {.min_tokens = 0}); }) == Status::bad_argument);
}
