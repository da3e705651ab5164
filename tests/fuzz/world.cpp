#include "world.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "check.hpp"

namespace fuzz {

namespace {

constexpr std::size_t kMaxSequences = 40;
constexpr std::size_t kFreePages = 1, kSequences = 2, kEpoch = 4;  // their indices in a cache's books
constexpr std::size_t kMaxGroups = 3;

Tally g_tally;

/// A reading call of the fuzzer's own.
template <class T, class Call>
void add(Books& books, Call&& call) {
  T value;
  std::memset(static_cast<void*>(&value), 0, sizeof value);
  const std::uint32_t size = sizeof value;
  std::memcpy(static_cast<void*>(&value), &size, sizeof size);
  const anb_status status = call(&value);
  books.push_back(static_cast<std::uint64_t>(status));
  books.push_back(hash_bytes(&value, sizeof value));
}

}  // namespace

std::uint64_t hash_bytes(const void* bytes, std::size_t n, std::uint64_t hash) {
  const auto* p = static_cast<const unsigned char*>(bytes);
  for (std::size_t i = 0; i < n; ++i) hash = (hash ^ p[i]) * 0x100000001b3;
  return hash;
}

const Tally& tally() { return g_tally; }

DecoderEntry* Group::planner() const {
  for (const auto& decoder : decoders)
    if (decoder->planned) return decoder.get();
  return nullptr;
}

World::World(Input& input) : input_(input) {}
World::~World() = default;

Group* World::other_group() {
  for (const auto& group : groups_)
    if (group.get() != groups_[chosen_].get() && group->cache != nullptr) return group.get();
  return nullptr;
}

void World::run() {
  thorough_ = (input_.byte() & 1) != 0;
  make_cache();
  while (input_.left()) {
    if (groups_.size() < kMaxGroups && (groups_.empty() || input_.one_in(64))) make_cache();
    if (groups_.empty()) continue;
    chosen_ = groups_.size() == 1 ? 0 : static_cast<std::size_t>(input_.below(static_cast<int>(groups_.size())));
    if (input_.one_in(24))
      g_refusal = {input_.below(3) != 1, input_.below(3) != 2, input_.below(96), 1 + input_.below(4)};
    const std::int32_t kind = input_.below(20);
    if (kind < 7)
      tree_call();
    else if (kind < 9)
      finish_step();
    else if (kind < 10)
      step_call();
    else if (kind < 11)
      plan_call();
    else if (kind < 12)
      cache_call();
    else if (kind < 16)
      pass_call();
    else if (kind < 19)
      request_call();
    else
      decoder_call();
  }
  end();
}

void World::end() {
  g_refusal = {};
  quiet_ = true;
  for (const auto& group : groups_) {
    while (!group->decoders.empty()) destroy(*group, *group->decoders.back());
    if (group->cache != nullptr) {
      if (group->step != nullptr) anb_step_abort(group->step);
      step_over(*group);
      check_empty(*group);
      anb_cache_destroy(group->cache);
    }
    FUZZ_CHECK(group->ledger.n_blocks == 0 && group->ledger.n_bytes == 0, "%lld blocks, %lld bytes did not come back",
               static_cast<long long>(group->ledger.n_blocks), static_cast<long long>(group->ledger.n_bytes));
  }
}

/// A cache without sequences has all its pages free.
void World::check_empty(Group& group) {
  anb_step* step = nullptr;
  FUZZ_CHECK(anb_step_begin(group.cache, &step) == ANB_OK, "%s", anb_last_error());
  for (const anb_sequence sequence : group.sequences) anb_step_drop(step, sequence);
  anb_plan plan = ANB_PLAN_INIT;
  FUZZ_CHECK(anb_step_plan(step, &plan) == ANB_OK && anb_step_commit(step) == ANB_OK, "%s", anb_last_error());
  check_cache(group);
  anb_cache_statistics s = ANB_CACHE_STATISTICS_INIT;
  FUZZ_CHECK(anb_cache_get_statistics(group.cache, &s) == ANB_OK, "%s", anb_last_error());
  FUZZ_CHECK(s.n_sequences > 0 || s.n_free_pages == s.n_pages, "no sequences, but %d of %d pages are free",
             s.n_free_pages, s.n_pages);
}

/// A call with steps of its own may have dropped sequences of requests that are over before something else failed.
void World::forgive_own_steps(const Group& group, const Books& before, Books& after) {
  if (group.meddled) after = before;  // the fuzzer may know those sequences
  after[kEpoch] = before[kEpoch];
  if (after[kFreePages] > before[kFreePages]) after[kFreePages] = before[kFreePages];
  if (after[kSequences] < before[kSequences]) after[kSequences] = before[kSequences];
}

void World::judge(const Function& function, Group* group, const Books& before, anb_status status, bool refused) {
  FUZZ_CHECK(status != ANB_INTERNAL && status != ANB_POISONED, "%s: %s", function.name, anb_last_error());
  ++g_tally[function.name][static_cast<std::size_t>(status)];
  if (status == ANB_OK) return;
  StatusSet allowed = function.statuses | statuses(ANB_BAD_HANDLE, ANB_BAD_ARGUMENT);
  if (refused) allowed |= statuses(ANB_OUT_OF_MEMORY);
  if (group != nullptr && group->meddled)
    allowed |= statuses(ANB_STALE_SEQUENCE, ANB_NOT_A_CHILD, ANB_OPEN_CHILDREN, ANB_OUT_OF_RANGE, ANB_LIMIT_REACHED);
  FUZZ_CHECK((allowed >> status & 1) != 0, "%s gave %s, which is not documented: %s", function.name,
             anb_status_name(status), anb_last_error());
  if (status == ANB_NOTHING_TO_DO || status == ANB_NO_ROOM) return;
  FUZZ_CHECK(anb_last_error()[0] != '\0', "%s gave %s without a text", function.name, anb_status_name(status));
  const std::string text = anb_last_error();
  Books after = books(group);
  if (function.own_steps && group != nullptr && group->cache != nullptr) forgive_own_steps(*group, before, after);
  for (std::size_t i = 0; i < before.size() && i < after.size(); ++i)
    FUZZ_CHECK(before[i] == after[i], "%s gave %s and changed part %zu of %zu: %s", function.name,
               anb_status_name(status), i, before.size(), text.c_str());
  FUZZ_CHECK(before.size() == after.size(), "%s gave %s and changed something: %s", function.name,
             anb_status_name(status), text.c_str());
}

Books World::books(Group* group) {
  Books books;
  if (group == nullptr) return books;
  quiet_ = true;
  if (group->cache != nullptr) add_cache(*group, books);
  for (const auto& decoder : group->decoders) add_decoder(*decoder, books);
  if (group->plan_open()) {
    books.push_back(hash_plan(group->plan));
    FUZZ_CHECK(books.back() == group->plan_hash, "the arrays of an open plan have changed");
  }
  quiet_ = false;
  return books;
}

void World::add_cache(Group& group, Books& books) {
  anb_cache_statistics s = ANB_CACHE_STATISTICS_INIT;
  FUZZ_CHECK(anb_cache_get_statistics(group.cache, &s) == ANB_OK, "%s", anb_last_error());
  for (const std::int32_t part : {s.n_pages, s.n_free_pages, s.n_sequences, s.step})
    books.push_back(static_cast<std::uint64_t>(part));
  FUZZ_CHECK(books.size() == kEpoch, "the epoch has moved");
  books.push_back(s.epoch);
  for (const anb_sequence sequence : group.sequences) {
    add<anb_sequence_state>(books, [&](auto* state) { return anb_sequence_get_state(group.cache, sequence, state); });
    if (!thorough_ || books[books.size() - 2] != ANB_OK) continue;
    anb_sequence children[16] = {};
    std::int32_t n = 0;
    anb_sequence_children(group.cache, sequence, 16, children, &n);
    books.push_back(hash_bytes(children, sizeof children, static_cast<std::uint64_t>(n)));
    anb_slot slots[256] = {};
    anb_position positions[256] = {};
    anb_sequence_tokens(group.cache, sequence, 256, slots, positions, &n);
    books.push_back(hash_bytes(slots, sizeof slots, static_cast<std::uint64_t>(n)));
    books.push_back(hash_bytes(positions, sizeof positions));
  }
}

void World::add_decoder(DecoderEntry& decoder, Books& books) {
  for (const anb_request request : decoder.requests) {
    anb_request_state state = ANB_REQUEST_STATE_INIT;
    books.push_back(static_cast<std::uint64_t>(anb_decoder_get_request(decoder.handle, request, &state)));
    books.push_back(hash_bytes(&state, sizeof state));
    if (books[books.size() - 2] != ANB_OK || !thorough_) continue;
    for (std::int32_t i = 0; i <= state.n_branches && i < 8; ++i) {
      anb_branch_state b = ANB_BRANCH_STATE_INIT;
      FUZZ_CHECK(anb_decoder_get_branch(decoder.handle, request, i, &b) == ANB_OK, "%s", anb_last_error());
      FUZZ_CHECK(std::strlen(b.text) <= b.n_text && b.text[b.n_text] == '\0' && b.title[b.n_title] == '\0',
                 "a branch's text has a wrong length");
      std::uint64_t hash = hash_bytes(b.text, b.n_text, b.sequence);
      hash = hash_bytes(b.title, b.n_title, hash + static_cast<std::uint64_t>(b.reason));
      books.push_back(hash_array(b.path, b.n_path, hash));
    }
  }
}

bool World::known(const void* handle) const {
  for (const auto& group : groups_) {
    if (group->cache == handle || group->step == handle) return true;
    for (const auto& decoder : group->decoders)
      if (decoder->handle == handle) return true;
  }
  return false;
}

void* World::bad_handle() {
  switch (input_.below(6)) {
    case 0: return nullptr;
    case 1: return group().cache;
    case 2: return group().step;
    case 3: return group().decoders.empty() ? nullptr : group().decoders.front()->handle;
    case 4: return past_.empty() ? nullptr : past_[input_.byte() % past_.size()];
    default: return reinterpret_cast<void*>(static_cast<std::uintptr_t>(input_.word()));
  }
}

anb_cache* World::some_cache() {
  if (group().cache != nullptr && !input_.one_in(32)) return group().cache;
  void* bad = bad_handle();
  return static_cast<anb_cache*>(known(bad) && bad != group().step ? nullptr : bad);
}

anb_step* World::some_step() {
  if (group().step != nullptr && !input_.one_in(32)) return group().step;
  void* bad = bad_handle();
  return static_cast<anb_step*>(known(bad) && bad != group().cache ? nullptr : bad);
}

DecoderEntry* World::some_decoder(anb_decoder*& handle) {
  Group& g = group();
  if (!g.decoders.empty() && !input_.one_in(32)) {
    const std::size_t n = g.decoders.size();
    DecoderEntry* decoder = g.decoders[n == 1 ? 0 : input_.byte() % n].get();
    handle = decoder->handle;
    return decoder;
  }
  void* bad = bad_handle();
  handle = static_cast<anb_decoder*>(known(bad) && bad != g.cache ? nullptr : bad);
  return nullptr;
}

anb_sequence World::some_sequence() {
  Group& g = group();
  if (!g.sequences.empty() && !input_.one_in(32)) {
    // The youngest most easily, because trees grow there.
    const std::size_t back = input_.byte() % g.sequences.size();
    return g.sequences[g.sequences.size() - 1 - back];
  }
  switch (input_.below(3)) {
    case 0: return ANB_NO_SEQUENCE;
    case 1: {
      const Group* other = other_group();
      return other == nullptr || other->sequences.empty() ? 0
                                                          : other->sequences[input_.byte() % other->sequences.size()];
    }
    default: return input_.word();
  }
}

anb_request World::some_request(const DecoderEntry* decoder) {
  if (decoder != nullptr && !decoder->requests.empty() && !input_.one_in(32))
    return decoder->requests[decoder->requests.size() - 1 - input_.byte() % decoder->requests.size()];
  if (input_.one_in(2)) return input_.word();
  for (const auto& other : group().decoders)
    if (other.get() != decoder && !other->requests.empty()) return other->requests.back();
  return ANB_NO_REQUEST;
}

/// Keeps the list short: sequences that are stale go first.
void World::remember_sequence(Group& group, anb_sequence sequence) {
  FUZZ_CHECK(std::find(group.sequences.begin(), group.sequences.end(), sequence) == group.sequences.end(),
             "a sequence's name came twice");
  group.sequences.push_back(sequence);
  if (group.sequences.size() <= kMaxSequences) return;
  anb_sequence_state state = ANB_SEQUENCE_STATE_INIT;
  const auto stale = std::find_if(group.sequences.begin(), group.sequences.end(), [&](anb_sequence l) {
    return anb_sequence_get_state(group.cache, l, &state) == ANB_STALE_SEQUENCE;
  });
  if (stale != group.sequences.end()) group.sequences.erase(stale);
}

void World::step_over(Group& group) {
  if (group.step != nullptr) remember(group.step);
  group.step = nullptr;
  group.planned = false;
}

void World::plan_opened(Group& group, const anb_plan& plan) {
  std::memcpy(static_cast<void*>(&group.plan), &plan, sizeof plan);
  group.plan_hash = hash_plan(group.plan);
  check_plan(*this, group, group.plan);
}

void World::check_cache(Group& group) {
  if (group.cache == nullptr || group.step != nullptr || group.plan_open()) return;
  const Refusal for_the_next_call = std::exchange(g_refusal, {});
  anb_status status;
  {
    const Armed armed;  // a pool may be larger than this machine
    status = anb_cache_check(group.cache);
    if (armed.refused()) status = ANB_OK;
  }
  g_refusal = for_the_next_call;
  FUZZ_CHECK(status == ANB_OK, "anb_cache_check: %s", anb_last_error());
}

}  // namespace fuzz
