#include "functions.hpp"

#include <algorithm>
#include <optional>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

namespace anabranch::train {
namespace {

using ::torch::autograd::AutogradContext;
using ::torch::autograd::Function;
using ::torch::autograd::variable_list;

/// LibTorch takes no undefined tensor as a function's input.
using MaybeTensor = std::optional<at::Tensor>;
MaybeTensor maybe(const at::Tensor& t) { return t.defined() ? MaybeTensor(t) : std::nullopt; }

/// a b, in bfloat16 if asked to, as float32.
at::Tensor product(const at::Tensor& a, const at::Tensor& b, bool round) {
  if (!round) return at::mm(a, b);
  return at::mm(a.to(at::kBFloat16), b.to(at::kBFloat16)).to(at::kFloat);
}

struct RmsNorm : Function<RmsNorm> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight, double epsilon) {
    const at::Tensor norm = at::linalg_vector_norm(x, 2, at::IntArrayRef{-1}, true);
    const at::Tensor scale = norm.square_().div_(static_cast<double>(x.size(-1))).add_(epsilon).rsqrt_();
    ctx->save_for_backward({x, weight, scale});
    ctx->saved_data["weight"] = weight.requires_grad();
    return at::mul(x, scale).mul_(weight);
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &scale = saved[2], &dy = grads[0];
    at::Tensor dweight;
    if (ctx->saved_data["weight"].toBool()) dweight = at::mul(dy, x).mul_(scale).sum(0);
    at::Tensor dx = at::mul(dy, weight);
    const at::Tensor dot = at::mul(dx, x).sum(-1, true);
    const at::Tensor share = scale.pow(3).mul_(dot).div_(static_cast<double>(x.size(-1)));
    dx.mul_(scale).addcmul_(x, share, -1);
    return {dx, dweight, {}};
  }
};

/// `direction` 1 turns, -1 turns back.
at::Tensor turned(const at::Tensor& x, const at::Tensor& cosines, const at::Tensor& sines, std::int64_t n_heads,
                  double direction) {
  const std::int64_t n = x.size(0), half = cosines.size(2), turned_width = n_heads * 2 * half;
  at::Tensor out = at::empty_like(x);
  const auto halves = [&](const at::Tensor& t) { return t.narrow(1, 0, turned_width).view({n, n_heads, 2, half}); };
  const at::Tensor in = halves(x), to = halves(out);
  const at::Tensor low = in.select(2, 0), high = in.select(2, 1);
  at::Tensor to_low = to.select(2, 0), to_high = to.select(2, 1);
  at::mul_out(to_low, low, cosines);
  to_low.addcmul_(high, sines, -direction);
  at::mul_out(to_high, high, cosines);
  to_high.addcmul_(low, sines, direction);
  const std::int64_t rest = x.size(1) - turned_width;
  if (rest > 0) out.narrow(1, turned_width, rest).copy_(x.narrow(1, turned_width, rest));
  return out;
}

struct Rotate : Function<Rotate> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& cosines,
                            const at::Tensor& sines, std::int64_t n_heads) {
    ctx->save_for_backward({cosines, sines});
    ctx->saved_data["n_heads"] = n_heads;
    return turned(x, cosines, sines, n_heads, 1);
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    return {turned(grads[0].contiguous(), saved[0], saved[1], ctx->saved_data["n_heads"].toInt(), -1), {}, {}, {}};
  }
};

struct Gated : Function<Gated> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& gate_up) {
    ctx->save_for_backward({gate_up});
    const std::int64_t width = gate_up.size(1) / 2;
    return at::silu(gate_up.narrow(1, 0, width)).mul_(gate_up.narrow(1, width, width));
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const at::Tensor gate_up = ctx->get_saved_variables()[0];
    const at::Tensor& dy = grads[0];
    const std::int64_t width = gate_up.size(1) / 2;
    const at::Tensor gate = gate_up.narrow(1, 0, width), up = gate_up.narrow(1, width, width);
    at::Tensor out = at::empty_like(gate_up);
    at::Tensor dgate = out.narrow(1, 0, width), dup = out.narrow(1, width, width);
    at::silu_out(dup, gate);
    dup.mul_(dy);
    at::silu_backward_out(dgate, at::mul(dy, up), gate);
    return {out};
  }
};

