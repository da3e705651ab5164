#include "comparison.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace anabranch::bench {
namespace {

double max_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double most = a.size() == b.size() ? 0 : INFINITY;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    if (!(difference <= most)) most = difference;  // NaN too
  }
  return most;
}

double median(const Timed& side) { return spread_of(side.rounds).median; }

}  // namespace

const Timed* Comparison::find(Kind kind, attention::Element element) const {
  for (const Timed& side : sides)
    if (side.kind == kind && side.element == element) return &side;
  return nullptr;
}

const Timed* Comparison::best(Kind kind) const {
  const Timed* found = nullptr;
  for (const Timed& side : sides)
    if (side.kind == kind && (found == nullptr || median(side) < median(*found))) found = &side;
  return found;
}

Spread ratio(const Timed& other, const Timed& one) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < one.rounds.size(); ++i) ratios.push_back(other.rounds[i] / one.rounds[i]);
  return spread_of(ratios);
}

Spread over_limit(const Timed& side) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < side.rounds.size(); ++i) ratios.push_back(side.rounds[i] / side.limits[i].seconds());
  return spread_of(ratios);
}

void Comparison::print() const {
  const attention::HeadShape& h = shape.heads;
  std::printf("\nheads %d/%d of %d, trunk %d, branches %s, threads %d; %zu rounds\n", h.query_heads, h.kv_heads,
              h.head_dim, shape.trunk, shape.branches().c_str(), n_threads, sides.front().rounds.size());
  const Timed* ours = best(Kind::ours);
  std::printf("  %-34s %8s %8s %8s  %8s %8s %8s %7s %11s\n", "ms per layer", "min", "median", "max", "limit",
              "min / it", "median", ours != nullptr ? "/ ours" : "", "difference");
  for (const Timed& side : sides) {
    const Spread s = spread_of(side.rounds), over = over_limit(side);
    std::vector<double> limits;
    for (const Limit& limit : side.limits) limits.push_back(limit.seconds());
    const Limit& last = side.limits.back();
    std::printf("  %-34s %8.3f %8.3f %8.3f %c%8.3f %8.2f %8.2f ", side.name.c_str(), s.min * 1e3, s.median * 1e3,
                s.max * 1e3, last.reading > last.computing ? 'r' : 'c', spread_of(limits).median * 1e3, over.min,
                over.median);
    if (ours != nullptr)
      std::printf("%6.2fx", ratio(side, *ours).median);
    else
      std::printf("%7s", "");
    std::printf(" %11.1e\n", side.max_difference);
  }
}

Comparison compare(const Problem& problem, Sides& sides, const std::vector<float>& reference, Machine& machine,
                   int n_threads, const Effort& effort) {
  Comparison result;
  result.shape = problem.shape();
  result.n_threads = n_threads;
  for (const auto& side : sides) {  // also warms up
    side->set_threads(n_threads);
    side->run();
    const double difference = max_difference(side->result(), reference);
    result.sides.push_back({side->kind(), side->name(), side->element(), {}, {}, difference});
  }
  double spent = 0;
  Speed before = machine.measure(n_threads);
  for (int round = 0; round < effort.max_rounds; ++round) {
    if (round >= effort.min_rounds && spent > effort.seconds) break;
    for (std::size_t turn = 0; turn < sides.size(); ++turn) {
      const std::size_t i = (turn + static_cast<std::size_t>(round)) % sides.size();
      const double time = seconds([&] { sides[i]->run(); });
      result.sides[i].rounds.push_back(time / sides[i]->n_layers());
      spent += time;
    }
    const Speed after = machine.measure(n_threads);
    for (Timed& side : result.sides) side.limits.push_back(limit_of(problem, side.element, better_of(before, after)));
    before = after;
  }
  return result;
}

}  // namespace anabranch::bench
