// The C ABI against C++: exceptions out of callbacks, and memory that runs out.
#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "../decode/refusing_new.hpp"
#include "anabranch_attention.h"
#include "catch.hpp"

namespace {

int n_allocations = 0;
int n_until_refusal = -1;  // < 0: all work

bool count_and_refuse() {
  ++n_allocations;
  return n_until_refusal >= 0 && n_until_refusal-- == 0;
}

/// Allocations are counted, and perhaps refused, while it lives.
struct Watched {
  explicit Watched(int until_refusal = -1) {
    n_allocations = 0;
    n_until_refusal = until_refusal;
    refusing_new::refuse = count_and_refuse;
  }
  ~Watched() { refusing_new::refuse = nullptr; }
};

constexpr int kHeads = 4, kDim = 64, kRows = 4;

/// `kRows` rows that see the same `n_keys` keys, which are all equal: each row's result is the first value's elements.
struct Host {
  explicit Host(int n_keys) : run_{0, n_keys, 0}, keys(size(n_keys), 0.0f), values(size(n_keys), 3.0f) {
    kv.n_slots = n_keys;
    kv.keys = keys.data();
    kv.values = values.data();
    rows.queries = queries.data();
    rows.out = out.data();
  }
  static std::size_t size(int n) { return static_cast<std::size_t>(n) * kHeads * kDim; }
  anb_status create() {
    anb_attention_options options = ANB_ATTENTION_OPTIONS_INIT;
    options.query_heads = options.kv_heads = kHeads;
    options.head_dim = kDim;
    return anb_attention_create(&options, &attention);
  }
  /// One view of all keys, cut into `n_parts` runs.
  anb_status plan(int n_parts) {
    for (int p = 0; p < n_parts; ++p) parts[p] = {run_.count * p / n_parts, 0, run_.count * p / n_parts};
    for (int p = 0; p < n_parts; ++p) parts[p].count = run_.count * (p + 1) / n_parts - parts[p].offset;
    const anb_view view = {parts, n_parts, 0, run_.count, 0, 1};
    const anb_group group = {0, kRows, 0, 1, run_.count, ANB_VISIBILITY_FULL};
    return anb_attention_plan(attention, &group, 1, &view, 1, kRows);
  }
  anb_status run(const anb_attention_threads* threads = nullptr) {
    return anb_attention_run(attention, &rows, &kv, threads, workspace.data(), workspace.size());
  }
  bool right() const {
    for (const float x : out)
      if (x != 3.0f) return false;
    return true;
  }

  anb_attention* attention = nullptr;
  anb_slot_run run_, parts[8] = {};
  std::vector<float> keys, values;
  std::vector<float> queries = std::vector<float>(size(kRows), 1.0f), out = std::vector<float>(size(kRows));
  std::vector<std::byte> workspace = std::vector<std::byte>(1 << 20);
  anb_attention_kv kv = ANB_ATTENTION_KV_INIT;
  anb_attention_rows rows = ANB_ATTENTION_ROWS_INIT;
};

}  // namespace

TEST_CASE("an exception out of the threads' callback becomes a status, and the next run is right") {
  Host host(1024);
  REQUIRE(host.create() == ANB_OK);
  REQUIRE(host.plan(1) == ANB_OK);
  anb_attention_threads threads = ANB_ATTENTION_THREADS_INIT;
  threads.n_workers = 2;
  threads.run = [](int32_t, anb_attention_task task, void* body, void*) {
    task(body, 0);
    throw std::runtime_error("no more threads");
  };
  CHECK(host.run(&threads) == ANB_CALLBACK_FAILED);
  CHECK(std::strcmp(anb_attention_last_error(), "run of the threads threw an exception") == 0);
  CHECK(host.run() == ANB_OK);
  CHECK(host.right());
  anb_attention_destroy(host.attention);
}

TEST_CASE("an allocation may be refused in any call, which leaves the plan before as it was") {
  Host host(1024);
  const auto refused_create = [&](int at) {
    const Watched watched(at);
    return host.create();
  };
  int at = 0;
  for (; refused_create(at) != ANB_OK; ++at) {
    REQUIRE(at < 50);
    CHECK(host.attention == nullptr);
    CHECK(std::strstr(anb_attention_last_error(), "out of memory") != nullptr);
  }
  CHECK(at > 0);
  REQUIRE(host.plan(1) == ANB_OK);
  const auto refused_plan = [&](int until) {
    const Watched watched(until);
    return host.plan(8);
  };
  for (at = 0; refused_plan(at) != ANB_OK; ++at) {
    REQUIRE(at < 50);
    std::fill(host.out.begin(), host.out.end(), 0.0f);
    CHECK(host.run() == ANB_OK);
    CHECK(host.right());
  }
  CHECK(at > 0);
  CHECK(host.run() == ANB_OK);
  CHECK(host.right());
  anb_attention_destroy(host.attention);
}

TEST_CASE("plans of the same size, stores and runs allocate nothing") {
  Host host(1024);
  REQUIRE(host.create() == ANB_OK);
  for (int i = 0; i < 2; ++i) REQUIRE(host.plan(8) == ANB_OK);  // one plan is made beside the other
  const anb_slot slots[] = {1, 5};
  anb_attention_new_rows new_rows = ANB_ATTENTION_NEW_ROWS_INIT;
  new_rows.n_rows = 2;
  new_rows.keys = host.keys.data();
  new_rows.values = host.values.data();
  new_rows.slots = slots;
  REQUIRE(host.run() == ANB_OK);  // the first of a process chooses the instruction set
  int n_failed = 0;
  {
    const Watched watched;
    for (int pass = 0; pass < 3; ++pass) {
      n_failed += host.plan(8) != ANB_OK;
      n_failed += anb_attention_store(host.attention, &new_rows, &host.kv) != ANB_OK;
      n_failed += host.run() != ANB_OK;
    }
  }
  CHECK(n_failed == 0);
  CHECK(n_allocations == 0);
  CHECK(host.right());
  anb_attention_destroy(host.attention);
}
