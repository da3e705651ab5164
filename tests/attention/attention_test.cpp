// Branch attention compared with attention by the definition.
#include <string>

#include <anabranch/error.hpp>

#include "catch.hpp"
#include "compare.hpp"
#include "pass_tree.hpp"

using namespace anabranch;
using namespace anabranch::test;
using attention::Element;
using attention::HeadShape;
using attention::KvLayout;

TEST_CASE("a row that sees one key gets its value, and the score as log-sum-exp") {
  KvCache cache({.n_pages = 2});
  const SequenceId sequence = cache.create_sequence();
  Step step = cache.begin_step();
  step.append_unknown(sequence, 1);
  const PlanResult plan = step.plan();
  REQUIRE(plan);
  const Pass pass(*plan);
  const HeadShape shape{2, 1, 4};
  Layer layer(shape, Element::float32, KvLayout::slot_major, pass.n_slots);
  std::vector<float> keys(static_cast<std::size_t>(pass.n_slots) * 4, 7.0f);
  std::vector<float> values(keys.size(), -7.0f);
  for (std::size_t d = 0; d < 4; ++d) {
    keys[static_cast<std::size_t>(pass.slots[0]) * 4 + d] = 0.5f;
    values[static_cast<std::size_t>(pass.slots[0]) * 4 + d] = static_cast<float>(d);
  }
  layer.fill(keys, values);
  const std::vector<float> queries{1, 2, 3, 4, 0, 0, 0, 1};
  const Result result = attend(pass, queries, layer, shape);
  CHECK(result.out == std::vector<float>{0, 1, 2, 3, 0, 1, 2, 3});
  CHECK(result.lse[0] == Approx(2.5));  // (1 + 2 + 3 + 4) * 0.5 / sqrt(4)
  CHECK(result.lse[1] == Approx(0.25));
  CHECK(attend(pass, queries, layer, shape, {}, {.scale = 2.0f}).lse[0] == Approx(10.0));
}

TEST_CASE("every element, head size and instruction set agrees with the definition on random trees") {
  const EachLevel each_level;
  std::uint32_t seed = 20260101;
  each_level([&](simd::Level level) {
    for (const Element element : {Element::float32, Element::bfloat16, Element::float16, Element::int8})
      for (const HeadShape& shape :
           {HeadShape{3, 1, 64}, HeadShape{2, 2, 80}, HeadShape{8, 2, 96}, HeadShape{7, 1, 128}, HeadShape{1, 1, 256},
            HeadShape{6, 2, 40}, HeadShape{4, 1, 7}, HeadShape{70, 1, 8}}) {
        if (level == simd::Level::scalar && shape.head_dim > 100) continue;  // only slow there
        ++seed;
        INFO("seed " << seed);
        PassTree tree(seed);
        tree.grow(8);
        const Pass pass = tree.pass_of_all();
        REQUIRE(pass.n_rows() > 0);
        compare(pass, shape, element, seed % 2 == 0 ? KvLayout::slot_major : KvLayout::head_major, tree.random());
      }
  });
}

TEST_CASE("a long prompt in one pass agrees with the definition") {
  KvCache cache({.n_pages = 200});
  const SequenceId sequence = cache.create_sequence();
  Step step = cache.begin_step();
  step.append_unknown(sequence, 1500);
  const PlanResult plan = step.plan();
  REQUIRE(plan);
  std::mt19937 random(5);
  for (const Element element : {Element::float32, Element::bfloat16})
    compare(Pass(*plan), {3, 1, 64}, element, KvLayout::head_major, random);
}

