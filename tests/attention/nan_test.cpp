// What is not a number comes out: a NaN in a query, or in a key or value that a row sees, is NaN in that row's result.
#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include <anabranch/simd.hpp>

#include "catch.hpp"
#include "pass.hpp"
#include "pass_tree.hpp"

using namespace anabranch;
using namespace anabranch::test;

namespace {

enum class Place { query, key, value };

/// A random pass with a NaN in one element of every head: of a row's queries, or of what it sees in one slot.
class PassWithNaN {
 public:
  explicit PassWithNaN(std::uint32_t seed) : tree_(seed * 613) {
    static const attention::HeadShape kNanShapes[] = {{3, 1, 64}, {14, 2, 128}, {6, 2, 40}, {9, 3, 7}};
    static const attention::ScoreOptions kNanOptions[] = {{}, {.window = 1}, {.softcap = 3.0f}, {.window = 37}};
    static const attention::Element kNanElements[] = {attention::Element::float32, attention::Element::bfloat16,
                                                      attention::Element::float16, attention::Element::int8};
    shape_ = kNanShapes[seed % 4];
    options_ = kNanOptions[seed / 4 % 4];
    element_ = kNanElements[seed / 16 % 4];
    tree_.grow(10);
    pass_ = tree_.pass_of_all();
    REQUIRE(pass_.n_rows() > 0);
    row_ = tree_.below(pass_.n_rows());
    unit_ = tree_.below(shape_.head_dim);
  }
  std::int32_t unit() const { return unit_; }
  const attention::HeadShape& shape() const { return shape_; }

  Result run(Place place) {
    const auto n_numbers = static_cast<std::size_t>(pass_.n_slots * shape_.kv_width());
    auto keys = random_floats(n_numbers, tree_.random()), values = random_floats(n_numbers, tree_.random());
    auto queries = random_floats(static_cast<std::size_t>(pass_.n_rows() * shape_.q_width()), tree_.random());
    const auto seen = pass_.seen(options_.window)[static_cast<std::size_t>(row_)];
    const Slot slot = seen[static_cast<std::size_t>(tree_.below(static_cast<std::int32_t>(seen.size())))];
    if (place == Place::query) spoil(queries, row_ * shape_.q_width(), shape_.query_heads);
    if (place == Place::key) spoil(keys, slot * shape_.kv_width(), shape_.kv_heads);
    if (place == Place::value) spoil(values, slot * shape_.kv_width(), shape_.kv_heads);
    Layer layer(shape_, element_, attention::KvLayout::head_major, pass_.n_slots);
    layer.fill(keys, values);
    return attend(pass_, queries, layer, shape_, {}, options_);
  }
  std::span<const float> out_of(const Result& result, std::int32_t head) const {
    const std::int32_t first = (row_ * shape_.query_heads + head) * shape_.head_dim;
    return std::span(result.out).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(shape_.head_dim));
  }
  float lse_of(const Result& result, std::int32_t head) const {
    return result.lse[static_cast<std::size_t>(row_ * shape_.query_heads + head)];
  }

 private:
  void spoil(std::vector<float>& numbers, std::int32_t first, std::int32_t n_heads) const {
    for (std::int32_t head = 0; head < n_heads; ++head)
      numbers[static_cast<std::size_t>(first + head * shape_.head_dim + unit_)] =
          std::numeric_limits<float>::quiet_NaN();
  }

  PassTree tree_;
  attention::HeadShape shape_;
  attention::ScoreOptions options_;
  attention::Element element_ = attention::Element::float32;
  Pass pass_;
  std::int32_t row_ = 0, unit_ = 0;
};

}  // namespace

TEST_CASE("a NaN in a query, in a key or in a value that is seen is NaN in the result") {
  for (const simd::Level level : simd::levels()) {
    simd::limit(level);
    for (std::uint32_t seed = 1; seed <= 64; ++seed) {
      PassWithNaN numbers(seed);
      INFO("seed " << seed << ", " << simd::in_use());
      for (const Place place : {Place::query, Place::key, Place::value}) {
        const Result result = numbers.run(place);
        for (std::int32_t head = 0; head < numbers.shape().query_heads; ++head) {
          const auto out = numbers.out_of(result, head);
          if (place == Place::value) {
            CHECK(std::isnan(out[static_cast<std::size_t>(numbers.unit())]));
            continue;
          }
          CHECK(std::all_of(out.begin(), out.end(), [](float x) { return std::isnan(x); }));
          CHECK(std::isnan(numbers.lse_of(result, head)));
        }
      }
    }
  }
  simd::limit(simd::Level::best);
}
