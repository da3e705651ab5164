// Attention the plain way: in double precision, for one row and head after another, over the tokens that the books say
// the row sees.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "attention_case.hpp"

namespace anabranch::test {

struct Reference {
  std::vector<double> out;  ///< [n_rows, query_heads * head_dim]
  std::vector<double> lse;  ///< [n_rows, query_heads]
};

inline double dot(const AttentionCase& given, const float* query, int token, int first) {
  double sum = 0;
  for (int d = 0; d < given.shape.head_dim; ++d)
    sum += static_cast<double>(query[d]) *
           static_cast<double>(widen(given.element, narrow(given.element, key_of(token, first + d))));
  const attention::ScoreOptions& o = given.options;
  sum *= o.scale > 0 ? static_cast<double>(o.scale) : 1.0 / std::sqrt(static_cast<double>(given.shape.head_dim));
  const auto cap = static_cast<double>(o.softcap);
  return cap > 0 ? cap * std::tanh(sum / cap) : sum;
}

/// The tokens that a row has in its window.
inline std::vector<int> seen_by(const AttentionCase& given, const Pass& pass, std::size_t row) {
  std::vector<int> seen = pass.sees[row];
  const std::int32_t window = given.options.window;
  const Position own = pass.position.at(pass.token_of_row[row]);
  if (window > 0) std::erase_if(seen, [&](int token) { return pass.position.at(token) <= own - window; });
  return seen;
}

inline Reference reference(const AttentionCase& given, const Pass& pass) {
  const int size = given.shape.head_dim;
  Reference result;
  for (std::size_t row = 0; row < pass.sees.size(); ++row) {
    const std::vector<int> seen = seen_by(given, pass, row);
    for (int head = 0; head < given.shape.query_heads; ++head) {
      const float* query = given.queries.data() + row * static_cast<std::size_t>(given.shape.q_width()) + head * size;
      const int first = head / given.shape.share() * size;
      std::vector<double> weights;
      for (const int token : seen) weights.push_back(dot(given, query, token, first));
      const double largest = *std::max_element(weights.begin(), weights.end());
      double sum = 0;
      for (double& w : weights) sum += w = std::exp(w - largest);
      result.lse.push_back(largest + std::log(sum));
      for (int d = 0; d < size; ++d) {
        double out = 0;
        for (std::size_t i = 0; i < weights.size(); ++i)
          out += weights[i] *
                 static_cast<double>(widen(given.element, narrow(given.element, value_of(seen[i], first + d))));
        result.out.push_back(out / sum);
      }
    }
  }
  return result;
}

/// Largest difference; NaN where one is not a number.
inline double difference(const std::vector<float>& a, const std::vector<double>& b) {
  double worst = a.size() == b.size() ? 0 : INFINITY;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    const double d = std::abs(static_cast<double>(a[i]) - b[i]);
    if (!(d <= worst)) worst = d;
  }
  return worst;
}

}  // namespace anabranch::test
