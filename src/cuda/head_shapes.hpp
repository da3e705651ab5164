// The head shapes that have a kernel.
#pragma once

#include <string>
#include <type_traits>

#include <anabranch/attention/kv_tensors.hpp>
#include <anabranch/error.hpp>

#include "plan_layout.hpp"

namespace anabranch::cuda {

/// Throws bad_argument for an impossible shape, unsupported for one without a kernel.
inline void check_head_shape(const HeadShape& shape) {
  const std::string text = std::to_string(shape.query_heads) + " query heads, " + std::to_string(shape.kv_heads) +
                           " KV heads of " + std::to_string(shape.head_dim);
  if (shape.query_heads < 1 || shape.kv_heads < 1 || shape.query_heads % shape.kv_heads != 0)
    fail(Status::bad_argument, text, ": the KV heads must divide the query heads");
  if (shape.share() > kBlockQueries)
    fail(Status::unsupported, text, ": at most ", kBlockQueries, " query heads may share a KV head");
  for (const std::int32_t size : {64, 80, 96, 128, 256})
    if (shape.head_dim == size) return;
  fail(Status::unsupported, text, ": the CUDA kernels are for heads of 64, 80, 96, 128 and 256");
}

/// Calls visit(std::integral_constant<int, head_dim>). REQUIRES: check_head_shape.
template <class Visit>
void with_head_dim(std::int32_t head_dim, Visit&& visit) {
  switch (head_dim) {
    case 64: return visit(std::integral_constant<int, 64>{});
    case 80: return visit(std::integral_constant<int, 80>{});
    case 96: return visit(std::integral_constant<int, 96>{});
    case 128: return visit(std::integral_constant<int, 128>{});
    default: return visit(std::integral_constant<int, 256>{});
  }
}

}  // namespace anabranch::cuda
