// A row's bits do not depend on the rows beside it, on the slots of its keys, or on the number of threads.
#include <cstring>
#include <limits>
#include <numeric>

#include <anabranch/simd.hpp>
#include <anabranch/thread_team.hpp>

#include "catch.hpp"
#include "pass.hpp"
#include "pass_tree.hpp"

using namespace anabranch;
using namespace anabranch::test;
using attention::Element;
using attention::HeadShape;
using attention::KvLayout;

namespace {

/// Numbers that belong to a place in a sequence, not to a slot: the same token has the same K, V and query in every
/// pass.
class Content {
 public:
  Content(const HeadShape& shape, Element element, std::int32_t n_slots, std::mt19937& random)
      : shape_(shape),
        keys_(random_floats(static_cast<std::size_t>(n_slots * shape.kv_width()), random)),
        values_(random_floats(keys_.size(), random)),
        layer_(shape, element, KvLayout::head_major, n_slots),
        seed_(static_cast<std::uint32_t>(random())) {}

  /// K and V of the pass's own rows are written; returns their queries. Row i of a sequence is the same in every pass.
  std::vector<float> enter(const Pass& pass) {
    std::vector<float> queries;
    const auto kv = static_cast<std::size_t>(shape_.kv_width());
    for (std::size_t row = 0; row < pass.slots.size(); ++row) {
      std::mt19937 own(seed_ + pass.sequences[row].index * 1000u + index_in_sequence(pass, row));
      const auto k = random_floats(kv, own);
      const auto v = random_floats(kv, own);
      const auto q = random_floats(static_cast<std::size_t>(shape_.q_width()), own);
      const auto place = static_cast<std::size_t>(pass.slots[row]) * kv;
      std::copy(k.begin(), k.end(), keys_.begin() + static_cast<std::ptrdiff_t>(place));
      std::copy(v.begin(), v.end(), values_.begin() + static_cast<std::ptrdiff_t>(place));
      queries.insert(queries.end(), q.begin(), q.end());
    }
    layer_.fill(keys_, values_);
    return queries;
  }
  static std::uint32_t index_in_sequence(const Pass& pass, std::size_t row) {
    std::uint32_t index = 0;
    for (std::size_t r = 0; r < row; ++r) index += pass.sequences[r] == pass.sequences[row] ? 1u : 0u;
    return index;
  }
  const Layer& layer() const { return layer_; }
  std::vector<float>& keys() { return keys_; }
  std::vector<float>& values() { return values_; }
  void refill() { layer_.fill(keys_, values_); }

