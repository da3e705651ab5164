#include "forward_pass.hpp"

#include <algorithm>
#include <chrono>
#include <span>

#include <ATen/ops/from_blob.h>

#include "sizes.hpp"

namespace anabranch::torch {
namespace {

/// Adds the time from its construction to its destruction to a sum.
class Timed {
 public:
  explicit Timed(double& seconds) : seconds_(seconds), begin_(std::chrono::steady_clock::now()) {}
  Timed(const Timed&) = delete;
  Timed& operator=(const Timed&) = delete;
  ~Timed() { seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count(); }

 private:
  double& seconds_;
  std::chrono::steady_clock::time_point begin_;
};

const float* values_or_null(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.const_data_ptr<float>() : nullptr;
}

template <class T>
void grow(std::vector<T>& buffer, std::size_t size) {
  if (buffer.size() < size) buffer.resize(size);
}

at::ScalarType type_of(attention::Element element) {
  switch (element) {
    case attention::Element::bfloat16: return at::kBFloat16;
    case attention::Element::float16: return at::kHalf;
    default: return at::kFloat;
  }
}

/// One layer's K or V as a LibTorch tensor: [n_slots, kv_heads, head_dim], float32.
at::Tensor as_tensor(void* memory, const attention::KvTensors& kv, const HeadShape& shape) {
  return at::from_blob(memory, {kv.n_slots, shape.kv_heads, shape.head_dim}, {kv.slot_stride, kv.head_stride, 1},
                       type_of(kv.element))
      .to(at::kFloat);
}

}  // namespace

static_assert(LayerDevice<ForwardPass>);  // the CPU

ForwardPass::ForwardPass(const LoadedModel& model, attention::Element kv, ThreadUse threads)
    : model_(&model),
      kv_(model.heads(), kv, model.config.n_layers),
      ranks_(model.ranks),
      team_(threads),
      ropes_(model.kinds.rotations.size()) {
  for (const attention::ScoreOptions& scores : model.kinds.scores) attentions_.emplace_back(model.heads(), scores);
}

/// Makes room for a pass, and plans its attention once for each kind of layers.
void ForwardPass::prepare(const StepPlan& plan, AttentionPath path) {
  const hf::ModelConfig& c = model_->part;
  const LayerKinds& kinds = model_->kinds;
  n_rows_ = plan.n_rows();
  scratch_.rounded = false;
  for (std::size_t i = 0; i < ropes_.size(); ++i) ropes_[i].set(plan.positions, kinds.rotations[i]);
  grow(hidden_, n_elements(n_rows_, c.hidden));
  grow(qkv_, n_elements(n_rows_, c.q_width() + 2 * c.kv_width()));
  grow(context_, n_elements(n_rows_, c.q_width()));
  grow(ffn_, n_elements(n_rows_, c.ffn));
  grow(logits_, n_elements(plan.outputs.size(), c.vocabulary));
  if (c.adds_apart() || !ranks_.alone())
    grow(added_, n_elements(std::max(plan.tokens.size(), plan.outputs.size()), c.hidden));
  references_.clear();
  if (path != AttentionPath::native) {
    for (const attention::ScoreOptions& scores : kinds.scores)
      references_.push_back(make_reference(path, plan, model_->heads(), scores));
    return;
  }
  const Timed timed(times_->attention);
  for (attention::BranchAttention& attention : attentions_) {
    attention.plan(plan.groups, plan.views, n_rows_);
    grow(workspace_, attention.workspace_bytes(parallel_.n_workers()));
  }
}

void ForwardPass::embed_rows(const StepPlan& plan) {
  embed(model_->tensors, model_->config, model_->shard.vocabulary, plan.tokens, hidden_.data());
  const Timed timed(times_->exchange);
  ranks_.sum(std::span(hidden_).first(n_elements(n_rows_, model_->config.hidden)));
}

InputNorm ForwardPass::norm_of(const at::Tensor& weight) const {
  return {values_or_null(weight), static_cast<float>(model_->config.rms_eps)};
}

/// out (+)= norm(in) W^T + b, over the rows that are still computed.
void ForwardPass::multiply(const Projection& projection, const std::vector<float>& in, std::int32_t in_width,
                           const InputNorm& norm, std::vector<float>& out, std::int32_t out_width, Write write,
                           const AfterProduct& after) {
  const Timed timed(times_->products);
  projection.run({in.data(), in_width, n_rows_}, norm, {out.data(), out_width, write}, scratch_, parallel_, after);
}

/// Projects queries, keys and values, applies RoPE, and writes keys and values to the rows' slots. The thread that has
/// projected a head does the rest of it.
void ForwardPass::project_heads(std::size_t layer, const StepPlan& plan) {
  const LayerTensors& w = model_->tensors.layers[layer];
  const HeadShape heads = model_->heads();
  const std::int32_t dim = heads.head_dim, width = heads.q_width() + 2 * heads.kv_width();
  const HeadSplit split{heads, &ropes_[model_->kinds.layers[layer].rotation], values_or_null(w.query_norm),
                        values_or_null(w.key_norm), model_->config.rms_eps};
  const auto finish_heads = [&](std::int32_t begin, std::int32_t end) {
    for (std::int32_t h = begin / dim; h < end / dim; ++h) {
      apply_rope(qkv_.data(), n_rows_, h, split);
      const std::int32_t kv = h - heads.query_heads;
      if (kv < 0) continue;
      const bool key = kv < heads.kv_heads;
      store_head(qkv_.data() + std::ptrdiff_t{h} * dim, width, plan.slots, heads,
                 key ? attention::KvSide::keys : attention::KvSide::values, key ? kv : kv - heads.kv_heads,
                 kv_.layer(layer));
    }
  };
  multiply(w.qkv, hidden_, model_->config.hidden, norm_of(w.input_norm), qkv_, width, Write::replace,
           {Epilogue(finish_heads, dim)});
}

/// A thread rounds the rows that it has finished for the product that follows. Not so in the last layer, where only the
/// rows of outputs go on, and not where other ranks have parts of the rows.
void ForwardPass::attend(std::size_t layer) {
  const Timed timed(times_->attention);
  if (!references_.empty()) return attend_by_reference(layer);
  const HeadShape heads = model_->heads();
  const std::vector<LayerTensors>& layers = model_->tensors.layers;
  const bool rounds = layer + 1 < layers.size() && !gathers() && layers[layer].out.begin_input(n_rows_, scratch_);
  const auto round = [&](RowIndex begin, RowIndex end) {
    linear::round_rows({context_.data(), heads.q_width(), n_rows_}, begin, end, scratch_.rows);
  };
  const attention::BranchAttention& attention = attentions_[model_->kinds.layers[layer].scores];
  attention.run({qkv_.data(), heads.q_width() + 2 * heads.kv_width(), context_.data(), heads.q_width()},
                kv_.layer(layer), workspace_, parallel_, rounds ? Epilogue(round) : Epilogue());
}

void ForwardPass::attend_by_reference(std::size_t layer) {
  const HeadShape heads = model_->heads();
  const std::int64_t width = heads.q_width() + 2 * heads.kv_width();
  // [kv_heads, n_rows * share, head_dim]: heads that share keys stand together.
  const at::Tensor queries = at::from_blob(qkv_.data(), {heads.kv_heads, n_rows_, heads.share(), heads.head_dim},
                                           {heads.share() * heads.head_dim, width, heads.head_dim, 1}, at::kFloat)
                                 .reshape({heads.kv_heads, n_rows_ * heads.share(), heads.head_dim});
  const attention::KvTensors& kv = kv_.layer(layer);
  const ReferenceAttention& reference = *references_[model_->kinds.layers[layer].scores];
  const at::Tensor out =
      reference.run(queries, as_tensor(kv.keys, kv, heads), as_tensor(kv.values, kv, heads)).contiguous();
  std::copy_n(out.const_data_ptr<float>(), out.numel(), context_.data());
}

/// Moves the row of output k to row k. Outputs are in the order of rows, but several may name one row.
void ForwardPass::keep_outputs(const StepPlan& plan) {
  const hf::ModelConfig& c = model_->part;
  const std::size_t n = plan.outputs.size();
  grow(hidden_, n_elements(n, c.hidden));
  grow(context_, n_elements(n, c.q_width()));
  grow(ffn_, n_elements(n, c.ffn));
  const auto gather = [&](std::vector<float>& rows, std::int32_t width) {
    std::vector<float>& kept = logits_;  // free until the last product
    grow(kept, n_elements(n, width));
    float* to = kept.data();
    for (const Output& output : plan.outputs) to = std::copy_n(rows.data() + n_elements(output.row, width), width, to);
    std::copy_n(kept.data(), n_elements(n, width), rows.data());
  };
  gather(hidden_, c.hidden);
  gather(context_, c.q_width());
  n_rows_ = static_cast<std::int32_t>(n);
}

/// hidden += in W^T + b, normed and scaled before it is added where the model does so. Other ranks' parts come in
/// before or behind the product (shard.hpp).
void ForwardPass::add_product(const Projection& projection, const Part& in, const at::Tensor& post_norm) {
  const hf::ModelConfig& c = model_->config;
  const float* const factors = values_or_null(post_norm);
  const float scale = c.residual_scale;
  if (!c.adds_apart() && ranks_.alone())
    return multiply(projection, in.rows, in.width, {}, hidden_, c.hidden, Write::add);
  if (gathers()) {
    const Timed timed(times_->exchange);
    ranks_.gather(in.rows, n_rows_, in.ranges);
  }
  const std::int32_t in_width = gathers() ? in.ranges.back().end : in.width;
  multiply(projection, in.rows, in_width, {}, added_, model_->shard.hidden.size(), Write::replace);
  if (gathers()) {
    const Timed timed(times_->exchange);
    ranks_.gather(added_, n_rows_, model_->ranges.hidden);
  } else {
    const Timed timed(times_->exchange);
    ranks_.sum(std::span(added_).first(n_elements(n_rows_, c.hidden)));
  }
  constexpr std::int32_t kFewRows = 16;  // are normed sooner than threads begin
  const ParallelFor parallel = n_rows_ > kFewRows ? parallel_ : ParallelFor();
  parallel.in_parts(n_rows_, [&](std::int32_t begin, std::int32_t end) {
    float* const rows = added_.data() + std::ptrdiff_t{begin} * c.hidden;
    float* const hidden = hidden_.data() + std::ptrdiff_t{begin} * c.hidden;
    if (factors != nullptr) rms_norm(rows, factors, end - begin, c.hidden, c.rms_eps, rows);
    for (std::ptrdiff_t i = 0; i < std::ptrdiff_t{end - begin} * c.hidden; ++i) hidden[i] += scale * rows[i];
  });
}

void ForwardPass::add_attention(std::size_t layer) {
  const LayerTensors& w = model_->tensors.layers[layer];
  add_product(w.out, {context_, model_->part.q_width(), model_->ranges.queries}, w.post_attention_norm);
}

void ForwardPass::add_feed_forward(std::size_t layer) {
  const hf::ModelConfig& c = model_->part;
  const LayerTensors& w = model_->tensors.layers[layer];
  multiply(w.gate_up, hidden_, c.hidden, norm_of(w.ffn_norm), ffn_, c.ffn, Write::replace,
           {{}, gathers() ? nullptr : &w.down});
  add_product(w.down, {ffn_, c.ffn, model_->ranges.ffn}, w.post_ffn_norm);
}

LogitsView ForwardPass::logits() {
  const hf::ModelConfig& c = model_->part;
  const std::int32_t vocabulary = model_->config.vocabulary;
  if (n_rows_ == 0) return {nullptr, 0, vocabulary};
  const float divisor = c.logit_divisor, cap = static_cast<float>(c.logit_softcap);
  const auto finish = [&](std::int32_t begin, std::int32_t end) {
    for (std::int32_t row = 0; row < n_rows_; ++row) {
      float* const logits = logits_.data() + n_elements(row, c.vocabulary) + begin;
      if (divisor != 1.0f)
        for (std::int32_t i = 0; i < end - begin; ++i) logits[i] /= divisor;
      if (cap > 0) softcap(logits, end - begin, cap);
    }
  };
  const bool finishes = divisor != 1.0f || cap > 0;
  multiply(model_->tensors.head, hidden_, c.hidden, norm_of(model_->tensors.final_norm), logits_, c.vocabulary,
           Write::replace, {finishes ? Epilogue(finish) : Epilogue()});
  const Timed timed(times_->exchange);
  ranks_.gather_to_first(logits_, n_rows_, model_->ranges.vocabulary);
  if (!ranks_.leads()) return {nullptr, 0, vocabulary};
  return {logits_.data(), n_rows_, vocabulary};
}

LogitsView ForwardPass::run(const StepPlan& plan, AttentionPath path, PassTimes& times) {
  if (plan.n_rows() == 0) return {nullptr, 0, model_->config.vocabulary};
  times_ = &times;
  const bool own_kernels_only = model_->weights == Weights::int8 && path == AttentionPath::native;
  parallel_ = own_kernels_only ? team_.loop() : torch_threads();
  prepare(plan, path);
  return run_layers(*this, plan, model_->tensors.layers.size());
}

}  // namespace anabranch::torch
