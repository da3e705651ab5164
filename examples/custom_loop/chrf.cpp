#include "chrf.hpp"

#include <algorithm>
#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace loop {
namespace {

constexpr std::size_t kLongest = 6;
constexpr double kBetaSquared = 4;

/// The text's characters without white space, each as its bytes.
std::vector<std::string> characters(std::string_view text) {
  std::vector<std::string> all;
  for (const char c : text) {
    const bool continues = (static_cast<unsigned char>(c) & 0xc0u) == 0x80u;
    if (continues && !all.empty()) {
      all.back() += c;
    } else if (std::string_view(" \t\n\v\f\r").find(c) == std::string_view::npos) {
      all.emplace_back(1, c);
    }
  }
  return all;
}

using Counts = std::map<std::string, std::size_t>;

Counts n_grams(const std::vector<std::string>& text, std::size_t n) {
  Counts counts;
  for (std::size_t i = 0; i + n <= text.size(); ++i) {
    std::string gram;
    for (std::size_t k = i; k < i + n; ++k) gram += text[k];
    ++counts[gram];
  }
  return counts;
}

std::size_t n_common(const Counts& a, const Counts& b) {
  std::size_t n = 0;
  for (const auto& [gram, count] : a)
    if (const auto found = b.find(gram); found != b.end()) n += std::min(count, found->second);
  return n;
}

}  // namespace

double chrf(std::string_view hypothesis, std::string_view reference) {
  const std::vector<std::string> a = characters(hypothesis);
  const std::vector<std::string> b = characters(reference);
  const std::size_t n_orders = std::min({kLongest, a.size(), b.size()});
  double precision = 0;
  double recall = 0;
  for (std::size_t n = 1; n <= n_orders; ++n) {
    const auto common = static_cast<double>(n_common(n_grams(a, n), n_grams(b, n)));
    precision += common / static_cast<double>(a.size() - n + 1);
    recall += common / static_cast<double>(b.size() - n + 1);
  }
  if (precision + recall == 0) return 0;
  const double orders = static_cast<double>(n_orders);
  precision /= orders;
  recall /= orders;
  return (1 + kBetaSquared) * precision * recall / (kBetaSquared * precision + recall);
}

}  // namespace loop
