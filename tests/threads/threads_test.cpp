// One handle, one thread; distinct handles, distinct threads. Eight of them make, use and destroy caches and decoders,
// fail on purpose, and call with handles that other threads have destroyed. The thread sanitizer watches in the preset
// tsan; everywhere else the results are compared with those of one thread alone.
#include <array>
#include <atomic>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "anabranch_decoder.h"

#include "catch.hpp"

namespace {

constexpr int kThreads = 8, kRounds = 60;
constexpr std::int32_t kVocabulary = 16;
constexpr std::array<anb_token, 1> kEndOfText = {15};

/// Returns the first failure that a thread finds; Catch's own checks are for one thread.
#define NEED(condition) \
  if (!(condition)) return "line " + std::to_string(__LINE__) + ": " #condition " (" + anb_last_error() + ")"

std::int32_t to_text(const anb_token* tokens, std::int32_t n, char* out, std::int32_t capacity, void*) {
  for (std::int32_t i = 0; i < n && i < capacity; ++i) out[i] = static_cast<char>('a' + tokens[i] % 26);
  return n;
}

/// Memory that each thread counts for itself.
void* allocate(std::size_t size, std::size_t alignment, void* count) {
  void* memory = ::operator new (size, std::align_val_t{alignment}, std::nothrow);
  *static_cast<long*>(count) += memory != nullptr ? 1 : 0;
  return memory;
}
void release(void* memory, std::size_t, std::size_t alignment, void* count) {
  ::operator delete (memory, std::align_val_t{alignment});
  --*static_cast<long*>(count);
}

anb_cache* make_cache(long* n_blocks) {
  anb_allocator allocator = ANB_ALLOCATOR_INIT;
  allocator.allocate = allocate;
  allocator.release = release;
  allocator.user = n_blocks;
  anb_cache_options o = ANB_CACHE_OPTIONS_INIT;
  o.n_pages = 64;
  o.page_size = 4;
  o.allocator = &allocator;
  anb_cache* cache = nullptr;
  return anb_cache_create(&o, &cache) == ANB_OK ? cache : nullptr;
}

anb_decoder* make_decoder(anb_cache* cache) {
  anb_text text = ANB_TEXT_INIT;
  text.detokenize = to_text;
  anb_markup markup = ANB_MARKUP_INIT;
  markup.name = "aspd";
  markup.branch = 8, markup.branch_end = 9, markup.title = 10, markup.title_end = 11;
  markup.para = 12, markup.para_end = 13;
  anb_decoder_options o = ANB_DECODER_OPTIONS_INIT;
  o.max_tokens = 60;
  o.n_end_of_text = 1;
  o.end_of_text = kEndOfText.data();
  o.markup = &markup;
  o.text = &text;
  anb_decoder* decoder = nullptr;
  return anb_decoder_create(cache, &o, &decoder) == ANB_OK ? decoder : nullptr;
}

/// Logits of a model that often writes tags: titles, forks and ends of branches, but seldom the end of the text.
std::vector<float> logits_of(const anb_plan& plan, std::uint32_t seed, int pass) {
  std::vector<float> logits(static_cast<std::size_t>(plan.n_outputs * kVocabulary));
  for (std::size_t i = 0; i < logits.size(); ++i) {
    std::uint32_t x = seed * 2654435761u + static_cast<std::uint32_t>(pass) * 40503u + static_cast<std::uint32_t>(i);
    x ^= x >> 15, x *= 0x2c1b3c6du, x ^= x >> 12;
    logits[i] = static_cast<float>(x % 1000) / 100.0f - (i % kVocabulary == 15 ? 8.0f : 0.0f);
  }
  return logits;
}

/// One request from submit to its end; the answer's text and branches, or what went wrong after "sequence".
std::string answer(std::uint32_t seed) {
  long n_blocks = 0;
  anb_cache* cache = make_cache(&n_blocks);
  NEED(cache != nullptr);
  anb_decoder* decoder = make_decoder(cache);
  NEED(decoder != nullptr);
  const std::array<anb_token, 3> prompt = {1, 2, 12};
  anb_request_options options = ANB_REQUEST_OPTIONS_INIT;
  options.temperature = 0.8f;
  options.seed = seed;
  anb_request request = 0;
  NEED(anb_decoder_submit(decoder, prompt.data(), 3, &options, &request) == ANB_OK);
  anb_plan plan = ANB_PLAN_INIT;
  std::string streamed;
  for (int pass = 0; anb_decoder_plan(decoder, &plan) == ANB_OK; ++pass) {
    const std::vector<float> logits = logits_of(plan, seed, pass);
    NEED(anb_decoder_commit(decoder, logits.data(), plan.n_outputs, kVocabulary) == ANB_OK);
    anb_event event = ANB_EVENT_INIT;
    while (anb_decoder_next_event(decoder, &event) == ANB_OK) streamed += std::string(event.text, event.n_text) + ' ';
  }
  anb_branch_state state = ANB_BRANCH_STATE_INIT;
  NEED(anb_decoder_get_branch(decoder, request, 0, &state) == ANB_OK);
  anb_request_state told = ANB_REQUEST_STATE_INIT;
  NEED(anb_decoder_get_request(decoder, request, &told) == ANB_OK);
  const std::string result =
      std::to_string(told.n_branches) + " branches: " + streamed + '|' + std::string(state.text, state.n_text);
  anb_decoder_destroy(decoder);
  NEED(anb_cache_check(cache) == ANB_OK);
  anb_cache_destroy(cache);
  NEED(n_blocks == 0);
  return result;
}

/// Handles that were destroyed, for every thread to try.
struct Graves {
  std::array<std::atomic<anb_cache*>, kThreads> caches{};
  std::array<std::atomic<anb_step*>, kThreads> steps{};
};

std::string try_graves(const Graves& graves) {
  for (std::size_t i = 0; i < kThreads; ++i) {
    anb_cache_statistics s = ANB_CACHE_STATISTICS_INIT;
    NEED(anb_cache_get_statistics(graves.caches[i], &s) == ANB_BAD_HANDLE);
    anb_cache_destroy(graves.caches[i]);
    anb_step* step = graves.steps[i];
    NEED(step == nullptr || anb_step_commit(step) == ANB_BAD_HANDLE);
    NEED(anb_step_append_unknown(step, 7, 1, ANB_LOGITS_NONE) == ANB_BAD_HANDLE);
  }
  return "";
}

/// Forks and joins, fails, and reads that the text is its own.
std::string tree(std::size_t me, int round, Graves& graves) {
  long n_blocks = 0;
  anb_cache* cache = make_cache(&n_blocks);
  NEED(cache != nullptr);
  anb_step* step = nullptr;
  anb_sequence trunk = 0;
  std::array<anb_sequence, 3> kids{};
  NEED(anb_step_begin(cache, &step) == ANB_OK);
  NEED(anb_step_create_sequence(step, 0, &trunk) == ANB_OK);
  NEED(anb_step_append_unknown(step, trunk, 5, ANB_LOGITS_LAST) == ANB_OK);
  NEED(anb_step_fork(step, trunk, 3, ANB_POSITIONS_LONGEST, kids.data()) == ANB_OK);
  for (const anb_sequence kid : kids) NEED(anb_step_append_unknown(step, kid, 2, ANB_LOGITS_LAST) == ANB_OK);
  const auto wrong = static_cast<std::int32_t>(1000 + 100 * static_cast<int>(me) + round);
  NEED(anb_step_append_unknown(step, trunk, 1, wrong) == ANB_BAD_ARGUMENT);
  const char* text = anb_last_error();
  const std::string failed = try_graves(graves);
  if (!failed.empty()) return failed;
  NEED(anb_step_append_unknown(step, trunk, 1, wrong) == ANB_BAD_ARGUMENT);
  std::this_thread::yield();
  NEED(text == anb_last_error() && std::strstr(text, std::to_string(wrong).c_str()) != nullptr);
  NEED(anb_step_join(step, trunk, kids.data(), 3) == ANB_OK);
  anb_plan plan = ANB_PLAN_INIT;
  NEED(anb_step_plan(step, &plan) == ANB_OK && plan.n_rows == 11);
  if (round % 3 != 0) NEED(anb_step_commit(step) == ANB_OK && anb_cache_check(cache) == ANB_OK);
  anb_cache_destroy(cache);
  NEED(n_blocks == 0);
  graves.caches[me] = cache;
  graves.steps[me] = step;
  return "";
}

}  // namespace

