#include "network.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace anabranch::train {
namespace {

at::Tensor longs(const std::vector<std::int64_t>& values) {
  at::Tensor out = at::empty({static_cast<std::int64_t>(values.size())}, at::kLong);
  std::copy(values.begin(), values.end(), out.data_ptr<std::int64_t>());
  return out;
}

at::Tensor mask_of(const TokenRow& row) {
  if (row.causal) return {};
  const std::int64_t n = row.n_tokens();
  at::Tensor mask = at::empty({1, 1, n, n}, at::kFloat);
  fill_mask(row.runs, row.n_tokens(), 0.0f, -std::numeric_limits<float>::infinity(),
            {mask.data_ptr<float>(), mask.data_ptr<float>() + n * n});
  return mask;
}

void check(const TokenRow& row, const hf::ModelConfig& c) {
  for (std::size_t i = 0; i < row.tokens.size(); ++i) {
    if (row.tokens[i] < 0 || row.tokens[i] >= c.vocabulary || row.targets[i] >= c.vocabulary)
      fail(Status::bad_argument, row.id, ": token ", row.tokens[i], " outside the vocabulary of ", c.vocabulary);
    if (row.positions[i] < 0 || row.positions[i] >= c.max_positions)
      fail(Status::bad_argument, row.id, ": position ", row.positions[i], ", the model has ", c.max_positions);
  }
}

/// [n, heads, head_dim] to [1, query heads, n, head_dim]: keys and values are repeated for the queries that share them.
at::Tensor heads_first(const at::Tensor& t, std::int64_t n_heads) {
  const std::int64_t n = t.size(0), heads = t.size(1), width = t.size(2);
  at::Tensor out = t.transpose(0, 1);
  if (heads != n_heads) out = out.unsqueeze(1).expand({heads, n_heads / heads, n, width}).reshape({n_heads, n, width});
  return out.unsqueeze(0);
}

}  // namespace

PackedRows Network::pack(std::span<const TokenRow* const> rows) const {
  if (rows.empty()) fail(Status::bad_argument, "a pass of no rows");
  PackedRows out;
  std::vector<std::int64_t> tokens, with_target, targets, places, trained;
  std::vector<float> cosines, sines;
  for (const TokenRow* row : rows) {
    check(*row, config_);
    out.lengths.push_back(row->n_tokens());
    out.masks.push_back(mask_of(*row));
    for (std::size_t i = 0; i < row->tokens.size(); ++i) {
      const auto place = static_cast<std::int64_t>(tokens.size());
      tokens.push_back(row->tokens[i]);
      if (row->targets[i] != kNone) with_target.push_back(place), targets.push_back(row->targets[i]);
      const auto& named = options_.token_rows;
      const auto found = std::find(named.begin(), named.end(), row->tokens[i]);
      if (token_rows_.defined() && found != named.end())
        places.push_back(place), trained.push_back(found - named.begin());
      for (const double frequency : frequencies_) {
        const double angle = static_cast<double>(row->positions[i]) * frequency;
        cosines.push_back(static_cast<float>(std::cos(angle)));
        sines.push_back(static_cast<float>(std::sin(angle)));
      }
    }
  }
  const auto n = static_cast<std::int64_t>(tokens.size());
  const auto angles = [&](std::vector<float>& v) {
    return at::from_blob(v.data(), {n, 1, config_.head_dim / 2}, at::kFloat).clone();
  };
  out.tokens = longs(tokens);
  out.cosines = angles(cosines);
  out.sines = angles(sines);
  out.with_target = longs(with_target);
  out.targets = longs(targets);
  out.trained_places = longs(places);
  out.trained_rows = longs(trained);
  return out;
}

at::Tensor Network::embed(const PackedRows& rows) const {
  at::Tensor x = embedding_.index_select(0, rows.tokens);
  if (rows.trained_places.numel() == 0) return x;
  return x.index_copy(0, rows.trained_places, token_rows_.index_select(0, rows.trained_rows));
}

at::Tensor Network::attend(const at::Tensor& qkv, const PackedRows& rows) const {
  const std::int64_t n_heads = config_.n_heads, n_kv = config_.n_kv_heads, width = config_.head_dim;
  const std::vector<at::Tensor> samples = qkv.split_with_sizes(rows.lengths);
  std::vector<at::Tensor> contexts;
  for (std::size_t s = 0; s < samples.size(); ++s) {
    const std::int64_t n = rows.lengths[s];
    const std::vector<at::Tensor> parts =
        samples[s].view({n, n_heads + 2 * n_kv, width}).split_with_sizes({n_heads, n_kv, n_kv}, 1);
    std::optional<at::Tensor> mask;
    if (rows.masks[s].defined()) mask = rows.masks[s];
    const at::Tensor context =
        at::scaled_dot_product_attention(heads_first(parts[0], n_heads), heads_first(parts[1], n_heads),
                                         heads_first(parts[2], n_heads), mask, 0.0, !mask.has_value());
    contexts.push_back(context.squeeze(0).transpose(0, 1).reshape({n, n_heads * width}));
  }
  return at::cat(contexts);
}

at::Tensor Network::run_layer(const NetworkLayer& layer, const at::Tensor& x, const PackedRows& rows) const {
  const hf::ModelConfig& c = config_;
  at::Tensor qkv = linear(rms_norm(x, layer.input_norm, c.rms_eps), layer.qkv.linear);
  if (c.qk_norm) {
    const std::vector<at::Tensor> parts = qkv.split_with_sizes({c.q_width(), c.kv_width(), c.kv_width()}, 1);
    const auto normed = [&](const at::Tensor& t, const at::Tensor& weight) {
      return rms_norm(t.reshape({-1, c.head_dim}), weight, c.rms_eps).view(t.sizes());
    };
    qkv = at::cat({normed(parts[0], layer.query_norm), normed(parts[1], layer.key_norm), parts[2]}, 1);
  }
  const at::Tensor context = attend(rotate(qkv, rows.cosines, rows.sines, c.n_heads + c.n_kv_heads), rows);
  const at::Tensor middle = x + linear(context, layer.out.linear);
  const at::Tensor inner = gated(linear(rms_norm(middle, layer.ffn_norm, c.rms_eps), layer.gate_up.linear));
  return middle + linear(inner, layer.down.linear);
}

HeadLoss Network::forward(const PackedRows& rows, double scale) const {
  at::Tensor x = embed(rows);
  for (const NetworkLayer& layer : layers_) x = run_layer(layer, x, rows);
  const at::Tensor out = rms_norm(x.index_select(0, rows.with_target), final_norm_, config_.rms_eps);
  return head_loss(out, head_, rows.targets, scale);
}

void Network::refresh_head() {
  if (!head_.rows.defined()) return;
  const at::NoGradGuard no_gradient;
  head_.weight.index_copy_(0, head_.row_tokens, head_.rows.detach().to(head_.weight.scalar_type()));
}

}  // namespace anabranch::train
