// run_attention on a device.
#include "device_buffer.hpp"
#include "packed_case.hpp"

namespace anabranch::test {

AttentionResult run_attention(const AttentionCase& given, const cuda::DevicePlan& plan) {
  DeviceBuffer keys(laid_out(given, given.keys)), values(laid_out(given, given.values));
  DeviceBuffer queries(packed_queries(given));
  DeviceBuffer device_plan(plan.bytes().size());
  DeviceBuffer workspace(cuda::workspace_bytes(given.shape, plan.bucket()));
  Bytes out(given.queries.size() * attention::element_size(given.out_element));
  AttentionResult result;
  result.lse.resize(static_cast<std::size_t>(plan.sizes().n_rows) * static_cast<std::size_t>(given.shape.query_heads));
  DeviceBuffer device_out(out.size()), device_lse(result.lse.size() * sizeof(float));

  const cuda::BranchAttention attention(given.shape, given.element, given.options);
  attention.upload(plan, device_plan.get(), nullptr);
  attention.run(
      plan.bucket(), rows_of(given, queries.get(), device_out.get(), static_cast<float*>(device_lse.get())),
      attention::make_kv_tensors(given.shape, given.element, given.layout, given.n_slots, keys.get(), values.get()),
      {device_plan.get(), workspace.get()}, nullptr);
  check(cudaDeviceSynchronize());
  device_out.read(out);
  device_lse.read(result.lse);
  result.out = widened(given, out);
  return result;
}

}  // namespace anabranch::test
