// Question: does a layer with a window pay for the window alone, however long the history is?
//
// One decoding step on one thread: branches of one new token each behind a trunk of 8,192 tokens, in a layer with a
// window of 512, beside the same branches without a window behind trunks of 512 and of 8,192. The plan is made once per
// pass and its time counts; a pass has 16 layers. Sides take turns. Bar: at most 1.3 times the time of the trunk of
// 512.
//
//   bench/run attention_window
#include <cstdio>
#include <memory>
#include <random>
#include <vector>

#include <anabranch/attention/branch_attention.hpp>
#include <anabranch/cache/kv_cache.hpp>
#include <anabranch/simd.hpp>

#include "../measure.hpp"

namespace {

using namespace anabranch;
using attention::Element;
using attention::HeadShape;

constexpr HeadShape kHeads{4, 1, 256};  // of Gemma 3 270M
constexpr int kLayers = 16, kRounds = 31;

/// A planned pass over K and V of its own.
class Side {
 public:
  Side(std::int32_t trunk, std::int32_t branches, std::int32_t window, Element element)
      : cache_({.n_pages = trunk / 16 + 4 * branches + 4}), attention_(kHeads, {.window = window}) {
    const SequenceId sequence = cache_.create_sequence();
    Step prompt = cache_.begin_step();
    prompt.append_unknown(sequence, trunk);
    if (!prompt.plan()) fail(Status::no_room, "the bench's cache is too small");
    prompt.commit();
    step_ = std::make_unique<Step>(cache_.begin_step());
    for (const SequenceId kid : step_->fork(sequence, branches)) step_->append_unknown(kid, 1);
    const PlanResult plan = step_->plan();
    if (!plan) fail(Status::no_room, "the bench's cache is too small");
    plan_ = &*plan;
    std::minstd_rand random(1);
    const auto numbers = [&](std::int64_t n) {
      std::vector<float> made(static_cast<std::size_t>(n));
      for (float& x : made) x = static_cast<float>(random()) / static_cast<float>(std::minstd_rand::max()) - 0.5f;
      return made;
    };
    const std::int64_t n = std::int64_t{plan_->n_slots} * kHeads.kv_width();
    keys_.resize(static_cast<std::size_t>(n) * element_size(element));
    values_.resize(keys_.size());
    scales_.resize(2 * static_cast<std::size_t>(plan_->n_slots));
    kv_ = attention::make_kv_tensors(kHeads, element, attention::KvLayout::head_major, plan_->n_slots, keys_.data(),
                                     values_.data(), scales_.data(), scales_.data() + plan_->n_slots);
    std::vector<Slot> slots(static_cast<std::size_t>(plan_->n_slots));
    for (std::size_t s = 0; s < slots.size(); ++s) slots[s] = static_cast<Slot>(s);
    attention::store_rows(numbers(n).data(), numbers(n).data(), kHeads.kv_width(), slots, kHeads, kv_);
    queries_ = numbers(std::int64_t{branches} * kHeads.q_width());
    out_.resize(queries_.size());
  }

  /// Seconds of one pass.
  double pass() {
    return bench::seconds([this] {
      attention_.plan(plan_->groups, plan_->views, plan_->n_rows());
      workspace_.resize(attention_.workspace_bytes(1));
      for (int layer = 0; layer < kLayers; ++layer)
        attention_.run({queries_.data(), kHeads.q_width(), out_.data(), kHeads.q_width()}, kv_, workspace_);
    });
  }

 private:
  KvCache cache_;
  attention::BranchAttention attention_;
  std::unique_ptr<Step> step_;
  const StepPlan* plan_ = nullptr;
  std::vector<std::byte> keys_, values_, workspace_;
  std::vector<float> scales_, queries_, out_;
  attention::KvTensors kv_;
};

}  // namespace

int main() {
  std::printf("%s; kernels use %s; %d/%d heads of %d, %d layers, %d rounds\n", bench::processor().c_str(),
              std::string(simd::in_use()).c_str(), kHeads.query_heads, kHeads.kv_heads, kHeads.head_dim, kLayers,
              kRounds);
  std::printf("%-9s %8s %22s %22s\n", "K and V", "branches", "to a trunk of 512", "to 8192, no window");
  bench::Spread figure;
  const std::pair<const char*, Element> elements[] = {
      {"float32", Element::float32}, {"bfloat16", Element::bfloat16}, {"int8", Element::int8}};
  for (const auto& [name, element] : elements)
    for (const std::int32_t branches : {1, 8}) {
      Side window(8192, branches, 512, element), short_trunk(512, branches, 0, element),
          whole(8192, branches, 0, element);
      std::vector<double> to_short, to_whole;
      for (int round = 0; round < kRounds; ++round) {
        const double own = window.pass();
        to_short.push_back(own / short_trunk.pass());
        to_whole.push_back(own / whole.pass());
      }
      const bench::Spread s = bench::spread_of(to_short), w = bench::spread_of(to_whole);
      std::printf("%-9s %8d %6.2fx (%4.2f..%5.2f) %6.3fx (%5.3f..%5.3f)\n", name, branches, s.median, s.min, s.max,
                  w.median, w.min, w.max);
      if (element == Element::bfloat16 && branches == 8) figure = s;
    }
  std::printf(
      "attention_window: %.2f x a trunk of 512, window of 512 behind 8192 keys, 8 branches, bfloat16 (%.2f..%.2f)\n",
      figure.median, figure.min, figure.max);
  return 0;
}