 private:
  HeadShape shape_;
  std::vector<float> keys_, values_;
  Layer layer_;
  std::uint32_t seed_;
};

std::vector<float> row_of(const Result& result, const HeadShape& shape, std::size_t row) {
  const auto width = static_cast<std::ptrdiff_t>(shape.q_width());
  const auto begin = result.out.begin() + static_cast<std::ptrdiff_t>(row) * width;
  std::vector<float> out(begin, begin + width);
  const auto heads = static_cast<std::ptrdiff_t>(shape.query_heads);
  const auto lse = result.lse.begin() + static_cast<std::ptrdiff_t>(row) * heads;
  out.insert(out.end(), lse, lse + heads);
  return out;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

/// Every row of `few` is, bit for bit, the row of the same sequence and index in `all`.
void check_same_rows(const Pass& few, const Result& of_few, const Pass& all, const Result& of_all,
                     const HeadShape& shape) {
  for (std::size_t row = 0; row < few.slots.size(); ++row)
    for (std::size_t other = 0; other < all.slots.size(); ++other) {
      if (all.sequences[other] != few.sequences[row]) continue;
      if (Content::index_in_sequence(all, other) != Content::index_in_sequence(few, row)) continue;
      INFO("row " << row << " of " << few.n_rows() << " is row " << other << " of " << all.n_rows());
      CHECK(same_bits(row_of(of_few, shape, row), row_of(of_all, shape, other)));
    }
}

const HeadShape kShapes[] = {{3, 1, 64}, {14, 2, 128}, {6, 2, 40}, {9, 3, 7}};
const Element kElements[] = {Element::float32, Element::bfloat16, Element::float16, Element::int8};
const attention::ScoreOptions kOptions[] = {
    {}, {.window = 1}, {.softcap = 3.0f}, {.window = 37}, {.softcap = 2.0f, .window = 100}};

}  // namespace

TEST_CASE("a row alone has the bits that it has beside others") {
  for (const simd::Level level : simd::levels()) {
    simd::limit(level);
    for (std::uint32_t seed = 1; seed <= 20; ++seed) {
      const HeadShape& shape = kShapes[seed % 4];
      const Element element = kElements[seed / 4 % 4];
      const attention::ScoreOptions& options = kOptions[seed % 5];
      INFO("seed " << seed << ", " << simd::in_use());
      PassTree tree(seed * 77);
      tree.grow(10);
      const Pass all = tree.pass_of(tree.sequences(), 3);
      REQUIRE(all.n_rows() > 0);
      Content content(shape, element, all.n_slots, tree.random());
      const auto queries = content.enter(all);
      const Result together = attend(all, queries, content.layer(), shape, {}, options);
      for (const SequenceId sequence : tree.sequences())
        for (const std::int32_t n : {1, 2, 3}) {
          const Pass alone = tree.pass_of(std::span(&sequence, 1), n);
          const auto own = content.enter(alone);
          check_same_rows(alone, attend(alone, own, content.layer(), shape, {}, options), all, together, shape);
        }
    }
  }
  simd::limit(simd::Level::best);
}

TEST_CASE("a row has the same bits on any number of threads and over scattered slots") {
  OwnThreadTeam team(3, {ThreadUse::all});
  for (std::uint32_t seed = 1; seed <= 10; ++seed) {
    const HeadShape& shape = kShapes[seed % 4];
    const Element element = kElements[seed / 2 % 4];
    const attention::ScoreOptions& options = kOptions[seed % 5];
    INFO("seed " << seed);
    PassTree tree(seed * 1009);
    tree.grow(12);
    const Pass pass = tree.pass_of_all();
    REQUIRE(pass.n_rows() > 0);
    Content content(shape, element, pass.n_slots, tree.random());
    const auto queries = content.enter(pass);
    const Result one = attend(pass, queries, content.layer(), shape, {}, options);
    for (const std::int32_t n : {2, 3, 7})
      CHECK(same_bits(attend(pass, queries, content.layer(), shape, threads(n), options).out, one.out));
    CHECK(same_bits(attend(pass, queries, content.layer(), shape, team.parallel(), options).out, one.out));

    std::vector<Slot> place(static_cast<std::size_t>(pass.n_slots));
    std::iota(place.begin(), place.end(), 0);
    std::shuffle(place.begin(), place.end(), tree.random());
    Layer scattered(shape, element, KvLayout::slot_major, pass.n_slots);
    scattered.fill(content.keys(), content.values(), place);
    const Result moved = attend(pass.scattered(place), queries, scattered, shape, {}, options);
    CHECK(same_bits(moved.out, one.out));
    CHECK(same_bits(moved.lse, one.lse));
  }
}

TEST_CASE("NaN and infinity stay with the rows that see them") {
  const float bad[] = {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                       -std::numeric_limits<float>::infinity()};
  for (const simd::Level level : simd::levels()) {
    simd::limit(level);
    int n_hidden = 0, n_left_out = 0;
    for (std::uint32_t seed = 1; seed <= 40; ++seed) {
      const HeadShape& shape = kShapes[seed % 4];
      const Element element = kElements[seed / 4 % 4];
      const attention::ScoreOptions& options = kOptions[seed % 5];
      PassTree tree(seed * 313);
      tree.grow(10);
      const Pass pass = tree.pass_of_all();
      REQUIRE(pass.n_rows() > 0);
      Content content(shape, element, pass.n_slots, tree.random());
      const auto queries = content.enter(pass);
      const Result clean = attend(pass, queries, content.layer(), shape, {}, options);
      const auto seen = pass.seen(options.window), shown = pass.seen();
      // The slot of a row, or one of the last that a row sees of the plan: near the window's begin.
      const auto of_row = static_cast<std::size_t>(tree.below(pass.n_rows()));
      const std::int32_t back =
          tree.below(2) == 0 ? 0 : tree.below(std::min(110, static_cast<std::int32_t>(shown[of_row].size())));
      const Slot slot = shown[of_row].end()[-1 - back];
      const auto kv = static_cast<std::size_t>(shape.kv_width());
      std::fill_n(content.keys().begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(slot) * kv), kv,
                  bad[seed % 3]);
      std::fill_n(content.values().begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(slot) * kv), kv,
                  bad[(seed + 1) % 3]);
      content.refill();
      const Result dirty = attend(pass, queries, content.layer(), shape, {}, options);
      for (std::size_t row = 0; row < seen.size(); ++row) {
        if (std::find(seen[row].begin(), seen[row].end(), slot) != seen[row].end()) continue;
        ++n_hidden;
        if (std::find(shown[row].begin(), shown[row].end(), slot) != shown[row].end()) ++n_left_out;
        INFO("seed " << seed << ", row " << row << ", slot " << slot << ", " << simd::in_use());
        CHECK(same_bits(row_of(dirty, shape, row), row_of(clean, shape, row)));
      }
    }
    CHECK(n_hidden > 20);
    CHECK(n_left_out > 10);
  }
  simd::limit(simd::Level::best);
}
