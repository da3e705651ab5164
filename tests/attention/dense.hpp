// Attention by the definition, in double precision, over the keys that a row sees, which are those of a dense mask.
#pragma once

#include <cmath>
#include <vector>

#include "pass.hpp"

namespace anabranch::test {

struct DenseResult {
  std::vector<double> out, lse;
};

/// keys, values: [n_slots, kv_heads, head_dim], rounded as the K/V tensors hold them.
inline DenseResult dense(const Pass& pass, std::span<const float> queries, std::span<const float> keys,
                         std::span<const float> values, const attention::HeadShape& shape,
                         const attention::ScoreOptions& options = {}) {
  DenseResult result;
  const auto dim = static_cast<std::size_t>(shape.head_dim);
  const double factor =
      options.scale > 0 ? static_cast<double>(options.scale) : 1.0 / std::sqrt(static_cast<double>(shape.head_dim));
  const double cap = static_cast<double>(options.softcap);
  const std::vector<std::vector<Slot>> seen = pass.seen(options.window);
  const float* query = queries.data();
  for (const std::vector<Slot>& slots : seen)
    for (std::int32_t head = 0; head < shape.query_heads; ++head, query += dim) {
      const auto at = [&](Slot slot) {
        return (static_cast<std::size_t>(slot) * static_cast<std::size_t>(shape.kv_heads) +
                static_cast<std::size_t>(head / shape.share())) *
               dim;
      };
      std::vector<double> scores;
      for (const Slot slot : slots) {
        double dot = 0;
        for (std::size_t d = 0; d < dim; ++d)
          dot += static_cast<double>(query[d]) * static_cast<double>(keys[at(slot) + d]);
        scores.push_back(cap > 0 ? cap * std::tanh(dot * factor / cap) : dot * factor);
      }
      const double largest = *std::max_element(scores.begin(), scores.end());
      double sum = 0;
      std::vector<double> out(dim, 0.0);
      for (std::size_t i = 0; i < slots.size(); ++i) {
        const double weight = std::exp(scores[i] - largest);
        sum += weight;
        for (std::size_t d = 0; d < dim; ++d) out[d] += weight * static_cast<double>(values[at(slots[i]) + d]);
      }
      for (const double x : out) result.out.push_back(x / sum);
      result.lse.push_back(largest + std::log(sum));
    }
  return result;
}

}  // namespace anabranch::test
