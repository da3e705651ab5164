// The arrays of an AttentionCase as the kernels take them, in host memory: what a device runner copies over.
#pragma once

#include <cstddef>
#include <cstring>
#include <vector>

#include "attention_case.hpp"

namespace anabranch::test {

/// Elements of queries or outputs of either kind.
using Bytes = std::vector<std::byte>;

inline Bytes packed_queries(const AttentionCase& given) {
  Bytes bytes(given.queries.size() * attention::element_size(given.query_element));
  if (given.query_element == Element::float32) {
    std::memcpy(bytes.data(), given.queries.data(), bytes.size());
    return bytes;
  }
  for (std::size_t i = 0; i < given.queries.size(); ++i) {
    const std::uint16_t bits = narrow(given.query_element, given.queries[i]);
    std::memcpy(bytes.data() + 2 * i, &bits, 2);
  }
  return bytes;
}

/// Keys or values in the case's layout.
inline std::vector<std::uint16_t> laid_out(const AttentionCase& given, const std::vector<std::uint16_t>& stored) {
  const attention::KvTensors place =
      attention::make_kv_tensors(given.shape, given.element, given.layout, given.n_slots, nullptr, nullptr);
  std::vector<std::uint16_t> result(stored.size());
  std::size_t i = 0;
  for (std::int64_t slot = 0; slot < given.n_slots; ++slot)
    for (std::int64_t head = 0; head < given.shape.kv_heads; ++head)
      for (std::int64_t d = 0; d < given.shape.head_dim; ++d)
        result[static_cast<std::size_t>(slot * place.slot_stride + head * place.head_stride + d)] = stored[i++];
  return result;
}

inline std::vector<float> widened(const AttentionCase& given, const Bytes& out) {
  std::vector<float> result(out.size() / attention::element_size(given.out_element));
  if (given.out_element == Element::float32) {
    std::memcpy(result.data(), out.data(), out.size());
    return result;
  }
  for (std::size_t i = 0; i < result.size(); ++i) {
    std::uint16_t bits;
    std::memcpy(&bits, out.data() + 2 * i, 2);
    result[i] = widen(given.out_element, bits);
  }
  return result;
}

/// The rows of a call on these arrays.
inline cuda::Rows rows_of(const AttentionCase& given, const void* queries, void* out, float* lse) {
  const std::int64_t width = given.shape.q_width();
  return {.queries = queries,
          .query_element = given.query_element,
          .query_stride = width,
          .out = out,
          .out_element = given.out_element,
          .out_stride = width,
          .lse = lse};
}

}  // namespace anabranch::test