TEST_CASE("threads with handles of their own do not disturb each other") {
  std::array<std::string, kThreads> alone, failed;
  for (std::size_t i = 0; i < kThreads; ++i) {
    alone[i] = answer(static_cast<std::uint32_t>(i));
    REQUIRE(alone[i].find("sequence") != 0);
    INFO(alone[i]);
    REQUIRE(alone[i].size() > 60);
  }
  Graves graves;
  std::atomic<int> n_ready{0};
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kThreads; ++i)
    threads.emplace_back([&, i] {
      ++n_ready;
      while (n_ready < kThreads) std::this_thread::yield();
      for (int round = 0; round < kRounds && failed[i].empty(); ++round) {
        failed[i] = tree(i, round, graves);
        const std::string said = answer(static_cast<std::uint32_t>(i));
        if (said != alone[i]) failed[i] += "round " + std::to_string(round) + ": " + said;
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < kThreads; ++i) CHECK(failed[i] == "");
}

TEST_CASE("an error's text is the thread's own, also before its first error") {
  CHECK(anb_cache_check(nullptr) == ANB_BAD_HANDLE);
  const std::string mine = anb_last_error();
  std::string at_first = "?", theirs;
  std::thread([&] {
    at_first = anb_last_error();
    anb_cache_create(nullptr, nullptr);
    theirs = anb_last_error();
  }).join();
  CHECK(at_first == "");
  CHECK(theirs.find("cache is NULL") != std::string::npos);
  CHECK(anb_last_error() == mine);
}
