// Memory that runs out anywhere: whole lives of caches and decoders in which the k-th allocation is refused, for every
// k, be it asked of the caller's allocator or of `operator new`. The call that met it must say so, must have changed
// nothing, and must work when it is made again; the life that goes on from there must be the one without refusals, and
// nothing may be left behind.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include "own_markup.h"
#include "refusals.hpp"

namespace {

// ---- A life: calls, each of which may be refused memory ----

/// May a call be complete although memory was refused? Cancel, release and commit put off what they could not drop.
enum class Refusal { told, may_be_put_off };

struct Life {
  world w{};
  std::vector<long> starts;  // of the life without refusals: refusals.n_asked before each call
  const std::vector<long>* reference = nullptr;
  std::size_t n_calls = 0;
  std::uint64_t record = 1469598103934665603u;  // everything that was told
  int n_refused = 0;

  void note(std::int64_t value) { record = (record ^ static_cast<std::uint64_t>(value)) * 1099511628211u; }
  void note(const char* text) {
    for (; *text != '\0'; ++text) note(*text);
  }
  bool due() const {
    if (reference == nullptr || n_calls >= reference->size() || refusals.refuse_at < (*reference)[n_calls])
      return false;
    return n_calls + 1 >= reference->size() || refusals.refuse_at < (*reference)[n_calls + 1];
  }
};

template <class Call>
anb_status armed(Call&& call) {
  refusals.refused = false;
  refusals.armed = true;
  const anb_status status = call();
  refusals.armed = false;
  return status;
}

/// Makes a call; again if memory was refused. `call` resets its out parameters itself.
template <class Call>
anb_status make(Life& life, place at, Call&& call, Refusal refusal = Refusal::told) {
  const bool due = life.due();
  if (life.reference == nullptr) life.starts.push_back(refusals.n_asked);
  ++life.n_calls;
  const std::uint64_t before = due ? state_of(&life.w) : 0;
  anb_status status = armed(call);
  if (refusals.refused) {
    ++life.n_refused;
    refusals.refuse_at = -1;
    const bool put_off = refusal == Refusal::may_be_put_off && status == ANB_OK;
    if (!put_off) {
      check_status(at, status, ANB_OUT_OF_MEMORY);
      check_true(at, std::strstr(anb_last_error(), "memory") != nullptr);
      check_true(at, due && state_of(&life.w) == before);
      status = armed(call);
    }
  }
  life.note(status);
  return status;
}
#define MAKE(call) check_ok(HERE(#call), make(life, HERE(#call), [&] { return call; }))
#define MAKE_REFUSED(call, expected) check_status(HERE(#call), make(life, HERE(#call), [&] { return call; }), expected)
#define MAKE_PUT_OFF(call)    \
  check_ok(HERE(#call), make( \
                            life, HERE(#call), [&] { return call; }, Refusal::may_be_put_off))

void note_plan(Life& life, const anb_plan& plan) {
  for (std::int32_t i = 0; i < plan.n_rows; ++i) {
    life.note(plan.tokens[i]);
    life.note(plan.positions[i]);
  }
  for (std::int32_t i = 0; i < plan.n_outputs; ++i) life.note(plan.outputs[i].row);
  life.note(plan.n_pages_short);
}

void note_sequence(Life& life, anb_sequence sequence) {
  anb_sequence_state s = ANB_SEQUENCE_STATE_INIT;
  anb_position positions[256];
  anb_sequence children[8];
  std::int32_t n = 0;
  MAKE(anb_sequence_get_state(life.w.cache, sequence, &s));
  life.note(s.n_tokens);
  life.note(s.next_position);
  MAKE(anb_sequence_children(life.w.cache, sequence, 8, children, &n));
  life.note(n);
  MAKE(anb_sequence_tokens(life.w.cache, sequence, 256, nullptr, positions, &n));
  for (std::int32_t i = 0; i < n; ++i) life.note(positions[i]);
}

void create_cache(Life& life, std::int32_t n_pages) {
  anb_allocator allocator = ANB_ALLOCATOR_INIT;
  allocator.allocate = allocate;
  allocator.release = release;
  anb_cache_options o = ANB_CACHE_OPTIONS_INIT;
  o.n_pages = n_pages;
  o.page_size = 4;
  o.allocator = &allocator;
  anb_cache* cache = nullptr;
  MAKE(anb_cache_create(&o, &cache));
  life.w.cache = cache;
}

/// Out parameters inside the world are set when a call has worked, so that what was there before can be compared.
void begin(Life& life) {
  anb_step* step = nullptr;
  MAKE(anb_step_begin(life.w.cache, &step));
  life.w.step = step;
}
void end(Life& life, anb_status (*how)(anb_step*)) {
  MAKE(how(life.w.step));
  life.w.step = nullptr;
}

void grow(Life& life) {
  static const anb_token kTokens[] = {1, 2, 3, 4, 5, 6, 7};
  static const anb_position kStarts[] = {40, 50};
  world& w = life.w;
  anb_sequence made[3];
  begin(life);
  MAKE(anb_step_create_sequence(w.step, 0, made));
  w.sequences[w.n_sequences++] = made[0];
  MAKE(anb_step_append(w.step, w.sequences[0], kTokens, 7, ANB_LOGITS_LAST));
  MAKE(anb_step_append_unknown(w.step, w.sequences[0], 3, ANB_LOGITS_NONE));
  MAKE(anb_step_fork(w.step, w.sequences[0], 3, ANB_POSITIONS_LONGEST, made));
  for (const anb_sequence sequence : made) w.sequences[w.n_sequences++] = sequence;
  MAKE(anb_step_request_logits(w.step, w.sequences[1]));
  MAKE(anb_step_fork_given(w.step, w.sequences[2], 2, kStarts, made));
  for (int i = 0; i < 2; ++i) w.sequences[w.n_sequences++] = made[i];
  for (int i = 1; i < 6; ++i) MAKE(anb_step_append(w.step, w.sequences[i], kTokens, i, ANB_LOGITS_ALL));
  MAKE(anb_step_hold(w.step, w.sequences[3], 6));
  MAKE_REFUSED(anb_step_append(w.step, 12345, kTokens, 7, 0), ANB_STALE_SEQUENCE);
  MAKE_REFUSED(anb_step_fork(w.step, w.sequences[0], -2, 0, made), ANB_BAD_ARGUMENT);
  MAKE_REFUSED(anb_step_rewind(w.step, w.sequences[0], 1), ANB_BAD_ARGUMENT);
}

void plan(Life& life) {
  anb_plan plan = ANB_PLAN_INIT;
  MAKE(anb_step_plan(life.w.step, &plan));
  note_plan(life, plan);
  static float mask[64 * 256];
  const std::size_t n = static_cast<std::size_t>(plan.n_rows) * static_cast<std::size_t>(plan.n_slots);
  if (!CHECK(n <= 64 * 256)) return;
  MAKE(anb_cache_mask(life.w.cache, nullptr, n, mask));
  anb_paged paged = ANB_PAGED_INIT;
  MAKE(anb_cache_paged(life.w.cache, ANB_PAGED_SLOTS, &paged));
  life.note(paged.n_levels);
  make(life, HERE("pages"), [&] { return anb_cache_paged(life.w.cache, ANB_PAGED_PAGES, &paged); });
}

void change(Life& life) {
  world& w = life.w;
  begin(life);
  MAKE(anb_step_join_given(w.step, w.sequences[2], &w.sequences[4], 1, 60));
  MAKE(anb_step_detach(w.step, w.sequences[5]));
  MAKE(anb_step_join(w.step, w.sequences[0], &w.sequences[1], 2));
  MAKE(anb_step_append_unknown(w.step, w.sequences[3], 9, ANB_LOGITS_LAST));
  MAKE(anb_step_rewind(w.step, w.sequences[3], 11));
  MAKE(anb_step_adopt(w.step, w.sequences[0], w.sequences[3]));
  MAKE(anb_step_append_unknown(w.step, w.sequences[0], 2, ANB_LOGITS_LAST));
  MAKE(anb_step_drop(w.step, w.sequences[5]));
}

/// The cache tier: every function of anabranch.h that can be refused memory, and those that must never ask for any.
void cache_life(Life& life) {
  create_cache(life, 24);
  grow(life);
  plan(life);
  end(life, anb_step_commit);
  for (int i = 0; i < life.w.n_sequences; ++i) note_sequence(life, life.w.sequences[i]);
  change(life);
  plan(life);
  end(life, anb_step_abort);
  change(life);
  anb_plan shortage = ANB_PLAN_INIT;
  MAKE(anb_step_append_unknown(life.w.step, life.w.sequences[0], 300, ANB_LOGITS_NONE));
  MAKE_REFUSED(anb_step_plan(life.w.step, &shortage), ANB_NO_ROOM);
  note_plan(life, shortage);
  end(life, anb_step_abort);
  change(life);
  plan(life);
  MAKE(anb_step_reject(life.w.step, life.w.sequences[0], 1));
  end(life, anb_step_commit);
  begin(life);
  MAKE(anb_step_append_unknown(life.w.step, life.w.sequences[0], 1, ANB_LOGITS_LAST));
  plan(life);
  end(life, anb_step_abort);
  anb_cache_statistics s = ANB_CACHE_STATISTICS_INIT;
  MAKE(anb_cache_get_statistics(life.w.cache, &s));
  life.note(s.n_sequences);
  life.note(s.n_free_pages);
  MAKE(anb_cache_check(life.w.cache));
  note_sequence(life, life.w.sequences[0]);
  begin(life); /* left open */
  anb_cache_destroy(life.w.cache);
}

// ---- Lives of decoders ----

struct Kind {
  const char* name;
  const char* markup;
  script scripts[5];
};
const Kind kKinds[] = {
    {"serial", "serial", {{"", "hello"}, {nullptr, nullptr}}},
    {"aspd", "aspd", {{"", "x(ab)(c){z"}, {"0.0", "(s){q]"}, {"0.0/0.0", "m]"}, {"0.1", "r"}, {nullptr, nullptr}}},
    {"skeleton", "skeleton", {{"", "Sun|Moon|~"}, {"0.0", " hot\n"}, {"0.1", " cold\n"}, {nullptr, nullptr}}},
    {"callbacks", nullptr, {{"", "ab<#yz"}, {"0.0", "cd"}, {"0.1", "e;"}, {nullptr, nullptr}}},
};

void create_decoder(Life& life, const Kind& kind, own& user) {
  const anb_text text = byte_text();
  const anb_markup_callbacks callbacks = own_callbacks(&user);
  anb_markup markup = aspd_markup();
  markup.name = kind.markup;
  markup.callbacks = &callbacks;
  markup.n_vocabulary = kVocabulary;
  anb_decoder_options o = decoder_options(&markup, &text);
  o.max_rows = 6;
  anb_decoder* decoder = nullptr;
  MAKE(anb_decoder_create(life.w.cache, &o, &decoder));
  life.w.decoder = decoder;
}

anb_request ask(Life& life, const anb_request_options* o) {
  static const anb_token kPrompt[] = {'q', 'r', 's', 't', 'u', 'v', 'w', 'x'};
  anb_request request = 0;
  MAKE(anb_decoder_submit(life.w.decoder, kPrompt, 8, o, &request));
  life.w.requests[life.w.n_requests++] = request;
  return request;
}

void take_events(Life& life) {
  anb_event e = ANB_EVENT_INIT;
  anb_status status;
  while ((status = make(life, HERE("next_event"), [&] { return anb_decoder_next_event(life.w.decoder, &e); })) ==
         ANB_OK) {
    life.note(e.kind);
    life.note(e.branch);
    life.note(e.token);
    life.note(e.reason);
    life.note(e.n_top);
    if (e.text != nullptr) life.note(e.text);
  }
  CHECK_SAME(status, ANB_NOTHING_TO_DO);
}

void commit(Life& life, const Kind& kind, std::int32_t n, bool by_logits) {
  static float logits[16 * kVocabulary];
  anb_token tokens[16];
  if (!CHECK(n <= 16)) return;
  std::memset(logits, 0, sizeof logits);
  for (std::int32_t i = 0; i < n; ++i) {
    anb_output_settings s = ANB_OUTPUT_SETTINGS_INIT;
    MAKE(anb_decoder_get_output(life.w.decoder, i, &s));
    tokens[i] = scripted(&life.w, kind.scripts, i);
    logits[i * kVocabulary + tokens[i]] = 9;
  }
  if (by_logits)
    MAKE_PUT_OFF(anb_decoder_commit(life.w.decoder, logits, n, kVocabulary));
  else
    MAKE_PUT_OFF(anb_decoder_commit_sampled(life.w.decoder, tokens, n));
}

void look(Life& life) {
  for (int i = 0; i < life.w.n_requests; ++i) {
    anb_request_state s = ANB_REQUEST_STATE_INIT;
    const anb_request request = life.w.requests[i];
    if (make(life, HERE("get_request"), [&] { return anb_decoder_get_request(life.w.decoder, request, &s); }) != ANB_OK)
      continue;
    for (const std::int32_t n : {s.reason, s.n_serial, s.n_branch, s.n_tag, s.n_sampled, s.n_forced, s.n_passes})
      life.note(n);
    for (std::int32_t branch = 0; branch <= s.n_branches; ++branch) {
      anb_branch_state b = ANB_BRANCH_STATE_INIT;
      MAKE(anb_decoder_get_branch(life.w.decoder, request, branch, &b));
      life.note(b.text);
      life.note(b.title);
    }
  }
}

/// Passes until nothing is left. In pass `cancel_in` the victim is cancelled between plan and commit; the pass before
/// is planned twice.
void run(Life& life, const Kind& kind, anb_request victim, int cancel_in) {
  for (int n = 0; n < 100; ++n) {
    anb_plan plan = ANB_PLAN_INIT;
    const auto plan_pass = [&] {
      return make(life, HERE("plan"), [&] { return anb_decoder_plan(life.w.decoder, &plan); });
    };
    anb_status status = plan_pass();
    if (status != ANB_OK) {
      CHECK_SAME(status, ANB_NOTHING_TO_DO);
      break;
    }
    if (n == cancel_in - 1) {  // the plan is given up once
      MAKE(anb_decoder_abort(life.w.decoder));
      CHECK_SAME(plan_pass(), ANB_OK);
    }
    note_plan(life, plan);
    if (victim != 0 && n == cancel_in) MAKE_PUT_OFF(anb_decoder_cancel(life.w.decoder, victim));
    commit(life, kind, plan.n_outputs, n % 2 == 0);
    take_events(life);
    if (n % 3 == 0) look(life);
  }
  take_events(life);
}

template <int kKind>
void decoder_life(Life& life) {
  static const char* const kStop[] = {"zzz"};
  const Kind& kind = kKinds[kKind];
  own user{};
  create_cache(life, 64);
  create_decoder(life, kind, user);
  anb_request_options o = ANB_REQUEST_OPTIONS_INIT;
  o.n_log_probabilities = 2;
  o.stop = kStop;
  o.n_stop = 1;
  const anb_request first = ask(life, &o);
  const anb_request victim = ask(life, nullptr);
  run(life, kind, victim, 4);
  look(life);
  anb_request_options after = ANB_REQUEST_OPTIONS_INIT;
  after.after = first;
  const anb_request second = ask(life, &after);
  run(life, kind, 0, 0);
  look(life);
  MAKE_PUT_OFF(anb_decoder_release(life.w.decoder, second));
  MAKE_REFUSED(anb_decoder_release(life.w.decoder, second), ANB_STALE_REQUEST);
  const anb_request last = ask(life, nullptr);
  anb_plan plan = ANB_PLAN_INIT;
  MAKE(anb_decoder_plan(life.w.decoder, &plan));
  MAKE_PUT_OFF(anb_decoder_release(life.w.decoder, last));
  anb_cache_destroy(life.w.cache); /* the decoder, with its plan open, outlives it */
  anb_decoder_destroy(life.w.decoder);
}

/// A life in which allocation `refuse_at` is refused (-1: none). False: there is no such allocation any more.
bool live(void (*body)(Life&), std::vector<long>& starts, std::uint64_t& record, long refuse_at) {
  const long n_blocks = refusals.n_blocks;
  bool refused = false;
  refusals.n_asked = 0;
  refusals.refuse_at = refuse_at;
  {
    Life life;
    if (refuse_at >= 0) life.reference = &starts;
    body(life);
    refused = life.n_refused > 0;
    if (refuse_at < 0) record = life.record;
    if (refused) CHECK(life.record == record);
    if (refuse_at < 0) starts.swap(life.starts);
  }
  const long n_kept = refuse_at < 0 ? 1 : 0;  // `starts` itself
  CHECK_SAME(refusals.n_blocks - n_blocks, n_kept);
  refusals.refuse_at = -1;
  return refused;
}

void sweep(const char* name, void (*body)(Life&)) {
  std::vector<long> starts;
  std::uint64_t record = 0;
  live(body, starts, record, -1);
  long n[2] = {0, 0};
  for (const bool all_after : {false, true}) {
    refusals.and_all_after = all_after;
    while (live(body, starts, record, n[all_after]) && n_failed_checks() < 20) ++n[all_after];
  }
  std::printf("%-10s %zu calls, %ld allocations, each refused alone and with all after it\n", name, starts.size(),
              n[0]);
  CHECK(n[0] > 100 && n[0] == n[1]);
}

}  // namespace

int main() {
  sweep("cache", cache_life);
  sweep(kKinds[0].name, decoder_life<0>);
  sweep(kKinds[1].name, decoder_life<1>);
  sweep(kKinds[2].name, decoder_life<2>);
  sweep(kKinds[3].name, decoder_life<3>);
  return n_failed_checks() == 0 ? 0 : 1;
}
