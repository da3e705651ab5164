// A call that runs out of memory changes nothing, and commit needs none.
#include <functional>
#include <memory_resource>
#include <new>
#include <vector>

#include "cache_steps.hpp"

using namespace anabranch;
using namespace anabranch::test;

namespace {

/// Memory that can be told to refuse, and that knows whether everything was given back.
class ScarceMemory : public std::pmr::memory_resource {
 public:
  long n_until_refusal = -1;  ///< allocations that still work; < 0: all
  long n_allocations = 0;
  long bytes_out = 0;

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    if (n_until_refusal == 0) throw std::bad_alloc();
    if (n_until_refusal > 0) --n_until_refusal;
    ++n_allocations;
    void* memory = std::pmr::new_delete_resource()->allocate(bytes, alignment);
    bytes_out += static_cast<long>(bytes);
    return memory;
  }
  void do_deallocate(void* memory, std::size_t bytes, std::size_t alignment) override {
    bytes_out -= static_cast<long>(bytes);
    std::pmr::new_delete_resource()->deallocate(memory, bytes, alignment);
  }
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
};

struct State {
  std::vector<std::int32_t> numbers;
  explicit State(const KvCache& cache, const std::vector<SequenceId>& sequences) {
    numbers = {cache.n_sequences(), cache.n_free_pages()};
    for (const SequenceId sequence : sequences) {
      numbers.push_back(cache.alive(sequence) ? 1 : 0);
      if (!cache.alive(sequence)) continue;
      for (const std::int32_t n :
           {cache.n_tokens(sequence), cache.next_position(sequence),
            static_cast<std::int32_t>(cache.children(sequence).size()), cache.position_limit(sequence)})
        numbers.push_back(n);
    }
  }
  bool operator==(const State&) const = default;
};

}  // namespace

TEST_CASE("a call that runs out of memory leaves everything as it was") {
  for (long refuse_at = 0; refuse_at < 60; ++refuse_at) {
    ScarceMemory memory;
    {
      KvCache cache({.n_pages = 64, .page_size = 2, .keep_tokens = refuse_at % 2 == 0, .memory = &memory});
      const SequenceId sequence = cache.create_sequence();
      append(cache, sequence, 5);
      const State before(cache, {sequence});
      std::vector<SequenceId> kids(3);
      const std::vector<TokenId> some = tokens(40);
      SequenceId extra = kNoSequence;
      Step step = cache.begin_step();
      const std::vector<std::function<void()>> calls{
          [&] { step.append(sequence, some); },
          [&] { step.fork(sequence, kids); },
          [&] { step.append(kids[0], some, Logits::all); },
          [&] { step.append_unknown(kids[1], 3); },
          [&] { step.request_logits(kids[2]); },
          [&] { extra = step.create_sequence(); },
          [&] { step.append_unknown(sequence, 2); },
          [&] { step.rewind(kids[0], 50); },
          [&] {
            step.join(sequence, {kids[1], kids[0]});
          },
          [&] { step.rewind(sequence, 49); },
          [&] { step.adopt(sequence, kids[2]); },
          [&] { step.hold(sequence, 7); },
          [&] { step.drop(extra); },
          [&] {
            if (!step.plan()) fail(Status::no_room, "the pool is too small");
          },
      };
      memory.n_until_refusal = refuse_at;
      for (std::size_t i = 0; i < calls.size(); ++i) {
        const std::vector<SequenceId> all{sequence, kids[0], kids[1], kids[2], extra};
        const State now(cache, all);
        try {
          calls[i]();
        } catch (const std::bad_alloc&) {
          INFO("call " << i << ", refused at " << refuse_at);
          CHECK(State(cache, all) == now);
          memory.n_until_refusal = -1;
          calls[i]();  // and it works once there is memory
        }
      }
      memory.n_until_refusal = -1;
      if (refuse_at % 2 == 0) {
        memory.n_until_refusal = 0;
        step.commit();
        memory.n_until_refusal = -1;
        CHECK(cache.n_tokens(sequence) == 45);
      } else {
        memory.n_until_refusal = 0;
        step.abort();
        memory.n_until_refusal = -1;
        CHECK(State(cache, {sequence}) == before);
      }
      CHECK(violations(cache) == "");
      in_step(cache, [&](Step& last) { last.drop(sequence); });
      CHECK(cache.n_free_pages() == 64);
    }
    CHECK(memory.bytes_out == 0);
  }
}

TEST_CASE("in the steady state a decoding step allocates nothing") {
  ScarceMemory memory;
  KvCache cache({.n_pages = 4096, .page_size = 16, .memory = &memory});
  const SequenceId sequence = cache.create_sequence();
  std::vector<SequenceId> kids(8);
  in_step(cache, [&](Step& step) {
    step.append_unknown(sequence, 100);
    step.fork(sequence, kids);
    for (const SequenceId kid : kids) step.append_unknown(kid, 300);
  });
  const auto round = [&] {
    Step step = cache.begin_step();
    for (const SequenceId kid : kids) step.append(kid, {1}, Logits::last);
    finish(step);
  };
  for (int i = 0; i < 40; ++i) round();
  const long before = memory.n_allocations;
  for (int i = 0; i < 200; ++i) round();
  INFO(memory.n_allocations - before << " allocations in 200 steps");
  CHECK(memory.n_allocations - before <= 24);  // only the 8 run lists grow, by doubling
}
