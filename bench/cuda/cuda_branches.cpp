// Question: what does attention for 8 branches on a trunk of 16,384 tokens cost on a CUDA device, against one branch at
// a time?
//
// Both sides read the same K/V tensors in bfloat16, 28 query and 4 KV heads of 128, and are timed in turns with events,
// many calls to a repeat. Plans are uploaded before, so only `run` is timed, as in every layer but the first. Without a
// device the bench says so and measures nothing.
#include <algorithm>
#include <cstdio>
#include <functional>
#include <vector>

#include <anabranch/anabranch.hpp>
#include <anabranch/cuda/branch_attention.hpp>

#include "device_buffer.hpp"

namespace {

using namespace anabranch;
using test::check;
using test::DeviceBuffer;

constexpr cuda::HeadShape kShape{28, 4, 128};
constexpr std::int32_t kTrunk = 16384;
constexpr int kBranches = 8;
constexpr int kRepeats = 15;
constexpr int kCalls = 50;

/// A plan on the device with its scratch memory.
struct Uploaded {
  cuda::DevicePlan plan{kShape, {64, 4096, 16384, 16384}};
  DeviceBuffer memory, workspace;
  Uploaded(const cuda::BranchAttention& attention, const StepPlan& step) : memory(bytes(step)), workspace(scratch()) {
    attention.upload(plan, memory.get(), nullptr);
  }

 private:
  std::size_t bytes(const StepPlan& step) {
    plan.build(step);
    return plan.bytes().size();
  }
  std::size_t scratch() const { return cuda::workspace_bytes(kShape, plan.bucket()); }
};

/// The trunk, its branches with three tokens each, and the arrays of a pass.
class World {
 public:
  World() : sequence_(cache_.create_sequence()) {
    Step step = cache_.begin_step();
    step.append_unknown(sequence_, kTrunk);
    kids_ = step.fork(sequence_, kBranches);
    for (const SequenceId kid : kids_) step.append_unknown(kid, 3);
    if (!step.plan()) fail(Status::no_room, "the pool is too small");
    step.commit();
    check(cudaMemset(keys_.get(), 0, tensor_bytes()));
    check(cudaMemset(values_.get(), 0, tensor_bytes()));
    check(cudaMemset(queries_.get(), 0, kBranches * static_cast<std::size_t>(kShape.q_width()) * 2));
  }

  /// The pass in which branches [begin, end) get one token each.
  Uploaded upload(std::size_t begin, std::size_t end) {
    Step step = cache_.begin_step();
    for (std::size_t k = begin; k < end; ++k) step.append_unknown(kids_[k], 1);
    const PlanResult plan = step.plan();
    if (!plan) fail(Status::no_room, "the pool is too small");
    return {attention_, *plan};  // the step is aborted
  }

  void run(const Uploaded& pass) {
    const std::int64_t width = kShape.q_width();
    attention_.run(pass.plan.bucket(),
                   {.queries = queries_.get(),
                    .query_element = cuda::Element::bfloat16,
                    .query_stride = width,
                    .out = out_.get(),
                    .out_element = cuda::Element::bfloat16,
                    .out_stride = width},
                   attention::make_kv_tensors(kShape, cuda::Element::bfloat16, attention::KvLayout::slot_major,
                                              cache_.n_slots(), keys_.get(), values_.get()),
                   {pass.memory.get(), pass.workspace.get()}, nullptr);
  }

 private:
  std::size_t tensor_bytes() const {
    return static_cast<std::size_t>(cache_.n_slots()) * static_cast<std::size_t>(kShape.kv_width()) * 2;
  }

  KvCache cache_{{.n_pages = kTrunk / 16 + 64, .page_size = 16}};
  SequenceId sequence_;
  std::vector<SequenceId> kids_;
  cuda::BranchAttention attention_{kShape, cuda::Element::bfloat16};
  DeviceBuffer keys_{tensor_bytes()}, values_{tensor_bytes()};
  DeviceBuffer queries_{kBranches * static_cast<std::size_t>(kShape.q_width()) * 2};
  DeviceBuffer out_{kBranches * static_cast<std::size_t>(kShape.q_width()) * 2};
};

/// Microseconds of one call of `work`, from events around many.
double microseconds(const std::function<void()>& work) {
  cudaEvent_t begin = nullptr, end = nullptr;
  check(cudaEventCreate(&begin));
  check(cudaEventCreate(&end));
  check(cudaEventRecord(begin));
  for (int i = 0; i < kCalls; ++i) work();
  check(cudaEventRecord(end));
  check(cudaEventSynchronize(end));
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, begin, end));
  check(cudaEventDestroy(begin));
  check(cudaEventDestroy(end));
  return 1000.0 * static_cast<double>(milliseconds) / kCalls;
}

void print(const char* name, std::vector<double> times) {
  std::sort(times.begin(), times.end());
  const double median = times[times.size() / 2];
  const double bytes = 4.0 * kTrunk * kShape.kv_width();
  std::printf("%-32s %9.1f %9.1f %9.1f   %.0f GB/s of the trunk's K and V\n", name, median, times.front(), times.back(),
              bytes / median / 1000);
}

int measure() {
  cudaDeviceProp device{};
  check(cudaGetDeviceProperties(&device, 0));
  std::printf("machine: %s, %d multiprocessors; %d repeats of %d calls\n", device.name, device.multiProcessorCount,
              kRepeats, kCalls);
  World world;
  const Uploaded together = world.upload(0, kBranches);
  std::vector<Uploaded> alone;
  for (std::size_t k = 0; k < kBranches; ++k) alone.push_back(world.upload(k, k + 1));
  const auto run_alone = [&] {
    for (const Uploaded& pass : alone) world.run(pass);
  };
  run_alone();
  world.run(together);
  std::vector<double> times[2], ratios;
  for (int i = 0; i < kRepeats; ++i) {
    times[0].push_back(microseconds([&] { world.run(together); }));
    times[1].push_back(microseconds(run_alone));
    ratios.push_back(times[1].back() / times[0].back());
  }
  std::printf("%-32s %9s %9s %9s\n", "us", "median", "min", "max");
  print("8 branches in one pass", times[0]);
  print("8 branches, one after another", times[1]);
  std::sort(ratios.begin(), ratios.end());
  std::printf("cuda_branches: %.2f times as fast (%.2f..%.2f)\n", ratios[kRepeats / 2], ratios.front(), ratios.back());
  return 0;
}

}  // namespace

int main() {
  std::puts("What does attention for 8 branches on 16,384 tokens cost on a CUDA device, against one branch at a time?");
  if (cuda::device_count() == 0) {
    std::puts("cuda_branches: not run, there is no CUDA device of compute capability 8.0 or later");
    return 0;
  }
  return measure();
}
