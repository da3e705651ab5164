// What rank 0 tells the others, as bytes and back; and bytes that are no message.
#include "pass_message.hpp"

#include <string>
#include <vector>

#include <anabranch/cache/kv_cache.hpp>

#include "catch.hpp"

namespace ab = anabranch;
using ab::torch::arrays_of;
using ab::torch::AttentionPath;
using ab::torch::pass_message;
using ab::torch::PassMessage;
using ab::torch::PassOrder;
using ab::torch::PlanOverArrays;
using ab::torch::to_bytes;

namespace {

/// A pass of a trunk over several pages and two branches, written as a message.
PassMessage some_message() {
  ab::KvCache cache({.n_pages = 16, .page_size = 4});
  const ab::SequenceId trunk = cache.create_sequence();
  ab::Step first = cache.begin_step();
  first.append(trunk, std::vector<ab::TokenId>{1, 2, 3, 4, 5, 6, 7, 8, 9});
  if (!first.plan()) ab::fail(ab::Status::internal, "no room");
  first.commit();
  ab::Step step = cache.begin_step();
  const auto branches = step.fork(trunk, 2);
  step.append(branches[0], std::vector<ab::TokenId>{10}, ab::Logits::last);
  step.append(branches[1], std::vector<ab::TokenId>{11, 12});
  const ab::PlanResult plan = step.plan();
  return {PassOrder::run, 3, AttentionPath::groups, arrays_of(*plan)};
}

ab::Status status_of(const std::vector<std::byte>& bytes) {
  try {
    const PassMessage message = pass_message(bytes);
    const PlanOverArrays plan(message.plan);
  } catch (const ab::Error& error) {
    return error.status();
  }
  return ab::Status::ok;
}

}  // namespace

TEST_CASE("a message comes back from its bytes as it was") {
  const PassMessage message = some_message();
  const PassMessage back = pass_message(to_bytes(message));
  CHECK(back.order == PassOrder::run);
  CHECK(back.runner == 3);
  CHECK(back.path == AttentionPath::groups);
  const PlanOverArrays over(back.plan);
  const ab::StepPlan& plan = over.plan();
  CHECK(std::vector(plan.tokens.begin(), plan.tokens.end()) == std::vector<ab::TokenId>{10, 11, 12});
  CHECK(plan.outputs.size() == message.plan.outputs.size());
  CHECK(plan.n_slots == 64);
  std::int32_t n_keys = 0;
  for (const ab::VisibilityGroup& group : plan.groups)
    for_each_run(group, plan.views, [&](ab::Slot, std::int32_t count) { n_keys += count; });
  CHECK(n_keys == 9 + 1 + 2);
  const PassMessage stop = pass_message(to_bytes({PassOrder::stop, 0, {}, {}}));
  CHECK(stop.order == PassOrder::stop);
}

TEST_CASE("bytes that were changed, cut, or are of another version are refused") {
  const std::vector<std::byte> good = to_bytes(some_message());
  REQUIRE(status_of(good) == ab::Status::ok);
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::vector<std::byte> bad = good;
    bad[i] ^= std::byte{1};
    CHECK(status_of(bad) == ab::Status::bad_snapshot);
    bad = good;
    bad.resize(i);
    CHECK(status_of(bad) == ab::Status::bad_snapshot);
  }
}

TEST_CASE("arrays of a message that do not fit together are refused") {
  const auto status_with = [](auto&& change) {
    PassMessage message = some_message();
    change(message.plan);
    return status_of(to_bytes(message));
  };
  CHECK(status_with([](auto& plan) { plan.positions.pop_back(); }) == ab::Status::bad_snapshot);
  CHECK(status_with([](auto& plan) { plan.outputs[0] = 3; }) == ab::Status::bad_snapshot);
  CHECK(status_with([](auto& plan) { plan.groups.pop_back(); }) == ab::Status::bad_snapshot);
  CHECK(status_with([](auto& plan) { plan.groups[5] = 2; }) == ab::Status::bad_snapshot);
  CHECK(status_with([](auto& plan) { plan.views[0] = 1000; }) == ab::Status::bad_snapshot);
  CHECK(status_with([](auto& plan) { plan.segments.pop_back(); }) == ab::Status::bad_snapshot);
}
