// Nothing is allocated once per pass or per layer. A program of its own, because it replaces operator new.
#include <cstddef>
#include <span>
#include <vector>

#include "../decode/refusing_new.hpp"
#include "catch.hpp"
#include "pass.hpp"
#include "pass_tree.hpp"

using namespace anabranch;
using namespace anabranch::test;
using attention::Element;

namespace {

long n_allocations = 0;

/// Number of allocations, on any thread, while `work` runs.
template <class Work>
long allocations(Work&& work) {
  n_allocations = 0;
  refusing_new::refuse = [] {
    ++n_allocations;
    return false;
  };
  work();
  refusing_new::refuse = nullptr;
  return n_allocations;
}

/// A loop on one thread that says it has three workers, last index first.
ParallelFor three_workers() {
  return {[](void*, std::int32_t n, ParallelFor::Task task, void* body) {
            while (n > 0) task(body, --n);
          },
          nullptr, 3};
}

}  // namespace

TEST_CASE("allocations are counted at all") {
  std::vector<int> some;
  CHECK(allocations([&] { some.resize(100); }) == 1);
}

TEST_CASE("plans of the same size, stores and runs allocate nothing, in any element type") {
  const attention::HeadShape shape{6, 2, 64};
  PassTree tree(3);
  tree.grow(12);
  const Pass pass = tree.pass_of_all();
  REQUIRE(pass.n_rows() > 4);
  const std::vector<float> keys =
      random_floats(static_cast<std::size_t>(pass.n_slots * shape.kv_width()), tree.random());
  const auto n_rows = static_cast<std::size_t>(pass.n_rows());
  const std::vector<float> queries = random_floats(n_rows * static_cast<std::size_t>(shape.q_width()), tree.random());
  for (const Element element : {Element::float32, Element::bfloat16, Element::float16, Element::int8}) {
    const bool plain = element == Element::float32 || element == Element::float16;
    INFO("element " << static_cast<int>(element) << ", plain scores " << plain);
    Layer layer(shape, element, attention::KvLayout::head_major, pass.n_slots);
    layer.fill(keys, keys);
    std::vector<float> out(queries.size());
    const attention::Rows rows{queries.data(), shape.q_width(), out.data(), shape.q_width(), nullptr};
    attention::BranchAttention attention(
        shape, plain ? attention::ScoreOptions{} : attention::ScoreOptions{.softcap = 9.0f, .window = 25});
    for (int i = 0; i < 2; ++i) attention.plan(pass.groups, pass.views, pass.n_rows());  // both sets of buffers
    std::vector<std::byte> workspace(attention.workspace_bytes(3));
    CHECK(allocations([&] { attention.run(rows, layer.kv(), workspace, three_workers()); }) == 0);
    CHECK(allocations([&] {
            for (int i = 0; i < 3; ++i) {
              attention.plan(pass.groups, pass.views, pass.n_rows());
              attention::store_rows(keys.data(), keys.data(), shape.kv_width(), pass.slots, shape, layer.kv());
              attention.run(rows, layer.kv(), workspace);
              attention.run(rows, layer.kv(), workspace, three_workers());
            }
          }) == 0);
    CHECK(allocations([&] { attention.plan({}, {}, 0); }) == 0);
  }
}

TEST_CASE("after the largest plan, smaller ones allocate nothing") {
  PassTree tree(5);
  tree.grow(12);
  const Pass large = tree.pass_of_all();
  const Pass small = tree.pass_of(std::span(tree.sequences()).first(1), 1);
  REQUIRE(small.n_rows() == 1);
  REQUIRE(large.n_rows() > 4);
  attention::BranchAttention attention({4, 2, 32});
  for (int i = 0; i < 2; ++i) attention.plan(large.groups, large.views, large.n_rows());
  CHECK(allocations([&] { attention.plan(small.groups, small.views, small.n_rows()); }) == 0);
  CHECK(allocations([&] { attention.plan(large.groups, large.views, large.n_rows()); }) == 0);
}
