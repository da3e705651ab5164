#include "threads.hpp"

#include <string>

#include "structs.hpp"

namespace anabranch::capi {
namespace {

/// One loop while it runs.
struct Loop {
  ParallelFor::Task task;
  void* body;
  std::int32_t n;
  std::atomic<bool>* repeated;
  std::atomic<std::int32_t> n_done{0};
  std::array<std::atomic<std::uint64_t>, kMaxWorkers / 64> begun{};
};

extern "C" {
/// Runs one task. An index that comes a second time, and would share a worker's memory, or that does not exist, is
/// recorded and runs nothing.
static void anb_attention_call_one(void* loop, int32_t index) {
  Loop& l = *static_cast<Loop*>(loop);
  bool known = index >= 0 && index < l.n;
  if (known) {
    const std::uint64_t bit = std::uint64_t{1} << index % 64;
    known = (l.begun[static_cast<std::size_t>(index / 64)].fetch_or(bit, std::memory_order_relaxed) & bit) == 0;
  }
  if (!known) return l.repeated->store(true, std::memory_order_relaxed);
  l.task(l.body, index);
  l.n_done.fetch_add(1, std::memory_order_release);
}
}

}  // namespace

void check_workers(std::int32_t n_workers) {
  if (n_workers < 1 || n_workers > kMaxWorkers)
    fail(Status::bad_argument, "n_workers is ", n_workers, ", must be 1 to ", kMaxWorkers);
}

CallersThreads::CallersThreads(const anb_attention_threads* threads)
    : threads_(read_struct(threads, anb_attention_threads ANB_ATTENTION_THREADS_INIT, "anb_attention_threads")) {
  check_workers(threads_.n_workers);
  if (threads_.run == nullptr && threads_.n_workers > 1)
    fail(Status::bad_argument, "run of the threads is NULL and n_workers ", threads_.n_workers);
}

ParallelFor CallersThreads::loop() noexcept {
  return threads_.run == nullptr ? ParallelFor() : ParallelFor(run, this, threads_.n_workers);
}

void CallersThreads::run(void* self, std::int32_t n, ParallelFor::Task task, void* body) noexcept {
  CallersThreads& t = *static_cast<CallersThreads*>(self);
  Loop loop{task, body, n, &t.repeated_};
  try {
    t.threads_.run(n, anb_attention_call_one, &loop, t.threads_.user);
  } catch (...) {
    t.threw_ = true;
  }
  t.n_missing_ += n - loop.n_done.load(std::memory_order_acquire);
}

void CallersThreads::check() const {
  if (threw_) fail(Status::callback_failed, "run of the threads threw an exception");
  if (n_missing_ > 0) fail(Status::callback_failed, "run of the threads has left out ", n_missing_, " tasks");
  if (repeated_)
    fail(Status::callback_failed, "run of the threads has called a task a second time, or one that does not exist");
}

}  // namespace anabranch::capi
