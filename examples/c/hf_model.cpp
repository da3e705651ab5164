#include "hf_model.h"

#include <algorithm>
#include <cstddef>
#include <exception>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <anabranch/hf/prompt.hpp>
#include <anabranch/torch/causal_lm.hpp>

namespace ab = anabranch;

struct hf_model {
  ab::torch::CausalLm model;
};

namespace {

thread_local std::string t_error;

const hf_model& model_of(const void* model) { return *static_cast<const hf_model*>(model); }

/// Runs `body`; what it throws becomes the error text and `failed`.
template <class Result, class Body>
Result guarded(Result failed, Body&& body) noexcept {
  try {
    return body();
  } catch (const std::exception& error) {
    t_error = error.what();
  } catch (...) {
    t_error = "an exception of an unknown type";
  }
  return failed;
}

/// As much of `from` as fits; the result says how much there is.
template <class Range, class T>
std::int32_t hand_out(const Range& from, T* out, std::int32_t capacity) {
  const std::size_t room = capacity < 0 ? 0 : static_cast<std::size_t>(capacity);
  std::copy_n(from.begin(), std::min(from.size(), room), out);
  return static_cast<std::int32_t>(from.size());
}

/// An array of a plan under its C++ name: both have the same bytes.
template <class Cpp, class C>
std::span<const Cpp> as_cpp(const C* array, std::int32_t n) noexcept {
  static_assert(sizeof(Cpp) == sizeof(C) && alignof(Cpp) == alignof(C));
  return {reinterpret_cast<const Cpp*>(array), static_cast<std::size_t>(n)};
}

/// The part of a plan that the runner reads. (It keeps no sequences, so it needs no host operations.)
ab::StepPlan as_cpp(const anb_plan& plan) noexcept {
  ab::StepPlan result;
  result.tokens = as_cpp<ab::TokenId>(plan.tokens, plan.n_rows);
  result.positions = as_cpp<ab::Position>(plan.positions, plan.n_rows);
  result.slots = as_cpp<ab::Slot>(plan.slots, plan.n_rows);
  result.sequences = as_cpp<ab::SequenceId>(plan.sequences, plan.n_rows);
  result.outputs = as_cpp<ab::Output>(plan.outputs, plan.n_outputs);
  result.groups = as_cpp<ab::VisibilityGroup>(plan.groups, plan.n_groups);
  result.views = as_cpp<ab::View>(plan.views, plan.n_views);
  result.epoch = plan.epoch;
  result.n_slots = plan.n_slots;
  result.page_size = plan.page_size;
  return result;
}

}  // namespace

hf_model* hf_open(const char* folder) {
  return guarded<hf_model*>(nullptr, [&] {
    auto model = ab::torch::CausalLm::load(folder, {.weights = ab::torch::Weights::float32});
    model.text();  // so that a damaged tokenizer is found here
    return new hf_model{std::move(model)};
  });
}

void hf_close(hf_model* model) { delete model; }

const char* hf_error(void) { return t_error.c_str(); }

int32_t hf_n_vocabulary(const hf_model* model) { return model->model.config().vocabulary; }

anb_position hf_max_position(const hf_model* model) { return model->model.config().max_positions; }

int32_t hf_end_of_text(const hf_model* model, const anb_token** tokens) {
  return guarded(0, [&] {
    const std::vector<ab::TokenId>& eos = model->model.end_of_text();
    *tokens = eos.data();
    return static_cast<std::int32_t>(eos.size());
  });
}

int32_t hf_prompt(const hf_model* model, const char* question, anb_token* out, int32_t capacity) {
  return guarded(-1, [&] {
    const ab::hf::ModelText& text = model->model.text();
    const ab::hf::Message message{"user", question};
    return hand_out(ab::hf::encode_chat(text.tokenizer, text.chat, {&message, 1}), out, capacity);
  });
}

int32_t hf_detokenize(const anb_token* tokens, int32_t n, char* out, int32_t capacity, void* model) {
  return guarded(-1, [&] {
    const auto& tokenizer = model_of(model).model.text().tokenizer;
    std::string text;
    tokenizer(as_cpp<ab::TokenId>(tokens, n), text);
    return hand_out(text, out, capacity);
  });
}

int32_t hf_text_to_tokens(const char* text, int32_t n, anb_token* out, int32_t capacity, void* model) {
  return guarded(-1, [&] {
    const std::string_view view(text, static_cast<std::size_t>(n));
    return hand_out(model_of(model).model.text().tokenizer(view), out, capacity);
  });
}

const float* hf_forward(const anb_plan* plan, void* model) {
  static const float kNoOutputs = 0;
  return guarded<const float*>(nullptr, [&] {
    const auto* logits = static_cast<const float*>(static_cast<hf_model*>(model)->model(as_cpp(*plan)).values);
    return plan->n_outputs > 0 ? logits : &kNoOutputs;
  });
}
