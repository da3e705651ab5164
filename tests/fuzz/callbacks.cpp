// Text and markup that the fuzzer gives to decoders: orderly, or full of mischief when the script says so.
#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <string_view>

#include "check.hpp"
#include "world.hpp"

namespace fuzz {

namespace {

/// Token t is written as word t % 16. Two of them make one character, one reaches over the end of an opening "a".
constexpr std::array<std::string_view, 16> kWords = {"\n", "1. **", "**",   "2. **", ".",  "a",  "b", " ",
                                                     "c:", "\xc3",  "\xa4", "**\n",  " d", "a1", "*", "\n\n"};

enum class Mood { orderly, fail, lie };

/// Calls back into the library, which must refuse its own handles and serve others.
void call_back(Script& script) {
  const Group& g = *script.group;
  if (g.cache != nullptr) {
    const OutStruct<anb_cache_statistics> s;
    const anb_status status = anb_cache_get_statistics(g.cache, s.pointer());
    FUZZ_CHECK(status == ANB_WRONG_STATE, "a call from a callback gave %s", anb_status_name(status));
    s.check(false);
    anb_cache_destroy(g.cache);  // does nothing
  }
  if (script.decoder != nullptr) {
    const anb_status status = anb_decoder_abort(script.decoder);
    FUZZ_CHECK(status == ANB_WRONG_STATE, "a call from a callback gave %s", anb_status_name(status));
    anb_decoder_destroy(script.decoder);  // does nothing
  }
  const Group* other = script.world->other_group();
  if (other == nullptr || other == &g) return;
  const OutStruct<anb_cache_statistics> s;
  FUZZ_CHECK(anb_cache_get_statistics(other->cache, s.pointer()) == ANB_OK, "%s", anb_last_error());
}

Mood mood(Script& script) {
  if (!script.mischief || script.world->quiet()) return Mood::orderly;
  const std::uint8_t b = script.world->input().byte();
  if (b >= 248) call_back(script);
  if (b >= 216 && b < 232) return Mood::fail;
  return b >= 200 && b < 216 ? Mood::lie : Mood::orderly;
}

Script& script_of(void* user) { return *static_cast<Script*>(user); }

std::int32_t detokenize(const anb_token* tokens, std::int32_t n, char* out, std::int32_t capacity, void* user) {
  const Suspended suspended;
  FUZZ_CHECK(n > 0 && tokens != nullptr && capacity >= 0, "%d tokens, room for %d", n, capacity);
  switch (mood(script_of(user))) {
    case Mood::fail: return -1;
    case Mood::lie: return capacity + 5;
    default: break;
  }
  std::int32_t n_bytes = 0;
  for (std::int32_t i = 0; i < n; ++i)
    for (const char c : kWords[static_cast<std::size_t>(tokens[i] % 16)]) {
      if (n_bytes < capacity) out[n_bytes] = c;
      ++n_bytes;
    }
  return n_bytes;
}

/// The longest word that a text begins with; "a" for what no word begins with.
std::size_t first_word(std::string_view text) {
  std::size_t best = 5;
  bool found = false;
  for (std::size_t t = 0; t < kWords.size(); ++t)
    if (text.substr(0, kWords[t].size()) == kWords[t] && (!found || kWords[t].size() > kWords[best].size())) {
      best = t;
      found = true;
    }
  return best;
}

std::int32_t text_to_tokens(const char* text, std::int32_t n, anb_token* out, std::int32_t capacity, void* user) {
  const Suspended suspended;
  FUZZ_CHECK(n >= 0 && capacity >= 0, "%d bytes, room for %d", n, capacity);
  const Mood m = mood(script_of(user));
  if (m == Mood::fail) return -7;
  std::int32_t n_tokens = 0;
  for (std::string_view rest(text, static_cast<std::size_t>(n)); !rest.empty(); ++n_tokens) {
    const std::size_t word = first_word(rest);
    if (n_tokens < capacity) out[n_tokens] = m == Mood::lie ? -2 : static_cast<anb_token>(word);
    rest.remove_prefix(std::min(rest.size(), kWords[word].size()));
  }
  return n_tokens;
}

// ---- a markup: what follows a token is in its number

constexpr std::array<anb_forced_token, 4> kForced = {
    {{1, ANB_ROLE_TEXT}, {2, ANB_ROLE_TAG}, {3, ANB_ROLE_TITLE}, {5, 0}}};
constexpr std::array<anb_token, 3> kTitle = {5, 6, 13};
constexpr std::array<anb_seed, 4> kSeeds = {{{kForced.data(), 2, 1, kTitle.data()},
                                             {kForced.data() + 1, 1, 0, nullptr},
                                             {nullptr, 0, 3, kTitle.data()},
                                             {kForced.data(), 4, 2, kTitle.data()}}};
constexpr std::array<anb_token, 3> kSome = {2, 5, 9};

/// The library must hand a state back as it was: all bytes of one state are equal.
void check_state(const Script& script, const void* state) {
  const auto* bytes = static_cast<const unsigned char*>(state);
  for (std::uint32_t i = 1; i < script.state_size; ++i)
    FUZZ_CHECK(bytes[i] == bytes[0], "byte %u of a state is %d, not %d", i, bytes[i], bytes[0]);
}
void set_state(const Script& script, void* state, int value) {
  if (script.state_size > 0) std::memset(state, value, script.state_size);
}

void force(anb_action* action, std::int32_t n) {
  action->forced = kForced.data();
  action->n_forced = n;
}
void fork(anb_action* action, std::int32_t first, std::int32_t n) {
  action->next = ANB_NEXT_FORK;
  action->seeds = kSeeds.data() + first;
  action->n_seeds = n;
}

/// An action that may be right or wrong.
std::int32_t lie(Script& script, anb_action* action) {
  Input& input = script.world->input();
  action->role = input.number(0, 3);
  action->forget = input.number(0, 3);
  force(action, input.one_in(8) ? -1 : input.below(5));
  fork(action, 0, input.one_in(8) ? -1 : input.below(5));
  action->next = input.number(0, 4);
  if (input.one_in(4)) action->forced = nullptr;
  if (input.one_in(4)) action->seeds = nullptr;
  return 0;
}

/// True when the callback's work is done: it fails or lies.
bool mischief(Script& script, anb_action* action, std::int32_t& result) {
  result = 0;
  FUZZ_CHECK(action->struct_size == sizeof *action && action->next == 0 && action->n_forced == 0, "a dirty action");
  const Mood m = mood(script);
  if (m == Mood::fail) result = 3;
  if (m == Mood::lie) lie(script, action);
  return m != Mood::orderly;
}

std::int32_t child(const void* parent, std::int32_t k, void* state, void* user) {
  const Suspended suspended;
  const Script& script = script_of(user);
  check_state(script, parent);
  check_state(script, state);
  if (script.state_size > 0) FUZZ_CHECK(*static_cast<unsigned char*>(state) == 0, "a new state is not zero");
  set_state(script, state, k + 1);
  return mood(script_of(user)) == Mood::fail ? 1 : 0;
}

std::int32_t next(void* state, anb_token token, anb_action* action, void* user) {
  const Suspended suspended;
  Script& script = script_of(user);
  check_state(script, state);
  set_state(script, state, token);
  std::int32_t result;
  if (mischief(script, action, result)) return result;
  switch (token % 16) {
    case 6: fork(action, 1, 2); break;
    case 7: fork(action, 0, 2); break;
    case 8: fork(action, 2, 1); break;
    case 9: force(action, 2); break;
    case 10: action->forget = 1; break;
    case 11: action->forget = 2, force(action, 1); break;
    case 12: action->next = ANB_NEXT_END_BRANCH, force(action, 1); break;
    case 13: action->next = ANB_NEXT_END_BRANCH, action->role = ANB_ROLE_TAG; break;
    case 14: action->next = ANB_NEXT_FINISH; break;
    default: break;
  }
  return 0;
}

std::int32_t joined(void* state, anb_action* action, void* user) {
  const Suspended suspended;
  Script& script = script_of(user);
  check_state(script, state);
  std::int32_t result;
  if (mischief(script, action, result)) return result;
  force(action, 1);
  return 0;
}

std::int32_t closing(const void* state, anb_action* action, void* user) {
  const Suspended suspended;
  Script& script = script_of(user);
  check_state(script, state);
  std::int32_t result;
  if (mischief(script, action, result)) return result;
  force(action, 2);
  return 0;
}

std::int32_t open(void* state, anb_action* action, void* user) {
  const Suspended suspended;
  Script& script = script_of(user);
  std::int32_t result;
  if (mischief(script, action, result)) return result;
  set_state(script, state, 9);
  force(action, 1);
  return 0;
}

std::int32_t end_of_text(void* state, anb_action* action, void* user) {
  const Suspended suspended;
  Script& script = script_of(user);
  check_state(script, state);
  std::int32_t result;
  if (mischief(script, action, result)) return result;
  action->forget = 1;
  action->next = ANB_NEXT_END_BRANCH;
  return 0;
}

std::int32_t constrain(const void* state, anb_constraint* constraint, void* user) {
  const Suspended suspended;
  Script& script = script_of(user);
  check_state(script, state);
  const Mood m = mood(script);
  if (m == Mood::fail) return 1;
  const auto first = script.state_size > 0 ? *static_cast<const unsigned char*>(state) : 0;
  constraint->forbidden = kSome.data();
  constraint->n_forbidden = first % 3;
  constraint->allowed = first % 5 == 4 ? kForced.empty() ? nullptr : kTitle.data() : nullptr;
  constraint->n_allowed = first % 5 == 4 ? 3 : 0;
  if (m == Mood::lie) constraint->n_allowed = -1;
  return 0;
}

}  // namespace

anb_text text_callbacks(Script& script) {
  anb_text text = ANB_TEXT_INIT;
  text.detokenize = detokenize;
  text.text_to_tokens = text_to_tokens;
  text.user = &script;
  return text;
}

anb_markup_callbacks markup_callbacks(Script& script) {
  anb_markup_callbacks c = ANB_MARKUP_CALLBACKS_INIT;
  c.state_size = script.state_size;
  c.child = child;
  c.next = next;
  c.joined = joined;
  c.closing = closing;
  c.open = open;
  c.end_of_text = end_of_text;
  c.constrain = constrain;
  c.user = &script;
  return c;
}

}  // namespace fuzz