struct GroupedLinear : Function<GroupedLinear> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                            const MaybeTensor& maybe_bias, const MaybeTensor& maybe_a, const MaybeTensor& maybe_b,
                            const std::vector<std::int64_t>& parts, double scale, bool round) {
    const at::Tensor bias = maybe_bias.value_or(at::Tensor()), a = maybe_a.value_or(at::Tensor()),
                     b = maybe_b.value_or(at::Tensor());
    at::Tensor y = product(x, weight.t(), round);
    if (bias.defined()) y.add_(bias);
    at::Tensor inner;
    if (a.defined()) {
      inner = at::mm(x, a.t());
      const std::int64_t rank = b.size(1);
      std::int64_t row = 0, column = 0;
      for (const std::int64_t rows : parts) {
        y.narrow(1, row, rows).addmm_(inner.narrow(1, column, rank), b.narrow(0, row, rows).t(), 1, scale);
        row += rows;
        column += rank;
      }
    }
    ctx->save_for_backward({x, weight, a, b, inner});
    ctx->saved_data["parts"] = parts;
    ctx->saved_data["scale"] = scale;
    ctx->saved_data["round"] = round;
    ctx->saved_data["weight"] = weight.requires_grad();
    ctx->saved_data["bias"] = bias.defined() && bias.requires_grad();
    return y;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &a = saved[2], &b = saved[3], &inner = saved[4];
    const at::Tensor dy = grads[0].contiguous();
    const bool round = ctx->saved_data["round"].toBool();
    at::Tensor dx = product(dy, weight, round), dweight, dbias, da, db;
    if (ctx->saved_data["weight"].toBool()) dweight = product(dy.t(), x, round);
    if (ctx->saved_data["bias"].toBool()) dbias = dy.sum(0);
    if (a.defined()) {
      const double scale = ctx->saved_data["scale"].toDouble();
      const std::int64_t rank = b.size(1);
      at::Tensor dinner = at::empty_like(inner);
      db = at::empty_like(b);
      std::int64_t row = 0, column = 0;
      for (const std::int64_t rows : ctx->saved_data["parts"].toIntVector()) {
        const at::Tensor dpart = dy.narrow(1, row, rows);
        at::Tensor dinner_part = dinner.narrow(1, column, rank), db_part = db.narrow(0, row, rows);
        at::mm_out(dinner_part, dpart, b.narrow(0, row, rows));
        at::mm_out(db_part, dpart.t(), inner.narrow(1, column, rank));
        row += rows;
        column += rank;
      }
      dinner.mul_(scale);
      db.mul_(scale);
      dx.addmm_(dinner, a);
      da = at::mm(dinner.t(), x);
    }
    return {dx, dweight, dbias, da, db, {}, {}, {}};
  }
};

constexpr std::int64_t kHeadRows = 256;  // of logits at a time: 50 MB at a vocabulary of 49,152

struct HeadLossFunction : Function<HeadLossFunction> {
  static variable_list forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                               const MaybeTensor& maybe_rows, const MaybeTensor& maybe_row_tokens,
                               const at::Tensor& targets, double scale, bool round, bool gradient) {
    const at::Tensor rows = maybe_rows.value_or(at::Tensor()), row_tokens = maybe_row_tokens.value_or(at::Tensor());
    const std::int64_t n = x.size(0);
    at::Tensor losses = at::empty({n}, at::kFloat);
    const bool whole = gradient && weight.requires_grad();
    const bool some = gradient && rows.defined();
    at::Tensor dx = gradient ? at::empty_like(x) : at::Tensor();
    at::Tensor dweight = whole ? at::zeros_like(weight) : at::Tensor();
    at::Tensor drows = some ? at::zeros_like(rows) : at::Tensor();
    const at::Tensor table = round ? weight.to(at::kBFloat16) : weight;
    for (std::int64_t begin = 0; begin < n; begin += kHeadRows) {
      const std::int64_t size = std::min(kHeadRows, n - begin);
      const at::Tensor in = x.narrow(0, begin, size);
      const at::Tensor target = targets.narrow(0, begin, size).unsqueeze(1);
      at::Tensor log_p = at::log_softmax(product(in, table.t(), round), 1);
      losses.narrow(0, begin, size).copy_(log_p.gather(1, target).squeeze(1).neg_());
      if (!gradient) continue;
      at::Tensor dlogits = log_p.exp_();
      dlogits.scatter_add_(1, target, at::full({size, 1}, -1.0f));
      dlogits.mul_(scale);
      dx.narrow(0, begin, size).copy_(product(dlogits, table, round));
      if (whole) dweight.add_(product(dlogits.t(), in, round));
      if (some) drows.addmm_(dlogits.index_select(1, row_tokens).t(), in);
    }
    ctx->save_for_backward({dx, dweight, drows});
    ctx->mark_non_differentiable({losses});
    return {losses.sum(at::kDouble).mul_(scale).to(at::kFloat), losses};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const auto times = [&](const at::Tensor& t) { return t.defined() ? at::mul(t, grads[0]) : at::Tensor(); };
    return {times(saved[0]), times(saved[1]), times(saved[2]), {}, {}, {}, {}, {}};
  }
};

bool rounds(const at::Tensor& weight, bool round) { return round || weight.scalar_type() == at::kBFloat16; }

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double epsilon) {
  return RmsNorm::apply(x, weight, epsilon);
}

at::Tensor rotate(const at::Tensor& x, const at::Tensor& cosines, const at::Tensor& sines, std::int64_t n_heads) {
  return Rotate::apply(x, cosines, sines, n_heads);
}

at::Tensor gated(const at::Tensor& gate_up) { return Gated::apply(gate_up); }

at::Tensor linear(const at::Tensor& x, const Linear& w) {
  return GroupedLinear::apply(x, w.weight, maybe(w.bias), maybe(w.a), maybe(w.b), w.parts, w.scale,
                              rounds(w.weight, w.round));
}

HeadLoss head_loss(const at::Tensor& x, const Head& head, const at::Tensor& targets, double scale) {
  const variable_list out = HeadLossFunction::apply(x, head.weight, maybe(head.rows), maybe(head.row_tokens), targets,
                                                    scale, rounds(head.weight, head.round), at::GradMode::is_enabled());
  return {out[0], out[1]};
}

}  // namespace anabranch::train
