// Random steps on the real cache and on a naive model of it, compared after each.
//
// A failure prints the calls that led to it, shrunk, and the RC_PARAMS that reproduce it.
#include <cstdio>
#include <iostream>
#include <ostream>
#include <string>
#include <vector>

#include <rapidcheck.h>

#include "catch.hpp"
#include "random_world.hpp"

namespace anabranch::test {

std::ostream& operator<<(std::ostream& out, const RandomOp& op) {
  return out << "{" << op.kind << ", " << op.a << ", " << op.b << ", " << op.c << "}";
}

std::ostream& operator<<(std::ostream& out, const WorldOptions& options) {
  return out << "{" << options.n_pages << " pages of " << options.page_size
             << (options.share_tail == ShareTail::spare ? ", spare" : ", never") << ", max position "
             << options.max_position << "}";
}

}  // namespace anabranch::test

namespace {

using namespace anabranch;
using namespace anabranch::test;

rc::Gen<RandomOp> any_op() {
  const auto number = rc::gen::resize(rc::kNominalSize, rc::gen::inRange<std::uint32_t>(0, 1u << 14));
  return rc::gen::build<RandomOp>(rc::gen::set(&RandomOp::kind, number), rc::gen::set(&RandomOp::a, number),
                                  rc::gen::set(&RandomOp::b, number), rc::gen::set(&RandomOp::c, number));
}

rc::Gen<WorldOptions> any_options() {
  const auto page_size = rc::gen::element<std::int32_t>(1, 3, 16);
  const auto n_slots = rc::gen::element<std::int32_t>(60, 150, 600);
  const auto share = rc::gen::element(ShareTail::spare, ShareTail::never);
  const auto limit = rc::gen::elementOf(std::vector<Position>{kUnlimited, kUnlimited, 64});
  return rc::gen::map(rc::gen::tuple(page_size, n_slots, share, limit), [](const auto& t) {
    return WorldOptions{std::get<1>(t) / std::get<0>(t) + 1, std::get<0>(t), std::get<2>(t), std::get<3>(t)};
  });
}

void run_world(const WorldOptions& options, const std::vector<RandomOp>& ops, WorldCounts& counts, std::string* trace) {
  RandomWorld world(options, counts);
  world.tracing = trace != nullptr;
  try {
    for (const RandomOp& op : ops) world.apply(op);
    world.finish();
  } catch (...) {
    if (trace != nullptr) *trace = world.trace;
    throw;
  }
}

/// Runs a world; a failing one is run again for the list of its calls.
void check_world(const WorldOptions& options, const std::vector<RandomOp>& ops, WorldCounts& counts) {
  try {
    run_world(options, ops, counts, nullptr);
  } catch (const std::exception&) {
    std::string trace;
    WorldCounts ignored;
    try {
      run_world(options, ops, ignored, &trace);
    } catch (const std::exception& error) {
      RC_FAIL(std::string(error.what()) + "\nafter\n" + trace);
    }
    RC_FAIL("a failure that does not repeat");
  }
}

constexpr int kWorlds = 1200;  // of one run
constexpr int kMostOps = 600;  // operations of the largest world; the mean is about a quarter
constexpr long kLeastOps = 100000;

}  // namespace

TEST_CASE("random steps leave the cache as a naive model of it", "[random]") {
  WorldCounts counts;
  rc::detail::TestParams params = rc::detail::configuration().testParams;
  if (params.maxSuccess == rc::detail::TestParams().maxSuccess)
    params.maxSuccess = kWorlds;  // RC_PARAMS=max_success=n: more
  rc::detail::TestMetadata metadata;
  metadata.id = "random steps";
  metadata.description = metadata.id;
  const auto result = rc::detail::checkTestable(
      [&] {
        const WorldOptions options = *any_options();
        const auto ops = *rc::gen::scale(kMostOps / 100.0, rc::gen::container<std::vector<RandomOp>>(any_op()));
        check_world(options, ops, counts);
      },
      metadata, params);
  const bool passed = result.template is<rc::detail::SuccessResult>();
  if (!passed) {
    rc::detail::printResultMessage(result, std::cerr);
    std::cerr << std::endl;
  }
  std::printf(
      "%ld operations (%ld refused), %ld plans with %ld rows, %ld commits, %ld aborts (%ld after the model ran), "
      "%ld shortages, %ld joins (%ld truncated), %ld rows rejected, %ld restores; seed %llu\n",
      counts.operations, counts.refused, counts.plans, counts.rows, counts.commits, counts.aborts,
      counts.aborts_after_model, counts.shortages, counts.joins, counts.truncated_joins, counts.has_rejected,
      counts.restores, static_cast<unsigned long long>(params.seed));
  REQUIRE(passed);
  REQUIRE(counts.operations >= kLeastOps);
}
