// Files of a prefix cache: what is restored, into caches of other shapes too, and which files are refused.
#include <algorithm>
#include <map>
#include <stdexcept>

#include <anabranch/cache/prefix_file.hpp>

#include "cache_steps.hpp"
#include "prompts.hpp"

using namespace anabranch;
using namespace anabranch::test;

namespace {

using Bytes = std::vector<std::byte>;
constexpr std::int32_t kBytesPerSlot = 12;

/// A cache with a prefix cache, and the host's memory: K and V of a slot are its token, its position, and a number that
/// tells from which cache they come.
struct Host {
  explicit Host(int number, const CacheOptions& options = {})
      : cache(with_tokens(options)), prefixes(cache), number_(number) {
    bytes.model = "tiny, no adapter, float32";
    bytes.bytes_per_slot = kBytesPerSlot;
    bytes.read = [this](Slot first, std::int32_t count, std::span<std::byte> to) {
      for (std::int32_t i = 0; i < count; ++i)
        std::copy_n(memory.at(first + i).begin(), kBytesPerSlot, to.begin() + std::ptrdiff_t{i} * kBytesPerSlot);
    };
    bytes.write = [this](Slot first, std::int32_t count, std::span<const std::byte> from) {
      for (std::int32_t i = 0; i < count; ++i) {
        const auto at = from.begin() + std::ptrdiff_t{i} * kBytesPerSlot;
        memory[first + i] = Bytes(at, at + kBytesPerSlot);
      }
    };
  }
  static CacheOptions with_tokens(CacheOptions options) {
    options.keep_tokens = true;
    return options;
  }

  void keep(const StructuredPrompt& prompt) {
    const PrefixHit hit = prefixes.take(prompt, prompt.n_tokens() - 1);
    SequenceId sequence = hit.sequence;
    if (!hit) sequence = cache.create_sequence(prompt.items().front().position);
    Step step = cache.begin_step();
    feed_prompt(step, sequence, prompt, hit.n_tokens);
    const PlanResult plan = step.plan();
    REQUIRE(plan);
    for (std::size_t r = 0; r < plan->slots.size(); ++r)
      memory[plan->slots[r]] = content(plan->tokens[r], plan->positions[r], number_);
    step.commit();
    prefixes.unpin(hit.pin);
    prefixes.keep(sequence, prompt);
  }
  static Bytes content(TokenId token, Position position, int number) {
    Bytes made;
    for (const int value : {token, position, number})
      for (int i = 0; i < 4; ++i) made.push_back(static_cast<std::byte>((value >> (8 * i)) & 0xff));
    return made;
  }
  /// Whether the prompt is found whole, with K and V that came from cache `number`.
  bool has(const StructuredPrompt& prompt, int number) {
    const PrefixHit hit = prefixes.take(prompt);
    if (!hit || hit.n_tokens != prompt.n_tokens()) return false;
    const std::vector<Slot> slots = cache.slots_of(hit.sequence);
    const std::vector<Position> positions = cache.positions_of(hit.sequence);
    bool same = cache.next_position(hit.sequence) == prompt.next_position();
    for (std::size_t i = 0; i < slots.size(); ++i)
      same = same && memory.at(slots[i]) == content(prompt.tokens()[i], positions[i], number);
    prefixes.unpin(hit.pin);
    in_step(cache, [&](Step& step) { step.drop(hit.sequence); });
    return same;
  }
  Bytes saved(std::int64_t max_tokens = kUnlimited) {
    Bytes file;
    counts = PrefixFile(prefixes, bytes)
                 .save([&](std::span<const std::byte> more) { file.insert(file.end(), more.begin(), more.end()); },
                       max_tokens);
    return file;
  }
  void restore(std::span<const std::byte> file) {
    counts = PrefixFile(prefixes, bytes).restore([&](std::span<std::byte> to) {
      const std::size_t n = std::min(to.size(), file.size());
      std::copy_n(file.begin(), n, to.begin());
      file = file.subspan(n);
      return n;
    });
  }
  void check_empty() const {
    CHECK(prefixes.n_nodes() == 1);
    CHECK(cache.n_sequences() == 0);
    CHECK(cache.n_free_pages() == cache.n_pages());
    CHECK(violations(cache) == "");
  }

