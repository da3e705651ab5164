// One call of branch attention with its arrays, and who runs it: the host, block by block, or a device.
#pragma once

#include <cstdint>
#include <vector>

#include <anabranch/cuda/branch_attention.hpp>

#include "half.hpp"
#include "tree_world.hpp"

namespace anabranch::test {

using attention::Element;
using attention::HeadShape;
using attention::KvLayout;

struct AttentionCase {
  HeadShape shape;
  Element element = Element::bfloat16;
  attention::ScoreOptions options = {};
  KvLayout layout = KvLayout::slot_major;
  Element query_element = Element::float32;
  Element out_element = Element::float32;
  std::int32_t n_slots = 0;
  std::vector<std::uint16_t> keys, values;  ///< [n_slots, kv_heads, head_dim], slot by slot whatever the layout
  std::vector<float> queries;               ///< [n_rows, query_heads * head_dim]
};

struct AttentionResult {
  std::vector<float> out;  ///< [n_rows, query_heads * head_dim], widened
  std::vector<float> lse;  ///< [n_rows, query_heads]
};

/// Runs both kernels. Host or device, whichever the program was linked with.
AttentionResult run_attention(const AttentionCase& given, const cuda::DevicePlan& plan);

inline float widen(Element element, std::uint16_t bits) {
  return element == Element::bfloat16 ? cuda::Bfloat16::widen(bits) : cuda::Float16::widen(bits);
}
inline std::uint16_t narrow(Element element, float value) {
  return element == Element::bfloat16 ? cuda::Bfloat16::narrow(value) : cuda::Float16::narrow(value);
}
inline constexpr std::uint16_t kNanBits = 0x7fff;  ///< NaN in both elements

/// A number in [-1, 1) that belongs to a token and a place in its vectors.
inline float content(int token, int kind, int place) {
  auto x = static_cast<std::uint64_t>(token) * 0x9e3779b97f4a7c15u +
           static_cast<std::uint64_t>(kind) * 0xbf58476d1ce4e5b9u +
           static_cast<std::uint64_t>(place) * 0x94d049bb133111ebu;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  x ^= x >> 31;
  return static_cast<float>(static_cast<double>(x >> 40) / (1 << 23) - 1.0);
}
inline float key_of(int token, int place) { return content(token, 1, place); }
inline float value_of(int token, int place) { return content(token, 2, place); }
inline float query_of(int token, int place) { return 4.0f * content(token, 3, place); }

/// K/V tensors and queries of a pass. Slots that hold no token hold NaN.
inline AttentionCase make_case(const Pass& pass, const HeadShape& shape, Element element,
                               const attention::ScoreOptions& options = {}) {
  AttentionCase made;
  made.shape = shape;
  made.element = element;
  made.options = options;
  made.n_slots = pass.plan->n_slots;
  const auto width = static_cast<std::size_t>(shape.kv_width());
  made.keys.assign(pass.token_of_slot.size() * width, kNanBits);
  made.values = made.keys;
  for (std::size_t slot = 0; slot < pass.token_of_slot.size(); ++slot) {
    if (pass.token_of_slot[slot] == kNone) continue;
    for (std::size_t i = 0; i < width; ++i) {
      made.keys[slot * width + i] = narrow(element, key_of(pass.token_of_slot[slot], static_cast<int>(i)));
      made.values[slot * width + i] = narrow(element, value_of(pass.token_of_slot[slot], static_cast<int>(i)));
    }
  }
  for (const int token : pass.token_of_row)
    for (int i = 0; i < shape.q_width(); ++i)
      made.queries.push_back(widen(element, narrow(element, query_of(token, i))));
  return made;
}

/// Room for what the tests plan.
inline constexpr cuda::PlanSizes kTestLimits{4096, 16384, 65536, 65536};

inline AttentionResult run_attention(const AttentionCase& given, const StepPlan& plan,
                                     const cuda::PlanSizes& at_least = {}) {
  cuda::DevicePlan device_plan(given.shape, kTestLimits, given.options.window);
  device_plan.build(plan, at_least);
  return run_attention(given, device_plan);
}

}  // namespace anabranch::test
