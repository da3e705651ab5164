// One input: a cache that random steps made, its snapshot, changes to that; what is accepted is restored, must be
// the same when it is saved again, and must work like any other cache to its end.
#include "snapshot_fuzz.hpp"

#include <algorithm>
#include <cctype>
#include <optional>

#include <anabranch/cache/kv_cache.hpp>

#include "check.hpp"
#include "input.hpp"
#include "operator_new.hpp"
#include "snapshot_calls.hpp"
#include "snapshot_changes.hpp"

using namespace anabranch;

namespace fuzz {
namespace {

CacheOptions some_options(Input& input) {
  CacheOptions options;
  options.n_pages = 1 + input.below(24);
  options.page_size = 1 + input.below(6);
  options.max_sequences = 24;
  options.max_depth = 1 + input.below(6);
  if (input.one_in(2)) options.max_position = 1 + input.below(200);
  if (input.one_in(2)) options.share_tail = ShareTail::never;
  if (input.one_in(2)) options.first_generation = static_cast<std::uint32_t>(input.odd_number());
  return options;
}

void make_steps(Input& input, KvCache& cache, int most) {
  SnapshotCalls calls(input, cache);
  for (int i = 0; i < most && input.left(); ++i) calls.step(1 + input.below(12));
}

/// The text of a refusal, without its numbers.
std::string kind_of(const char* text) {
  std::string kind;
  for (const char* c = text; *c != '\0'; ++c)
    if (!std::isdigit(static_cast<unsigned char>(*c)) && *c != '-') kind += *c;
  return kind;
}

/// Nothing, and a note, when it is refused.
template <class Make>
auto unless_refused(Make&& make) -> std::optional<decltype(make())> {
  try {
    return make();
  } catch (const Error& error) {
    FUZZ_CHECK(error.status() == Status::bad_snapshot, "%s: %s", status_name(error.status()), error.what());
    ++snapshot_tally().refused[kind_of(error.what())];
    return std::nullopt;
  }
}

/// Reads a snapshot, with no more memory than its bytes justify.
Snapshot load(const std::vector<std::byte>& bytes) {
  const MemoryUse memory;
  std::optional<Snapshot> snapshot;
  std::optional<Error> refusal;
  try {
    snapshot = Snapshot::load(bytes);
  } catch (const Error& error) {
    refusal = error;
  }
  FUZZ_CHECK(memory.allocated() <= 4096 + 32 * bytes.size(), "%zu bytes of memory for %zu bytes", memory.allocated(),
             bytes.size());
  if (refusal) throw *refusal;
  return std::move(*snapshot);
}

/// A snapshot whose bytes `load` reads, or that `check` finds nothing wrong with.
std::optional<Snapshot> change(Input& input, const Snapshot& real) {
  if (input.one_in(3)) {
    std::vector<std::byte> bytes = real.save();
    change_bytes(input, bytes);
    auto loaded = unless_refused([&] { return load(bytes); });
    if (loaded) FUZZ_CHECK(loaded->save() == bytes, "a loaded snapshot saves as other bytes");
    return loaded;
  }
  Snapshot changed = real;
  for (int i = 1 + input.below(4); i-- > 0;) {
    change_field(input, changed);
    if (!input.one_in(4)) repair(input, changed);
  }
  const bool sound = changed.check().empty();
  auto loaded = unless_refused([&] { return load(changed.save()); });
  FUZZ_CHECK(loaded.has_value() == sound, "check finds %s, load does not agree", sound ? "nothing" : "something");
  return loaded;
}

void use(Input& input, const Snapshot& snapshot, bool is_real) {
  std::optional<KvCache> cache;
  const auto restored = unless_refused([&] { return &cache.emplace(snapshot); });
  FUZZ_CHECK(restored || !is_real, "a real cache's snapshot is refused");
  if (!restored) return;
  FUZZ_CHECK(cache->snapshot().save() == snapshot.save(), "a restored cache has another snapshot");
  SnapshotCalls calls(input, *cache);
  const int n = 1 + input.below(6);
  for (int i = 0; i < n; ++i) calls.step(1 + input.below(10));
  calls.end();
  if (is_real) return;
  ++snapshot_tally().n_accepted;
  snapshot_tally().n_steps += static_cast<std::size_t>(n);
}

}  // namespace

SnapshotTally& snapshot_tally() {
  static SnapshotTally tally;
  return tally;
}

}  // namespace fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t n) {
  if (n < 2) return 0;
  ++fuzz::snapshot_tally().n_inputs;
  const std::size_t n_making = (n - 1) * bytes[0] / 256;  // the rest is for the changes and what follows
  fuzz::Input making(bytes + 1, n_making), rest(bytes + 1 + n_making, n - 1 - n_making);
  KvCache cache(fuzz::some_options(making));
  fuzz::make_steps(making, cache, 16);
  const Snapshot real = cache.snapshot();
  FUZZ_CHECK(Snapshot::load(real.save()).save() == real.save(), "a real snapshot is not what it was");
  if (rest.one_in(8)) return fuzz::use(rest, real, true), 0;
  if (const auto changed = fuzz::change(rest, real))
    if (changed->save() != real.save()) fuzz::use(rest, *changed, false);
  return 0;
}
