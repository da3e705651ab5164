// run_attention on the host. Arrays that the kernels must write start as NaN.
#include <limits>

#include "host_blocks.hpp"
#include "packed_case.hpp"

namespace anabranch::test {
namespace {

struct alignas(16) Aligned {
  std::byte bytes[16];
};

std::vector<Aligned> aligned(const void* from, std::size_t n_bytes) {
  std::vector<Aligned> memory((n_bytes + 15) / 16);
  std::memcpy(static_cast<void*>(memory.data()), from, n_bytes);
  return memory;
}

}  // namespace

AttentionResult run_attention_in(const AttentionCase& given, const cuda::DevicePlan& plan, WarpOrder order) {
  const cuda::AttentionKind kind{given.shape, given.element, attention::scale_of(given.options, given.shape.head_dim),
                                 given.options.softcap};
  const std::vector<std::uint16_t> given_keys = laid_out(given, given.keys),
                                   given_values = laid_out(given, given.values);
  const Bytes query_bytes = packed_queries(given);
  auto keys = aligned(given_keys.data(), given_keys.size() * 2);
  auto values = aligned(given_values.data(), given_values.size() * 2);
  const auto queries = aligned(query_bytes.data(), query_bytes.size());
  auto packed = aligned(plan.bytes().data(), plan.bytes().size());
  std::vector<Aligned> workspace(cuda::workspace_bytes(given.shape, plan.bucket()) / 16 + 1);
  std::memset(static_cast<void*>(workspace.data()), 0xff, workspace.size() * 16);
  Bytes out(given.queries.size() * attention::element_size(given.out_element), std::byte{0xff});
  const auto n_rows = static_cast<std::size_t>(plan.sizes().n_rows);
  AttentionResult result;
  result.lse.assign(n_rows * static_cast<std::size_t>(given.shape.query_heads),
                    std::numeric_limits<float>::quiet_NaN());
  const cuda::Rows rows = rows_of(given, queries.data(), out.data(), result.lse.data());
  const attention::KvTensors kv =
      attention::make_kv_tensors(given.shape, given.element, given.layout, given.n_slots, keys.data(), values.data());
  run_on_host(cuda::make_calls(kind, plan.bucket(), rows, kv, {packed.data(), workspace.data()}), kind, plan.bucket(),
              order);
  result.out = widened(given, out);
  return result;
}

AttentionResult run_attention(const AttentionCase& given, const cuda::DevicePlan& plan) {
  return run_attention_in(given, plan, WarpOrder::forwards);
}

}  // namespace anabranch::test
