// The host's run of the phases itself: the order of warps must not matter, and bad calls are refused.
#include <string>

#include "catch.hpp"
#include "host_blocks.hpp"
#include "reference.hpp"

using namespace anabranch;
using namespace anabranch::test;

namespace anabranch::test {
AttentionResult run_attention_in(const AttentionCase& given, const cuda::DevicePlan& plan, WarpOrder order);
}

namespace {

std::string refusal(const cuda::Rows& rows, const attention::KvTensors& kv, const cuda::DeviceMemory& memory) {
  try {
    cuda::make_calls({{6, 2, 64}, Element::bfloat16, 1.0f}, {16, 16, 16, 16}, rows, kv, memory);
  } catch (const Error& error) {
    CHECK(error.status() == Status::bad_argument);
    return error.what();
  }
  return "taken";
}

}  // namespace

TEST_CASE("between barriers the order of the warps changes nothing") {
  for (const int head_dim : {64, 256}) {
    TreeWorld world(Places::scattered, 300);
    world.begin();
    for (const int kid : world.fork(0, 9)) world.append(kid, 3);
    const Pass& pass = world.plan();
    const AttentionCase given = make_case(pass, {7, 1, head_dim}, Element::float16);
    cuda::DevicePlan plan(given.shape, kTestLimits);
    plan.build(*pass.plan);
    const AttentionResult forwards = run_attention_in(given, plan, WarpOrder::forwards);
    const AttentionResult backwards = run_attention_in(given, plan, WarpOrder::backwards);
    CHECK(forwards.out == backwards.out);
    CHECK(forwards.lse == backwards.lse);
  }
}

TEST_CASE("a call that the kernels cannot take is refused with value and limit") {
  alignas(16) static std::byte memory[32];
  const cuda::DeviceMemory scratch{memory, memory};
  cuda::Rows rows{.queries = memory, .query_stride = 384, .out = memory, .out_stride = 384};
  attention::KvTensors kv =
      attention::make_kv_tensors({6, 2, 64}, Element::bfloat16, KvLayout::slot_major, 4, memory, memory);
  CHECK(refusal(rows, kv, scratch) == "taken");
  const auto with_rows = [&](auto change) {
    cuda::Rows changed = rows;
    change(changed);
    return refusal(changed, kv, scratch);
  };
  const auto with_kv = [&](auto change) {
    attention::KvTensors changed = kv;
    change(changed);
    return refusal(rows, changed, scratch);
  };
  CHECK(with_rows([](auto& r) { r.query_stride = 388; }) ==
        "query_stride is 388 elements; at least 384 and a multiple of 8 are needed");
  CHECK(with_rows([](auto& r) { r.out_stride = 383; }) ==
        "out_stride is 383 elements; at least 384 and a multiple of 1 are needed");
  CHECK(with_rows([](auto& r) { r.out = nullptr; }) == "out is null");
  CHECK(with_rows([](auto& r) { r.queries = memory + 8; }) == "queries lies at a multiple of 8 bytes, 16 are needed");
  CHECK(with_rows([](auto& r) { r.query_element = Element::float16; }) ==
        "queries have element 2; float32 (0) or the element of K and V, 1, are possible");
  CHECK(with_kv([](auto& s) { s.slot_stride = 56; }) ==
        "slot_stride is 56 elements; at least 64 and a multiple of 8 are needed");
  CHECK(with_kv([](auto& s) { s.keys = nullptr; }) == "keys is null");
  CHECK(with_kv([](auto& s) { s.element = Element::int8; }) == "K and V have element 3, the attention was made for 1");
  CHECK(refusal(rows, kv, {memory, nullptr}) == "the workspace is null");
}
