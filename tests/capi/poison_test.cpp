// A broken invariant of the library itself. No caller can make that happen, so this test reaches
// behind the border: it links the sources of the C ABI and breaks something inside a call.
#include <cstring>
#include <stdexcept>
#include <string>

#include "impl/decoder_object.hpp"

#include "catch.hpp"

using namespace anabranch;
using namespace anabranch::capi;

namespace {

struct Cache {
  Cache() { REQUIRE(anb_cache_create(nullptr, &handle) == ANB_OK); }
  ~Cache() { anb_cache_destroy(handle); }
  anb_cache* handle = nullptr;
};

anb_status break_something(anb_cache* cache) {
  return with_cache(cache, [](CacheObject& object) -> Status {
    ANABRANCH_ASSERT(object.cache.n_sequences() < 0);
    return Status::ok;
  });
}

}  // namespace

TEST_CASE("a broken invariant poisons the handle and whatever shares its cache, and nothing else") {
  Cache good, bad;
  anb_decoder* decoder = nullptr;
  REQUIRE(anb_decoder_create(bad.handle, nullptr, &decoder) == ANB_OK);
  anb_step* step = nullptr;
  REQUIRE(anb_step_begin(bad.handle, &step) == ANB_OK);
  anb_sequence sequence = 0;
  REQUIRE(anb_step_create_sequence(step, 0, &sequence) == ANB_OK);

  CHECK(break_something(bad.handle) == ANB_INTERNAL);
  CHECK(std::string(anb_last_error()).find("object.cache.n_sequences() < 0") != std::string::npos);

  anb_cache_statistics statistics = ANB_CACHE_STATISTICS_INIT;
  CHECK(anb_cache_get_statistics(bad.handle, &statistics) == ANB_POISONED);
  CHECK(statistics.n_pages == 0);
  CHECK(anb_step_append_unknown(step, sequence, 1, ANB_LOGITS_NONE) == ANB_POISONED);
  CHECK(anb_step_abort(step) == ANB_POISONED);
  anb_request request = 77;
  const anb_token prompt[] = {1};
  CHECK(anb_decoder_submit(decoder, prompt, 1, nullptr, &request) == ANB_POISONED);
  CHECK(request == 77);
  CHECK(anb_cache_get_statistics(good.handle, &statistics) == ANB_OK);
  anb_decoder_destroy(decoder);
  CHECK(anb_decoder_abort(decoder) == ANB_BAD_HANDLE);
}

TEST_CASE("what a call throws becomes a status with its text") {
  Cache cache;
  const auto thrown = [&](auto&& body) { return with_cache(cache.handle, body); };
  CHECK(thrown([](CacheObject&) -> Status { throw std::bad_alloc(); }) == ANB_OUT_OF_MEMORY);
  CHECK(thrown([](CacheObject&) -> Status { throw std::length_error("vector"); }) == ANB_OUT_OF_MEMORY);
  CHECK(thrown([](CacheObject&) -> Status { fail(Status::bad_argument, "n is -3"); }) == ANB_BAD_ARGUMENT);
  CHECK(std::string(anb_last_error()) == "n is -3");
  CHECK(thrown([](CacheObject&) -> Status { return Status::ok; }) == ANB_OK);
  CHECK(thrown([](CacheObject&) -> Status { throw std::runtime_error("no idea"); }) == ANB_INTERNAL);
  CHECK(std::string(anb_last_error()) == "no idea");
  CHECK(thrown([](CacheObject&) -> Status { return Status::ok; }) == ANB_POISONED);
  Cache other;
  CHECK(with_cache(other.handle, [](CacheObject&) -> Status { throw 42; }) == ANB_INTERNAL);
}

TEST_CASE("an error text longer than its buffer is cut between characters") {
  std::string text(1021, 'x');
  text += "\xc3\xa4\xc3\xa4";  // two characters of two bytes: only one fits
  CHECK(report(Status::bad_argument, text.c_str()) == ANB_BAD_ARGUMENT);
  CHECK(std::string(anb_last_error()) == text.substr(0, 1023));
  text.insert(0, "x");
  report(Status::bad_argument, text.c_str());
  CHECK(std::string(anb_last_error()) == text.substr(0, 1022));
}

TEST_CASE("a call into a handle that is in use is refused") {
  Cache cache;
  const anb_status inner = with_cache(cache.handle, [&](CacheObject&) -> Status {
    anb_step* step = nullptr;
    CHECK(anb_step_begin(cache.handle, &step) == ANB_WRONG_STATE);
    anb_cache_destroy(cache.handle);  // does nothing
    return Status::ok;
  });
  CHECK(inner == ANB_OK);
  CHECK(anb_cache_check(cache.handle) == ANB_OK);
}