  KvCache cache;
  PrefixCache<> prefixes;
  KvBytes bytes;
  std::map<Slot, Bytes> memory;
  PrefixFileCounts counts;

 private:
  int number_;
};

/// A block with a nested one behind `before`.
StructuredPrompt joined(const StructuredPrompt& before) {
  StructuredPrompt prompt = before;
  prompt.begin_block(Positions::longest, 2);
  prompt.begin_branch(), prompt.append({3, 4});
  prompt.begin_block(Positions::sequential, 2);
  prompt.begin_branch(), prompt.append({5}), prompt.end_branch();
  prompt.begin_branch(), prompt.append({6, 7}), prompt.end_branch();
  prompt.end_block(), prompt.append({8}), prompt.end_branch();
  prompt.begin_branch(), prompt.append({9}), prompt.end_branch();
  prompt.end_block(), prompt.append({10, 11});
  return prompt;
}
const StructuredPrompt kSystem = linear(tokens(20));
const std::vector<StructuredPrompt> kChats = {then(kSystem, {31, 32, 33}), joined(kSystem), then(kSystem, {41}),
                                              joined(linear({1})), linear({1, 2, 9, 9})};

void keep_all(Host& host) {
  for (const StructuredPrompt& chat : kChats) host.keep(chat);
}

}  // namespace

TEST_CASE("What was saved is found after a restart, with the same K and V, in a cache of another shape too") {
  Host old(1);
  keep_all(old);
  const Bytes file = old.saved();
  CHECK(old.counts.n_histories == 5);
  CHECK(old.counts.n_tokens == 20 + 3 + 9 + 1 + 10 + 3);  // shared ones once
  for (const std::int32_t page_size : {16, 3, 1}) {
    Host fresh(2, {.n_pages = 200, .page_size = page_size});
    fresh.keep(linear({77, 78}));
    fresh.restore(file);
    CHECK(fresh.counts.n_histories == 5);
    CHECK(fresh.counts.n_skipped == 0);
    CHECK(fresh.counts.n_tokens == old.counts.n_tokens);
    for (const StructuredPrompt& chat : kChats) CHECK(fresh.has(chat, 1));
    CHECK(fresh.has(linear({77, 78}), 2));
    CHECK(fresh.prefixes.n_histories() == 6);
    const auto text = kChats[1].tokens();  // still no linear text
    CHECK(fresh.prefixes.find(StructuredPrompt(text)).n_tokens == 23);
    CHECK(violations(fresh.cache) == "");
    fresh.restore(file);  // again: everything is there
    CHECK(fresh.prefixes.n_histories() == 6);
    CHECK(fresh.saved().size() > file.size());
    fresh.prefixes.clear();
    fresh.check_empty();
  }
}

TEST_CASE("The order of use survives, and what was used last is saved first") {
  Host old(1, {.page_size = 1});
  keep_all(old);
  CHECK(old.has(kChats[0], 1));
  const Bytes file = old.saved();
  Host fresh(2, {.page_size = 1});
  fresh.restore(file);
  fresh.prefixes.make_sequences(fresh.cache.options().max_sequences - 2);
  CHECK(fresh.prefixes.n_histories() == 2);
  CHECK(fresh.has(kChats[0], 1));
  CHECK(fresh.has(kChats[4], 1));
  Host less(3);
  less.restore(old.saved(26));
  CHECK(old.counts.n_histories == 2);
  CHECK(old.counts.n_skipped == 3);
  CHECK(less.has(kChats[0], 1));
  CHECK_FALSE(less.has(kChats[1], 1));
}