TEST_CASE("bad arguments are refused with the value and the limit, and the plan before stays") {
  const auto refused = [](auto&& call) {
    try {
      call();
    } catch (const Error& error) {
      CHECK(error.status() == Status::bad_argument);
      return std::string(error.what());
    }
    return std::string("no error");
  };
  const auto says = [](const std::string& text, const std::string& part) {
    INFO(text);
    CHECK(text.find(part) != std::string::npos);
  };
  says(refused([] { attention::BranchAttention({3, 2, 64}); }), "query_heads is 3, must be a positive multiple");
  says(refused([] { attention::BranchAttention({2, 0, 64}); }), "kv_heads is 0");
  says(refused([] { attention::BranchAttention({2, 2, 0}); }), "head_dim is 0, must be 1 to 1024");
  says(refused([] { attention::BranchAttention({2, 2, 8}, {.scale = -1.0f}); }), "scale is -1");
  says(refused([] {
         attention::BranchAttention({2, 2, 8}, {.softcap = -1.0f});
       }),
       "softcap is -1.000000, must be finite");
  says(refused([] { attention::BranchAttention({2, 2, 8}, {.softcap = 0.0005f}); }), "softcap is 0.000500");
  says(refused([] {
         attention::BranchAttention({2, 2, 8}, {.window = -1});
       }),
       "window is -1, must be 0 (none) or more");

  PassTree tree(3);
  tree.grow(4);
  const Pass pass = tree.pass_of_all();
  const HeadShape shape{2, 1, 8};
  attention::BranchAttention attention(shape);
  attention.plan(pass.groups, pass.views, pass.n_rows());
  const std::size_t bytes = attention.workspace_bytes(1);
  const auto plan = [&](std::span<const VisibilityGroup> groups, std::int32_t n_rows) {
    return refused([&] { attention.plan(groups, pass.views, n_rows); });
  };
  says(plan(pass.groups, -1), "n_rows is -1");
  says(plan(pass.groups, pass.n_rows() + 1), "row " + std::to_string(pass.n_rows()) + " is in no visibility group");
  says(plan(pass.groups, 1), "does not fit a plan of 1 rows");
  std::vector<VisibilityGroup> groups = pass.groups;
  groups[0].n_keys += 2;
  says(plan(groups, pass.n_rows()), "keys and lists");
  groups = pass.groups;
  groups[0].view_end = static_cast<std::int32_t>(pass.views.size()) + 1;
  says(plan(groups, pass.n_rows()), "has views");
  std::vector<View> views = pass.views;
  views[0].runs = nullptr;
  says(refused([&] { attention.plan(pass.groups, views, pass.n_rows()); }), "the runs of view 0 are null");
  CHECK(attention.workspace_bytes(1) == bytes);

  Layer layer(shape, Element::float32, KvLayout::slot_major, pass.n_slots);
  std::vector<float> queries(static_cast<std::size_t>(pass.n_rows()) * 16, 1.0f);
  std::vector<float> out(queries.size(), -3.0f);
  std::vector<std::byte> workspace(bytes);
  const attention::Rows rows{queries.data(), 16, out.data(), 16, nullptr};
  const auto run = [&](const attention::Rows& r, const attention::KvTensors& kv, std::size_t n) {
    return refused([&] { attention.run(r, kv, std::span(workspace).first(n)); });
  };
  says(run(rows, layer.kv(), bytes - 1), "needed are " + std::to_string(bytes));
  attention::KvTensors small = layer.kv();
  small.n_slots = 1;
  says(run(rows, small, bytes), "the K/V tensors have 1");
  attention::KvTensors none = layer.kv();
  none.keys = nullptr;
  says(run(rows, none, bytes), "null");
  attention::Rows narrow = rows;
  narrow.out_stride = 15;
  says(run(narrow, layer.kv(), bytes), "a row stride is 15, must be 16 or more");
  attention::KvTensors unscaled = layer.kv();
  unscaled.element = Element::int8;
  unscaled.key_scales = nullptr;
  says(run(rows, unscaled, bytes), "without scales");
  CHECK(out == std::vector<float>(out.size(), -3.0f));
  CHECK(refused([&] { attention.run(rows, layer.kv(), workspace); }) == "no error");

  std::fill(out.begin(), out.end(), -3.0f);
  std::vector<int> n_finished(static_cast<std::size_t>(pass.n_rows()), 0);
  const auto epilogue = [&](RowIndex begin, RowIndex end) {
    for (RowIndex r = begin; r < end; ++r)
      n_finished[static_cast<std::size_t>(r)] +=
          std::count(out.begin() + r * 16, out.begin() + (r + 1) * 16, -3.0f) == 0 ? 1 : 100;
  };
  attention.run(rows, layer.kv(), workspace, {}, Epilogue(epilogue));
  CHECK(n_finished == std::vector<int>(n_finished.size(), 1));
}
