#include "calls.hpp"

#include <string>

#include <anabranch/error.hpp>

namespace anabranch::cuda {
namespace {

constexpr float kLog2E = 1.4426950408889634f;

void check_pointer(const void* pointer, const char* what) {
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  if (pointer == nullptr || address % 16 != 0)
    fail(Status::bad_argument, what,
         (pointer == nullptr
              ? " is null"
              : " lies at a multiple of " + std::to_string(address & (~address + 1)) + " bytes, 16 are needed"));
}

void check_stride(std::int64_t stride, std::int64_t least, std::int64_t multiple, const char* what) {
  if (stride < least || stride % multiple != 0)
    fail(Status::bad_argument, what, " is ", stride, " elements; at least ", least, " and a multiple of ", multiple,
         " are needed");
}

void check_row_element(Element element, Element kv, const char* what) {
  if (element != Element::float32 && element != kv)
    fail(Status::bad_argument, what, " have element ", static_cast<int>(element),
         "; float32 (0) or the element of K and V, ", static_cast<int>(kv), ", are possible");
}

void check(const AttentionKind& kind, const Rows& rows, const KvTensors& kv, const DeviceMemory& memory) {
  if (kv.element != kind.element)
    fail(Status::bad_argument, "K and V have element ", static_cast<int>(kv.element), ", the attention was made for ",
         static_cast<int>(kind.element));
  check_row_element(rows.query_element, kind.element, "queries");
  check_row_element(rows.out_element, kind.element, "outputs");
  check_pointer(rows.queries, "queries");
  check_pointer(kv.keys, "keys");
  check_pointer(kv.values, "values");
  check_pointer(memory.plan, "the plan's buffer");
  check_pointer(memory.workspace, "the workspace");
  if (rows.out == nullptr) fail(Status::bad_argument, "out is null");
  check_stride(rows.query_stride, kind.shape.q_width(), 8, "query_stride");
  check_stride(rows.out_stride, kind.shape.q_width(), 1, "out_stride");
  check_stride(kv.slot_stride, kind.shape.head_dim, 8, "slot_stride");
  check_stride(kv.head_stride, kind.shape.head_dim, 8, "head_stride");
}

}  // namespace

Calls make_calls(const AttentionKind& kind, const PlanSizes& bucket, const Rows& rows, const KvTensors& kv,
                 const DeviceMemory& memory) {
  check(kind, rows, kv, memory);
  const PackedPlan plan = packed_plan(memory.plan, bucket);
  auto* outs = static_cast<float*>(memory.workspace);
  float* extremes = outs + std::int64_t{bucket.n_states} * kind.shape.q_width();
  Calls calls{};
  calls.partial = {.plan = plan,
                   .queries = rows.queries,
                   .float_queries = rows.query_element == Element::float32,
                   .query_stride = rows.query_stride,
                   .keys = static_cast<const std::uint16_t*>(kv.keys),
                   .values = static_cast<const std::uint16_t*>(kv.values),
                   .slot_stride = kv.slot_stride,
                   .head_stride = kv.head_stride,
                   .query_heads = kind.shape.query_heads,
                   .share = kind.shape.share(),
                   .scale = kind.scale * kLog2E,
                   .softcap = kind.softcap * kLog2E,
                   .extremes = extremes,
                   .outs = outs};
  calls.merge = {.plan = plan,
                 .extremes = extremes,
                 .outs = outs,
                 .query_heads = kind.shape.query_heads,
                 .head_dim = kind.shape.head_dim,
                 .out = rows.out,
                 .out_element = rows.out_element,
                 .out_stride = rows.out_stride,
                 .lse = rows.lse};
  return calls;
}

}  // namespace anabranch::cuda