TEST_CASE("Histories that do not fit are skipped, and the others restored") {
  Host old(1);
  keep_all(old);
  const Bytes file = old.saved();
  Host small(2, {.n_pages = 4, .page_size = 4});
  small.restore(file);
  CHECK(small.counts.n_skipped == 3);
  CHECK(small.has(kChats[4], 1));
  CHECK(small.has(kChats[3], 1));
  Host low(3, {.max_position = 5});
  low.restore(file);
  CHECK(low.counts.n_histories == 1);
  Host flat(4, {.max_depth = 0});
  flat.restore(file);
  CHECK(flat.counts.n_skipped == 5);
  flat.check_empty();
}

TEST_CASE("A file that is damaged anywhere, cut anywhere, or another's is refused, and nothing is kept") {
  Host old(1);
  old.keep(then(kChats[3], {5}));
  old.keep(kChats[4]);
  const Bytes file = old.saved();
  Host fresh(2);
  const auto refused = [&](std::span<const std::byte> bytes) {
    return status_of([&] { fresh.restore(bytes); }) == Status::bad_snapshot && fresh.prefixes.n_nodes() == 1 &&
           fresh.cache.n_sequences() == 0;
  };
  for (std::size_t n = 0; n < file.size(); ++n) REQUIRE(refused(std::span(file).first(n)));
  for (std::size_t i = 0; i < file.size(); ++i) {
    Bytes damaged = file;
    damaged[i] ^= std::byte{0x41};
    REQUIRE(refused(damaged));
  }
  fresh.bytes.model = "another";
  CHECK(refused(file));
  fresh.bytes.model = old.bytes.model;
  fresh.bytes.bytes_per_slot = 16;
  CHECK(refused(file));
  fresh.bytes.bytes_per_slot = kBytesPerSlot;
  fresh.restore(file);
  CHECK(fresh.has(kChats[4], 1));
  CHECK(status_of([&] { PrefixFile(fresh.prefixes, KvBytes{}); }) == Status::bad_argument);
}

TEST_CASE("A structure with a right checksum and any wrong field is refused or restored soundly") {
  Host old(1);
  old.keep(then(kChats[3], {5}));
  old.keep(kChats[4]);
  const Bytes file = old.saved();
  constexpr std::size_t kBody = 28;
  std::uint64_t length = 0;
  impl::ByteReader{std::span(file).subspan(12)}(length);
  int n_refused = 0;
  for (std::size_t i = kBody; i < kBody + length; ++i) {
    for (const int value : {0, 1, 2, 3, 5, 127, 128, 255}) {
      Bytes changed = file;
      changed[i] = static_cast<std::byte>(value);
      impl::ByteWriter checksum;
      checksum(impl::fnv1a(std::span(changed).subspan(kBody, static_cast<std::size_t>(length))));
      std::copy(checksum.bytes.begin(), checksum.bytes.end(), changed.begin() + 20);
      Host fresh(2, {.n_pages = 64});
      const Status status = status_of([&] { fresh.restore(changed); });
      REQUIRE((status == Status::ok || status == Status::bad_snapshot));
      REQUIRE(violations(fresh.cache) == "");
      n_refused += status == Status::bad_snapshot ? 1 : 0;
      fresh.prefixes.clear();
      fresh.check_empty();
    }
  }
  CHECK(n_refused > 100);
}

TEST_CASE("A callback that throws leaves nothing behind") {
  Host old(1);
  keep_all(old);
  const Bytes file = old.saved();
  for (int n_good : {0, 1, 3}) {
    Host fresh(2);
    fresh.bytes.write = [&](Slot, std::int32_t, std::span<const std::byte>) {
      if (n_good-- == 0) throw std::runtime_error("the device is gone");
    };
    CHECK_THROWS_AS(fresh.restore(file), std::runtime_error);
    fresh.check_empty();
  }
  const Step open = old.cache.begin_step();
  CHECK(status_of([&] { old.restore(file); }) == Status::wrong_state);
}
