// The oracle: a tiny exact transformer over an explicit dense mask, in double precision.
//
// It has no cache and no plan, and does not know branches; every backend is compared with it. It is slow on purpose:
// one loop over tokens, heads and keys.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <anabranch/eigen/impl/blocks.hpp>
#include <anabranch/eigen/weights.hpp>

namespace anabranch::eigen {

/// mask(q, k) is true where token q sees token k; [n_tokens, n_tokens]. Any pattern in which every token sees
/// something; the order of tokens has no meaning beyond the mask and the positions. In a layer with a window the mask
/// is narrowed by the positions, token by token.
using Mask = ::Eigen::Matrix<bool, ::Eigen::Dynamic, ::Eigen::Dynamic, ::Eigen::RowMajor>;

/// The mask in which every token sees itself and all tokens before it.
inline Mask causal_mask(::Eigen::Index n_tokens) {
  Mask mask(n_tokens, n_tokens);
  for (::Eigen::Index q = 0; q < n_tokens; ++q)
    for (::Eigen::Index k = 0; k < n_tokens; ++k) mask(q, k) = k <= q;
  return mask;
}

class Oracle {
 public:
  /// Throws bad_argument when the shape is impossible.
  explicit Oracle(Weights weights) : weights_(std::move(weights)) { check_shape(weights_.shape); }

  const Weights& weights() const noexcept { return weights_; }

  /// Logits of all tokens, [n_tokens, vocabulary]. REQUIRES: as many positions as tokens, a mask of that size.
  Matrix logits(std::span<const TokenId> tokens, std::span<const Position> positions, const Mask& mask) const {
    check(tokens, positions, mask);
    std::vector<Vector> hidden;
    for (const TokenId token : tokens) hidden.push_back(impl::embedding(token, weights_));
    for (std::size_t l = 0; l < weights_.layers.size(); ++l) {
      const std::int32_t window = impl::window_of(weights_.shape, l);
      run_layer(hidden, l, positions, window == 0 ? mask : narrowed(mask, positions, window));
    }
    Matrix out(static_cast<::Eigen::Index>(tokens.size()), weights_.shape.vocabulary);
    for (std::size_t i = 0; i < hidden.size(); ++i)
      out.row(static_cast<::Eigen::Index>(i)) = impl::logits(hidden[i], weights_);
    return out;
  }

  /// The same for plain serial text: positions 0, 1, ... and the causal mask.
  Matrix logits(std::span<const TokenId> tokens) const {
    std::vector<Position> positions;
    for (std::size_t i = 0; i < tokens.size(); ++i) positions.push_back(static_cast<Position>(i));
    return logits(tokens, positions, causal_mask(static_cast<::Eigen::Index>(tokens.size())));
  }

 private:
  static Mask narrowed(Mask mask, std::span<const Position> positions, std::int32_t window) {
    for (::Eigen::Index q = 0; q < mask.rows(); ++q)
      for (::Eigen::Index k = 0; k < mask.cols(); ++k)
        if (!impl::in_window(positions.begin()[q], positions.begin()[k], window)) mask(q, k) = false;
    return mask;
  }

  void check(std::span<const TokenId> tokens, std::span<const Position> positions, const Mask& mask) const {
    const auto n = static_cast<::Eigen::Index>(tokens.size());
    if (positions.size() != tokens.size())
      fail(Status::bad_argument, positions.size(), " positions for ", n, " tokens");
    if (mask.rows() != n || mask.cols() != n)
      fail(Status::bad_argument, "mask is ", mask.rows(), " x ", mask.cols(), ", must be ", n, " x ", n);
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      impl::check_token(tokens[i], i, weights_.shape);
      impl::check_position(positions[i], i, weights_.shape);
      if (!mask.row(static_cast<::Eigen::Index>(i)).any())
        fail(Status::bad_argument, "token ", i, " sees nothing in the mask");
    }
  }

  void run_layer(std::vector<Vector>& hidden, std::size_t index, std::span<const Position> positions,
                 const Mask& mask) const {
    const LayerWeights& layer = weights_.layers[index];
    std::vector<impl::Projection> tokens;
    for (std::size_t i = 0; i < hidden.size(); ++i)
      tokens.push_back(
          impl::project(hidden[i], layer, weights_.shape, impl::turn_of(weights_.shape, index, positions[i])));
    for (std::size_t i = 0; i < hidden.size(); ++i) {
      std::vector<const impl::Projection*> seen;
      for (std::size_t k = 0; k < tokens.size(); ++k)
        if (mask(static_cast<::Eigen::Index>(i), static_cast<::Eigen::Index>(k))) seen.push_back(&tokens[k]);
      const auto key = [&](::Eigen::Index j) -> const Vector& { return seen.begin()[j]->key; };
      const auto value = [&](::Eigen::Index j) -> const Vector& { return seen.begin()[j]->value; };
      const auto n_keys = static_cast<::Eigen::Index>(seen.size());
      impl::finish_layer(hidden[i], impl::attend(tokens[i].query, n_keys, weights_.shape, key, value), layer,
                         weights_.shape);
    }
  }

  Weights weights_;
};

}  // namespace anabranch::eigen
