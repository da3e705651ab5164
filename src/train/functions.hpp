// The model's operations with gradients written by hand: fewer passes over memory, and less kept, than LibTorch's own.
//
// All tensors are float32 unless a comment says otherwise; n is the number of tokens of a pass.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

namespace anabranch::train {

/// x / rms(x) * weight over the last axis; [n, width], weight [width]. The weight's gradient is made if it wants one.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double epsilon);

/// Turns the first `n_heads` heads of every row by its position's angles (first half / second half pairing), leaves
/// the rest. x [n, width >= n_heads * head_dim]; cosines, sines [n, 1, head_dim / 2].
at::Tensor rotate(const at::Tensor& x, const at::Tensor& cosines, const at::Tensor& sines, std::int64_t n_heads);

/// silu(gate) * up of [n, 2 * width], gate first.
at::Tensor gated(const at::Tensor& gate_up);

/// One or several projections of the same input, their rows below each other.
struct Linear {
  at::Tensor weight;  ///< [out, in]; float32 or bfloat16, in which the product runs; a float32 leaf may want a gradient
  at::Tensor bias;    ///< [out] or undefined
  at::Tensor a;       ///< [parts * rank, in], or undefined without adapters
  at::Tensor b;       ///< [out, rank]
  std::vector<std::int64_t> parts;  ///< rows of each projection; their sum is `out`
  double scale = 0;                 ///< of what the adapters add
  bool round = false;               ///< a float32 weight that wants a gradient is multiplied in bfloat16
};

/// [n, in] to [n, out].
at::Tensor linear(const at::Tensor& x, const Linear& w);

/// The output projection and what follows.
struct Head {
  at::Tensor weight;      ///< [vocabulary, hidden]; float32 or bfloat16; a float32 leaf may want a gradient
  at::Tensor rows;        ///< [n_rows, hidden]: trained rows, which `weight` already holds; undefined for none
  at::Tensor row_tokens;  ///< [n_rows], int64: their places in `weight`
  bool round = false;     ///< as in Linear
};

struct HeadLoss {
  at::Tensor total;   ///< scale * sum of the losses; a scalar with gradient
  at::Tensor losses;  ///< [n], -log p(target)
};

/// Logits, softmax and loss, some hundred rows at a time. x [n, hidden], targets [n] int64. The gradient is made with
/// the loss, since the logits are not kept.
HeadLoss head_loss(const at::Tensor& x, const Head& head, const at::Tensor& targets, double scale);

}  // namespace anabranch::train
