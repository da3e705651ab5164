// A CUDA graph that was captured for a bucket is replayed with other plans. On a device only.
#include <string>

#include "catch.hpp"
#include "device_buffer.hpp"
#include "packed_case.hpp"
#include "random_steps.hpp"
#include "reference.hpp"

using namespace anabranch;
using namespace anabranch::test;

namespace {

constexpr cuda::PlanSizes kBucket{128, 256, 1024, 1024};
constexpr HeadShape kShape{14, 2, 128};
constexpr Element kElement = Element::bfloat16;

/// Buffers that stay where they are from pass to pass, and the graph of one attention call on them.
class CapturedCall {
 public:
  explicit CapturedCall(std::int32_t n_slots)
      : keys_(tensor_bytes(n_slots)),
        values_(tensor_bytes(n_slots)),
        queries_(row_bytes()),
        out_(row_bytes()),
        plan_(cuda::plan_bytes(kBucket)),
        workspace_(cuda::workspace_bytes(kShape, kBucket)) {
    check(cudaStreamCreate(&stream_));
    check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
    const std::int64_t width = kShape.q_width();
    attention_.run(
        kBucket, {.queries = queries_.get(), .query_stride = width, .out = out_.get(), .out_stride = width},
        attention::make_kv_tensors(kShape, kElement, KvLayout::slot_major, n_slots, keys_.get(), values_.get()),
        {plan_.get(), workspace_.get()}, stream_);
    cudaGraph_t graph = nullptr;
    check(cudaStreamEndCapture(stream_, &graph));
    check(cudaGraphInstantiate(&replay_, graph, 0));
    check(cudaGraphDestroy(graph));
  }
  CapturedCall(const CapturedCall&) = delete;
  CapturedCall& operator=(const CapturedCall&) = delete;
  ~CapturedCall() {
    cudaGraphExecDestroy(replay_);
    cudaStreamDestroy(stream_);
  }

  std::vector<float> run(const AttentionCase& given, const cuda::DevicePlan& plan) {
    keys_.write(given.keys);
    values_.write(given.values);
    queries_.write(given.queries);
    attention_.upload(plan, plan_.get(), stream_);
    check(cudaGraphLaunch(replay_, stream_));
    check(cudaStreamSynchronize(stream_));
    std::vector<float> out(given.queries.size());
    out_.read(out);
    return out;
  }

 private:
  static std::size_t tensor_bytes(std::int32_t n_slots) {
    return static_cast<std::size_t>(n_slots) * static_cast<std::size_t>(kShape.kv_width()) * 2;
  }
  static std::size_t row_bytes() {
    return static_cast<std::size_t>(kBucket.n_rows) * static_cast<std::size_t>(kShape.q_width()) * sizeof(float);
  }

  cuda::BranchAttention attention_{kShape, kElement};
  DeviceBuffer keys_, values_, queries_, out_, plan_, workspace_;
  cudaStream_t stream_ = nullptr;
  cudaGraphExec_t replay_ = nullptr;
};

}  // namespace

TEST_CASE("a graph captured for a bucket serves every plan of the bucket") {
  TreeWorld world(Places::scattered, 300);
  RandomSteps tree(51, world);
  world.begin();
  world.append(0, 1);
  CapturedCall call(world.plan().plan->n_slots);
  world.abort();
  for (int i = 0; i < 20; ++i) {
    tree.step(3);
    const Pass& pass = world.plan();
    const AttentionCase given = make_case(pass, kShape, kElement);
    cuda::DevicePlan plan(kShape, kBucket);
    plan.build(*pass.plan, kBucket);
    CHECK(difference(call.run(given, plan), reference(given, pass).out) < 4e-3);
    world.commit();
  }
}

TEST_CASE("a call without memory is refused before anything is enqueued") {
  const cuda::BranchAttention attention(kShape, kElement);
  CHECK_THROWS_AS(attention.run(kBucket, {}, {.element = kElement}, {}, nullptr), Error);
  CHECK(cudaDeviceSynchronize() == cudaSuccess);
}

TEST_CASE("K and V of other elements are refused") {
  for (const Element element : {Element::float32, Element::int8})
    CHECK_THROWS_AS(cuda::BranchAttention(kShape, element), Error);
}
