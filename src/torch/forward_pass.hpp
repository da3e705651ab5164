// One forward pass through all layers, on buffers that are kept from pass to pass.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include <anabranch/attention/branch_attention.hpp>
#include <anabranch/decode/model.hpp>
#include <anabranch/hf/config.hpp>
#include <anabranch/plan/step_plan.hpp>
#include <anabranch/torch/causal_lm.hpp>

#include "kv_store.hpp"
#include "layer_kinds.hpp"
#include "layer_loop.hpp"
#include "projection.hpp"
#include "rank_rows.hpp"
#include "reference_attention.hpp"
#include "row_ops.hpp"
#include "shard.hpp"
#include "tensors.hpp"
#include "thread_team.hpp"

namespace anabranch::torch {

/// The part of a runner that others over the same weights share.
struct LoadedModel {
  std::filesystem::path folder;
  std::optional<std::filesystem::path> adapter;  ///< merged into the tensors
  hf::ModelConfig config;
  Weights weights = Weights::float32;
  Collective* ranks = nullptr;  ///< null: this process alone
  Shard shard;
  hf::ModelConfig part;  ///< the sizes of the shard; without other ranks those of `config`
  AllRanges ranges;
  ModelTensors tensors;  ///< of the shard
  LayerKinds kinds;
  HeadShape heads() const noexcept { return {part.n_heads, part.n_kv_heads, part.head_dim}; }
};

class ForwardPass {
 public:
  /// `model` must outlive it.
  ForwardPass(const LoadedModel& model, attention::Element kv, ThreadUse threads);

  /// REQUIRES: a checked plan whose slots fit into kv(). The logits stay valid until the next call. Adds the time of
  /// products, of attention and of exchanges to `times`. With other ranks all run the same plan; rank 0 gets logits.
  LogitsView run(const StepPlan& plan, AttentionPath path, PassTimes& times);
  KvStore& kv() noexcept { return kv_; }
  const KvStore& kv() const noexcept { return kv_; }
  ThreadUse threads() const noexcept { return team_.use(); }

  // The operations of the loop over the layers (layer_loop.hpp).
  void embed_rows(const StepPlan& plan);
  void project_heads(std::size_t layer, const StepPlan& plan);
  void attend(std::size_t layer);
  void keep_outputs(const StepPlan& plan);
  void add_attention(std::size_t layer);
  void add_feed_forward(std::size_t layer);
  LogitsView logits();

 private:
  void prepare(const StepPlan& plan, AttentionPath path);
  void attend_by_reference(std::size_t layer);
  InputNorm norm_of(const at::Tensor& weight) const;
  void multiply(const Projection& projection, const std::vector<float>& in, std::int32_t in_width,
                const InputNorm& norm, std::vector<float>& out, std::int32_t out_width, Write write,
                const AfterProduct& after = {});
  /// This rank's columns of the rows that a product begins with.
  struct Part {
    std::vector<float>& rows;
    std::int32_t width;
    const Ranges& ranges;
  };
  void add_product(const Projection& projection, const Part& in, const at::Tensor& post_norm);
  bool gathers() const noexcept { return model_->shard.combine == Combine::gather; }

  const LoadedModel* model_;
  KvStore kv_;
  std::vector<attention::BranchAttention> attentions_;           ///< by kind of scores
  std::vector<std::unique_ptr<ReferenceAttention>> references_;  ///< likewise, of this pass; empty on the native path
  RankRows ranks_;
  RunnerTeam team_;
  ParallelFor parallel_;  ///< of this pass
  PassTimes* times_ = nullptr;
  std::vector<RopeTable> ropes_;  ///< by rotation
  std::int32_t n_rows_ = 0;       ///< rows that are still computed: after the last attention the outputs only
  std::vector<float> hidden_;     ///< [n_rows, hidden]
  std::vector<float> qkv_;        ///< [n_rows, q_width + 2 kv_width] of this rank's heads, as all that follow
  std::vector<float> context_;    ///< [n_rows, q_width]; gathered, of all ranks
  std::vector<float> ffn_;        ///< [n_rows, ffn]; likewise
  std::vector<float> added_;      ///< [n_rows, hidden]: a product that is not normed, or not of all ranks, yet
  std::vector<float> logits_;     ///< [n_outputs, vocabulary]
  std::vector<std::byte> workspace_;
  ProductScratch scratch_;
};

}  // namespace anabranch::torch
